// SPDX-License-Identifier: MIT
/*
 * What EL2's own C needs of the machine below it: per-CPU variables, TLBs and caches, which are told and do nothing else, and mappings of guests'
 * frames, which are never touched. The entry by HVC is the kernel's own handle_trap().
 */
#include <linux/kvm_host.h>
#include <asm/kvm_hyp.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_pgtable.h>
#include <asm/kvm_pkvm.h>

#include <nvhe/gfp.h>
#include <nvhe/memory.h>
#include <nvhe/mem_protect.h>
#include <nvhe/mm.h>
#include <nvhe/pkvm.h>
#include <nvhe/trap_handler.h>

#include "el2.h"
#include "kit-vm.h"

DEFINE_PER_CPU(struct kvm_host_data, kvm_host_data);
DEFINE_PER_CPU(struct kvm_cpu_context, kvm_hyp_ctxt);
DEFINE_PER_CPU(unsigned long, kvm_hyp_vector);

char *kit_el2_image;
unsigned long kit_cpu_offset;
unsigned long __per_cpu_offset[NR_CPUS];
extern char __per_cpu_start[], __per_cpu_end[];
DECLARE_PER_CPU(struct kvm_nvhe_init_params, kvm_init_params);

/* Of VMs that are made from now on, and of the host. */
static u64 guest_vtcr, host_vtcr;

void handle_trap(struct kvm_cpu_context *host_ctxt);

u64 kit_el2_read_sysreg(const char *name)
{
	/* handle_trap() asks why it was called; for all else there is no CPU. */
	if (!strcmp(name, "SYS_ESR_EL2"))
		return (u64)ESR_ELx_EC_HVC64 << ESR_ELx_EC_SHIFT;
	return 0;
}

void kit_el2_write_sysreg(const char *name, u64 value)
{
}

void kit_el2_start(void)
{
	kit_el2_image = (char *)kit_el2_memory;
	kit_el2_set_cpu(0);
	/* As cpu_prepare_hyp_mode(), for what maps it. */
	this_cpu_ptr(&kvm_init_params)->stack_pa = (u64)kit_el2_take(NVHE_STACK_SIZE);
}

void kit_el2_set_cpu(unsigned int cpu)
{
	unsigned long size = __per_cpu_end - __per_cpu_start;

	if (!__per_cpu_offset[cpu]) {
		char *copy = kit_el2_take(size);

		/* The section itself is never written: it is what each CPU starts with. */
		memcpy(copy, __per_cpu_start, size);
		__per_cpu_offset[cpu] = copy - __per_cpu_start;
	}
	kit_cpu_offset = __per_cpu_offset[cpu];
}

u64 kit_el2_percpu_base(unsigned int cpu)
{
	return (u64)__per_cpu_start + __per_cpu_offset[cpu];
}

void kit_el2_set_ipa(u64 mmfr0, u64 mmfr1, unsigned int bits)
{
	guest_vtcr = kvm_get_vtcr(mmfr0, mmfr1, bits);
}

/*
 * EL2 gives each VM the host's VTCR_EL2, as its IPAs are as wide as the machine's physical addresses. Here they may be narrower: the kit's memory
 * lies where a smaller machine has none.
 */
static void lend_vtcr(unsigned long id)
{
	host_vtcr = host_mmu.arch.mmu.vtcr;
	if (id == KVM_HOST_SMCCC_FUNC(__pkvm_init_vm) && guest_vtcr)
		host_mmu.arch.mmu.vtcr = guest_vtcr;
}

static void take_vtcr_back(unsigned long id)
{
	if (id == KVM_HOST_SMCCC_FUNC(__pkvm_init_vm))
		host_mmu.arch.mmu.vtcr = host_vtcr;
}

unsigned int kit_el2_phys_shift(struct kvm_s2_mmu *mmu)
{
	return VTCR_EL2_IPA(mmu == &host_mmu.arch.mmu && host_vtcr ? host_vtcr : mmu->vtcr);
}

static void trap(void *host_ctxt)
{
	handle_trap(host_ctxt);
}

long kit_el2_call(unsigned long id, unsigned int argc, const kit_u64 *args, unsigned long *result)
{
	struct kvm_cpu_context *host = host_data_ptr(host_ctxt);
	unsigned int i;

	memset(&host->regs, 0, sizeof(host->regs));
	cpu_reg(host, 0) = id;
	for (i = 0; i < argc; i++)
		cpu_reg(host, i + 1) = args[i];
	lend_vtcr(id);
	kit_el2_enter(trap, host);
	take_vtcr_back(id);
	*result = cpu_reg(host, 1);
	return cpu_reg(host, 0);
}

/* __pkvm_init() switches to the tables that it made, and with them to its hyp_vmemmap, which the kit has elsewhere. */
void __pkvm_init_switch_pgd(phys_addr_t pgd, unsigned long sp, void (*fn)(void))
{
	__hyp_vmemmap = kit_el2_vmemmap;
	fn();
}

/* Where __pkvm_init() ends: it leaves EL2 by an ERET. */
void __noreturn __host_enter(struct kvm_cpu_context *host_ctxt)
{
	kit_el2_leave();
}

/*
 * TLBs of stage 2. The host's own are not a VM's.
 */

static bool is_guest(struct kvm_s2_mmu *mmu)
{
	return mmu != &host_mmu.arch.mmu;
}

/* What the level hints at is the size of what is invalidated; 0 is no hint. */
static u64 hinted_size(int level)
{
	return level >= KVM_PGTABLE_FIRST_LEVEL && level <= KVM_PGTABLE_LAST_LEVEL ? kvm_granule_size(level) : 0;
}

void __kvm_tlb_flush_vmid_ipa(struct kvm_s2_mmu *mmu, phys_addr_t ipa, int level)
{
	if (is_guest(mmu))
		kit_maintenance(S2_TLBI_IPA, ipa, hinted_size(level));
}

void __kvm_tlb_flush_vmid_ipa_nsh(struct kvm_s2_mmu *mmu, phys_addr_t ipa, int level)
{
	if (is_guest(mmu))
		kit_maintenance(S2_TLBI_IPA_NSH, ipa, hinted_size(level));
}

void __kvm_tlb_flush_vmid_range(struct kvm_s2_mmu *mmu, phys_addr_t start, unsigned long pages)
{
	if (is_guest(mmu))
		kit_maintenance(S2_TLBI_RANGE, start, pages << PAGE_SHIFT);
}

void __kvm_tlb_flush_vmid(struct kvm_s2_mmu *mmu)
{
	if (is_guest(mmu))
		kit_maintenance(S2_TLBI_VMID, 0, 0);
}

void __kvm_flush_vm_context(void)
{
}

void __kvm_flush_cpu_context(struct kvm_s2_mmu *mmu)
{
}

/*
 * Frames of guests, and caches. Of EL2's own memory nothing is told.
 */

void *hyp_fixmap_map(phys_addr_t phys)
{
	return (void *)(KIT_FRAMES | phys);
}

void hyp_fixmap_unmap(void)
{
}

void *hyp_fixblock_map(phys_addr_t phys, size_t *size)
{
	*size = PAGE_SHIFT < 16 ? PMD_SIZE : PAGE_SIZE;
	return (void *)(KIT_FRAMES | phys);
}

void hyp_fixblock_unmap(void)
{
}

void dcache_clean_inval_poc(unsigned long start, unsigned long end)
{
	if (start >= KIT_FRAMES)
		kit_maintenance(S2_DCACHE_CLEAN_INVAL, start & ~KIT_FRAMES, end - start);
}

void icache_inval_pou(unsigned long start, unsigned long end)
{
	if (start >= KIT_FRAMES)
		kit_maintenance(S2_ICACHE_INVAL, start & ~KIT_FRAMES, end - start);
}

void *memset(void *to, int value, size_t size)
{
	/* What a guest's frame holds is nobody's concern. */
	return (u64)to >= KIT_FRAMES ? to : kit_memset(to, value, size);
}

void *memcpy(void *to, const void *from, size_t size)
{
	return kit_memcpy(to, from, size);
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return *a - *b;
}

int hyp_ffa_init(void *pages)
{
	/* There is no secure world. */
	return 0;
}

/*
 * Tables of guests, told as they come and go: the kernel's own functions do it.
 */

static struct kvm_pgtable_mm_ops tree_ops;

static void *told_zalloc_page(void *mc)
{
	void *page = tree_ops.zalloc_page(mc);

	if (page)
		kit_pages_are(page, S2_OBJECT_TABLE, KIT_LEVEL_UNKNOWN);
	return page;
}

static void told_put_page(void *addr)
{
	bool is_last = hyp_page_count(addr) == 1;

	tree_ops.put_page(addr);
	if (is_last)
		kit_pages_are(PTR_ALIGN_DOWN(addr, PAGE_SIZE), S2_OBJECT_POOL, 0);
}

static struct pkvm_hyp_vm *vm_of(unsigned int handle)
{
	struct pkvm_hyp_vm *vm;

	hyp_spin_lock(&vm_table_lock);
	vm = get_vm_by_handle(handle);
	hyp_spin_unlock(&vm_table_lock);
	return vm;
}

/* What was taken for the VM and its vCPUs, which is no PGD. */
static void tell_donated(void *first, u64 size)
{
	void *page;

	for (page = first; page < first + size; page += PAGE_SIZE)
		kit_pages_are(page, S2_OBJECT_OTHER, 0);
}

int kit_el2_adopt(unsigned int handle, int vcpu)
{
	struct pkvm_hyp_vm *vm = vm_of(handle);

	if (!vm)
		return 0;
	if (vm->mm_ops.zalloc_page != told_zalloc_page) {
		tree_ops = vm->mm_ops;
		vm->mm_ops.zalloc_page = told_zalloc_page;
		vm->mm_ops.put_page = told_put_page;
		tell_donated(vm, struct_size(vm, vcpus, vm->kvm.created_vcpus));
	}
	if (vm->vcpus[vcpu] && kit_pages_object(vm->vcpus[vcpu]) == S2_OBJECT_PGD)
		tell_donated(vm->vcpus[vcpu], sizeof(*vm->vcpus[vcpu]));
	return 1;
}

int kit_el2_tables(unsigned int handle, kit_u64 *pgd, unsigned int *ia_bits, int *start_level)
{
	struct pkvm_hyp_vm *vm = vm_of(handle);

	if (!vm || !vm->pgt.pgd)
		return 0;
	*pgd = (u64)vm->pgt.pgd;
	*ia_bits = vm->pgt.ia_bits;
	*start_level = vm->pgt.start_level;
	return 1;
}

void kit_el2_fault(unsigned int handle, int vcpu, u64 ipa)
{
	struct pkvm_hyp_vm *vm = vm_of(handle);
	struct kvm_vcpu_fault_info *fault;

	if (!vm || !vm->vcpus[vcpu])
		return;
	fault = &vm->vcpus[vcpu]->vcpu.arch.fault;
	fault->esr_el2 = (u64)ESR_ELx_EC_DABT_LOW << ESR_ELx_EC_SHIFT | ESR_ELx_IL | ESR_ELx_FSC_FAULT | KVM_PGTABLE_LAST_LEVEL;
	fault->far_el2 = ipa & ~PAGE_MASK;
	fault->hpfar_el2 = HPFAR_EL2_NS | FIELD_PREP(HPFAR_EL2_FIPA, ipa >> 12);
}
