// SPDX-License-Identifier: MIT
/* kvm_pgtable_stage2_relax_perms() is told how to walk: Linux 6.14. */
#include <linux/kvm_host.h>
#include <asm/kvm_pgtable.h>

int probe(struct kvm_pgtable *pgt)
{
	return kvm_pgtable_stage2_relax_perms(pgt, 0, KVM_PGTABLE_PROT_R, KVM_PGTABLE_WALK_SHARED);
}
