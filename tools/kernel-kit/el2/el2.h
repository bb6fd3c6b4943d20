/* SPDX-License-Identifier: MIT */
/*
 * EL2 as the host's side of the kit sees it. EL2's C is linked apart, its symbols prefixed as arch/arm64/kvm/hyp/nvhe/Makefile does; these keep
 * their names.
 */
#ifndef PKVM_REPLAY_EL2_H
#define PKVM_REPLAY_EL2_H

#include "kit.h"

/* EL2's own memory, for which setup.c makes tables and of which most is never used, and the array of struct hyp_page. */
extern kit_u64 kit_el2_memory, kit_el2_vmemmap;
#define KIT_EL2_MEMORY_SIZE	(1ULL << (22 + KIT_PAGE_SHIFT))
/* The bits of EL2's addresses, which put what is private at EL2 where neither it nor the host has memory. */
#define KIT_EL2_VA_BITS		48
/* Where frames of guests are mapped: nowhere. Such an address is told, and never touched. */
#define KIT_FRAMES		0xffff000000000000ULL
/* VMs at a time, each with a CPU of its own. CPU 0 is the one that starts EL2. */
#define KIT_EL2_CPUS		256

/* space.c: 0, or -1 with the reason in *why. The second gives back all that EL2 has written: it can be started anew. */
int kit_el2_reserve(unsigned int pa_bits, const char **why);
void kit_el2_forget(void);
void *kit_el2_take(kit_u64 size);

/* Calls a function, which returns or leaves. */
void kit_el2_enter(void (*function)(void *argument), void *argument);
void kit_el2_leave(void) __attribute__((__noreturn__));
/* libc's. */
void *kit_memset(void *to, int value, unsigned long size);
void *kit_memcpy(void *to, const void *from, unsigned long size);

/* machine.c, which is EL2's. The CPU that calls from now on. */
void kit_el2_start(void);
void kit_el2_set_cpu(unsigned int cpu);
/* Where its per-CPU variables are. */
kit_u64 kit_el2_percpu_base(unsigned int cpu);
/* The ID registers, and the bits of an IPA, of VMs that are made from now on. */
void kit_el2_set_ipa(kit_u64 mmfr0, kit_u64 mmfr1, unsigned int bits);
/* A vCPU has left its guest by a translation fault at an IPA. */
void kit_el2_fault(unsigned int handle, int vcpu, kit_u64 ipa);
/* HVC: x0 of the answer, and x1. */
long kit_el2_call(unsigned long id, unsigned int argc, const kit_u64 *args, unsigned long *result);
/* A VM and a vCPU that EL2 has made: their memory is told from now on. 0 if there is no such VM. */
int kit_el2_adopt(unsigned int handle, int vcpu);
/* Its stage 2: 0 if there is no such VM. */
int kit_el2_tables(unsigned int handle, kit_u64 *pgd, unsigned int *ia_bits, int *start_level);

#endif
