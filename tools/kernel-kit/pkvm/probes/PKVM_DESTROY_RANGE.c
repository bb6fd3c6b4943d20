// SPDX-License-Identifier: MIT
/* The tables are destroyed in chunks: Linux 6.18. */
#include <linux/kvm_host.h>
#include <asm/kvm_pkvm.h>

void *probe = pkvm_pgtable_stage2_destroy_range;
