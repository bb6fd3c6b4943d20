/* SPDX-License-Identifier: MIT */
/*
 * The interface between pkvm-replay and a stage-2 MMU that is not its own model: a kernel tree's C, or one written by hand.
 *
 * A backend is a shared object that exports one function:
 *
 *	const struct s2_backend *s2_backend(uint32_t abi);
 *
 * It returns the backend's table of functions for version `abi` of this interface, or NULL if it does not know that version.
 * Each function stands for one that KVM dispatches with KVM_PGT_FN(), and is called as KVM calls it, from one thread. Several
 * VMs live at the same time and share nothing but the machine; what is said of one VM is in its struct s2_vm, never in a global.
 *
 * Addresses and sizes are bytes of IPA, unless they are called frames. Results are the kernel function's: 0 or a negative
 * errno in the kernel's numbers. A function that is NULL is not offered; REQUIRED ones may not be. What a backend has to tell
 * besides its result, it tells by the callbacks of struct s2_host, in the order in which it happens: the replay compares them
 * between two backends, operation by operation.
 *
 * Rules of versions: fields and functions are only ever added, at the end of their struct. `size` is the size of the struct that
 * its maker knew; what lies behind it does not exist.
 */
#ifndef PKVM_REPLAY_STAGE2_BACKEND_H
#define PKVM_REPLAY_STAGE2_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define S2_ABI_VERSION 1

/* Which of the two implementations KVM_PGT_FN() chooses: pkvm_pgtable_stage2_* or kvm_pgtable_stage2_*. */
enum s2_path {
	S2_PATH_TRADITIONAL = 0,
	S2_PATH_PKVM = 1,
};

/* Bits of `prot`: enum kvm_pgtable_prot as Linux 6.19 numbers it. A backend of an older kernel translates. */
#define S2_PROT_PX	(1ULL << 0)	/* execute at EL1 */
#define S2_PROT_UX	(1ULL << 1)	/* execute at EL0 */
#define S2_PROT_W	(1ULL << 2)
#define S2_PROT_R	(1ULL << 3)
#define S2_PROT_DEVICE	(1ULL << 4)
#define S2_PROT_NORMAL_NC (1ULL << 5)
#define S2_PROT_SW0	(1ULL << 55)
#define S2_PROT_SW1	(1ULL << 56)
#define S2_PROT_SW2	(1ULL << 57)
#define S2_PROT_SW3	(1ULL << 58)

/* Bits of `walk_flags`: under which lock KVM calls, and what the walker is told. */
#define S2_WALK_SHARED	(1U << 0)	/* mmu_lock is held for reading (KVM_PGTABLE_WALK_SHARED) */
#define S2_WALK_FAULT	(1U << 1)	/* a guest's fault is handled (KVM_PGTABLE_WALK_HANDLE_FAULT) */

/* Bits of s2_config.features: what the machine offers. */
#define S2_FEATURE_FWB	(1ULL << 0)	/* FEAT_S2FWB: stage 2 forces write-back, no cache maintenance */
#define S2_FEATURE_TLB_RANGE (1ULL << 1)	/* FEAT_TLBIRANGE */
#define S2_FEATURE_XNX	(1ULL << 2)	/* FEAT_XNX */
#define S2_FEATURE_LPA2	(1ULL << 3)	/* FEAT_LPA2: 52 bits with pages of 4K and 16K */
#define S2_FEATURE_DIC	(1ULL << 4)	/* CTR_EL0.DIC: the instruction cache needs no maintenance */
#define S2_FEATURE_BBML2 (1ULL << 5)	/* FEAT_BBM level 2: block and table may change places at once */

/* One VM to be. */
struct s2_config {
	uint32_t size;		/* sizeof(struct s2_config) */
	uint32_t path;		/* enum s2_path */
	uint32_t ipa_bits;	/* of the guest (VTCR_EL2.T0SZ) */
	uint32_t pa_bits;	/* of the machine (ID_AA64MMFR0_EL1.PARange) */
	uint64_t features;	/* S2_FEATURE_* */
	uint32_t is_protected;	/* 1: a protected guest */
	uint32_t vcpus;		/* that the VM has at most */
};

/*
 * What is maintained, for s2_host.maintenance. TLBs are maintained by IPA, caches by the physical address that the frame was
 * mapped with.
 */
enum s2_maintenance {
	S2_TLBI_VMID = 0,		/* all of the VM; address and size are 0 */
	S2_TLBI_IPA = 1,		/* one address; size is a leaf's of the hinted level, 0 for TLBI_TTL_UNKNOWN */
	S2_TLBI_IPA_NSH = 2,		/* one address, of this CPU alone; likewise */
	S2_TLBI_RANGE = 3,		/* a range by FEAT_TLBIRANGE */
	S2_DCACHE_CLEAN_INVAL = 4,	/* dcache_clean_inval_poc */
	S2_ICACHE_INVAL = 5,		/* icache_inval_pou */
};

/* What a function returns when the kernel has stopped: s2_host.panic. */
#define S2_STOPPED	(-1000000)

/* The level of a table that was freed before it was used. */
#define S2_LEVEL_UNKNOWN	(-2)

/* What an object of memory is, for s2_host.memory. */
enum s2_object {
	S2_OBJECT_TABLE = 0,		/* a page that is a stage-2 table, the PGD not among them; `level` says which */
	S2_OBJECT_PGD = 1,		/* pages of the PGD */
	S2_OBJECT_MAPPING = 2,		/* a struct pkvm_mapping; count is of objects, size of bytes each */
	S2_OBJECT_MEMCACHE = 3,		/* a page in a memory cache of a vCPU or of splitting, on either side */
	S2_OBJECT_POOL = 4,		/* a page in the pool of EL2 */
	S2_OBJECT_OTHER = 5,
};

/*
 * What the backend calls before the function that was called returns, in the order in which it happened, filled in by the
 * replay; `user` comes back in each call. Any of them may be NULL, and none may call the backend. Strings must stay valid as
 * long as the shared object is loaded.
 */
struct s2_host {
	uint32_t size;		/* sizeof(struct s2_host) */
	void *user;

	/* The host called EL2: `name` is the hypercall's without __KVM_HOST_SMCCC_FUNC_ (as "__pkvm_host_share_guest"), `args` those of
	 * the call, a1 first, `result` what it returned. */
	void (*hypercall)(void *user, const char *name, uint32_t argc, const uint64_t *args, int64_t result);

	/* WARN_ON() and its kin fired, at EL2 or on the host; each time, also of WARN_ON_ONCE. */
	void (*warning)(void *user, const char *file, uint32_t line, const char *condition);

	/* The kernel would have stopped: BUG(), a panic of EL2, or what the backend cannot do. The function that was called returns
	 * S2_STOPPED, and from then on each one does without a word: the VM can only be released. */
	void (*panic)(void *user, const char *file, uint32_t line, const char *text);

	/* TLB or cache maintenance: an enum s2_maintenance. */
	void (*maintenance)(void *user, uint32_t kind, uint64_t address, uint64_t size);

	/* Memory was taken (count > 0) or given back (count < 0): an enum s2_object, and for tables the level, or S2_LEVEL_UNKNOWN
	 * of one that never hung in the tree. What a page of a memory cache becomes is told as two events. */
	void (*memory)(void *user, uint32_t object, int32_t level, int64_t count, uint64_t bytes_each);
};

/* A leaf, for s2_backend.walk and .leaves. */
struct s2_leaf {
	uint64_t ipa;		/* its first byte */
	uint64_t pfn;		/* its first frame, in pages of the granule */
	uint64_t prot;		/* S2_PROT_* */
	int32_t level;		/* of the leaf, or at which the walk stopped */
	uint8_t is_valid;
	uint8_t is_young;	/* its access flag */
	uint8_t reserved[2];
};

/* A node of the host's tree of mappings (struct pkvm_mapping), for s2_backend.tree. */
struct s2_mapping {
	uint64_t gfn;
	uint64_t pages;
	uint64_t pfn;
	uint32_t depth;		/* of the node; the root's is 1 */
	uint8_t is_red;
	uint8_t is_nc;		/* not cacheable (7.3 on) */
	uint8_t reserved[2];
};

/* What there is of a VM at this moment. */
struct s2_counters {
	uint32_t size;		/* sizeof(struct s2_counters) that the caller knows */
	uint32_t reserved;
	uint64_t table_pages[6];	/* by level: [level + 1], of -1 to 4 */
	uint64_t pgd_pages;
	uint64_t mappings;	/* struct pkvm_mapping */
	uint64_t mapping_bytes;	/* each */
	uint64_t memcache_pages;	/* of all vCPUs, on both sides */
	uint64_t pool_pages;	/* in EL2's pool */
	uint64_t tree_nodes_visited;	/* since the VM's beginning, 0 where not counted */
	uint64_t descriptors_visited;	/* likewise */
};

struct s2_vm;	/* the backend's own */

#define S2_CAN_MAP_BLOCKS	(1ULL << 0)	/* leaves of level 2 and less */
#define S2_DESTROYS_IN_CHUNKS	(1ULL << 1)	/* destroy_range is the kernel's own function */
#define S2_SUPPORTS_PROTECTED	(1ULL << 2)
#define S2_MARKS_NON_CACHEABLE	(1ULL << 3)

struct s2_backend {
	uint32_t abi;		/* S2_ABI_VERSION */
	uint32_t size;		/* sizeof(struct s2_backend) */
	const char *name;	/* as "Linux 7.3.4" */
	const char *restated;	/* what is not the kernel's own C: one item a line */
	uint32_t paths;		/* 1 << enum s2_path, of those it offers */
	uint32_t page_shift;	/* of the granule that it was built for */
	uint64_t capabilities;	/* S2_CAN_MAP_BLOCKS ... */

	/* kvm_arch_init_vm() as far as stage 2 is concerned: an empty table. NULL, with a reason in *why, when it cannot. REQUIRED */
	struct s2_vm *(*create)(const struct s2_config *config, const struct s2_host *host, const char **why);
	/* The VM is gone; whatever it still had is freed without a word. REQUIRED */
	void (*release)(struct s2_vm *vm);

	/* *_pgtable_stage2_map(). `pfn` is the first frame; the replay makes one up where the recording does not know it. REQUIRED */
	int64_t (*map)(struct s2_vm *vm, uint64_t ipa, uint64_t size, uint64_t pfn, uint64_t prot, int32_t vcpu, uint32_t walk_flags);
	int64_t (*unmap)(struct s2_vm *vm, uint64_t ipa, uint64_t size);	/* REQUIRED */
	int64_t (*wrprotect)(struct s2_vm *vm, uint64_t ipa, uint64_t size);	/* REQUIRED */
	int64_t (*flush)(struct s2_vm *vm, uint64_t ipa, uint64_t size);
	/* 1 or 0 as the function's bool. REQUIRED */
	int64_t (*test_clear_young)(struct s2_vm *vm, uint64_t ipa, uint64_t size, uint32_t mkold);
	int64_t (*relax_perms)(struct s2_vm *vm, uint64_t ipa, uint64_t prot, int32_t vcpu, uint32_t walk_flags);	/* REQUIRED */
	int64_t (*mkyoung)(struct s2_vm *vm, uint64_t ipa, int32_t vcpu, uint32_t walk_flags);	/* REQUIRED */
	int64_t (*split)(struct s2_vm *vm, uint64_t ipa, uint64_t size);
	void (*destroy_range)(struct s2_vm *vm, uint64_t ipa, uint64_t size);
	void (*destroy_pgd)(struct s2_vm *vm);

	/* topup_hyp_memcache() or kvm_mmu_topup_memory_cache() to `pages`; 0 or a negative errno. */
	int64_t (*topup_memcache)(struct s2_vm *vm, int32_t vcpu, uint64_t pages);
	void (*free_memcache)(struct s2_vm *vm, int32_t vcpu);
	/* The split_page_cache, to `pages`, which is what the chunk size comes to; a cache of another size is freed first. */
	int64_t (*topup_split_cache)(struct s2_vm *vm, uint64_t pages);
	void (*free_split_cache)(struct s2_vm *vm);

	/* The vCPU is about to run on a CPU; under pKVM the VM is created at EL2 where it is not yet. -1: it is put. */
	int64_t (*load_vcpu)(struct s2_vm *vm, int32_t vcpu, int32_t cpu);
	void (*flush_remote_tlbs)(struct s2_vm *vm);
	void (*flush_remote_tlbs_range)(struct s2_vm *vm, uint64_t ipa, uint64_t size);
	/* An RCU grace period ends: what waits for one is freed. */
	void (*grace_period)(struct s2_vm *vm);
	/* __pkvm_force_reclaim_guest_page() of the page at `ipa`: 1 if the guest had it. */
	int64_t (*force_reclaim)(struct s2_vm *vm, uint64_t ipa);

	/* What the hardware's walk of `ipa` finds, in the table that the CPU uses. REQUIRED */
	void (*walk)(struct s2_vm *vm, uint64_t ipa, struct s2_leaf *leaf);
	/* Each leaf, by rising address, until the callback returns non-zero; it may call walk(). */
	void (*leaves)(struct s2_vm *vm, int (*each)(void *user, const struct s2_leaf *leaf), void *user);
	/* Each node of the host's tree of mappings, by rising address. */
	void (*tree)(struct s2_vm *vm, int (*each)(void *user, const struct s2_mapping *mapping), void *user);
	void (*counters)(struct s2_vm *vm, struct s2_counters *counters);
};

/* What a backend exports. */
const struct s2_backend *s2_backend(uint32_t abi);

#ifdef __cplusplus
}
#endif
#endif
