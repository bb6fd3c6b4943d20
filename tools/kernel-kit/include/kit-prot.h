/* SPDX-License-Identifier: MIT */
/* The interface's numbers for rights and for how a walk is done, as the tree has them. */
#ifndef KIT_PROT_H
#define KIT_PROT_H

#include <asm/kvm_pgtable.h>
#include <kit-probes.h>

#include "stage2_backend.h"

/* Whether the tree has the rights of EL1 and EL0 apart or as one, of which half cannot be given. */
static inline int to_prot(u64 from, enum kvm_pgtable_prot *to)
{
	u64 prot = 0;

#ifdef KIT_HAS_PROT_PX
	prot |= from & S2_PROT_PX ? KVM_PGTABLE_PROT_PX : 0;
	prot |= from & S2_PROT_UX ? KVM_PGTABLE_PROT_UX : 0;
#else
	if (!(from & S2_PROT_PX) != !(from & S2_PROT_UX))
		return -EINVAL;
	prot |= from & S2_PROT_PX ? KVM_PGTABLE_PROT_X : 0;
#endif
	prot |= from & S2_PROT_W ? KVM_PGTABLE_PROT_W : 0;
	prot |= from & S2_PROT_R ? KVM_PGTABLE_PROT_R : 0;
	prot |= from & S2_PROT_DEVICE ? KVM_PGTABLE_PROT_DEVICE : 0;
	prot |= from & S2_PROT_NORMAL_NC ? KVM_PGTABLE_PROT_NORMAL_NC : 0;
	prot |= from & S2_PROT_SW0 ? KVM_PGTABLE_PROT_SW0 : 0;
	prot |= from & S2_PROT_SW1 ? KVM_PGTABLE_PROT_SW1 : 0;
	prot |= from & S2_PROT_SW2 ? KVM_PGTABLE_PROT_SW2 : 0;
	prot |= from & S2_PROT_SW3 ? KVM_PGTABLE_PROT_SW3 : 0;
	*to = prot;
	return 0;
}

static inline enum kvm_pgtable_walk_flags to_walk_flags(u32 from)
{
	u32 flags = from & S2_WALK_SHARED ? KVM_PGTABLE_WALK_SHARED : 0;

#ifdef KIT_HAS_HANDLE_FAULT
	flags |= from & S2_WALK_FAULT ? KVM_PGTABLE_WALK_HANDLE_FAULT : 0;
#endif
	return flags;
}

#endif
