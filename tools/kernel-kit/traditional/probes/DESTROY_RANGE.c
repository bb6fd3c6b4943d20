// SPDX-License-Identifier: MIT
/* Stage 2 is destroyed in chunks: Linux 6.18. */
#include <linux/kvm_host.h>
#include <asm/kvm_pgtable.h>

void *probe = kvm_pgtable_stage2_destroy_range;
