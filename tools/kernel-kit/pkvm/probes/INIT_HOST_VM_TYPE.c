// SPDX-License-Identifier: MIT
/* The host says of a VM whether it is protected. */
#include <linux/kvm_host.h>
#include <asm/kvm_pkvm.h>

int (*probe)(struct kvm *kvm, unsigned long type) = pkvm_init_host_vm;
