// SPDX-License-Identifier: MIT
/* A mapping says whether it is cacheable. */
#include <linux/kvm_host.h>
#include <asm/kvm_pkvm.h>

u64 probe(struct pkvm_mapping *mapping)
{
	return mapping->nc;
}
