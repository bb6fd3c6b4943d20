#ifndef CTREEBENCH_H
#define CTREEBENCH_H

#include <stdint.h>

/*
 * The mapping trees once more, with pointers and one malloc() a node: what tree-bench compares the
 * model's trees with. Written for this comparison; used by nothing else.
 */

struct ctb_tree;
struct ctb_node;

/* interval: augmented by the last frame of each subtree. */
struct ctb_tree *ctb_create(int interval);
void ctb_destroy(struct ctb_tree *tree);

void ctb_insert(struct ctb_tree *tree, uint64_t gfn, uint64_t pfn, uint32_t pages);

/* The first node that overlaps first..last, and the next one after a node. */
struct ctb_node *ctb_iter_first(struct ctb_tree *tree, uint64_t first, uint64_t last);
struct ctb_node *ctb_iter_next(struct ctb_tree *tree, struct ctb_node *node, uint64_t first, uint64_t last);

uint64_t ctb_gfn(const struct ctb_node *node);

void ctb_remove(struct ctb_tree *tree, struct ctb_node *node);

/* After everything was freed: malloc() goes through the memory in the order of addresses again. */
void ctb_straighten_heap(void);

/* Bytes that malloc() has handed out. */
uint64_t ctb_heap_bytes(void);

/* CPU time of the calling thread. */
uint64_t ctb_cpu_nanoseconds(void);

#endif
