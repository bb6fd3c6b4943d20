#define _DEFAULT_SOURCE
#include "CMemoryHints.h"

#include <sys/mman.h>

// Linux 6.1; the C library may not know it yet.
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

void cmemory_use_huge_pages(void *address, size_t size) {
  // At once, else whenever the kernel has time for it.
  if (madvise(address, size, MADV_COLLAPSE) != 0) (void)madvise(address, size, MADV_HUGEPAGE);
}
