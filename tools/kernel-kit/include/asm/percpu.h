/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU variables in a section whose ends the linker names, so that each CPU can be given a copy.
 * EL2's and the host's are apart: symbols of EL2's part are prefixed.
 */
#ifndef KIT_ASM_PERCPU_H
#define KIT_ASM_PERCPU_H

#include <kit_kernel.h>
#include <linux/preempt.h>
#include <asm/alternative.h>
#include <asm/cmpxchg.h>
#include <asm/stack_pointer.h>
#include <asm/sysreg.h>

#ifdef __KVM_NVHE_HYPERVISOR__
#define PER_CPU_BASE_SECTION	"kit_percpu"
#define __my_cpu_offset		kit_cpu_offset
#else
#define __my_cpu_offset		0UL
#endif
#define set_my_cpu_offset(offset)	do { } while (0)

#include <asm-generic/percpu.h>

#endif
