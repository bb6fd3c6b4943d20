#define _DEFAULT_SOURCE
#include "CMemoryHints.h"

#include <stdlib.h>
#include <sys/mman.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

// Linux 6.1; the C library may not know it yet.
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

void cmemory_use_huge_pages(void *address, size_t size) {
  // At once, else whenever the kernel has time for it.
  if (madvise(address, size, MADV_COLLAPSE) != 0) (void)madvise(address, size, MADV_HUGEPAGE);
}

void cmemory_keep_freed(void) {
#ifdef __GLIBC__
  (void)mallopt(M_MMAP_THRESHOLD, 2 << 20);
  (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}
