/* SPDX-License-Identifier: MIT */
/*
 * A VM as the kit sees it, and what a path (traditional, pKVM) offers.
 */
#ifndef PKVM_REPLAY_KIT_VM_H
#define PKVM_REPLAY_KIT_VM_H

#include "kit.h"
#include "stage2_backend.h"

struct kit_page;
struct kit_object;

/* Tables as the hardware walks them. */
struct kit_tables {
	kit_u64 pgd;		/* its physical address; 0 when there is none */
	unsigned int ia_bits;
	int start_level;
	int has_lpa2;		/* addresses are laid out for 52 bits */
	int has_fwb;
};

/* A path. Its functions are called with kit_vm set, and may be left by kit_panic(). */
struct kit_path {
	unsigned int path;	/* enum s2_path */
	kit_u64 capabilities;	/* S2_CAN_MAP_BLOCKS ... */
	const char *restated;	/* what of it is not the kernel's own: one item a line, or NULL */
	/* Sets up the stage 2 of a VM whose config and host are filled in: 0, or -1 with the reason in *why. */
	int (*create)(struct s2_vm *vm, const char **why);
	/* What it has beyond pages and objects of the VM, which are freed after it; also of a VM that was stopped. May be NULL. */
	void (*release)(struct s2_vm *vm);
	/* Says the levels of tables that are not known yet, by kit_table_level(). They are below [ipa, ipa + size). May be NULL. */
	void (*levels)(struct s2_vm *vm, kit_u64 ipa, kit_u64 size);
	/* The functions of the interface that it offers. */
	struct s2_backend functions;
};

extern const struct kit_path kit_traditional __attribute__((weak));
extern const struct kit_path kit_pkvm __attribute__((weak));

struct s2_vm {
	const struct kit_path *path;
	struct s2_config config;
	struct s2_host host;
	struct s2_counters counters;	/* of what the host was told */
	struct kit_page *pages;		/* that the VM has */
	struct kit_object *objects;
	unsigned int fresh_tables;	/* whose level is unknown yet */
	int is_stopped;			/* by kit_panic() */
	kit_u64 ipa, size;		/* that the current operation works on */
	void *rcu;			/* callbacks that wait for a grace period */
	void *state;			/* the path's own */
};

/* Whether the machine of the current VM has all of these S2_FEATURE_*. */
int kit_has_feature(kit_u64 features);
/* Whether stage 2 is laid out for 52 bits in pages of 4K and 16K. */
_Bool kit_has_lpa2(void);

/* Tells the host what has happened since it was told last. */
void kit_tell(void);

void kit_pages_release(struct s2_vm *vm);

/* Sets up the kernel's struct page of pages that were taken, and finds the pages of one. */
void kit_page_references(void *memory, int count);
void *kit_page_memory(void *page);

/* What the slab's objects are at the moment: KIT_UNTOLD, or what a path knows better. */
extern int kit_slab_object;
/* An RCU grace period of the current VM ends. */
void kit_rcu_grace_period(void);

/* The walk of the hardware, and all leaves: as s2_backend.walk and .leaves. */
void kit_walk(const struct kit_tables *tables, kit_u64 ipa, struct s2_leaf *leaf);
void kit_leaves(const struct kit_tables *tables, int (*each)(void *user, const struct s2_leaf *leaf), void *user);
/* Says the levels of the tables below [ipa, ipa + size) that the VM has not known. */
void kit_levels(const struct kit_tables *tables, kit_u64 ipa, kit_u64 size);

#endif
