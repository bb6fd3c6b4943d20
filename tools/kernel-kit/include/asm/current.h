/* SPDX-License-Identifier: MIT */
/* There is one task, of zeroes. */
#ifndef KIT_ASM_CURRENT_H
#define KIT_ASM_CURRENT_H

#define get_current	tree_get_current
#include_next <asm/current.h>
#undef get_current

#ifndef __ASSEMBLER__
extern unsigned char kit_current[];

static __always_inline struct task_struct *get_current(void)
{
	return (struct task_struct *)kit_current;
}
#endif

#endif
