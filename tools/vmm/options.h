/* What the command line asks for. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

#define MOST_MACHINES 16

enum backing { BACKING_ANONYMOUS, BACKING_THP, BACKING_HUGETLB, BACKING_HUGETLB_1G, BACKING_SHMEM, BACKING_GUEST_MEMFD };

struct options {
	bool is_protected;
	uint64_t vcpus;
	uint64_t memory_mib;
	uint64_t slots;
	/* 0: what KVM takes when nobody asks. */
	uint64_t ipa_bits;
	enum backing backing;
	/* Bytes that KVM splits at once when logging begins; 0: none before they are written. */
	uint64_t eager_split;

	/* Pages, once. */
	uint64_t peek;
	uint64_t rounds;
	/* Pages that a vCPU touches in a round; 0: as many as there are. */
	uint64_t touch;
	enum pattern pattern;
	enum access access;
	uint64_t seed;
	uint64_t offset;

	/* Pages a round. */
	uint64_t discard;
	uint64_t protect;
	uint64_t advise;
	uint64_t failing;
	uint64_t share;
	/* Pages, once. */
	uint64_t poison;
	bool expects_zeroes;
	/* Discards and gives advice while the vCPUs run. */
	bool works_while_running;
	bool logs;
	bool moves;
	bool recreates;
	bool forks;
	bool resets;
	bool takes_snapshots;
	uint64_t pause_ms;

	uint64_t lifetimes;
	/* Guests at once, in one process. */
	uint64_t machines;
};

/* Reads the command line, or ends the program: after --help, and when the command line is wrong. */
struct options parse_options(int argc, char **argv);

#endif
