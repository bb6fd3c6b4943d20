/* SPDX-License-Identifier: MIT */
/* TLB invalidations of EL2's own stage 1 have no effect; those of stage 2 are functions of machine.c. */
#ifndef KIT_ASM_TLBFLUSH_H
#define KIT_ASM_TLBFLUSH_H

#include <linux/bitfield.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <linux/mmu_notifier.h>
#include <asm/cputype.h>
#include <asm/mmu.h>

/* Nothing is left of what is never reached; its operands are checked still. */
#define asm	while (0) __asm__
#include_next <asm/tlbflush.h>
#undef asm

#undef __TLBI_0
#undef __TLBI_1
#define __TLBI_0(op, arg)	do { } while (0)
#define __TLBI_1(op, arg)	do { (void)(arg); } while (0)

#endif
