/* SPDX-License-Identifier: MIT */
#ifndef KIT_ASM_SYSREG_H
#define KIT_ASM_SYSREG_H

#include <kit_kernel.h>
#include_next <asm/sysreg.h>

#ifndef __ASSEMBLER__
#undef read_sysreg
#undef write_sysreg
#undef read_sysreg_s
#undef write_sysreg_s
#undef write_sysreg_hcr
#undef read_sysreg_par
#define read_sysreg(r)		((u64)kit_read_sysreg(#r))
#define write_sysreg(v, r)	kit_write_sysreg(#r, (u64)(v))
#define read_sysreg_s(r)	((u64)kit_read_sysreg(#r))
#define write_sysreg_s(v, r)	kit_write_sysreg(#r, (u64)(v))
#define read_sysreg_par()	read_sysreg(par_el1)
#define write_sysreg_hcr(v)	kit_write_sysreg("hcr_el2", (u64)(v))
#endif

#endif
