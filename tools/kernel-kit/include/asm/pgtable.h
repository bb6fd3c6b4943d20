/* SPDX-License-Identifier: MIT */
/* The array of struct page is the kit's. */
#ifndef KIT_ASM_PGTABLE_H
#define KIT_ASM_PGTABLE_H

#include_next <asm/pgtable.h>

#ifndef __ASSEMBLER__
#include <kit.h>
#undef vmemmap
#define vmemmap	((struct page *)kit_memmap - (kit_memory_start >> PAGE_SHIFT))
#endif

#endif
