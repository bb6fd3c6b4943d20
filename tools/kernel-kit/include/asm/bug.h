/* SPDX-License-Identifier: MIT */
#ifndef KIT_ASM_BUG_H
#define KIT_ASM_BUG_H

#include <linux/stringify.h>
#include <linux/compiler.h>
#include <kit_kernel.h>

#define HAVE_ARCH_BUG
#define BUG()		kit_panic(__FILE__, __LINE__, "BUG")
#define HAVE_ARCH_BUG_ON
/* The condition is told, unlike the kernel's. */
#define BUG_ON(condition)	do { if (unlikely(condition)) kit_panic(__FILE__, __LINE__, "BUG_ON(" #condition ")"); } while (0)

#define KIT_WARN(condition, text) ({					\
	int __ret_warn_on = !!(condition);				\
	if (unlikely(__ret_warn_on))					\
		kit_warn(__FILE__, __LINE__, text);			\
	unlikely(__ret_warn_on);					\
})
#define WARN_ON(condition)		KIT_WARN(condition, #condition)

#include <asm-generic/bug.h>

/* Each time: what a kernel prints once may happen again in the next VM. */
#undef WARN
#undef WARN_ON_ONCE
#undef WARN_ONCE
#undef WARN_TAINT
#undef WARN_TAINT_ONCE
#define WARN_ON_ONCE(condition)		KIT_WARN(condition, #condition)
#define WARN(condition, format...)	KIT_WARN(condition, #condition)
#define WARN_ONCE(condition, format...)	KIT_WARN(condition, #condition)
#define WARN_TAINT(condition, taint, format...)		KIT_WARN(condition, #condition)
#define WARN_TAINT_ONCE(condition, taint, format...)	KIT_WARN(condition, #condition)

#endif
