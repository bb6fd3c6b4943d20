// SPDX-License-Identifier: MIT
/*
 * Runs random operations through a backend and checks what can be checked without a model:
 *
 *	driver BACKEND [--seed N] [--operations N] [--path traditional|pkvm] [--verbose]
 *
 * - a walk of an address finds the leaf that the list of all leaves has there, and none where it has none;
 * - the counters are the sum of what was told of memory;
 * - when stage 2 is destroyed and the caches are empty, nothing is left;
 * - nothing stops the kernel.
 *
 * Two VMs live at the same time. It prints a digest of all results and of all that was told, for two runs to be compared.
 * Exit status 1 when a check fails, 2 for a wrong argument.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage2_backend.h"

#define VMS 2
#define VCPUS 4
#define OBJECTS (S2_OBJECT_OTHER + 1)

static uint64_t random_state, digest;
static uint64_t failures;
static int is_verbose;

static uint64_t random_u64(void)
{
	/* splitmix64 */
	uint64_t z = (random_state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t limit)
{
	return random_u64() % limit;
}

static void mix(uint64_t value)
{
	int i;

	for (i = 0; i < 8; i++)
		digest = (digest ^ ((value >> (8 * i)) & 0xff)) * 0x100000001b3ULL;
}

static void mix_text(const char *text)
{
	while (*text)
		mix((unsigned char)*text++);
}

/* A VM and what was told of it. */
struct guest {
	struct s2_vm *vm;
	struct s2_config config;
	int64_t objects[OBJECTS];	/* pages or pieces */
	int64_t tables[6];
	int64_t unknown_tables;
	uint64_t warnings, maintenance, hypercalls;
	int is_stopped;
	uint64_t frames;		/* added to an IPA */
	uint64_t operations;
};

static void fail(const struct guest *guest, const char *text, uint64_t a, uint64_t b)
{
	failures++;
	fprintf(stderr, "driver: after %llu operations of a VM: %s (%llx, %llx)\n", (unsigned long long)guest->operations, text,
		(unsigned long long)a, (unsigned long long)b);
	if (failures > 20)
		exit(1);
}

static void on_hypercall(void *user, const char *name, uint32_t argc, const uint64_t *args, int64_t result)
{
	struct guest *guest = user;

	guest->hypercalls++;
	mix_text(name);
	mix(argc);
	mix(result);
	(void)args;
	if (is_verbose)
		printf("    %s = %lld\n", name, (long long)result);
}

static void on_warning(void *user, const char *file, uint32_t line, const char *condition)
{
	struct guest *guest = user;

	guest->warnings++;
	mix_text(condition);
	if (is_verbose)
		printf("    %s:%u: WARN_ON(%s)\n", file, line, condition);
}

static void on_panic(void *user, const char *file, uint32_t line, const char *text)
{
	struct guest *guest = user;

	guest->is_stopped = 1;
	fprintf(stderr, "driver: the kernel stopped at %s:%u: %s\n", file, line, text);
	failures++;
}

static void on_maintenance(void *user, uint32_t kind, uint64_t address, uint64_t size)
{
	struct guest *guest = user;

	guest->maintenance++;
	mix(kind);
	mix(address);
	mix(size);
	if (is_verbose)
		printf("    maintenance %u %llx %llx\n", kind, (unsigned long long)address, (unsigned long long)size);
}

static void on_memory(void *user, uint32_t object, int32_t level, int64_t count, uint64_t bytes_each)
{
	struct guest *guest = user;

	mix(object);
	mix(level);
	mix(count);
	mix(bytes_each);
	if (is_verbose)
		printf("    memory %u level %d: %+lld\n", object, level, (long long)count);
	guest->objects[object] += count;
	if (object != S2_OBJECT_TABLE)
		return;
	if (level < -1 || level > 4)
		guest->unknown_tables += count;
	else
		guest->tables[level + 1] += count;
}

static const struct s2_backend *backend;

/* The list of leaves is compared with walks as it goes. */
struct leaf_check {
	struct guest *guest;
	uint64_t next, pages, leaves;
};

static int same_leaf(const struct s2_leaf *a, const struct s2_leaf *b)
{
	return a->ipa == b->ipa && a->pfn == b->pfn && a->prot == b->prot && a->level == b->level && a->is_valid == b->is_valid &&
	       a->is_young == b->is_young;
}

static uint64_t leaf_size(int level)
{
	return 1ULL << (backend->page_shift + (3 - level) * (backend->page_shift - 3));
}

static int check_leaf(void *user, const struct s2_leaf *leaf)
{
	struct leaf_check *check = user;
	struct s2_leaf found, hole;

	backend->walk(check->guest->vm, leaf->ipa + below(leaf_size(leaf->level)), &found);
	if (!same_leaf(leaf, &found))
		fail(check->guest, "a walk does not find a leaf of the list", leaf->ipa, found.ipa);
	if (leaf->ipa < check->next)
		fail(check->guest, "leaves overlap or are not in order", leaf->ipa, check->next);
	if (leaf->ipa > check->next) {
		backend->walk(check->guest->vm, check->next + below(leaf->ipa - check->next), &hole);
		if (hole.is_valid)
			fail(check->guest, "a walk finds a leaf where the list has none", hole.ipa, leaf->ipa);
	}
	check->next = leaf->ipa + leaf_size(leaf->level);
	check->leaves++;
	mix(leaf->ipa);
	mix(leaf->pfn);
	mix(leaf->prot);
	mix(leaf->level);
	mix(leaf->is_young);
	return 0;
}

static void check_memory(struct guest *guest)
{
	struct s2_counters counters = { .size = sizeof(counters) };
	int i;

	backend->counters(guest->vm, &counters);
	for (i = 0; i < 6; i++) {
		if (counters.table_pages[i] != (uint64_t)guest->tables[i])
			fail(guest, "tables counted are not those that were told of", counters.table_pages[i], guest->tables[i]);
		mix(counters.table_pages[i]);
	}
	if (counters.pgd_pages != (uint64_t)guest->objects[S2_OBJECT_PGD])
		fail(guest, "pages of the PGD", counters.pgd_pages, guest->objects[S2_OBJECT_PGD]);
	if (counters.memcache_pages != (uint64_t)guest->objects[S2_OBJECT_MEMCACHE])
		fail(guest, "pages in memory caches", counters.memcache_pages, guest->objects[S2_OBJECT_MEMCACHE]);
	if (guest->unknown_tables)
		fail(guest, "a table's level is unknown", guest->unknown_tables, 0);
}

static void check(struct guest *guest)
{
	struct leaf_check with = { .guest = guest };

	check_memory(guest);
	if (backend->leaves)
		backend->leaves(guest->vm, check_leaf, &with);
}

/* IPAs lie in a few places, near the ends of tables of each level, so that operations meet. */
static uint64_t random_ipa(const struct guest *guest)
{
	const unsigned int per_level = backend->page_shift - 3;
	uint64_t space = 1ULL << guest->config.ipa_bits;
	uint64_t place = below(4) * leaf_size(2) + (below(3) == 0 ? leaf_size(1) * below(3) : 0);
	uint64_t page = below(4) ? below(8) : below(1ULL << per_level);

	if (below(16) == 0)
		place = space - leaf_size(2);
	return (place + (page << backend->page_shift)) & (space - 1);
}

static uint64_t random_size(const struct guest *guest, uint64_t ipa)
{
	uint64_t page = 1ULL << backend->page_shift, space = 1ULL << guest->config.ipa_bits, size;

	switch (below(6)) {
	case 0:
		size = leaf_size(2);
		break;
	case 1:
		size = leaf_size(2) * (1 + below(4));
		break;
	case 2:
		size = page * (1 + below(64));
		break;
	default:
		size = page * (1 + below(4));
	}
	return ipa + size > space ? space - ipa : size;
}

static uint64_t random_prot(const struct guest *guest)
{
	uint64_t prot = S2_PROT_R;

	if (below(2))
		prot |= S2_PROT_W;
	if (below(3) == 0)
		prot |= S2_PROT_PX | S2_PROT_UX;
	else if (guest->config.path == S2_PATH_TRADITIONAL && below(16) == 0)
		prot |= below(2) ? S2_PROT_PX : S2_PROT_UX;
	else if (below(16) == 0)
		prot |= below(2) ? S2_PROT_DEVICE : S2_PROT_NORMAL_NC;
	return prot;
}

static int64_t do_map(struct guest *guest, uint64_t ipa, int vcpu)
{
	uint64_t size = 1ULL << backend->page_shift, prot = random_prot(guest);
	/* One in 8 a frame that does not suit a block. */
	uint64_t shift = below(8) ? 0 : size;
	int64_t ret;

	if ((backend->capabilities & S2_CAN_MAP_BLOCKS) && below(3) == 0) {
		size = leaf_size(2);
		ipa &= ~(size - 1);
	}
	ret = backend->topup_memcache ? backend->topup_memcache(guest->vm, vcpu, 5) : 0;
	mix(ret);
	return backend->map(guest->vm, ipa, size, (ipa + guest->frames + shift) >> backend->page_shift, prot, vcpu,
			    S2_WALK_FAULT | (below(2) ? S2_WALK_SHARED : 0));
}

static const char *const names[] = {
	"map", "unmap", "wrprotect", "flush", "test_clear_young", "relax_perms", "mkyoung", "split", "flush_remote_tlbs",
	"grace_period",
};

#define OPERATIONS (sizeof(names) / sizeof(*names))

/* How often each is chosen. */
static const unsigned int weights[OPERATIONS] = { 40, 10, 10, 3, 10, 10, 10, 4, 2, 3 };

static unsigned int choose(void)
{
	unsigned int total = 0, i;
	uint64_t at;

	for (i = 0; i < OPERATIONS; i++)
		total += weights[i];
	at = below(total);
	for (i = 0; at >= weights[i]; i++)
		at -= weights[i];
	return i;
}

static int64_t operate(struct guest *guest, unsigned int which, uint64_t ipa, uint64_t size, int vcpu)
{
	struct s2_vm *vm = guest->vm;
	uint32_t flags = S2_WALK_FAULT | S2_WALK_SHARED;

	switch (which) {
	case 0:
		return do_map(guest, ipa, vcpu);
	case 1:
		return backend->unmap(vm, ipa, size);
	case 2:
		return backend->wrprotect(vm, ipa, size);
	case 3:
		return backend->flush ? backend->flush(vm, ipa, size) : 0;
	case 4:
		return backend->test_clear_young(vm, ipa, size, below(2));
	case 5:
		return backend->relax_perms(vm, ipa, random_prot(guest) & ~(S2_PROT_DEVICE | S2_PROT_NORMAL_NC), vcpu, flags);
	case 6:
		return backend->mkyoung(vm, ipa, vcpu, flags);
	case 7:
		if (!backend->split || guest->config.path != S2_PATH_TRADITIONAL)
			return 0;
		mix(backend->topup_split_cache(vm, 1 + below(4)));
		return backend->split(vm, ipa, size);
	case 8:
		if (backend->flush_remote_tlbs && below(2))
			backend->flush_remote_tlbs(vm);
		else if (backend->flush_remote_tlbs_range)
			backend->flush_remote_tlbs_range(vm, ipa, size);
		return 0;
	default:
		if (backend->grace_period)
			backend->grace_period(vm);
		return 0;
	}
}

static void step(struct guest *guest)
{
	unsigned int which = choose();
	uint64_t ipa = random_ipa(guest), size = random_size(guest, ipa);
	int vcpu = below(VCPUS);
	int64_t ret;

	if (is_verbose)
		printf("  %s ipa %llx size %llx vcpu %d\n", names[which], (unsigned long long)ipa, (unsigned long long)size, vcpu);
	if (guest->config.path == S2_PATH_PKVM && backend->load_vcpu)
		mix(backend->load_vcpu(guest->vm, vcpu, 0));
	ret = operate(guest, which, ipa, size, vcpu);
	if (is_verbose)
		printf("    = %lld\n", (long long)ret);
	mix(which);
	mix(ret);
	guest->operations++;
	if (!guest->is_stopped && guest->operations % 97 == 0)
		check(guest);
}

/* As kvm_free_stage2_pgd() and the end of the vCPUs; then nothing may be left. */
static void tear_down(struct guest *guest)
{
	int i;

	if (guest->is_stopped)
		return;
	check(guest);
	if (backend->destroy_range)
		backend->destroy_range(guest->vm, 0, 1ULL << guest->config.ipa_bits);
	if (backend->destroy_pgd)
		backend->destroy_pgd(guest->vm);
	for (i = 0; backend->free_memcache && i < VCPUS; i++)
		backend->free_memcache(guest->vm, i);
	if (backend->free_split_cache)
		backend->free_split_cache(guest->vm);
	if (backend->grace_period)
		backend->grace_period(guest->vm);
	check_memory(guest);
	for (i = 0; i < OBJECTS; i++) {
		if (guest->objects[i])
			fail(guest, "memory is left when all is destroyed: object, count", i, guest->objects[i]);
	}
}

/* pKVM's EL2 is of one machine: while there are VMs, their features must be alike. */
static uint64_t random_features(void)
{
	return random_u64() & (S2_FEATURE_FWB | S2_FEATURE_TLB_RANGE | S2_FEATURE_XNX | S2_FEATURE_DIC | S2_FEATURE_BBML2);
}

static void set_up(struct guest *guest, uint32_t path, int number, uint64_t features)
{
	const struct s2_host host = {
		.size = sizeof(host), .user = guest, .hypercall = on_hypercall, .warning = on_warning, .panic = on_panic,
		.maintenance = on_maintenance, .memory = on_memory,
	};
	const char *why = NULL;

	memset(guest, 0, sizeof(*guest));
	guest->config = (struct s2_config) {
		.size = sizeof(guest->config), .path = path, .ipa_bits = below(2) ? 40 : 36 + 4 * below(4), .pa_bits = 48,
		.features = features, .vcpus = VCPUS,
	};
	if (path == S2_PATH_PKVM)
		guest->config.ipa_bits = guest->config.pa_bits;
	else if (below(4) == 0) {
		guest->config.features |= S2_FEATURE_LPA2;
		guest->config.ipa_bits = guest->config.pa_bits = 52;
	}
	guest->frames = (1ULL << 47) + ((number + 1ULL) << 40);
	guest->vm = backend->create(&guest->config, &host, &why);
	if (!guest->vm) {
		fprintf(stderr, "driver: the VM was not set up (path %u, IPA %u bits, PA %u bits, features %llx): %s\n", path,
			guest->config.ipa_bits, guest->config.pa_bits, (unsigned long long)guest->config.features, why ? why : "?");
		exit(1);
	}
}

static void run(uint32_t path, uint64_t seed, uint64_t operations)
{
	static struct guest guests[VMS];
	uint64_t done = 0, warnings = 0, maintenance = 0, hypercalls = 0;
	int i;

	random_state = seed;
	digest = 0xcbf29ce484222325ULL;
	while (done < operations) {
		uint64_t part = operations - done < 5000 ? operations - done : 5000, features = random_features();

		for (i = 0; i < VMS; i++)
			set_up(&guests[i], path, i, path == S2_PATH_PKVM ? features : random_features());
		for (; part; part--, done++)
			step(&guests[below(VMS)]);
		for (i = 0; i < VMS; i++) {
			tear_down(&guests[i]);
			backend->release(guests[i].vm);
			warnings += guests[i].warnings;
			maintenance += guests[i].maintenance;
			hypercalls += guests[i].hypercalls;
		}
	}
	printf("%s: %llu operations, %llu warnings, %llu of maintenance, %llu hypercalls, digest %016llx\n",
	       path == S2_PATH_PKVM ? "pkvm" : "traditional", (unsigned long long)done, (unsigned long long)warnings,
	       (unsigned long long)maintenance, (unsigned long long)hypercalls, (unsigned long long)digest);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = text ? strtoull(text, &end, 0) : 0;

	if (!text || *end) {
		fprintf(stderr, "driver: a number is missing\n");
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	const struct s2_backend *(*get)(uint32_t abi);
	uint64_t seed = 1, operations = 20000;
	uint32_t paths = ~0U;
	void *object;
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: driver BACKEND [--seed N] [--operations N] [--path traditional|pkvm] [--verbose]\n");
		return 2;
	}
	for (i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--seed")) {
			seed = number(argv[++i]);
		} else if (!strcmp(argv[i], "--operations")) {
			operations = number(argv[++i]);
		} else if (!strcmp(argv[i], "--path") && argv[i + 1]) {
			paths = 1U << (strcmp(argv[++i], "pkvm") ? S2_PATH_TRADITIONAL : S2_PATH_PKVM);
		} else if (!strcmp(argv[i], "--verbose")) {
			is_verbose = 1;
		} else {
			fprintf(stderr, "driver: %s is no argument\n", argv[i]);
			return 2;
		}
	}
	object = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!object) {
		fprintf(stderr, "driver: %s\n", dlerror());
		return 1;
	}
	get = (const struct s2_backend *(*)(uint32_t))dlsym(object, "s2_backend");
	backend = get ? get(S2_ABI_VERSION) : NULL;
	if (!backend) {
		fprintf(stderr, "driver: %s is no backend of version %d\n", argv[1], S2_ABI_VERSION);
		return 1;
	}
	printf("%s, pages of %u bytes\n", backend->name, 1U << backend->page_shift);
	for (i = S2_PATH_TRADITIONAL; i <= S2_PATH_PKVM; i++) {
		if (backend->paths & paths & (1U << i))
			run(i, seed, operations);
	}
	return failures ? 1 : 0;
}
