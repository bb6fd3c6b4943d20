// SPDX-License-Identifier: MIT
/* kvm_pgtable_stage2_mkyoung() is told how to walk: Linux 6.14. */
#include <linux/kvm_host.h>
#include <asm/kvm_pgtable.h>

void probe(struct kvm_pgtable *pgt)
{
	kvm_pgtable_stage2_mkyoung(pgt, 0, KVM_PGTABLE_WALK_SHARED);
}
