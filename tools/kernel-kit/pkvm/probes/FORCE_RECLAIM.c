// SPDX-License-Identifier: MIT
/* A page can be taken from a protected guest. */
#include <linux/kvm_host.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_pkvm.h>

void *probe = pkvm_force_reclaim_guest_page;
