// SPDX-License-Identifier: MIT
/*
 * The path of pKVM: pkvm.c's functions, called as KVM calls them by KVM_PGT_FN(). Their hypercalls are answered by the tree's own EL2, which is
 * linked beside it. Of arm.c, what makes VMs and vCPUs, loads and puts them is repeated here.
 */
#include <linux/kvm_host.h>
#include <linux/slab.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_pgtable.h>
#include <asm/kvm_pkvm.h>
#include <kit-probes.h>
#include <kit-prot.h>

#include "pkvm.h"

static struct kvm_pgtable *pgt_of(struct s2_vm *vm)
{
	return state_of(vm)->kvm->arch.mmu.pgt;
}

/* As kvm_share_hyp(), without its count of sharers. */
static int share_with_el2(void *memory, u64 size)
{
	u64 pfn = virt_to_phys(memory) >> PAGE_SHIFT, end = pfn + (PAGE_ALIGN(size) >> PAGE_SHIFT);
	int ret = 0;

	for (; pfn < end && !ret; pfn++)
		ret = kvm_call_hyp_nvhe(__pkvm_host_share_hyp, pfn);
	return ret;
}

static void unshare_with_el2(void *memory, u64 size)
{
	u64 pfn = virt_to_phys(memory) >> PAGE_SHIFT, end = pfn + (PAGE_ALIGN(size) >> PAGE_SHIFT);

	for (; pfn < end; pfn++)
		WARN_ON(kvm_call_hyp_nvhe(__pkvm_host_unshare_hyp, pfn));
}

static void *take_shared(u64 size)
{
	void *memory = kit_pages_take(PAGE_ALIGN(size) >> PAGE_SHIFT);

	return share_with_el2(memory, size) ? NULL : memory;
}

/*
 * VMs and vCPUs, as arm.c has them.
 */

/* kvm_arch_init_vm() */
static int init_vm(struct s2_vm *vm, const char **why)
{
	unsigned long type = vm->config.ipa_bits | (vm->config.is_protected ? KVM_VM_TYPE_ARM_PROTECTED : 0);
	struct pkvm *state = state_of(vm);
	struct kvm *kvm;
	int ret;

#ifndef KIT_HAS_INIT_HOST_VM_TYPE
	if (vm->config.is_protected) {
		*why = "this kernel has no protected guests";
		return -1;
	}
#endif
	state->is_silent = true;
	kvm = take_shared(sizeof(*kvm));
	if (!kvm) {
		*why = "EL2 does not take the VM's memory";
		return -1;
	}
	state->is_silent = false;
	state->kvm = kvm;
	kvm->created_vcpus = vm->config.vcpus;
	/* Registers of guests are of no concern; EL2 wants to know that there are some. */
	set_bit(KVM_ARCH_FLAG_ID_REGS_INITIALIZED, &kvm->arch.flags);
	if (kvm_init_stage2_mmu(kvm, &kvm->arch.mmu, type)) {
		*why = "kvm_init_stage2_mmu() failed";
		return -1;
	}
#ifdef KIT_HAS_INIT_HOST_VM_TYPE
	ret = pkvm_init_host_vm(kvm, type);
#else
	ret = pkvm_init_host_vm(kvm);
#endif
	if (ret) {
		*why = "EL2 has no room for another VM";
		return -1;
	}
	return 0;
}

static int pkvm_create(struct s2_vm *vm, const char **why)
{
	struct pkvm *state;

	if (vm->config.vcpus < 1) {
		*why = "pKVM wants a vCPU before it makes a VM";
		return -1;
	}
	if (prepare_el2(vm, why))
		return -1;
	state = kit_object_take(struct_size(state, vcpus, vm->config.vcpus), KIT_UNTOLD);
	state->cpu = enter_machine();
	if (!state->cpu) {
		*why = "the machine has no CPU for another VM";
		return -1;
	}
	state->loaded = -1;
	vm->state = state;
	kit_el2_set_cpu(state->cpu);
	return init_vm(vm, why);
}

/* kvm_arch_vcpu_create() */
static struct kvm_vcpu *vcpu_of(struct s2_vm *vm, int index)
{
	struct pkvm *state = state_of(vm);
	struct kvm_vcpu *vcpu;

	if (index < 0 || index >= vm->config.vcpus)
		return NULL;
	if (state->vcpus[index])
		return state->vcpus[index];
	state->is_silent = true;
	vcpu = take_shared(sizeof(*vcpu));
	state->is_silent = false;
	if (!vcpu)
		return NULL;
	vcpu->kvm = state->kvm;
	vcpu->vcpu_id = vcpu->vcpu_idx = index;
	vcpu->arch.hw_mmu = &state->kvm->arch.mmu;
	state->vcpus[index] = vcpu;
	return vcpu;
}

/* kvm_arch_vcpu_put() */
static void put_vcpu(struct s2_vm *vm)
{
	struct pkvm *state = state_of(vm);

	if (state->loaded < 0)
		return;
	state->loaded = -1;
	kvm_call_hyp_nvhe(__pkvm_vcpu_put);
}

/* kvm_arch_vcpu_run_pid_change(), the first time, and kvm_arch_vcpu_load() */
static s64 load_vcpu(struct s2_vm *vm, int index)
{
	struct kvm_vcpu *vcpu = vcpu_of(vm, index);
	struct pkvm *state = state_of(vm);
	int ret;

	if (!vcpu)
		return -EINVAL;
	if (state->loaded == index)
		return 0;
	put_vcpu(vm);
	kit_el2_set_ipa(read_sanitised_ftr_reg(SYS_ID_AA64MMFR0_EL1), read_sanitised_ftr_reg(SYS_ID_AA64MMFR1_EL1),
			VTCR_EL2_IPA(state->kvm->arch.mmu.vtcr));
	ret = pkvm_create_hyp_vm(state->kvm);
	if (ret)
		return ret;
#ifdef KIT_HAS_CREATE_HYP_VCPU
	ret = pkvm_create_hyp_vcpu(vcpu);
	if (ret)
		return ret;
#endif
	kit_el2_adopt(state->kvm->arch.pkvm.handle, index);
	kvm_call_hyp_nvhe(__pkvm_vcpu_load, state->kvm->arch.pkvm.handle, vcpu->vcpu_idx, vcpu->arch.hcr_el2);
	state->loaded = index;
	return 0;
}

static s64 pkvm_load_vcpu(struct s2_vm *vm, s32 vcpu, s32 cpu)
{
	kit_el2_set_cpu(state_of(vm)->cpu);
	if (vcpu >= 0)
		return load_vcpu(vm, vcpu);
	put_vcpu(vm);
	return 0;
}

/*
 * The functions of the interface.
 */

static s64 pkvm_topup_memcache(struct s2_vm *vm, s32 index, u64 pages)
{
	struct kvm_vcpu *vcpu = vcpu_of(vm, index);
	int ret;

	if (!vcpu)
		return -EINVAL;
	kit_slab_object = S2_OBJECT_MAPPING;
	ret = topup_hyp_memcache(&vcpu->arch.pkvm_memcache, pages);
	kit_slab_object = KIT_UNTOLD;
	return ret;
}

static void pkvm_free_memcache(struct s2_vm *vm, s32 index)
{
	struct kvm_vcpu *vcpu = vcpu_of(vm, index);

	if (vcpu) {
		free_hyp_memcache(&vcpu->arch.pkvm_memcache);
		vcpu->arch.pkvm_memcache.mapping = NULL;
	}
}

static s64 pkvm_map(struct s2_vm *vm, u64 ipa, u64 size, u64 pfn, u64 prot, s32 index, u32 walk_flags)
{
	enum kvm_pgtable_prot kernel_prot;
	s64 ret = to_prot(prot, &kernel_prot);
	struct kvm_vcpu *vcpu;

	kit_el2_set_cpu(state_of(vm)->cpu);
	ret = ret ?: load_vcpu(vm, index);
	if (ret)
		return ret;
	vcpu = vcpu_of(vm, index);
	/* A fault handler has always topped up; without it the kernel has no struct pkvm_mapping to use. */
	if (!vcpu->arch.pkvm_memcache.mapping)
		ret = pkvm_topup_memcache(vm, index, 0);
	/* EL2 does not take the host's word for where the guest was. */
	kit_el2_fault(state_of(vm)->kvm->arch.pkvm.handle, index, ipa);
	return ret ?: pkvm_pgtable_stage2_map(pgt_of(vm), ipa, size, PFN_PHYS(pfn), kernel_prot, &vcpu->arch.pkvm_memcache,
					      to_walk_flags(walk_flags));
}

static s64 pkvm_unmap(struct s2_vm *vm, u64 ipa, u64 size)
{
	kit_el2_set_cpu(state_of(vm)->cpu);
	return pkvm_pgtable_stage2_unmap(pgt_of(vm), ipa, size);
}

static s64 pkvm_wrprotect(struct s2_vm *vm, u64 ipa, u64 size)
{
	kit_el2_set_cpu(state_of(vm)->cpu);
	return pkvm_pgtable_stage2_wrprotect(pgt_of(vm), ipa, size);
}

static s64 pkvm_flush(struct s2_vm *vm, u64 ipa, u64 size)
{
	return pkvm_pgtable_stage2_flush(pgt_of(vm), ipa, size);
}

static s64 pkvm_test_clear_young(struct s2_vm *vm, u64 ipa, u64 size, u32 mkold)
{
	kit_el2_set_cpu(state_of(vm)->cpu);
	return pkvm_pgtable_stage2_test_clear_young(pgt_of(vm), ipa, size, mkold);
}

static s64 pkvm_relax_perms(struct s2_vm *vm, u64 ipa, u64 prot, s32 vcpu, u32 walk_flags)
{
	enum kvm_pgtable_prot kernel_prot;
	s64 ret = to_prot(prot, &kernel_prot);

	kit_el2_set_cpu(state_of(vm)->cpu);
	ret = ret ?: load_vcpu(vm, vcpu);
	return ret ?: pkvm_pgtable_stage2_relax_perms(pgt_of(vm), ipa, kernel_prot, to_walk_flags(walk_flags));
}

static s64 pkvm_mkyoung(struct s2_vm *vm, u64 ipa, s32 vcpu, u32 walk_flags)
{
	s64 ret;

	kit_el2_set_cpu(state_of(vm)->cpu);
	ret = load_vcpu(vm, vcpu);
	if (!ret)
		pkvm_pgtable_stage2_mkyoung(pgt_of(vm), ipa, to_walk_flags(walk_flags));
	return ret;
}

static s64 pkvm_split(struct s2_vm *vm, u64 ipa, u64 size)
{
	return pkvm_pgtable_stage2_split(pgt_of(vm), ipa, size, &state_of(vm)->kvm->arch.mmu.split_page_cache);
}

/* No vCPU runs when a VM is destroyed: it was put when it last ran, of which nobody has told the kit. */
static void put_last_vcpu(struct s2_vm *vm)
{
	bool was_silent = state_of(vm)->is_silent;

	state_of(vm)->is_silent = true;
	put_vcpu(vm);
	state_of(vm)->is_silent = was_silent;
}

#ifdef KIT_HAS_PKVM_DESTROY_RANGE
static void pkvm_destroy_range(struct s2_vm *vm, u64 ipa, u64 size)
{
	kit_el2_set_cpu(state_of(vm)->cpu);
	put_last_vcpu(vm);
	pkvm_pgtable_stage2_destroy_range(pgt_of(vm), ipa, size);
}

static void destroy_all(struct s2_vm *vm)
{
	pkvm_pgtable_stage2_destroy_pgd(pgt_of(vm));
}
#else
static void destroy_all(struct s2_vm *vm)
{
	pkvm_pgtable_stage2_destroy(pgt_of(vm));
}
#endif

/* And pkvm_destroy_hyp_vm(), which kvm_arch_destroy_vm() calls next. */
static void pkvm_destroy_pgd(struct s2_vm *vm)
{
	kit_el2_set_cpu(state_of(vm)->cpu);
	put_last_vcpu(vm);
	destroy_all(vm);
	if (state_of(vm)->kvm->arch.pkvm.handle)
		pkvm_destroy_hyp_vm(state_of(vm)->kvm);
}

static void pkvm_flush_remote_tlbs(struct s2_vm *vm)
{
	kit_el2_set_cpu(state_of(vm)->cpu);
	kvm_arch_flush_remote_tlbs(state_of(vm)->kvm);
}

static void pkvm_flush_remote_tlbs_range(struct s2_vm *vm, u64 ipa, u64 size)
{
	kit_el2_set_cpu(state_of(vm)->cpu);
	kvm_arch_flush_remote_tlbs_range(state_of(vm)->kvm, ipa >> PAGE_SHIFT, size >> PAGE_SHIFT);
}

static struct rb_node *root_of(struct s2_vm *vm)
{
#ifdef KIT_HAS_CACHED_MAPPINGS
	return pgt_of(vm)->pkvm_mappings.rb_root.rb_node;
#else
	return pgt_of(vm)->pkvm_mappings.rb_node;
#endif
}

static u64 pages_of(struct pkvm_mapping *mapping)
{
#ifdef KIT_HAS_MAPPING_PAGES
	return mapping->nr_pages;
#else
	return 1;
#endif
}

static bool visit(struct rb_node *node, u32 depth, int (*each)(void *user, const struct s2_mapping *mapping), void *user)
{
	struct pkvm_mapping *mapping = rb_entry(node, struct pkvm_mapping, node);
	struct s2_mapping told = { 0 };

	if (!node)
		return true;
	if (!visit(node->rb_left, depth + 1, each, user))
		return false;
	told.gfn = mapping->gfn;
	told.pages = pages_of(mapping);
	told.pfn = mapping->pfn;
	told.depth = depth;
	told.is_red = !(node->__rb_parent_color & 1);
#ifdef KIT_HAS_MAPPING_NC
	told.is_nc = mapping->nc;
#endif
	return !each(user, &told) && visit(node->rb_right, depth + 1, each, user);
}

static void pkvm_tree(struct s2_vm *vm, int (*each)(void *user, const struct s2_mapping *mapping), void *user)
{
	visit(root_of(vm), 1, each, user);
}

/* A vCPU's cache has a struct pkvm_mapping ready, which is not in the tree. */
static void pkvm_counters(struct s2_vm *vm, struct s2_counters *counters)
{
	struct pkvm *state = state_of(vm);
	int i;

	for (i = 0; i < vm->config.vcpus; i++) {
		if (state->vcpus[i] && state->vcpus[i]->arch.pkvm_memcache.mapping)
			counters->mappings--;
	}
	counters->mapping_bytes = sizeof(struct pkvm_mapping);
}

#ifdef KIT_HAS_FORCE_RECLAIM
struct search {
	u64 gfn;
	u64 pfn;
	bool is_found;
};

static int match(void *user, const struct s2_mapping *mapping)
{
	struct search *search = user;

	search->is_found = search->gfn >= mapping->gfn && search->gfn - mapping->gfn < mapping->pages;
	search->pfn = mapping->pfn + search->gfn - mapping->gfn;
	return search->is_found || mapping->gfn > search->gfn;
}

static s64 pkvm_force_reclaim(struct s2_vm *vm, u64 ipa)
{
	struct search search = { .gfn = ipa >> PAGE_SHIFT };

	kit_el2_set_cpu(state_of(vm)->cpu);
	pkvm_tree(vm, match, &search);
	return search.is_found && pkvm_force_reclaim_guest_page(PFN_PHYS(search.pfn));
}
#endif

/*
 * The tables are EL2's.
 */

static struct kit_tables tables_of(struct s2_vm *vm)
{
	struct kit_tables tables = { .has_lpa2 = kit_has_feature(S2_FEATURE_LPA2), .has_fwb = kit_has_feature(S2_FEATURE_FWB) };

	kit_el2_tables(state_of(vm)->kvm->arch.pkvm.handle, &tables.pgd, &tables.ia_bits, &tables.start_level);
	return tables;
}

static void pkvm_walk(struct s2_vm *vm, u64 ipa, struct s2_leaf *leaf)
{
	struct kit_tables tables = tables_of(vm);

	kit_walk(&tables, ipa, leaf);
}

static void pkvm_leaves(struct s2_vm *vm, int (*each)(void *user, const struct s2_leaf *leaf), void *user)
{
	struct kit_tables tables = tables_of(vm);

	kit_leaves(&tables, each, user);
}

static void pkvm_levels(struct s2_vm *vm, kit_u64 ipa, kit_u64 size)
{
	struct kit_tables tables = tables_of(vm);

	kit_levels(&tables, ipa, size);
}

/* The VM as it would end, so that its memory is the host's again, and nobody is told of it. */
static void end_vm(struct s2_vm *vm)
{
	struct pkvm *state = state_of(vm);
	int i;

	state->is_silent = true;
	if (state->kvm->arch.pkvm.handle) {
#ifdef KIT_HAS_PKVM_DESTROY_RANGE
		pkvm_destroy_range(vm, 0, BIT_ULL(vm->config.ipa_bits));
#endif
		pkvm_destroy_pgd(vm);
	}
	for (i = 0; i < vm->config.vcpus; i++) {
		if (!state->vcpus[i])
			continue;
		pkvm_free_memcache(vm, i);
		unshare_with_el2(state->vcpus[i], sizeof(*state->vcpus[i]));
	}
	unshare_with_el2(state->kvm, sizeof(*state->kvm));
}

static void pkvm_release(struct s2_vm *vm)
{
	struct pkvm *state = state_of(vm);

	if (!state)
		return;
	if (state->kvm && !vm->is_stopped && !el2_has_panicked())
		end_vm(vm);
	/* What a VM that stopped had may be EL2's still, and is not to be used by others. */
	leave_machine(state->cpu, vm->is_stopped);
}

const struct kit_path kit_pkvm = {
	.path = S2_PATH_PKVM,
	.capabilities = 0
#ifdef KIT_HAS_MAPPING_PAGES
		| S2_CAN_MAP_BLOCKS
#endif
#ifdef KIT_HAS_INIT_HOST_VM_TYPE
		| S2_SUPPORTS_PROTECTED
#endif
#ifdef KIT_HAS_PKVM_DESTROY_RANGE
		| S2_DESTROYS_IN_CHUNKS
#endif
#ifdef KIT_HAS_MAPPING_NC
		| S2_MARKS_NON_CACHEABLE
#endif
		,
	.restated =
		"pKVM: of arm.c, how VMs and vCPUs are made, loaded and put, and how EL2 is started\n"
		"pKVM: each VM has one CPU of EL2's, on which its vCPUs are loaded in turn; struct kvm_vcpu has no registers\n"
		"pKVM: sharing of struct kvm and struct kvm_vcpu with EL2 (kvm_share_hyp)\n"
		"pKVM: the machine's physical addresses have 48 or 52 bits, the IPAs of VMs those of the configuration\n"
		"pKVM: a map comes from a translation fault at its address\n"
		"pKVM: pkvm_destroy_hyp_vm() comes with destroy_pgd; vCPUs are put before\n"
		"pKVM: a hypercall whose result is its first argument is told with 0, as one without a result is\n"
		"pKVM: memblock, pins and accounts of pages are of no effect\n"
		"EL2: tlb.c and cache.S, which are told and have no effect; fixmaps of mm.c, as frames are never touched\n"
		"EL2: its tables of the host are made for 4 million pages: more frames of protected guests do not fit\n"
		"EL2: locks, barriers and per-CPU variables; system registers read as 0; WARN_ON() goes on\n"
		"EL2: switch, vGIC, FF-A, PSCI are not there\n",
	.create = pkvm_create,
	.release = pkvm_release,
	.levels = pkvm_levels,
	.functions = {
		.map = pkvm_map,
		.unmap = pkvm_unmap,
		.wrprotect = pkvm_wrprotect,
		.flush = pkvm_flush,
		.test_clear_young = pkvm_test_clear_young,
		.relax_perms = pkvm_relax_perms,
		.mkyoung = pkvm_mkyoung,
		.split = pkvm_split,
#ifdef KIT_HAS_PKVM_DESTROY_RANGE
		.destroy_range = pkvm_destroy_range,
#endif
		.destroy_pgd = pkvm_destroy_pgd,
		.topup_memcache = pkvm_topup_memcache,
		.free_memcache = pkvm_free_memcache,
		.load_vcpu = pkvm_load_vcpu,
		.flush_remote_tlbs = pkvm_flush_remote_tlbs,
		.flush_remote_tlbs_range = pkvm_flush_remote_tlbs_range,
#ifdef KIT_HAS_FORCE_RECLAIM
		.force_reclaim = pkvm_force_reclaim,
#endif
		.walk = pkvm_walk,
		.leaves = pkvm_leaves,
		.tree = pkvm_tree,
		.counters = pkvm_counters,
	},
};
