#ifndef CMEMORYHINTS_H
#define CMEMORYHINTS_H

#include <stddef.h>

/// Brings the cache line of `address` nearer, for what is read or written soon. Any address will do, also one at which
/// nothing is. Here because Swift has no such instruction.
static inline void cmemory_prefetch(const void *address) { __builtin_prefetch(address); }

/// Asks the system to back `size` bytes at `address`, both multiples of the size of a huge page, by huge pages: what is
/// read here and there then misses the TLB less often. Where it does not, nothing changes.
void cmemory_use_huge_pages(void *address, size_t size);

/// Keeps memory that is freed for what is allocated next, in pieces of up to 2 MiB. Otherwise all but small pieces go back to the
/// system, which has to clear what it hands out again: arrays that grow, and each of several replays, then begin with fresh pages.
void cmemory_keep_freed(void);

#endif
