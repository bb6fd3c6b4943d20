/* SPDX-License-Identifier: MIT */
/* One thread calls: to take a lock twice is a deadlock, and is told as one. */
#ifndef KIT_NVHE_SPINLOCK_H
#define KIT_NVHE_SPINLOCK_H

#include <asm/bug.h>

#define hyp_spin_lock		tree_hyp_spin_lock
#define hyp_spin_unlock		tree_hyp_spin_unlock
#include_next <nvhe/spinlock.h>
#undef hyp_spin_lock
#undef hyp_spin_unlock

static inline void hyp_spin_lock(hyp_spinlock_t *lock)
{
	BUG_ON(hyp_spin_is_locked(lock));
	lock->next++;
}

static inline void hyp_spin_unlock(hyp_spinlock_t *lock)
{
	BUG_ON(!hyp_spin_is_locked(lock));
	lock->owner++;
}

#endif
