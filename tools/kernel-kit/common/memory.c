// SPDX-License-Identifier: MIT
/*
 * The memory of the machine: one range of addresses, reserved at once and made usable bit by bit, of which VMs take pages.
 * Small objects are libc's.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kit-vm.h"
#include "report.h"

#define PAGE (1ULL << KIT_PAGE_SHIFT)
/* 2^45 is where neither the heap nor libraries nor the shadows of sanitizers are. */
#define FIRST_PLACE (1ULL << 45)
#define LAST_PLACE (1ULL << 46)
#define MEMORY_SIZE (1ULL << 36)
/* What is made usable at a time. */
#define STEP (1ULL << 26)
#define ORDERS 24

/* A run of pages, known by its first. */
struct kit_page {
	struct kit_page *next, *previous;	/* of the VM's, or of those that are free */
	struct s2_vm *owner;			/* NULL: it is free */
	int order;
	int object;
	int level;
	long event;		/* that told of a table whose level is unknown; -1: none */
	kit_u64 count;
};

struct kit_object {
	struct kit_object *next, *previous;
	kit_u64 size;
	int object;
} __attribute__((aligned(16)));

kit_u64 kit_memory_start, kit_memory_end;
void *kit_memmap;
static kit_u64 memory_used, memory_usable;
static struct kit_page *pages;
static struct kit_page *free_pages[ORDERS];

static void *reserve(kit_u64 place, kit_u64 size)
{
	int fixed = place ? MAP_FIXED_NOREPLACE : 0;
	void *at = mmap((void *)place, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int set_up(void)
{
	kit_u64 place, frames = MEMORY_SIZE / PAGE;

	for (place = FIRST_PLACE; place < LAST_PLACE; place += MEMORY_SIZE) {
		void *at = reserve(place, MEMORY_SIZE);

		if (at == (void *)place)
			break;
		/* A kernel that does not know MAP_FIXED_NOREPLACE puts it elsewhere. */
		if (at)
			munmap(at, MEMORY_SIZE);
	}
	if (place == LAST_PLACE)
		return -1;
	kit_memmap = reserve(0, frames * KIT_STRUCT_PAGE);
	pages = reserve(0, frames * sizeof(*pages));
	if (!kit_memmap || !pages)
		return -1;
	memory_used = memory_usable = kit_memory_start = place;
	kit_memory_end = place + MEMORY_SIZE;
	return 0;
}

static int make_usable(void *start, kit_u64 from, kit_u64 to)
{
	kit_u64 first = ((kit_u64)start + from) & -(kit_u64)sysconf(_SC_PAGESIZE);

	return mprotect((void *)first, (kit_u64)start + to - first, PROT_READ | PROT_WRITE);
}

/* The memory up to `end` can be used, and what is kept on its pages. */
static int extend(kit_u64 end)
{
	while (memory_usable < end) {
		kit_u64 first = (memory_usable - kit_memory_start) / PAGE, last = first + STEP / PAGE;

		if (memory_usable + STEP > kit_memory_end ||
		    make_usable((void *)kit_memory_start, first * PAGE, last * PAGE) ||
		    make_usable(kit_memmap, first * KIT_STRUCT_PAGE, last * KIT_STRUCT_PAGE) ||
		    make_usable(pages, first * sizeof(*pages), last * sizeof(*pages)))
			return -1;
		memory_usable += STEP;
	}
	return 0;
}

static struct kit_page *page_of(const void *memory)
{
	kit_u64 at = (kit_u64)memory;

	if (at < kit_memory_start || at >= memory_used || at % PAGE)
		kit_panic(__FILE__, __LINE__, "memory that is not a page of the machine's was named as one");
	return &pages[(at - kit_memory_start) / PAGE];
}

static void *memory_of(const struct kit_page *page)
{
	return (void *)(kit_memory_start + (kit_u64)(page - pages) * PAGE);
}

static void link_page(struct kit_page **list, struct kit_page *page)
{
	page->previous = NULL;
	page->next = *list;
	if (*list)
		(*list)->previous = page;
	*list = page;
}

static void unlink_page(struct kit_page **list, struct kit_page *page)
{
	if (page->previous)
		page->previous->next = page->next;
	else
		*list = page->next;
	if (page->next)
		page->next->previous = page->previous;
}

static struct kit_page *new_pages(int order)
{
	kit_u64 size = PAGE << order, start;

	if (!pages && set_up())
		return NULL;
	start = (memory_used + size - 1) & ~(size - 1);
	if (start + size > kit_memory_end || extend(start + size))
		return NULL;
	memory_used = start + size;
	return &pages[(start - kit_memory_start) / PAGE];
}

void *kit_pages_take(kit_u64 count)
{
	struct kit_page *page;
	int order = 0;

	while ((1ULL << order) < count)
		order++;
	page = order < ORDERS ? free_pages[order] : NULL;
	if (page)
		unlink_page(&free_pages[order], page);
	else
		page = order < ORDERS ? new_pages(order) : NULL;
	if (!page)
		kit_panic(__FILE__, __LINE__, "the machine is out of memory");
	page->owner = kit_vm;
	page->order = order;
	page->object = KIT_UNTOLD;
	page->level = 0;
	page->event = -1;
	page->count = count;
	link_page(&kit_vm->pages, page);
	memset(memory_of(page), 0, PAGE << order);
	return memory_of(page);
}

static void tell(struct kit_page *page, long long sign)
{
	long event;

	if (page->object == KIT_UNTOLD)
		return;
	event = kit_memory(page->object, page->level, sign * (long long)page->count, PAGE);
	page->event = -1;
	if (page->object != S2_OBJECT_TABLE || page->level != KIT_LEVEL_UNKNOWN)
		return;
	if (sign > 0) {
		page->event = event;
		kit_vm->fresh_tables++;
	} else if (kit_vm->fresh_tables) {
		kit_vm->fresh_tables--;
	}
}

void kit_pages_give(void *first)
{
	struct kit_page *page = page_of(first);

	if (!page->owner)
		kit_panic(__FILE__, __LINE__, "a page was freed twice");
	tell(page, -1);
	unlink_page(&page->owner->pages, page);
	page->owner = NULL;
	link_page(&free_pages[page->order], page);
}

void kit_pages_split(void *first)
{
	struct kit_page *page = page_of(first);
	kit_u64 pages_all = 1ULL << page->order, count = page->count, i;

	page->order = 0;
	page->count = 1;
	for (i = 1; i < pages_all; i++) {
		page[i] = (struct kit_page){ .owner = i < count ? page->owner : NULL, .object = KIT_UNTOLD, .event = -1, .count = 1 };
		link_page(i < count ? &page->owner->pages : &free_pages[0], &page[i]);
	}
}

void kit_pages_are(void *first, int object, int level)
{
	struct kit_page *page = page_of(first);

	tell(page, -1);
	page->object = object;
	page->level = level;
	tell(page, 1);
}

int kit_pages_object(const void *first)
{
	struct kit_page *page = page_of(first);

	return page->owner ? page->object : KIT_UNTOLD;
}

void kit_table_level(void *table, int level)
{
	struct kit_page *page = page_of(table);

	if (page->object != S2_OBJECT_TABLE || page->level != KIT_LEVEL_UNKNOWN)
		return;
	page->level = level;
	kit_memory_level(page->event, level);
	page->event = -1;
	kit_vm->fresh_tables--;
}

void *kit_object_take(kit_u64 size, int object)
{
	struct kit_object *new = calloc(1, sizeof(*new) + size);

	if (!new)
		kit_panic(__FILE__, __LINE__, "the machine is out of memory");
	new->size = size;
	new->object = object;
	new->next = kit_vm->objects;
	if (new->next)
		new->next->previous = new;
	kit_vm->objects = new;
	if (object != KIT_UNTOLD)
		kit_memory(object, 0, 1, size);
	return new + 1;
}

void kit_object_give(const void *memory)
{
	struct kit_object *old = (struct kit_object *)memory - 1;

	if (!memory)
		return;
	if (old->previous)
		old->previous->next = old->next;
	else
		kit_vm->objects = old->next;
	if (old->next)
		old->next->previous = old->previous;
	if (old->object != KIT_UNTOLD)
		kit_memory(old->object, 0, -1, old->size);
	free(old);
}

void kit_pages_release(struct s2_vm *vm)
{
	while (vm->pages) {
		struct kit_page *page = vm->pages;

		unlink_page(&vm->pages, page);
		page->owner = NULL;
		link_page(&free_pages[page->order], page);
	}
	while (vm->objects) {
		struct kit_object *object = vm->objects;

		vm->objects = object->next;
		free(object);
	}
}
