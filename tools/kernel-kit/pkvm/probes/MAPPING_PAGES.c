// SPDX-License-Identifier: MIT
/* A mapping may be a block: Linux 6.16. */
#include <linux/kvm_host.h>
#include <asm/kvm_pkvm.h>

u64 probe(struct pkvm_mapping *mapping)
{
	return mapping->nr_pages;
}
