// SPDX-License-Identifier: MIT
/* EL2 is told of a vCPU apart from the VM. */
#include <linux/kvm_host.h>
#include <asm/kvm_pkvm.h>

void *probe = pkvm_create_hyp_vcpu;
