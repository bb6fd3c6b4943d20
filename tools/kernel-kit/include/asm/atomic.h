/* SPDX-License-Identifier: MIT */
#ifndef KIT_ASM_ATOMIC_H
#define KIT_ASM_ATOMIC_H

#include <linux/types.h>
#include <asm/cmpxchg.h>
#include <asm-generic/atomic.h>

#define ATOMIC64_INIT(i)		{ (i) }
#define arch_atomic64_read(v)		READ_ONCE((v)->counter)
#define arch_atomic64_set(v, i)		WRITE_ONCE((v)->counter, (i))

#define KIT_ATOMIC64(op, c_op)							\
static inline void arch_atomic64_##op(s64 i, atomic64_t *v) { v->counter = v->counter c_op i; }	\
static inline s64 arch_atomic64_fetch_##op(s64 i, atomic64_t *v)		\
{										\
	s64 old = v->counter;							\
										\
	v->counter = old c_op i;						\
	return old;								\
}
#define KIT_ATOMIC64_RETURN(op, c_op)						\
	KIT_ATOMIC64(op, c_op)							\
static inline s64 arch_atomic64_##op##_return(s64 i, atomic64_t *v) { return v->counter = v->counter c_op i; }

KIT_ATOMIC64_RETURN(add, +)
KIT_ATOMIC64_RETURN(sub, -)
KIT_ATOMIC64(and, &)
KIT_ATOMIC64(or, |)
KIT_ATOMIC64(xor, ^)
#define arch_atomic64_fetch_add		arch_atomic64_fetch_add
#define arch_atomic64_fetch_sub		arch_atomic64_fetch_sub
#define arch_atomic64_fetch_and		arch_atomic64_fetch_and
#define arch_atomic64_fetch_or		arch_atomic64_fetch_or
#define arch_atomic64_fetch_xor		arch_atomic64_fetch_xor
#define arch_atomic64_add_return	arch_atomic64_add_return
#define arch_atomic64_sub_return	arch_atomic64_sub_return

static inline s64 arch_atomic64_xchg(atomic64_t *v, s64 new) { return arch_xchg(&v->counter, new); }
static inline s64 arch_atomic64_cmpxchg(atomic64_t *v, s64 old, s64 new) { return arch_cmpxchg(&v->counter, old, new); }
#define arch_atomic64_xchg		arch_atomic64_xchg
#define arch_atomic64_cmpxchg		arch_atomic64_cmpxchg

#endif
