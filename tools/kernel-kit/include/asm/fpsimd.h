/* SPDX-License-Identifier: MIT */
/* Floating-point registers are not kept. */
#ifndef KIT_ASM_FPSIMD_H
#define KIT_ASM_FPSIMD_H

#include <asm/errno.h>
#include <asm/percpu.h>
#include <asm/ptrace.h>
#include <asm/processor.h>
#include <asm/sigcontext.h>
#include <asm/sysreg.h>
#include <linux/bitmap.h>
#include <linux/build_bug.h>
#include <linux/bug.h>
#include <linux/cache.h>
#include <linux/init.h>
#include <linux/instrumented.h>
#include <linux/stddef.h>

/* Nothing is left of what is never reached; its operands are checked still. */
#define asm	while (0) __asm__
#include_next <asm/fpsimd.h>
#undef asm

#endif
