// SPDX-License-Identifier: MIT
/* A walker is told that a fault is handled. */
#include <linux/kvm_host.h>
#include <asm/kvm_pgtable.h>

enum kvm_pgtable_walk_flags flags = KVM_PGTABLE_WALK_HANDLE_FAULT;
