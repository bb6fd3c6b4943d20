/* SPDX-License-Identifier: MIT */
/* One thread calls: an exchange needs no exclusive access. */
#ifndef KIT_ASM_CMPXCHG_H
#define KIT_ASM_CMPXCHG_H

#include <linux/types.h>
#include <linux/compiler.h>
#include <asm/barrier.h>

#define arch_xchg(ptr, new) ({						\
	typeof(ptr) __ptr = (ptr);					\
	typeof(*__ptr) __old = *__ptr;					\
	*__ptr = (typeof(*__ptr))(new);					\
	__old;								\
})
#define arch_cmpxchg(ptr, old, new) ({					\
	typeof(ptr) __ptr = (ptr);					\
	typeof(*__ptr) __was = *__ptr;					\
	if (__was == (typeof(*__ptr))(old))				\
		*__ptr = (typeof(*__ptr))(new);				\
	__was;								\
})
#define arch_cmpxchg_local	arch_cmpxchg
#define arch_cmpxchg64		arch_cmpxchg
#define arch_cmpxchg64_local	arch_cmpxchg
#define arch_cmpxchg128		arch_cmpxchg
#define arch_cmpxchg128_local	arch_cmpxchg

#endif
