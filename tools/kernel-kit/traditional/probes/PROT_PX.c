// SPDX-License-Identifier: MIT
/* Rights to execute at EL1 and at EL0 apart: Linux 6.19. */
#include <linux/kvm_host.h>
#include <asm/kvm_pgtable.h>

enum kvm_pgtable_prot prot = KVM_PGTABLE_PROT_PX | KVM_PGTABLE_PROT_UX;
