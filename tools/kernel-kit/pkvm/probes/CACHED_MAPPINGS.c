// SPDX-License-Identifier: MIT
/* The tree of mappings is an interval tree: Linux 6.16. */
#include <linux/kvm_host.h>
#include <asm/kvm_pkvm.h>

struct rb_node *probe(struct kvm_pgtable *pgt)
{
	return pgt->pkvm_mappings.rb_root.rb_node;
}
