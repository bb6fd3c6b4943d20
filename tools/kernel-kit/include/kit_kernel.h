/* SPDX-License-Identifier: MIT */
/* What the tree's C, compiled natively, needs instead of arm64's instructions. Included by the wrappers of the tree's headers. */
#ifndef KIT_KERNEL_H
#define KIT_KERNEL_H

#include <kit.h>

/* Of the machine: whether it has a capability (ARM64_*), and what a system register holds, by its name in the source. */
_Bool kit_has_cap(unsigned long cap);
unsigned long long kit_read_sysreg(const char *name);
void kit_write_sysreg(const char *name, unsigned long long value);

/* How far this CPU's per-CPU variables are from the section's: set by what says which CPU calls. */
extern unsigned long kit_cpu_offset;

/* The host calls EL2: x0 of the answer, x1 in *result. */
long kit_call_el2(unsigned long id, const char *name, unsigned int argc, const unsigned long long *args, unsigned long *result);

#endif
