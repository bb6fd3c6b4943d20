// SPDX-License-Identifier: MIT
/*
 * Functions of the kernel that are not KVM's, for KVM's to call: memory, RCU, locks. They are known by their names alone,
 * since the macros of the tree's headers that lead to them differ from release to release; where a name is new, the older one
 * stands beside it.
 */
#include "kit-vm.h"

#define PAGE (1ULL << KIT_PAGE_SHIFT)

typedef unsigned int gfp;

/* Objects from the slab are of this kind: a path sets it while it knows that they are mappings. */
int kit_slab_object = KIT_UNTOLD;

static void *take_pages(kit_u64 count, int object)
{
	void *memory = kit_pages_take(count);

	kit_page_references(memory, 1);
	kit_pages_are(memory, object, 0);
	return memory;
}

unsigned long get_free_pages_noprof(gfp flags, unsigned int order)
{
	return (unsigned long)take_pages(1ULL << order, S2_OBJECT_MEMCACHE);
}

unsigned long __get_free_pages(gfp flags, unsigned int order)
{
	return get_free_pages_noprof(flags, order);
}

unsigned long get_zeroed_page_noprof(gfp flags)
{
	return get_free_pages_noprof(flags, 0);
}

void free_pages(unsigned long memory, unsigned int order)
{
	if (memory)
		kit_pages_give((void *)memory);
}

void *alloc_pages_exact_noprof(kit_u64 size, gfp flags)
{
	kit_u64 count = (size + PAGE - 1) / PAGE, i;
	char *memory = kit_pages_take(count);

	/* Each can be freed by itself, as pKVM's teardown does. */
	kit_pages_split(memory);
	for (i = 0; i < count; i++) {
		kit_page_references(memory + i * PAGE, 1);
		kit_pages_are(memory + i * PAGE, S2_OBJECT_PGD, 0);
	}
	return memory;
}

void *alloc_pages_exact(kit_u64 size, gfp flags)
{
	return alloc_pages_exact_noprof(size, flags);
}

void free_pages_exact(void *memory, kit_u64 size)
{
	kit_u64 offset;

	for (offset = 0; offset < size; offset += PAGE)
		kit_pages_give((char *)memory + offset);
}

/* The last reference of a page is gone. */
void __folio_put(void *folio)
{
	kit_pages_give(kit_page_memory(folio));
}

void __put_page(void *page)
{
	__folio_put(page);
}

/* A page of a cache becomes a table: its level is known when it hangs in the tree. */
void *__real_kvm_mmu_memory_cache_alloc(void *cache);

void *__wrap_kvm_mmu_memory_cache_alloc(void *cache)
{
	void *table = __real_kvm_mmu_memory_cache_alloc(cache);

	if (table)
		kit_pages_are(table, S2_OBJECT_TABLE, KIT_LEVEL_UNKNOWN);
	return table;
}

void *__kmalloc_cache_noprof(void *cache, gfp flags, kit_u64 size)
{
	return kit_object_take(size, kit_slab_object);
}

void *kmalloc_trace(void *cache, gfp flags, kit_u64 size)
{
	return kit_object_take(size, kit_slab_object);
}

void *__kmalloc_noprof(kit_u64 size, gfp flags)
{
	return kit_object_take(size, KIT_UNTOLD);
}

void *__kvmalloc_node_noprof(kit_u64 size)
{
	return kit_object_take(size, KIT_UNTOLD);
}

void *kvmalloc_node(kit_u64 size, gfp flags, int node)
{
	return kit_object_take(size, KIT_UNTOLD);
}

void *pcpu_alloc_noprof(kit_u64 size, kit_u64 align, _Bool reserved, gfp flags)
{
	return kit_object_take(size, KIT_UNTOLD);
}

void *__alloc_percpu(kit_u64 size, kit_u64 align)
{
	return kit_object_take(size, KIT_UNTOLD);
}

void kfree(const void *memory)
{
	kit_object_give(memory);
}

void kvfree(const void *memory)
{
	kit_object_give(memory);
}

void free_percpu(void *memory)
{
	kit_object_give(memory);
}

/* A struct rcu_head. */
struct head {
	struct head *next;
	void (*function)(struct head *head);
};

void call_rcu(struct head *head, void (*function)(struct head *head))
{
	struct head **last = (struct head **)&kit_vm->rcu;

	while (*last)
		last = &(*last)->next;
	head->next = NULL;
	head->function = function;
	*last = head;
}

void kit_rcu_grace_period(void)
{
	struct head *head;

	while ((head = kit_vm->rcu)) {
		kit_vm->rcu = head->next;
		head->function(head);
	}
}

/* What RCU and lock debugging would check holds: one thread calls. */
int rcu_read_lock_held(void)
{
	return 1;
}

#define NOTHING(name) void name(void) { }
NOTHING(__rcu_read_lock)
NOTHING(__rcu_read_unlock)
NOTHING(_raw_read_lock)
NOTHING(_raw_read_unlock)
NOTHING(_raw_write_lock)
NOTHING(_raw_write_unlock)
NOTHING(_raw_spin_lock)
NOTHING(_raw_spin_unlock)
NOTHING(mutex_lock)
NOTHING(mutex_unlock)
NOTHING(mod_node_page_state)
NOTHING(mod_lruvec_page_state)
NOTHING(_printk)

void *memset64(kit_u64 *to, kit_u64 value, kit_u64 count)
{
	while (count--)
		to[count] = value;
	return to;
}

unsigned long _find_next_bit(const unsigned long *bits, unsigned long size, unsigned long start)
{
	while (start < size && !(bits[start / 64] >> start % 64 & 1))
		start++;
	return start < size ? start : size;
}

unsigned long _find_first_bit(const unsigned long *bits, unsigned long size)
{
	return _find_next_bit(bits, size, 0);
}

/* What is printed goes nowhere; of WARN_RATELIMIT(), none is missed. */
int ___ratelimit(void *state, const char *function)
{
	return 1;
}

unsigned char kit_current[65536] __attribute__((aligned(64)));
