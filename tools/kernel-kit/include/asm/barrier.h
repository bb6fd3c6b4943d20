/* SPDX-License-Identifier: MIT */
/* One thread calls: a barrier is one for the compiler. */
#ifndef KIT_ASM_BARRIER_H
#define KIT_ASM_BARRIER_H

#include <linux/compiler.h>

#define __nops(n)
#define nops(n)		barrier()
#define sev()		barrier()
#define wfe()		barrier()
#define wfi()		barrier()
#define isb()		barrier()
#define dmb(opt)	barrier()
#define dsb(opt)	barrier()
#define psb_csync()	barrier()
#define tsb_csync()	barrier()
#define csdb()		barrier()
#define dgh()		barrier()
#define spec_bar()	barrier()
#define gsb_ack()	barrier()
#define gsb_sys()	barrier()
#define pmr_sync()	do {} while (0)
#define arch_counter_enforce_ordering(value)	do { (void)(value); } while (0)
#define array_index_mask_nospec(index, size)	((index) < (size) ? ~0UL : 0UL)

#include <asm-generic/barrier.h>

#endif
