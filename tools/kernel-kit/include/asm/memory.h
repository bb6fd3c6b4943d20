/* SPDX-License-Identifier: MIT */
/* A physical address is the virtual one. */
#ifndef KIT_ASM_MEMORY_H
#define KIT_ASM_MEMORY_H

#include_next <asm/memory.h>

#ifndef __ASSEMBLER__
#undef __virt_to_phys_nodebug
#undef __virt_to_phys
#undef __phys_to_virt
#undef __pa
#undef __pa_nodebug
#undef __va
#undef page_to_virt
#undef virt_to_page
#undef virt_addr_valid
#define __virt_to_phys_nodebug(x)	((phys_addr_t)(x))
#define __virt_to_phys(x)		((phys_addr_t)(x))
#define __phys_to_virt(x)		((unsigned long)(x))
#define __pa(x)				((phys_addr_t)(unsigned long)(x))
#define __pa_nodebug(x)			__pa(x)
#define __va(x)				((void *)(unsigned long)(x))
#define virt_to_pfn(x)			((unsigned long)(x) >> PAGE_SHIFT)
#define page_to_virt(page)		((void *)(page_to_pfn(page) << PAGE_SHIFT))
#define virt_to_page(x)			pfn_to_page(virt_to_pfn(x))
#define virt_addr_valid(x)		true

/* Other names of functions, not macros with arguments: struct kvm_pgtable_mm_ops has members of these names. */
static inline phys_addr_t kit_virt_to_phys(const volatile void *x)
{
	return (phys_addr_t)x;
}

static inline void *kit_phys_to_virt(phys_addr_t x)
{
	return (void *)x;
}
#undef virt_to_phys
#undef phys_to_virt
#define virt_to_phys	kit_virt_to_phys
#define phys_to_virt	kit_phys_to_virt
#endif

#endif
