// SPDX-License-Identifier: MIT
/*
 * The machine as the configuration of a VM describes it: capabilities, registers, and maintenance. The tree's headers say how
 * they are called.
 */
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/kvm_asm.h>
#include <asm/kvm_pgtable.h>

#include "kit-vm.h"

static u64 feature_of(unsigned long cap)
{
	switch (cap) {
	case ARM64_HAS_STAGE2_FWB:
		return S2_FEATURE_FWB;
	case ARM64_HAS_TLB_RANGE:
		return S2_FEATURE_TLB_RANGE;
#ifdef ARM64_HAS_XNX
	case ARM64_HAS_XNX:
		return S2_FEATURE_XNX;
#endif
#ifdef ARM64_HAS_LPA2
	case ARM64_HAS_LPA2:
		/* Pages of 64K have their 52 bits without it. */
		return PAGE_SHIFT == 16 ? 0 : S2_FEATURE_LPA2;
#endif
	case ARM64_HAS_CACHE_DIC:
		return S2_FEATURE_DIC;
#ifdef ARM64_HAS_BBML2_NOABORT
	case ARM64_HAS_BBML2_NOABORT:
		return S2_FEATURE_BBML2;
#endif
#ifdef ARM64_HAS_BBML3
	/* Level 2 and no aborts, under another name. */
	case ARM64_HAS_BBML3:
		return S2_FEATURE_BBML2;
#endif
	default:
		return 0;
	}
}

bool kit_has_cap(unsigned long cap)
{
	u64 feature = feature_of(cap);

	/* A configuration that rules one out would hide it. */
	BUILD_BUG_ON(!cpucap_is_possible(ARM64_HAS_STAGE2_FWB) || !cpucap_is_possible(ARM64_HAS_TLB_RANGE) ||
		     !cpucap_is_possible(ARM64_HAS_CACHE_DIC));
	if (feature)
		return kit_has_feature(feature);
	switch (cap) {
	case ARM64_ALWAYS_BOOT:
	case ARM64_ALWAYS_SYSTEM:
		return true;
	/* The host runs at EL2 unless that is pKVM's. */
	case ARM64_HAS_VIRT_HOST_EXTN:
		return kit_vm->config.path == S2_PATH_TRADITIONAL;
	case ARM64_KVM_PROTECTED_MODE:
		return kit_vm->config.path == S2_PATH_PKVM;
	default:
		return false;
	}
}

/* Whether descriptors are laid out for 52 bits in pages of 4K and 16K. */
bool kit_has_lpa2(void)
{
#ifdef ARM64_HAS_LPA2
	return kit_has_cap(ARM64_HAS_LPA2);
#else
	return false;
#endif
}

/* Address sizes as the PARange and IPA fields number them. */
static u64 parange(unsigned int bits)
{
	static const u8 sizes[] = { 32, 36, 40, 42, 44, 48, 52 };
	int i;

	for (i = ARRAY_SIZE(sizes) - 1; i > 0 && sizes[i] > bits; i--)
		;
	return i;
}

u64 read_sanitised_ftr_reg(u32 id)
{
	switch (id) {
	case SYS_ID_AA64MMFR0_EL1:
		return parange(kit_vm->config.pa_bits) << ID_AA64MMFR0_EL1_PARANGE_SHIFT;
	case SYS_ID_AA64MMFR1_EL1:
		return ID_AA64MMFR1_EL1_VMIDBits_16 << ID_AA64MMFR1_EL1_VMIDBits_SHIFT;
	default:
		return 0;
	}
}

/* As kvm_set_ipa_limit() computes it. */
u32 get_kvm_ipa_limit(void)
{
	return min_t(u32, kit_vm->config.pa_bits, PAGE_SHIFT == 16 || kit_has_lpa2() ? 52 : 48);
}

void __kvm_tlb_flush_vmid(struct kvm_s2_mmu *mmu)
{
	kit_maintenance(S2_TLBI_VMID, 0, 0);
}

/* What the level hints at is the size of what is invalidated; 0 is no hint. */
static u64 hinted_size(int level)
{
	return level >= -1 && level <= 3 ? kvm_granule_size(level) : 0;
}

void __kvm_tlb_flush_vmid_ipa(struct kvm_s2_mmu *mmu, phys_addr_t ipa, int level)
{
	kit_maintenance(S2_TLBI_IPA, ipa, hinted_size(level));
}

void __kvm_tlb_flush_vmid_ipa_nsh(struct kvm_s2_mmu *mmu, phys_addr_t ipa, int level)
{
	kit_maintenance(S2_TLBI_IPA_NSH, ipa, hinted_size(level));
}

void __kvm_tlb_flush_vmid_range(struct kvm_s2_mmu *mmu, phys_addr_t start, unsigned long pages)
{
	kit_maintenance(S2_TLBI_RANGE, start, pages << PAGE_SHIFT);
}

/* Guests' frames are known by their physical addresses, which are the virtual ones here. */
void dcache_clean_inval_poc(unsigned long start, unsigned long end)
{
	kit_maintenance(S2_DCACHE_CLEAN_INVAL, start, end - start);
}

void caches_clean_inval_pou(unsigned long start, unsigned long end)
{
	kit_maintenance(S2_ICACHE_INVAL, start, end - start);
}

void icache_inval_pou(unsigned long start, unsigned long end)
{
	/* As the function's first instructions. */
	if (!kit_has_feature(S2_FEATURE_DIC))
		kit_maintenance(S2_ICACHE_INVAL, start, end - start);
}

void kit_page_references(void *memory, int count)
{
	struct page *page = virt_to_page(memory);

	BUILD_BUG_ON(sizeof(*page) > KIT_STRUCT_PAGE);
	memset(page, 0, sizeof(*page));
	atomic_set(&page->_mapcount, -1);
	set_page_count(page, count);
}

void *kit_page_memory(void *page)
{
	return page_to_virt((struct page *)page);
}
