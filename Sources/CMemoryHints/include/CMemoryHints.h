#ifndef CMEMORYHINTS_H
#define CMEMORYHINTS_H

/// Brings the cache line of `address` nearer, for what is read or written soon. Any address will do, also one at which
/// nothing is. Here because Swift has no such instruction.
static inline void cmemory_prefetch(const void *address) { __builtin_prefetch(address); }

#endif
