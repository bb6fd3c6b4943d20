/* SPDX-License-Identifier: MIT */
/* The host's addresses are EL2's too. */
#ifndef KIT_ASM_KVM_MMU_H
#define KIT_ASM_KVM_MMU_H

#define __invalidate_icache_max_range	tree_invalidate_icache_max_range
#define __invalidate_icache_guest_page	tree_invalidate_icache_guest_page
#include_next <asm/kvm_mmu.h>
#undef __invalidate_icache_max_range
#undef __invalidate_icache_guest_page

#ifdef __KVM_NVHE_HYPERVISOR__
/* Of the host's stage 2 it is what the machine has, also while kit_el2_call() lends a VTCR for a VM that is made. */
#undef kvm_phys_shift
#define kvm_phys_shift(mmu)	kit_el2_phys_shift(mmu)
unsigned int kit_el2_phys_shift(struct kvm_s2_mmu *mmu);
#endif

#undef kern_hyp_va
#define kern_hyp_va(v)	(v)

/* By address, whatever CTR_EL0 says of how many are worth it. */
static inline void __invalidate_icache_guest_page(void *va, size_t size)
{
	icache_inval_pou((unsigned long)va, (unsigned long)va + size);
}

#endif
