/* SPDX-License-Identifier: MIT */
/*
 * A stage-2 backend of a page or two: pKVM of Linux 7.3 for 4K pages, as an array of leaves in the order of their addresses. It holds the
 * interface without any kernel tree, and is the example of how a backend is written by hand.
 *
 * What it does wrong is chosen when it is compiled:
 *
 *	-DTOY_ABI=2		knows another version only
 *	-DTOY_PATHS=0		offers no path
 *	-DTOY_CRASH_AT=n	crashes in the n-th map of a VM
 *	-DTOY_HANG_AT=n		does not return from it
 *	-DTOY_HANGS_AT_END=1	does not return from the release of a VM
 *	-DTOY_SCRIBBLES_AT=n	writes over what it shares with the replay in it
 *	-DTOY_PANIC_AT=n	stops the kernel in it
 *	-DTOY_LOAD_FAILS=1	has no memory for a vCPU
 *	-DTOY_LOAD_PANICS=1	stops the kernel where a vCPU is loaded
 *	-DTOY_REFUSES=1		makes no VM
 *	-DTOY_VMS_MAX=n		makes no VM while there are n
 *	-DTOY_LEAVES_OLD=1	leaves what is mapped old
 *	-DTOY_WARNS=1		warns in each unmap
 *	-DTOY_MISTAKES_AT=n	names a page too many in the n-th hypercall of an unmap
 *	-DTOY_TELLS_LEAVES=0	does not tell its leaves
 *	-DTOY_DESTROYS=0	has no function that destroys ranges
 *	-DTOY_ASKS=1		makes a hypercall of its own in each unmap
 *	-DTOY_BATCHES=1		takes neighbouring pages back with one hypercall
 *	-DTOY_LIES=1		counts what cannot be, where it counts
 *	-DTOY_SAYS=1		says on standard output that it makes a VM
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stage2_backend.h"

#ifndef TOY_ABI
#define TOY_ABI S2_ABI_VERSION
#endif
#ifndef TOY_PATHS
#define TOY_PATHS (1 << S2_PATH_PKVM)
#endif
#ifndef TOY_CRASH_AT
#define TOY_CRASH_AT 0
#endif
#ifndef TOY_HANG_AT
#define TOY_HANG_AT 0
#endif
#ifndef TOY_HANGS_AT_END
#define TOY_HANGS_AT_END 0
#endif
#ifndef TOY_SCRIBBLES_AT
#define TOY_SCRIBBLES_AT 0
#endif
#ifndef TOY_PANIC_AT
#define TOY_PANIC_AT 0
#endif
#ifndef TOY_LOAD_FAILS
#define TOY_LOAD_FAILS 0
#endif
#ifndef TOY_LOAD_PANICS
#define TOY_LOAD_PANICS 0
#endif
#ifndef TOY_REFUSES
#define TOY_REFUSES 0
#endif
#ifndef TOY_VMS_MAX
#define TOY_VMS_MAX 255
#endif
#ifndef TOY_LEAVES_OLD
#define TOY_LEAVES_OLD 0
#endif
#ifndef TOY_WARNS
#define TOY_WARNS 0
#endif
#ifndef TOY_MISTAKES_AT
#define TOY_MISTAKES_AT 0
#endif
#ifndef TOY_TELLS_LEAVES
#define TOY_TELLS_LEAVES 1
#endif
#ifndef TOY_DESTROYS
#define TOY_DESTROYS 1
#endif
#ifndef TOY_ASKS
#define TOY_ASKS 0
#endif
#ifndef TOY_BATCHES
#define TOY_BATCHES 0
#endif
#ifndef TOY_LIES
#define TOY_LIES 0
#endif
#ifndef TOY_SAYS
#define TOY_SAYS 0
#endif

#define PAGE_SHIFT 12
#define BITS_A_LEVEL 9
#define EPERM_ (-1)
#define EAGAIN_ (-11)
#define ENOMEM_ (-12)
#define EINVAL_ (-22)

struct leaf {
	uint64_t gfn, pages, pfn, prot;
	uint8_t young;
};

struct s2_vm {
	struct s2_config config;
	struct s2_host host;
	struct leaf *leaves;
	uint64_t count, room;
	uint64_t tables[4];	/* below the PGD, by level */
	uint64_t spare[64];
	uint64_t maps;
	uint8_t has_run, has_vcpu[64], is_dying, is_stopped;
	int start_level;
};

static void hypercall(struct s2_vm *vm, const char *name, uint32_t argc, uint64_t a, uint64_t b, uint64_t c, int64_t result)
{
	uint64_t args[] = { 1, a, b, c };

	vm->host.hypercall(vm->host.user, name, argc + 1, args, result);
}

/* Frames that one table of `level` translates, as a shift. */
static int table_shift(int level)
{
	return BITS_A_LEVEL * (4 - level);
}

static int leaf_level(const struct leaf *leaf)
{
	return leaf->pages > 1 ? 2 : 3;
}

/* Tells which tables came and went. */
static void count_tables(struct s2_vm *vm, int32_t vcpu)
{
	for (int level = vm->start_level + 1; level <= 3; level++) {
		uint64_t count = 0, last = UINT64_MAX;

		for (uint64_t i = 0; i < vm->count; i++) {
			uint64_t table = vm->leaves[i].gfn >> table_shift(level);

			if (leaf_level(&vm->leaves[i]) >= level && table != last) {
				count++;
				last = table;
			}
		}
		int64_t change = (int64_t)(count - vm->tables[level]);

		if (change != 0)
			vm->host.memory(vm->host.user, S2_OBJECT_TABLE, level, change, 1 << PAGE_SHIFT);
		if (change > 0 && vcpu >= 0) {
			vm->spare[vcpu] -= (uint64_t)change <= vm->spare[vcpu] ? (uint64_t)change : vm->spare[vcpu];
			vm->host.memory(vm->host.user, S2_OBJECT_MEMCACHE, -1, -change, 1 << PAGE_SHIFT);
		}
		vm->tables[level] = count;
	}
}

/* The first leaf that does not end before `gfn`. */
static uint64_t first(const struct s2_vm *vm, uint64_t gfn)
{
	uint64_t low = 0, high = vm->count;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (vm->leaves[middle].gfn + vm->leaves[middle].pages <= gfn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int overlaps(const struct s2_vm *vm, uint64_t at, uint64_t end)
{
	return at < vm->count && vm->leaves[at].gfn < end;
}

static void remove_leaf(struct s2_vm *vm, uint64_t at)
{
	memmove(&vm->leaves[at], &vm->leaves[at + 1], (vm->count - at - 1) * sizeof(*vm->leaves));
	vm->count--;
	vm->host.memory(vm->host.user, S2_OBJECT_MAPPING, -1, -1, 64);
}

static void unshare(struct s2_vm *vm, uint64_t gfn, uint64_t end)
{
	uint64_t at = first(vm, gfn), calls = 0;

	while (overlaps(vm, at, end)) {
		uint64_t start = vm->leaves[at].gfn, pages = vm->leaves[at].pages;

		remove_leaf(vm, at);
		while (TOY_BATCHES && overlaps(vm, at, end) && vm->leaves[at].gfn == start + pages) {
			pages += vm->leaves[at].pages;
			remove_leaf(vm, at);
		}
		hypercall(vm, "__pkvm_host_unshare_guest", 2, start, pages + (++calls == TOY_MISTAKES_AT), 0, 0);
	}
	count_tables(vm, -1);
}

static int vms;

static struct s2_vm *create(const struct s2_config *config, const struct s2_host *host, const char **why)
{
	struct s2_vm *vm;

	if (TOY_REFUSES || config->is_protected) {
		*why = config->is_protected ? "protected guests are not for toys" : "it does not want to";
		return NULL;
	}
	if (vms >= TOY_VMS_MAX) {
		*why = "there is no room for another VM";
		return NULL;
	}
	vms++;
	if (TOY_SAYS) {
		puts("the toy makes a VM");
		fflush(stdout);
	}
	vm = calloc(1, sizeof(*vm));
	vm->config = *config;
	vm->host = *host;
	int levels = ((int)config->ipa_bits - 8) / BITS_A_LEVEL;
	vm->start_level = 4 - (levels < 2 ? 2 : levels);
	hypercall(vm, "__pkvm_reserve_vm", 0, 0, 0, 0, 1);
	return vm;
}

static void release(struct s2_vm *vm)
{
	while (TOY_HANGS_AT_END)
		;
	vms--;
	free(vm->leaves);
	free(vm);
}

/* The kernel stops. Nobody may call for the VM any more but to release it. */
static void stop(struct s2_vm *vm, uint32_t line, const char *text)
{
	vm->host.panic(vm->host.user, "toy-backend.c", line, text);
	vm->is_stopped = 1;
}

static int64_t load_vcpu(struct s2_vm *vm, int32_t vcpu, int32_t cpu)
{
	(void)cpu;
	if (TOY_LOAD_FAILS)
		return ENOMEM_;
	if (TOY_LOAD_PANICS) {
		stop(vm, __LINE__, "no vCPU can be loaded");
		return S2_STOPPED;
	}
	if (!vm->has_run)
		hypercall(vm, "__pkvm_init_vm", 0, 0, 0, 0, 0);
	vm->has_run = 1;
	if (!vm->has_vcpu[vcpu])
		hypercall(vm, "__pkvm_init_vcpu", 1, vcpu, 0, 0, 0);
	vm->has_vcpu[vcpu] = 1;
	hypercall(vm, "__pkvm_vcpu_load", 1, vcpu, 0, 0, 0);
	return 0;
}

static int64_t topup(struct s2_vm *vm, int32_t vcpu, uint64_t pages)
{
	if (vm->is_stopped)
		stop(vm, __LINE__, "it was called though it had stopped");
	if (TOY_LIES) {
		vm->host.memory(vm->host.user, S2_OBJECT_POOL, -1, INT64_MAX, 1 << PAGE_SHIFT);
		vm->host.memory(vm->host.user, S2_OBJECT_PGD, -1, INT64_MIN, 1 << PAGE_SHIFT);
		vm->host.memory(vm->host.user, S2_OBJECT_MAPPING, -1, INT64_MAX, 64);
		for (int i = 0; i < 4096; i++)
			vm->host.maintenance(vm->host.user, S2_DCACHE_CLEAN_INVAL, 0, UINT64_MAX);
	}
	if (vm->spare[vcpu] < pages) {
		vm->host.memory(vm->host.user, S2_OBJECT_MEMCACHE, -1, (int64_t)(pages - vm->spare[vcpu]), 1 << PAGE_SHIFT);
		vm->spare[vcpu] = pages;
	}
	return 0;
}

static void free_memcache(struct s2_vm *vm, int32_t vcpu)
{
	if (vm->spare[vcpu] != 0)
		vm->host.memory(vm->host.user, S2_OBJECT_MEMCACHE, -1, -(int64_t)vm->spare[vcpu], 1 << PAGE_SHIFT);
	vm->spare[vcpu] = 0;
}

static void scribble(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned long begin, end;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
		if (strstr(line, "/.pkvm-replay-") != NULL && sscanf(line, "%lx-%lx rw-s", &begin, &end) == 2)
			memset((void *)begin, 0xa5, end - begin);
	if (maps != NULL)
		fclose(maps);
}

/* What a bug would do. */
static int go_wrong(struct s2_vm *vm)
{
	vm->maps++;
	if (vm->maps == TOY_CRASH_AT)
		__builtin_trap();
	while (vm->maps == TOY_HANG_AT)
		;
	if (vm->maps == TOY_SCRIBBLES_AT)
		scribble();
	if (vm->maps == TOY_PANIC_AT)
		stop(vm, __LINE__, "the n-th map");
	return vm->is_stopped;
}

static int64_t map(struct s2_vm *vm, uint64_t ipa, uint64_t size, uint64_t pfn, uint64_t prot, int32_t vcpu, uint32_t flags)
{
	uint64_t gfn = ipa >> PAGE_SHIFT, pages = size >> PAGE_SHIFT, at = first(vm, gfn);

	(void)flags;
	if (go_wrong(vm))
		return EPERM_;
	if (pages != 1 && pages != 1 << BITS_A_LEVEL)
		return EINVAL_;
	if (overlaps(vm, at, gfn + pages)) {
		if (vm->leaves[at].pages == pages)
			return EAGAIN_;
		unshare(vm, gfn, gfn + pages);
		at = first(vm, gfn);
	}
	hypercall(vm, "__pkvm_host_share_guest", 3, pfn, gfn, pages, 0);
	if (vm->count == vm->room) {
		vm->room = vm->room ? 2 * vm->room : 64;
		vm->leaves = realloc(vm->leaves, vm->room * sizeof(*vm->leaves));
	}
	memmove(&vm->leaves[at + 1], &vm->leaves[at], (vm->count - at) * sizeof(*vm->leaves));
	vm->leaves[at] = (struct leaf) { gfn, pages, pfn, prot, !TOY_LEAVES_OLD };
	vm->count++;
	vm->host.memory(vm->host.user, S2_OBJECT_MAPPING, -1, 1, 64);
	count_tables(vm, vcpu);
	return 0;
}

static int64_t unmap(struct s2_vm *vm, uint64_t ipa, uint64_t size)
{
	if (TOY_WARNS)
		vm->host.warning(vm->host.user, "toy-backend.c", __LINE__, "TOY_WARNS");
	if (TOY_ASKS)
		hypercall(vm, "__pkvm_toy", 0, 0, 0, 0, 0);
	unshare(vm, ipa >> PAGE_SHIFT, (ipa + size) >> PAGE_SHIFT);
	return 0;
}

static int64_t wrprotect(struct s2_vm *vm, uint64_t ipa, uint64_t size)
{
	for (uint64_t at = first(vm, ipa >> PAGE_SHIFT); overlaps(vm, at, (ipa + size) >> PAGE_SHIFT); at++) {
		hypercall(vm, "__pkvm_host_wrprotect_guest", 2, vm->leaves[at].gfn, vm->leaves[at].pages, 0, 0);
		vm->leaves[at].prot &= ~S2_PROT_W;
	}
	return 0;
}

static int64_t test_clear_young(struct s2_vm *vm, uint64_t ipa, uint64_t size, uint32_t mkold)
{
	int64_t young = 0;

	for (uint64_t at = first(vm, ipa >> PAGE_SHIFT); overlaps(vm, at, (ipa + size) >> PAGE_SHIFT); at++) {
		struct leaf *leaf = &vm->leaves[at];

		hypercall(vm, "__pkvm_host_test_clear_young_guest", 3, leaf->gfn, leaf->pages, mkold, leaf->young);
		young |= leaf->young;
		if (mkold)
			leaf->young = 0;
	}
	return young;
}

static int64_t relax_perms(struct s2_vm *vm, uint64_t ipa, uint64_t prot, int32_t vcpu, uint32_t flags)
{
	uint64_t gfn = ipa >> PAGE_SHIFT, at = first(vm, gfn);
	int64_t result = overlaps(vm, at, gfn + 1) ? 0 : EAGAIN_;

	(void)vcpu, (void)flags;
	hypercall(vm, "__pkvm_host_relax_perms_guest", 2, gfn, prot, 0, result);
	if (result == 0)
		vm->leaves[at].prot |= prot;
	return result;
}

static int64_t mkyoung(struct s2_vm *vm, uint64_t ipa, int32_t vcpu, uint32_t flags)
{
	uint64_t gfn = ipa >> PAGE_SHIFT, at = first(vm, gfn);

	(void)vcpu, (void)flags;
	hypercall(vm, "__pkvm_host_mkyoung_guest", 1, gfn, 0, 0, 0);
	if (overlaps(vm, at, gfn + 1))
		vm->leaves[at].young = 1;
	return 0;
}

static void destroy_range(struct s2_vm *vm, uint64_t ipa, uint64_t size)
{
	if (vm->has_run && !vm->is_dying)
		hypercall(vm, "__pkvm_start_teardown_vm", 0, 0, 0, 0, 0);
	vm->is_dying = 1;
	unshare(vm, ipa >> PAGE_SHIFT, (ipa + size) >> PAGE_SHIFT);
}

static void flush_remote_tlbs(struct s2_vm *vm)
{
	hypercall(vm, "__pkvm_tlb_flush_vmid", 0, 0, 0, 0, 0);
	vm->host.maintenance(vm->host.user, S2_TLBI_VMID, 0, 0);
}

static void describe(const struct s2_vm *vm, uint64_t at, struct s2_leaf *leaf)
{
	const struct leaf *found = &vm->leaves[at];

	*leaf = (struct s2_leaf) {
		.ipa = found->gfn << PAGE_SHIFT, .pfn = found->pfn, .prot = found->prot & 0xf,
		.level = leaf_level(found), .is_valid = 1, .is_young = found->young,
	};
}

static void walk(struct s2_vm *vm, uint64_t ipa, struct s2_leaf *leaf)
{
	uint64_t gfn = ipa >> PAGE_SHIFT, at = first(vm, gfn);

	if (overlaps(vm, at, gfn + 1)) {
		describe(vm, at, leaf);
		if (TOY_LIES)
			leaf->level = 127;
		return;
	}
	*leaf = (struct s2_leaf) { .ipa = ipa, .level = vm->start_level };
	/* As far down as there are tables: one is there if it has a leaf, or a table that has. */
	for (int level = vm->start_level + 1; level <= 3; level++) {
		uint64_t begin = gfn >> table_shift(level) << table_shift(level);
		uint64_t near = first(vm, begin);
		int has_table = 0;

		for (; overlaps(vm, near, begin + (1ULL << table_shift(level))) && !has_table; near++)
			has_table = leaf_level(&vm->leaves[near]) >= level;
		if (!has_table)
			return;
		leaf->level = level;
	}
}

static void leaves(struct s2_vm *vm, int (*each)(void *user, const struct s2_leaf *leaf), void *user)
{
	for (uint64_t at = 0; at < vm->count; at++) {
		struct s2_leaf leaf;

		describe(vm, at, &leaf);
		if (each(user, &leaf))
			return;
	}
}

static void tree(struct s2_vm *vm, int (*each)(void *user, const struct s2_mapping *mapping), void *user)
{
	for (uint64_t at = 0; at < vm->count; at++) {
		struct leaf *leaf = &vm->leaves[at];
		/* A list is a tree whose nodes have one child each. */
		struct s2_mapping mapping = { leaf->gfn, leaf->pages, leaf->pfn, (uint32_t)at + 1, 0, 0, { 0 } };

		if (each(user, &mapping))
			return;
	}
}

static void counters(struct s2_vm *vm, struct s2_counters *counters)
{
	for (int level = 1; level <= 3; level++)
		counters->table_pages[level + 1] = vm->tables[level];
	counters->mappings = vm->count;
	counters->mapping_bytes = 64;
	for (int vcpu = 0; vcpu < 64; vcpu++)
		counters->memcache_pages += vm->spare[vcpu];
	if (TOY_LIES) {
		counters->mappings = vm->count % 2 ? INT64_MAX : 1ULL << 63;
		counters->memcache_pages = counters->mappings;
		counters->tree_nodes_visited = vm->count % 2 ? UINT64_MAX : 0;
		counters->descriptors_visited = counters->tree_nodes_visited;
	}
}

const struct s2_backend *s2_backend(uint32_t abi)
{
	static const struct s2_backend backend = {
		.abi = TOY_ABI,
		.size = sizeof(backend),
		.name = "Toy (as Linux 7.3.4)",
		.restated = "everything: it is a toy\n",
		.paths = TOY_PATHS,
		.page_shift = PAGE_SHIFT,
		.capabilities = S2_CAN_MAP_BLOCKS,
		.create = create,
		.release = release,
		.map = map,
		.unmap = unmap,
		.wrprotect = wrprotect,
		.test_clear_young = test_clear_young,
		.relax_perms = relax_perms,
		.mkyoung = mkyoung,
		.destroy_range = TOY_DESTROYS ? destroy_range : NULL,
		.topup_memcache = topup,
		.free_memcache = free_memcache,
		.load_vcpu = load_vcpu,
		.flush_remote_tlbs = flush_remote_tlbs,
		.walk = walk,
		.leaves = TOY_TELLS_LEAVES ? leaves : NULL,
		.tree = tree,
		.counters = counters,
	};

	return abi == TOY_ABI ? &backend : NULL;
}
