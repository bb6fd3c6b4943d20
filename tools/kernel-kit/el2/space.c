// SPDX-License-Identifier: MIT
/*
 * The memory of EL2: its own, and the array of struct hyp_page for all frames that the machine can have. Both are reserved sparsely, and are zero
 * until they are written.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "el2.h"

/* struct hyp_page is a u64, says the kernel's own BUILD_BUG_ON(). */
#define HYP_PAGE 8ULL

/* EL2's variables, gathered by el2.lds, and its per-CPU ones. */
extern char __start_kit_el2_data[], __stop_kit_el2_data[];
extern char __start_kit_percpu[], __stop_kit_percpu[];

/* Addresses below those of the host's memory, as EL2 sees both by their physical addresses; each backend of a process has its own. */
#define FIRST_PLACE	(1ULL << 44)
#define LAST_PLACE	(1ULL << 45)
/* EL2 wants its hyp_vmemmap above what is private to it, which KIT_EL2_VA_BITS puts at 2^46. */
#define FIRST_VMEMMAP	0x600000000000ULL
#define LAST_VMEMMAP	0x700000000000ULL

kit_u64 kit_el2_memory, kit_el2_vmemmap;
static unsigned char *first_data;
static kit_u64 vmemmap_size, taken;

/* Where there is room between two addresses: 0 if there is none. */
static kit_u64 map(kit_u64 first, kit_u64 last, kit_u64 size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
	kit_u64 place;

	for (place = first; place + size <= last; place += size) {
		void *at = mmap((void *)place, size, PROT_READ | PROT_WRITE, flags, -1, 0);

		if (at == (void *)place)
			return place;
		/* A kernel that does not know MAP_FIXED_NOREPLACE puts it elsewhere. */
		if (at != MAP_FAILED)
			munmap(at, size);
	}
	return 0;
}

int kit_el2_reserve(unsigned int pa_bits, const char **why)
{
	kit_u64 size = (1ULL << (pa_bits - KIT_PAGE_SHIFT)) * HYP_PAGE;
	size_t bytes = __stop_kit_el2_data - __start_kit_el2_data;

	if (!first_data) {
		kit_el2_memory = map(FIRST_PLACE, LAST_PLACE, KIT_EL2_MEMORY_SIZE);
		if (!kit_el2_memory) {
			*why = "there are no addresses left for EL2's memory";
			return -1;
		}
		first_data = malloc(bytes);
		if (!first_data)
			abort();
		memcpy(first_data, __start_kit_el2_data, bytes);
	}
	if (size > vmemmap_size) {
		if (vmemmap_size)
			munmap((void *)kit_el2_vmemmap, vmemmap_size);
		kit_el2_vmemmap = map(FIRST_VMEMMAP, LAST_VMEMMAP, size);
		vmemmap_size = kit_el2_vmemmap ? size : 0;
		if (!kit_el2_vmemmap) {
			*why = "there is no room for EL2's hyp_vmemmap";
			return -1;
		}
	}
	return 0;
}

void kit_el2_forget(void)
{
	if (!first_data)
		return;
	memcpy(__start_kit_el2_data, first_data, __stop_kit_el2_data - __start_kit_el2_data);
	madvise((void *)kit_el2_memory, KIT_EL2_MEMORY_SIZE, MADV_DONTNEED);
	madvise((void *)kit_el2_vmemmap, vmemmap_size, MADV_DONTNEED);
	taken = 0;
}

/* From the end: the beginning is setup.c's. */
void *kit_el2_take(kit_u64 size)
{
	taken += (size + (1ULL << KIT_PAGE_SHIFT) - 1) >> KIT_PAGE_SHIFT << KIT_PAGE_SHIFT;
	return (void *)(kit_el2_memory + KIT_EL2_MEMORY_SIZE - taken);
}

static jmp_buf outside;

void kit_el2_enter(void (*function)(void *argument), void *argument)
{
	if (!setjmp(outside))
		function(argument);
}

void kit_el2_leave(void)
{
	longjmp(outside, 1);
}

/* EL2 zeroes far more of its memory than it uses: what is zero is not written, so that it takes none of the machine's below. */
void *kit_memset(void *to, int value, unsigned long size)
{
	kit_u64 start = (kit_u64)to;
	const char *bytes = to;

	if (!value && size && start >= kit_el2_memory && start + size <= kit_el2_memory + KIT_EL2_MEMORY_SIZE &&
	    !bytes[0] && !memcmp(bytes, bytes + 1, size - 1))
		return to;
	return memset(to, value, size);
}

void *kit_memcpy(void *to, const void *from, unsigned long size)
{
	return memcpy(to, from, size);
}
