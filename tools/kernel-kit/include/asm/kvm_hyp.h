/* SPDX-License-Identifier: MIT */
#ifndef KIT_ASM_KVM_HYP_H
#define KIT_ASM_KVM_HYP_H

#include_next <asm/kvm_hyp.h>

#undef read_sysreg_elx
#undef write_sysreg_elx
#define read_sysreg_elx(r, nvh, vh)		((u64)kit_read_sysreg(#r #nvh))
#define write_sysreg_elx(v, r, nvh, vh)		kit_write_sysreg(#r #nvh, (u64)(v))

#endif
