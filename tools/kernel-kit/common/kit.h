/* SPDX-License-Identifier: MIT */
/*
 * What the kit has for a kernel's C in user space. It is included from both sides, from the kernel's, which knows its own
 * headers only, and from libc's: there are no types here but C's own. kit-vm.h has what knows the interface of backends.
 */
#ifndef PKVM_REPLAY_KIT_H
#define PKVM_REPLAY_KIT_H

typedef unsigned long long kit_u64;

struct s2_vm;

/* The VM that a function of the interface works for. There is one thread, and the kernel's own tables of VMs are not used. */
extern struct s2_vm *kit_vm;

/* WARN_ON() and its kin; then the kernel goes on. */
void kit_warn(const char *file, unsigned int line, const char *condition);
/* BUG(), and what the kit cannot do: the function of the interface ends here, and the VM can only be released. */
void kit_panic(const char *file, unsigned int line, const char *text) __attribute__((__noreturn__));
/* A function of the kernel that the kit has not, called all the same. */
void kit_missing(const char *name) __attribute__((__noreturn__));
/* An instruction of the kernel's that the kit has nothing for, by its place in the source. */
void kit_instruction(const char *place) __attribute__((__noreturn__));

/* TLB and cache maintenance: an enum s2_maintenance. */
void kit_maintenance(unsigned int kind, kit_u64 address, kit_u64 size);
/* A hypercall was answered. */
void kit_hypercall_done(const char *name, unsigned int argc, const kit_u64 *args, long long result);

/*
 * The machine's memory, in which a physical address is the virtual one: it lies where user space seldom has anything, at the
 * same place in each run where it is free. Pages beyond it exist as numbers only: frames of guests are never touched.
 */
extern kit_u64 kit_memory_start, kit_memory_end;
/* Room for an array of the kernel's struct page for it, of at most KIT_STRUCT_PAGE bytes each. */
#define KIT_STRUCT_PAGE 128
extern void *kit_memmap;

/* Values of `object` besides enum s2_object, and of `level`. */
#define KIT_UNTOLD (-1)		/* nothing that the host is told of */
#define KIT_LEVEL_UNKNOWN (-2)	/* of a table; the path says it at the end of the operation: kit_path.levels */

/* Pages of the current VM, zeroed and aligned to their size. Never NULL: without memory, the kit panics. */
void *kit_pages_take(kit_u64 count);
/* Gives them back, and tells the host of what they were. */
void kit_pages_give(void *first);
/* Pages taken at once, that the host was not told of yet, are single ones from now on. */
void kit_pages_split(void *first);
/* What they are from now on. The host is told of what they were before and of what they are now. */
void kit_pages_are(void *first, int object, int level);
/* What they are: an enum s2_object or KIT_UNTOLD. */
int kit_pages_object(const void *first);
/* The level of a table that was unknown. */
void kit_table_level(void *table, int level);

/* Small objects of the current VM, zeroed; the host is told of them unless they are KIT_UNTOLD. */
void *kit_object_take(kit_u64 size, int object);
void kit_object_give(const void *memory);

#endif
