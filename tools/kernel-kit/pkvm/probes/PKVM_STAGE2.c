// SPDX-License-Identifier: MIT
/* The host has a stage 2 of its own for pKVM: Linux 6.14. */
#include <linux/kvm_host.h>
#include <asm/kvm_pkvm.h>

void *probe = pkvm_pgtable_stage2_unmap;
