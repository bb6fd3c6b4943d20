/* SPDX-License-Identifier: MIT */
/* EL2 has no image: its sections are empty, and lie where its memory begins. */
#ifndef KIT_ASM_SECTIONS_H
#define KIT_ASM_SECTIONS_H

#include_next <asm/sections.h>

#ifdef __KVM_NVHE_HYPERVISOR__
extern char *kit_el2_image;
#define __hyp_idmap_text_start	kit_el2_image
#define __hyp_idmap_text_end	kit_el2_image
#define __hyp_text_start	kit_el2_image
#define __hyp_text_end		kit_el2_image
#define __hyp_data_start	kit_el2_image
#define __hyp_data_end		kit_el2_image
#define __hyp_rodata_start	kit_el2_image
#define __hyp_rodata_end	kit_el2_image
#define __hyp_bss_start		kit_el2_image
#define __hyp_bss_end		kit_el2_image
#endif

#endif
