// SPDX-License-Identifier: MIT
/*
 * The interface: each function sets the current VM, calls the path's, and tells the host what has happened. A panic ends it here.
 */
#include <stdlib.h>
#include <string.h>

#include "kit-vm.h"
#include "report.h"

#define NOT_OFFERED (-95)	/* EOPNOTSUPP, of the kernel's numbers as the others are */

static void leave(struct s2_vm *vm)
{
	if (vm->fresh_tables && vm->path->levels && !vm->is_stopped)
		vm->path->levels(vm, vm->ipa, vm->size);
	vm->fresh_tables = 0;
	kit_tell();
}

static void enter(struct s2_vm *vm, uint64_t ipa, uint64_t size)
{
	kit_vm = vm;
	vm->ipa = ipa;
	vm->size = size;
}

/*
 * Calls a function of the path; `result` is what it returns unless the kernel stops. What a callback of leaves() calls is within
 * another call.
 */
#define CALL(vm, start, length, result, call) do {				\
	struct s2_vm *const outer_vm = kit_vm;					\
	jmp_buf *const outer_stop = kit_stop, stop;				\
										\
	kit_stop = &stop;							\
	enter(vm, start, length);						\
	if (!(vm)->is_stopped && !setjmp(stop))					\
		(result) = (call);						\
	leave(vm);								\
	kit_vm = outer_vm;							\
	kit_stop = outer_stop;							\
} while (0)

/* Defines a function whose result is one. */
#define FUNCTION(name, start, length, parameters, arguments)			\
static int64_t name parameters							\
{										\
	int64_t volatile result = S2_STOPPED;					\
										\
	if (!vm->path->functions.name)						\
		return NOT_OFFERED;						\
	CALL(vm, start, length, result, vm->path->functions.name arguments);	\
	return result;								\
}

/* Defines one without. */
#define PROCEDURE(name, start, length, parameters, arguments)			\
static void name parameters							\
{										\
	int volatile done;							\
										\
	if (vm->path->functions.name)						\
		CALL(vm, start, length, done, (vm->path->functions.name arguments, 1)); \
	(void)done;								\
}

FUNCTION(map, ipa, size,
	 (struct s2_vm *vm, uint64_t ipa, uint64_t size, uint64_t pfn, uint64_t prot, int32_t vcpu, uint32_t walk_flags),
	 (vm, ipa, size, pfn, prot, vcpu, walk_flags))
FUNCTION(unmap, ipa, size, (struct s2_vm *vm, uint64_t ipa, uint64_t size), (vm, ipa, size))
FUNCTION(wrprotect, ipa, size, (struct s2_vm *vm, uint64_t ipa, uint64_t size), (vm, ipa, size))
FUNCTION(flush, ipa, size, (struct s2_vm *vm, uint64_t ipa, uint64_t size), (vm, ipa, size))
FUNCTION(test_clear_young, ipa, size, (struct s2_vm *vm, uint64_t ipa, uint64_t size, uint32_t mkold), (vm, ipa, size, mkold))
FUNCTION(relax_perms, ipa, 1, (struct s2_vm *vm, uint64_t ipa, uint64_t prot, int32_t vcpu, uint32_t walk_flags),
	 (vm, ipa, prot, vcpu, walk_flags))
FUNCTION(mkyoung, ipa, 1, (struct s2_vm *vm, uint64_t ipa, int32_t vcpu, uint32_t walk_flags), (vm, ipa, vcpu, walk_flags))
FUNCTION(split, ipa, size, (struct s2_vm *vm, uint64_t ipa, uint64_t size), (vm, ipa, size))
PROCEDURE(destroy_range, ipa, size, (struct s2_vm *vm, uint64_t ipa, uint64_t size), (vm, ipa, size))
PROCEDURE(destroy_pgd, 0, ~0ULL, (struct s2_vm *vm), (vm))
FUNCTION(topup_memcache, 0, ~0ULL, (struct s2_vm *vm, int32_t vcpu, uint64_t pages), (vm, vcpu, pages))
PROCEDURE(free_memcache, 0, ~0ULL, (struct s2_vm *vm, int32_t vcpu), (vm, vcpu))
FUNCTION(topup_split_cache, 0, ~0ULL, (struct s2_vm *vm, uint64_t pages), (vm, pages))
PROCEDURE(free_split_cache, 0, ~0ULL, (struct s2_vm *vm), (vm))
FUNCTION(load_vcpu, 0, ~0ULL, (struct s2_vm *vm, int32_t vcpu, int32_t cpu), (vm, vcpu, cpu))
PROCEDURE(flush_remote_tlbs, 0, ~0ULL, (struct s2_vm *vm), (vm))
PROCEDURE(flush_remote_tlbs_range, ipa, size, (struct s2_vm *vm, uint64_t ipa, uint64_t size), (vm, ipa, size))
PROCEDURE(grace_period, 0, ~0ULL, (struct s2_vm *vm), (vm))
FUNCTION(force_reclaim, ipa, 1, (struct s2_vm *vm, uint64_t ipa), (vm, ipa))
PROCEDURE(walk, ipa, 1, (struct s2_vm *vm, uint64_t ipa, struct s2_leaf *leaf), (vm, ipa, leaf))
PROCEDURE(leaves, 0, ~0ULL, (struct s2_vm *vm, int (*each)(void *user, const struct s2_leaf *leaf), void *user),
	  (vm, each, user))
PROCEDURE(tree, 0, ~0ULL, (struct s2_vm *vm, int (*each)(void *user, const struct s2_mapping *mapping), void *user),
	  (vm, each, user))

int kit_has_feature(kit_u64 features)
{
	return (kit_vm->config.features & features) == features;
}

static void counters(struct s2_vm *vm, struct s2_counters *into)
{
	struct s2_counters now = vm->counters;
	uint32_t size = into->size;
	int volatile done;

	/* The path corrects what cannot be told piece by piece. */
	if (vm->path->functions.counters)
		CALL(vm, 0, ~0ULL, done, (vm->path->functions.counters(vm, &now), 1));
	(void)done;
	memcpy(into, &now, size < sizeof(now) ? size : sizeof(now));
	into->size = size;
}

/* As much of a struct as its maker knew; the rest is 0. */
static void copy_known(void *to, size_t capacity, const void *from, uint32_t size)
{
	memset(to, 0, capacity);
	memcpy(to, from, size < capacity ? size : capacity);
}

static void release(struct s2_vm *vm)
{
	int volatile was_stopped = vm->is_stopped;
	jmp_buf stop;

	kit_vm = vm;
	kit_stop = &stop;
	/* Nobody is told. */
	memset(&vm->host, 0, sizeof(vm->host));
	/* A VM whose end stops the kernel ends once more, as one that has stopped. */
	if (vm->path->release && (!setjmp(stop) || !was_stopped++))
		vm->path->release(vm);
	kit_tell();
	kit_pages_release(vm);
	kit_vm = NULL;
	kit_stop = NULL;
	free(vm);
}

static const struct kit_path *const paths[] = { &kit_traditional, &kit_pkvm };

static struct s2_vm *create(const struct s2_config *config, const struct s2_host *host, const char **why)
{
	struct s2_vm *vm = calloc(1, sizeof(*vm));
	const char *reason = NULL;
	int volatile result = -1;
	size_t i;

	if (!vm)
		abort();
	copy_known(&vm->config, sizeof(vm->config), config, config->size);
	copy_known(&vm->host, sizeof(vm->host), host, host->size);
	for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		if (paths[i] && paths[i]->path == vm->config.path)
			vm->path = paths[i];
	}
	if (!vm->path) {
		reason = "this backend does not offer that path";
		goto failed;
	}
	CALL(vm, 0, ~0ULL, result, vm->path->create(vm, &reason));
	if (!result)
		return vm;
	if (vm->is_stopped)
		reason = "the kernel stopped while it set up the VM";
	release(vm);
	vm = NULL;
failed:
	free(vm);
	if (why)
		*why = reason ? reason : "the kernel could not set up the VM";
	return NULL;
}

static struct s2_backend backend = {
	.abi = S2_ABI_VERSION,
	.size = sizeof(backend),
	.page_shift = KIT_PAGE_SHIFT,
	.create = create,
	.release = release,
	.counters = counters,
};

/* A function of the interface is there if a path has it. */
#define OFFER(name) do {							\
	if (paths[i]->functions.name)						\
		backend.name = name;						\
} while (0)

static void offer(size_t i)
{
	OFFER(map);
	OFFER(unmap);
	OFFER(wrprotect);
	OFFER(flush);
	OFFER(test_clear_young);
	OFFER(relax_perms);
	OFFER(mkyoung);
	OFFER(split);
	OFFER(destroy_range);
	OFFER(destroy_pgd);
	OFFER(topup_memcache);
	OFFER(free_memcache);
	OFFER(topup_split_cache);
	OFFER(free_split_cache);
	OFFER(load_vcpu);
	OFFER(flush_remote_tlbs);
	OFFER(flush_remote_tlbs_range);
	OFFER(grace_period);
	OFFER(force_reclaim);
	OFFER(walk);
	OFFER(leaves);
	OFFER(tree);
}

extern const char kit_name[], kit_restated[];

/* Of all paths. What a tree asks for that the kit has not is of any length. */
static const char *all_restated(void)
{
	size_t size = strlen(kit_restated) + 1, i;
	char *all;

	for (i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		size += paths[i] && paths[i]->restated ? strlen(paths[i]->restated) : 0;
	all = malloc(size);
	if (!all)
		abort();
	strcpy(all, kit_restated);
	for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		if (paths[i] && paths[i]->restated)
			strcat(all, paths[i]->restated);
	}
	return all;
}

__attribute__((visibility("default"))) const struct s2_backend *s2_backend(uint32_t abi)
{
	size_t i;

	if (abi != S2_ABI_VERSION)
		return NULL;
	if (backend.name)
		return &backend;
	for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		if (!paths[i])
			continue;
		backend.paths |= 1U << paths[i]->path;
		backend.capabilities |= paths[i]->capabilities;
		offer(i);
	}
	backend.restated = all_restated();
	backend.name = kit_name;
	return &backend;
}
