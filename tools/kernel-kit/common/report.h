/* SPDX-License-Identifier: MIT */
/*
 * What the host is told of memory. The result is the number of the event, for its level to be said when it is known.
 */
#ifndef PKVM_REPLAY_KIT_REPORT_H
#define PKVM_REPLAY_KIT_REPORT_H

#include <setjmp.h>

#include "kit.h"

long kit_memory(int object, int level, long long count, kit_u64 size);
void kit_memory_level(long event, int level);

/* Where kit_panic() goes: the call of the interface that is under way. */
extern jmp_buf *kit_stop;

#endif
