/* SPDX-License-Identifier: MIT */
/* The path of pKVM on the host's side: start.c starts EL2 and calls it, host.c has VMs and the functions of the interface. */
#ifndef PKVM_REPLAY_PKVM_H
#define PKVM_REPLAY_PKVM_H

#include <linux/kvm_host.h>

#include "kit-vm.h"
#include "el2.h"

struct pkvm {
	struct kvm *kvm;
	unsigned int cpu;	/* of EL2: each VM has its own, so that each can have a vCPU loaded */
	int loaded;		/* vCPU, -1: none */
	bool is_silent;		/* hypercalls are not told, as they are not before there is a VM */
	struct kvm_vcpu *vcpus[];
};

static inline struct pkvm *state_of(struct s2_vm *vm)
{
	return vm->state;
}

/* EL2 runs on the machine of a VM's configuration: 0, or -1 with the reason in *why. It is started anew when there are no VMs of another. */
int prepare_el2(struct s2_vm *vm, const char **why);
/* For good: its locks are taken, and its tables half done. */
bool el2_has_panicked(void);

/* The CPU of one more VM, 0 if there is none; and one VM less, which may have left EL2 in a state that nobody knows. */
unsigned int enter_machine(void);
void leave_machine(unsigned int cpu, bool is_broken);

#endif
