// SPDX-License-Identifier: MIT
/*
 * The walk of stage 2 as the Arm architecture has it (VMSAv8-64), of the tables as they lie in memory. It is not the kernel's
 * walker on purpose: what a patch of that has left behind is to be seen.
 */
#include "kit-vm.h"

#define BITS_PER_LEVEL (KIT_PAGE_SHIFT - 3)
#define ENTRIES (1ULL << BITS_PER_LEVEL)
#define LAST_LEVEL 3

#define VALID (1ULL << 0)
#define TABLE_OR_PAGE (1ULL << 1)
#define ACCESS_FLAG (1ULL << 10)
#define SOFTWARE_BITS (0xfULL << 55)

static unsigned int shift_of(int level)
{
	return KIT_PAGE_SHIFT + (LAST_LEVEL - level) * BITS_PER_LEVEL;
}

/* Bits from..to of a descriptor, in place. */
static kit_u64 field(kit_u64 descriptor, unsigned int to, unsigned int from)
{
	return descriptor & ((2ULL << to) - (1ULL << from));
}

static kit_u64 address_of(const struct kit_tables *tables, kit_u64 descriptor)
{
	if (tables->has_lpa2)
		return field(descriptor, 49, KIT_PAGE_SHIFT) | field(descriptor, 9, 8) << 42;
	if (KIT_PAGE_SHIFT == 16)
		return field(descriptor, 47, 16) | field(descriptor, 15, 12) << 36;
	return field(descriptor, 47, KIT_PAGE_SHIFT);
}

static int is_table(kit_u64 descriptor, int level)
{
	return level < LAST_LEVEL && (descriptor & VALID) && (descriptor & TABLE_OR_PAGE);
}

/* A table of the machine's memory, NULL where there is none. */
static const kit_u64 *table_at(kit_u64 address)
{
	return address >= kit_memory_start && address < kit_memory_end ? (const kit_u64 *)address : NULL;
}

static kit_u64 memory_type(const struct kit_tables *tables, kit_u64 descriptor)
{
	unsigned int attributes = field(descriptor, 5, 2) >> 2;

	/* With FWB bit 4 says that bits 3:2 choose among those that override stage 1: 1 is Device, 5 Normal-NC, 6 Write-Back. */
	if (tables->has_fwb)
		return attributes == 1 ? S2_PROT_DEVICE : attributes == 5 ? S2_PROT_NORMAL_NC : 0;
	return attributes < 4 ? S2_PROT_DEVICE : attributes == 5 ? S2_PROT_NORMAL_NC : 0;
}

static kit_u64 prot_of(const struct kit_tables *tables, kit_u64 descriptor)
{
	/* XN[1:0]; without FEAT_XNX bit 53 is 0 and the two are alike. */
	static const kit_u64 execute[] = { S2_PROT_PX | S2_PROT_UX, S2_PROT_UX, 0, S2_PROT_PX };

	if (!(descriptor & VALID))
		return descriptor & SOFTWARE_BITS;
	return ((descriptor & (1ULL << 6)) ? S2_PROT_R : 0) | ((descriptor & (1ULL << 7)) ? S2_PROT_W : 0) |
	       execute[(descriptor >> 53) & 3] | memory_type(tables, descriptor) | (descriptor & SOFTWARE_BITS);
}

static void fill(const struct kit_tables *tables, struct s2_leaf *leaf, kit_u64 ipa, kit_u64 descriptor, int level)
{
	leaf->ipa = ipa & ~((1ULL << shift_of(level)) - 1);
	leaf->level = level;
	leaf->is_valid = descriptor & VALID;
	leaf->is_young = leaf->is_valid && (descriptor & ACCESS_FLAG);
	leaf->pfn = leaf->is_valid ? address_of(tables, descriptor) >> KIT_PAGE_SHIFT : 0;
	leaf->prot = prot_of(tables, descriptor);
	leaf->reserved[0] = leaf->reserved[1] = 0;
}

/* Entries of the first table: several tables may lie one after the other. */
static kit_u64 first_entries(const struct kit_tables *tables)
{
	return 1ULL << (tables->ia_bits - shift_of(tables->start_level));
}

void kit_walk(const struct kit_tables *tables, kit_u64 ipa, struct s2_leaf *leaf)
{
	const kit_u64 *table = table_at(tables->pgd);
	kit_u64 entries = first_entries(tables), descriptor = 0;
	int level;

	if (!table || ipa >> tables->ia_bits) {
		fill(tables, leaf, ipa, 0, tables->start_level);
		return;
	}
	for (level = tables->start_level;; level++) {
		descriptor = table[(ipa >> shift_of(level)) & (entries - 1)];
		if (!is_table(descriptor, level))
			break;
		table = table_at(address_of(tables, descriptor));
		if (!table) {
			kit_warn(__FILE__, __LINE__, "an entry names a table that is not in memory");
			descriptor = 0;
			break;
		}
		entries = ENTRIES;
	}
	fill(tables, leaf, ipa, descriptor, level);
}

struct visit {
	const struct kit_tables *tables;
	int (*each)(void *user, const struct s2_leaf *leaf);
	void *user;
};

static int visit(const struct visit *with, const kit_u64 *table, kit_u64 entries, int level, kit_u64 ipa)
{
	const kit_u64 size = 1ULL << shift_of(level);
	struct s2_leaf leaf;
	kit_u64 i;

	for (i = 0; table && i < entries; i++, ipa += size) {
		if (!(table[i] & VALID))
			continue;
		if (is_table(table[i], level)) {
			if (visit(with, table_at(address_of(with->tables, table[i])), ENTRIES, level + 1, ipa))
				return 1;
			continue;
		}
		fill(with->tables, &leaf, ipa, table[i], level);
		if (with->each(with->user, &leaf))
			return 1;
	}
	return 0;
}

void kit_leaves(const struct kit_tables *tables, int (*each)(void *user, const struct s2_leaf *leaf), void *user)
{
	const struct visit with = { tables, each, user };

	visit(&with, table_at(tables->pgd), first_entries(tables), tables->start_level, 0);
}

static void say_levels(const struct kit_tables *tables, const kit_u64 *table, kit_u64 entries, int level, kit_u64 base,
		       kit_u64 ipa, kit_u64 last)
{
	const unsigned int shift = shift_of(level);
	kit_u64 i = ipa > base ? (ipa - base) >> shift : 0;

	for (; table && i < entries && base + (i << shift) <= last && kit_vm->fresh_tables; i++) {
		void *child;

		if (!is_table(table[i], level))
			continue;
		child = (void *)table_at(address_of(tables, table[i]));
		if (!child)
			continue;
		kit_table_level(child, level + 1);
		say_levels(tables, child, ENTRIES, level + 1, base + (i << shift), ipa, last);
	}
}

void kit_levels(const struct kit_tables *tables, kit_u64 ipa, kit_u64 size)
{
	const kit_u64 last = ipa + (size ? size - 1 : 0);

	say_levels(tables, table_at(tables->pgd), first_entries(tables), tables->start_level, 0, ipa, last);
}
