/*
 * Red-black tree and interval tree with pointers.
 *
 * Both sides of every case are written out, as C code of this kind is: links are named left and right, the
 * colour is bit 0 of the parent pointer, 1 for black.
 */
#include "ctreebench.h"

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#define BLACK 1ul

struct ctb_node {
	uintptr_t parent_color;
	struct ctb_node *right;
	struct ctb_node *left;
	uint64_t gfn;
	uint64_t pfn;
	uint64_t pages;
	uint64_t subtree_last;
};

/* The plain tree's nodes end before pages: 40 bytes, the interval tree's have 56. */
#define PLAIN_SIZE offsetof(struct ctb_node, pages)

struct ctb_tree {
	struct ctb_node *root;
	struct ctb_node *leftmost;
	int interval;
};

static inline struct ctb_node *parent_of(const struct ctb_node *n)
{
	return (struct ctb_node *)(n->parent_color & ~3ul);
}

static inline int is_red(const struct ctb_node *n)
{
	return n && !(n->parent_color & BLACK);
}

static inline void set_parent(struct ctb_node *n, struct ctb_node *p)
{
	n->parent_color = (uintptr_t)p | (n->parent_color & BLACK);
}

static inline void set_parent_color(struct ctb_node *n, struct ctb_node *p, uintptr_t color)
{
	n->parent_color = (uintptr_t)p | color;
}

static inline uint64_t node_last(const struct ctb_node *n)
{
	return n->gfn + n->pages - 1;
}

static inline uint64_t compute_last(const struct ctb_node *n)
{
	uint64_t last = node_last(n);

	if (n->left && n->left->subtree_last > last)
		last = n->left->subtree_last;
	if (n->right && n->right->subtree_last > last)
		last = n->right->subtree_last;
	return last;
}

/* The augmentation as compile-time alternatives: every function below is inlined into two copies. */
#define AUG static inline __attribute__((always_inline))

AUG void propagate(int interval, struct ctb_node *n, const struct ctb_node *stop)
{
	if (!interval)
		return;
	while (n != stop) {
		uint64_t last = compute_last(n);

		if (n->subtree_last == last)
			return;
		n->subtree_last = last;
		n = parent_of(n);
	}
}

AUG void augment_copy(int interval, const struct ctb_node *from, struct ctb_node *to)
{
	if (interval)
		to->subtree_last = from->subtree_last;
}

AUG void augment_rotate(int interval, struct ctb_node *from, struct ctb_node *to)
{
	if (interval) {
		to->subtree_last = from->subtree_last;
		from->subtree_last = compute_last(from);
	}
}

static inline void change_child(struct ctb_tree *t, struct ctb_node *old, struct ctb_node *new, struct ctb_node *parent)
{
	if (!parent)
		t->root = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
}

static inline void rotate_parents(struct ctb_tree *t, struct ctb_node *old, struct ctb_node *new, uintptr_t color)
{
	struct ctb_node *parent = parent_of(old);

	new->parent_color = old->parent_color;
	set_parent_color(old, new, color);
	change_child(t, old, new, parent);
}

AUG void fix_insert(int iv, struct ctb_tree *t, struct ctb_node *n)
{
	struct ctb_node *p = parent_of(n), *g, *u, *c;

	for (;;) {
		if (!p) {
			set_parent_color(n, NULL, BLACK);
			return;
		}
		if (!is_red(p))
			return;
		g = parent_of(p);
		if (p == g->left) {
			u = g->right;
			if (is_red(u)) {
				set_parent_color(u, g, BLACK);
				set_parent_color(p, g, BLACK);
				n = g;
				p = parent_of(n);
				set_parent_color(n, p, 0);
				continue;
			}
			c = p->right;
			if (c == n) {
				c = n->left;
				p->right = c;
				n->left = p;
				if (c)
					set_parent_color(c, p, BLACK);
				set_parent_color(p, n, 0);
				augment_rotate(iv, p, n);
				p = n;
				c = n->right;
			}
			g->left = c;
			p->right = g;
		} else {
			u = g->left;
			if (is_red(u)) {
				set_parent_color(u, g, BLACK);
				set_parent_color(p, g, BLACK);
				n = g;
				p = parent_of(n);
				set_parent_color(n, p, 0);
				continue;
			}
			c = p->left;
			if (c == n) {
				c = n->right;
				p->left = c;
				n->right = p;
				if (c)
					set_parent_color(c, p, BLACK);
				set_parent_color(p, n, 0);
				augment_rotate(iv, p, n);
				p = n;
				c = n->left;
			}
			g->right = c;
			p->left = g;
		}
		if (c)
			set_parent_color(c, g, BLACK);
		rotate_parents(t, g, p, 0);
		augment_rotate(iv, g, p);
		return;
	}
}

AUG void fix_erase(int iv, struct ctb_tree *t, struct ctb_node *p)
{
	struct ctb_node *n = NULL, *s, *near, *far;

	for (;;) {
		if (p->right != n) {
			s = p->right;
			if (is_red(s)) {
				near = s->left;
				p->right = near;
				s->left = p;
				set_parent_color(near, p, BLACK);
				rotate_parents(t, p, s, 0);
				augment_rotate(iv, p, s);
				s = near;
			}
			far = s->right;
			if (!is_red(far)) {
				near = s->left;
				if (!is_red(near))
					goto recolor;
				s->left = near->right;
				near->right = s;
				p->right = near;
				if (s->left)
					set_parent_color(s->left, s, BLACK);
				augment_rotate(iv, s, near);
				far = s;
				s = near;
			}
			near = s->left;
			p->right = near;
			s->left = p;
		} else {
			s = p->left;
			if (is_red(s)) {
				near = s->right;
				p->left = near;
				s->right = p;
				set_parent_color(near, p, BLACK);
				rotate_parents(t, p, s, 0);
				augment_rotate(iv, p, s);
				s = near;
			}
			far = s->left;
			if (!is_red(far)) {
				near = s->right;
				if (!is_red(near))
					goto recolor;
				s->right = near->left;
				near->left = s;
				p->left = near;
				if (s->right)
					set_parent_color(s->right, s, BLACK);
				augment_rotate(iv, s, near);
				far = s;
				s = near;
			}
			near = s->right;
			p->left = near;
			s->right = p;
		}
		set_parent_color(far, s, BLACK);
		if (near)
			set_parent(near, p);
		rotate_parents(t, p, s, BLACK);
		augment_rotate(iv, p, s);
		return;
recolor:
		set_parent_color(s, p, 0);
		if (is_red(p)) {
			set_parent_color(p, parent_of(p), BLACK);
			return;
		}
		n = p;
		p = parent_of(n);
		if (!p)
			return;
	}
}

AUG void erase(int iv, struct ctb_tree *t, struct ctb_node *n)
{
	struct ctb_node *left = n->left, *right = n->right, *p = parent_of(n), *fix = NULL;

	if (!left || !right) {
		struct ctb_node *child = left ? left : right;

		change_child(t, n, child, p);
		if (child)
			child->parent_color = n->parent_color;
		else if (!is_red(n))
			fix = p;
		propagate(iv, p, NULL);
	} else {
		struct ctb_node *s = right, *sp, *orphan;

		if (!s->left) {
			sp = s;
			orphan = s->right;
			augment_copy(iv, n, s);
		} else {
			do {
				sp = s;
				s = s->left;
			} while (s->left);
			orphan = s->right;
			sp->left = orphan;
			s->right = right;
			set_parent(right, s);
			augment_copy(iv, n, s);
			propagate(iv, sp, s);
		}
		s->left = left;
		set_parent(left, s);
		change_child(t, n, s, p);
		if (orphan)
			set_parent_color(orphan, sp, BLACK);
		else if (!is_red(s))
			fix = sp;
		s->parent_color = n->parent_color;
		propagate(iv, s, NULL);
	}
	if (fix)
		fix_erase(iv, t, fix);
}

static struct ctb_node *next_node(struct ctb_node *n)
{
	struct ctb_node *p;

	if (n->right) {
		n = n->right;
		while (n->left)
			n = n->left;
		return n;
	}
	while ((p = parent_of(n)) && n == p->right)
		n = p;
	return p;
}

struct ctb_tree *ctb_create(int interval)
{
	struct ctb_tree *t = calloc(1, sizeof(*t));

	t->interval = interval;
	return t;
}

static void free_all(struct ctb_node *n)
{
	if (!n)
		return;
	free_all(n->left);
	free_all(n->right);
	free(n);
}

void ctb_destroy(struct ctb_tree *t)
{
	free_all(t->root);
	free(t);
}

AUG void insert(int iv, struct ctb_tree *t, uint64_t gfn, uint64_t pfn, uint32_t pages)
{
	struct ctb_node **link = &t->root, *parent = NULL;
	struct ctb_node *n = malloc(iv ? sizeof(*n) : PLAIN_SIZE);
	uint64_t last = gfn + pages - 1;
	int leftmost = 1;

	while (*link) {
		parent = *link;
		if (iv && parent->subtree_last < last)
			parent->subtree_last = last;
		if (!iv && gfn == parent->gfn) {
			free(n);
			return;
		}
		if (gfn < parent->gfn) {
			link = &parent->left;
		} else {
			link = &parent->right;
			leftmost = 0;
		}
	}
	n->left = n->right = NULL;
	n->gfn = gfn;
	n->pfn = pfn;
	if (iv) {
		n->pages = pages;
		n->subtree_last = last;
		if (leftmost)
			t->leftmost = n;
	}
	set_parent_color(n, parent, 0);
	*link = n;
	fix_insert(iv, t, n);
}

void ctb_insert(struct ctb_tree *t, uint64_t gfn, uint64_t pfn, uint32_t pages)
{
	if (t->interval)
		insert(1, t, gfn, pfn, pages);
	else
		insert(0, t, gfn, pfn, pages);
}

static inline struct ctb_node *subtree_search(struct ctb_node *n, uint64_t first, uint64_t last)
{
	for (;;) {
		if (n->left && first <= n->left->subtree_last) {
			n = n->left;
			continue;
		}
		if (n->gfn > last)
			return NULL;
		if (first <= node_last(n))
			return n;
		n = n->right;
		if (!n || first > n->subtree_last)
			return NULL;
	}
}

static inline struct ctb_node *first_node(struct ctb_tree *t, uint64_t first, uint64_t last)
{
	if (!t->root)
		return NULL;
	if (t->interval) {
		if (t->root->subtree_last < first || t->leftmost->gfn > last)
			return NULL;
		return subtree_search(t->root, first, last);
	}
	struct ctb_node *n = t->root, *best = NULL;

	while (n) {
		if (first == n->gfn) {
			best = n;
			break;
		}
		if (first < n->gfn) {
			best = n;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return best && best->gfn <= last ? best : NULL;
}

static inline struct ctb_node *following(struct ctb_tree *t, struct ctb_node *n, uint64_t first, uint64_t last)
{
	struct ctb_node *right, *child;

	if (!t->interval) {
		n = next_node(n);
		return n && n->gfn <= last ? n : NULL;
	}
	right = n->right;
	for (;;) {
		if (right && first <= right->subtree_last)
			return subtree_search(right, first, last);
		do {
			child = n;
			n = parent_of(n);
			if (!n)
				return NULL;
			right = n->right;
		} while (right == child);
		if (n->gfn > last)
			return NULL;
		if (node_last(n) >= first)
			return n;
	}
}

struct ctb_node *ctb_iter_first(struct ctb_tree *t, uint64_t first, uint64_t last)
{
	return first_node(t, first, last);
}

struct ctb_node *ctb_iter_next(struct ctb_tree *t, struct ctb_node *n, uint64_t first, uint64_t last)
{
	return following(t, n, first, last);
}

uint64_t ctb_gfn(const struct ctb_node *n)
{
	return n->gfn;
}

void ctb_remove(struct ctb_tree *t, struct ctb_node *n)
{
	if (t->interval) {
		if (n == t->leftmost)
			t->leftmost = next_node(n);
		erase(1, t, n);
	} else {
		erase(0, t, n);
	}
	free(n);
}

void ctb_straighten_heap(void)
{
	/* Memory stays with the process, so that no round pays for fresh pages. */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	/* Freeing this much joins all free chunks with their neighbours. */
	free(malloc(100000));
}

uint64_t ctb_heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

uint64_t ctb_cpu_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}
