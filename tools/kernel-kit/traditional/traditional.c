// SPDX-License-Identifier: MIT
/*
 * The traditional path: what KVM calls by KVM_PGT_FN() without pKVM, called as mmu.c calls it. The stage 2 is set up by
 * mmu.c, with its functions for memory; caches are filled and emptied by kvm_main.c.
 */
#include <linux/kvm_host.h>
#include <linux/slab.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_pgtable.h>
#include <kit-prot.h>

#include "kit-vm.h"

struct traditional {
	struct kvm kvm;
	struct kvm_mmu_memory_cache caches[];	/* kvm_vcpu_arch.mmu_page_cache of each vCPU */
};

static struct traditional *state_of(struct s2_vm *vm)
{
	return vm->state;
}

static struct kvm_s2_mmu *mmu_of(struct s2_vm *vm)
{
	return &state_of(vm)->kvm.arch.mmu;
}

static struct kvm_pgtable *pgt_of(struct s2_vm *vm)
{
	return mmu_of(vm)->pgt;
}

static struct kvm_mmu_memory_cache *cache_of(struct s2_vm *vm, int vcpu)
{
	return vcpu >= 0 && vcpu < vm->config.vcpus ? &state_of(vm)->caches[vcpu] : NULL;
}

static int traditional_create(struct s2_vm *vm, const char **why)
{
	struct traditional *state;
	int i;

	if (vm->config.is_protected) {
		*why = "a protected guest needs pKVM";
		return -1;
	}
	state = kit_object_take(struct_size(state, caches, vm->config.vcpus), KIT_UNTOLD);
	vm->state = state;
	/* As kvm_arch_vcpu_create(). */
	for (i = 0; i < vm->config.vcpus; i++)
		state->caches[i].gfp_zero = __GFP_ZERO;
	if (kvm_init_stage2_mmu(&state->kvm, &state->kvm.arch.mmu, vm->config.ipa_bits)) {
		*why = "kvm_init_stage2_mmu() does not take the size of the IPA space on this machine";
		return -1;
	}
	return 0;
}

static s64 traditional_map(struct s2_vm *vm, u64 ipa, u64 size, u64 pfn, u64 prot, s32 vcpu, u32 walk_flags)
{
	enum kvm_pgtable_prot kernel_prot;
	int ret = to_prot(prot, &kernel_prot);

	return ret ?: kvm_pgtable_stage2_map(pgt_of(vm), ipa, size, PFN_PHYS(pfn), kernel_prot, cache_of(vm, vcpu),
					     to_walk_flags(walk_flags));
}

static s64 traditional_unmap(struct s2_vm *vm, u64 ipa, u64 size)
{
	return kvm_pgtable_stage2_unmap(pgt_of(vm), ipa, size);
}

static s64 traditional_wrprotect(struct s2_vm *vm, u64 ipa, u64 size)
{
	return kvm_pgtable_stage2_wrprotect(pgt_of(vm), ipa, size);
}

static s64 traditional_flush(struct s2_vm *vm, u64 ipa, u64 size)
{
	return kvm_pgtable_stage2_flush(pgt_of(vm), ipa, size);
}

static s64 traditional_test_clear_young(struct s2_vm *vm, u64 ipa, u64 size, u32 mkold)
{
	return kvm_pgtable_stage2_test_clear_young(pgt_of(vm), ipa, size, mkold);
}

static s64 traditional_relax_perms(struct s2_vm *vm, u64 ipa, u64 prot, s32 vcpu, u32 walk_flags)
{
	enum kvm_pgtable_prot kernel_prot;
	int ret = to_prot(prot, &kernel_prot);

	if (ret)
		return ret;
#ifdef KIT_HAS_RELAX_FLAGS
	return kvm_pgtable_stage2_relax_perms(pgt_of(vm), ipa, kernel_prot, to_walk_flags(walk_flags));
#else
	return kvm_pgtable_stage2_relax_perms(pgt_of(vm), ipa, kernel_prot);
#endif
}

static s64 traditional_mkyoung(struct s2_vm *vm, u64 ipa, s32 vcpu, u32 walk_flags)
{
#ifdef KIT_HAS_MKYOUNG_FLAGS
	kvm_pgtable_stage2_mkyoung(pgt_of(vm), ipa, to_walk_flags(walk_flags));
#else
	kvm_pgtable_stage2_mkyoung(pgt_of(vm), ipa);
#endif
	return 0;
}

static s64 traditional_split(struct s2_vm *vm, u64 ipa, u64 size)
{
	return kvm_pgtable_stage2_split(pgt_of(vm), ipa, size, &mmu_of(vm)->split_page_cache);
}

#ifdef KIT_HAS_DESTROY_RANGE
static void traditional_destroy_range(struct s2_vm *vm, u64 ipa, u64 size)
{
	kvm_pgtable_stage2_destroy_range(pgt_of(vm), ipa, size);
}

static void traditional_destroy_pgd(struct s2_vm *vm)
{
	kvm_pgtable_stage2_destroy_pgd(pgt_of(vm));
}
#else
static void traditional_destroy_pgd(struct s2_vm *vm)
{
	kvm_pgtable_stage2_destroy(pgt_of(vm));
}
#endif

static s64 traditional_topup_memcache(struct s2_vm *vm, s32 vcpu, u64 pages)
{
	struct kvm_mmu_memory_cache *cache = cache_of(vm, vcpu);

	return cache ? kvm_mmu_topup_memory_cache(cache, pages) : -EINVAL;
}

static void traditional_free_memcache(struct s2_vm *vm, s32 vcpu)
{
	struct kvm_mmu_memory_cache *cache = cache_of(vm, vcpu);

	if (cache)
		kvm_mmu_free_memory_cache(cache);
}

/* As kvm_mmu_split_huge_pages(). The size of chunks, from which the number of pages comes, changes only while it is empty. */
static s64 traditional_topup_split_cache(struct s2_vm *vm, u64 pages)
{
	struct kvm_mmu_memory_cache *cache = &mmu_of(vm)->split_page_cache;

	if (cache->capacity && cache->capacity != pages)
		kvm_mmu_free_memory_cache(cache);
	return __kvm_mmu_topup_memory_cache(cache, pages, pages);
}

static void traditional_free_split_cache(struct s2_vm *vm)
{
	kvm_mmu_free_memory_cache(&mmu_of(vm)->split_page_cache);
}

static void traditional_flush_remote_tlbs(struct s2_vm *vm)
{
	kvm_arch_flush_remote_tlbs(&state_of(vm)->kvm);
}

static void traditional_flush_remote_tlbs_range(struct s2_vm *vm, u64 ipa, u64 size)
{
	kvm_arch_flush_remote_tlbs_range(&state_of(vm)->kvm, ipa >> PAGE_SHIFT, size >> PAGE_SHIFT);
}

static void traditional_grace_period(struct s2_vm *vm)
{
	kit_rcu_grace_period();
}

static struct kit_tables tables_of(struct s2_vm *vm)
{
	struct kvm_pgtable *pgt = pgt_of(vm);

	return (struct kit_tables) {
		.pgd = pgt->pgd ? __pa(pgt->pgd) : 0,
		.ia_bits = pgt->ia_bits,
		.start_level = pgt->start_level,
		.has_lpa2 = kit_has_lpa2(),
		.has_fwb = kit_has_cap(ARM64_HAS_STAGE2_FWB),
	};
}

static void traditional_walk(struct s2_vm *vm, u64 ipa, struct s2_leaf *leaf)
{
	struct kit_tables tables = tables_of(vm);

	kit_walk(&tables, ipa, leaf);
}

static void traditional_leaves(struct s2_vm *vm, int (*each)(void *user, const struct s2_leaf *leaf), void *user)
{
	struct kit_tables tables = tables_of(vm);

	kit_leaves(&tables, each, user);
}

static void traditional_levels(struct s2_vm *vm, u64 ipa, u64 size)
{
	struct kit_tables tables = tables_of(vm);

	kit_levels(&tables, ipa, size);
}

const struct kit_path kit_traditional = {
	.path = S2_PATH_TRADITIONAL,
#ifdef KIT_HAS_DESTROY_RANGE
	.capabilities = S2_CAN_MAP_BLOCKS | S2_DESTROYS_IN_CHUNKS,
#else
	.capabilities = S2_CAN_MAP_BLOCKS,
#endif
	.create = traditional_create,
	.levels = traditional_levels,
	.functions = {
		.map = traditional_map,
		.unmap = traditional_unmap,
		.wrprotect = traditional_wrprotect,
		.flush = traditional_flush,
		.test_clear_young = traditional_test_clear_young,
		.relax_perms = traditional_relax_perms,
		.mkyoung = traditional_mkyoung,
		.split = traditional_split,
#ifdef KIT_HAS_DESTROY_RANGE
		.destroy_range = traditional_destroy_range,
#endif
		.destroy_pgd = traditional_destroy_pgd,
		.topup_memcache = traditional_topup_memcache,
		.free_memcache = traditional_free_memcache,
		.topup_split_cache = traditional_topup_split_cache,
		.free_split_cache = traditional_free_split_cache,
		.flush_remote_tlbs = traditional_flush_remote_tlbs,
		.flush_remote_tlbs_range = traditional_flush_remote_tlbs_range,
		.grace_period = traditional_grace_period,
		.walk = traditional_walk,
		.leaves = traditional_leaves,
	},
};
