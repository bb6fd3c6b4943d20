/* SPDX-License-Identifier: MIT */
/* A hypercall of the host's is a call, by number, into EL2's own table of handlers. */
#ifndef KIT_ASM_KVM_HOST_H
#define KIT_ASM_KVM_HOST_H

#include <kit_kernel.h>
#include_next <asm/kvm_host.h>

#ifndef __KVM_NVHE_HYPERVISOR__
#undef kvm_call_hyp_nvhe

#define KIT_ARG_0()
#define KIT_ARG_1(a)			(u64)(a)
#define KIT_ARG_2(a, rest...)		(u64)(a), KIT_ARG_1(rest)
#define KIT_ARG_3(a, rest...)		(u64)(a), KIT_ARG_2(rest)
#define KIT_ARG_4(a, rest...)		(u64)(a), KIT_ARG_3(rest)
#define KIT_ARG_5(a, rest...)		(u64)(a), KIT_ARG_4(rest)
#define KIT_ARG_6(a, rest...)		(u64)(a), KIT_ARG_5(rest)
#define KIT_ARG_7(a, rest...)		(u64)(a), KIT_ARG_6(rest)
#define KIT_PICK(_0, _1, _2, _3, _4, _5, _6, _7, n, rest...)	n
#define KIT_COUNT(args...)		KIT_PICK(_, ##args, 7, 6, 5, 4, 3, 2, 1, 0)
#define KIT_PASTE_(a, b)		a##b
#define KIT_PASTE(a, b)			KIT_PASTE_(a, b)

/* As the tree's, with the name for whoever looks on. */
#define kvm_call_hyp_nvhe(f, args...) ({						\
	u64 __args[KIT_COUNT(args) + 1] = { KIT_PASTE(KIT_ARG_, KIT_COUNT(args))(args) };	\
	unsigned long __a1 = 0;								\
											\
	if (WARN_ON(kit_call_el2(KVM_HOST_SMCCC_FUNC(f), #f, KIT_COUNT(args), __args, &__a1) != SMCCC_RET_SUCCESS))	\
		__a1 = -EOPNOTSUPP;							\
	__a1;										\
})

/* The path without pKVM is VHE's: what runs at EL2 is called. */
#undef kvm_call_hyp
#undef kvm_call_hyp_ret
#define kvm_call_hyp(f, args...)	f(args)
#define kvm_call_hyp_ret(f, args...)	f(args)
#endif

#endif
