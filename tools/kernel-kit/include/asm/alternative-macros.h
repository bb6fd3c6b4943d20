/* SPDX-License-Identifier: MIT */
/* Alternatives are not patched: the machine is asked each time. */
#ifndef KIT_ASM_ALTERNATIVE_MACROS_H
#define KIT_ASM_ALTERNATIVE_MACROS_H

#include <kit_kernel.h>

#define alternative_has_cap_likely	tree_alternative_has_cap_likely
#define alternative_has_cap_unlikely	tree_alternative_has_cap_unlikely
#include_next <asm/alternative-macros.h>
#undef alternative_has_cap_likely
#undef alternative_has_cap_unlikely

/* Of an alternative that is an instruction, the one of a machine without the capability is left. */
#undef ALTERNATIVE
#undef ALTERNATIVE_CB
#define ALTERNATIVE(oldinstr, newinstr, ...)	oldinstr
#define ALTERNATIVE_CB(oldinstr, cap, cb)	oldinstr

static __always_inline bool alternative_has_cap_likely(const unsigned long cap)
{
	return cpucap_is_possible(cap) && kit_has_cap(cap);
}

static __always_inline bool alternative_has_cap_unlikely(const unsigned long cap)
{
	return cpucap_is_possible(cap) && kit_has_cap(cap);
}

#endif
