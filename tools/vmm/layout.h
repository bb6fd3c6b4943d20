/* What the VMM and its guest agree on: where things are, and the registers of the device between them. */
#ifndef LAYOUT_H
#define LAYOUT_H

/* vCPUs start where a reset leaves them: at address 0, with the MMU off. Code, then a stack for each vCPU. */
#define BOOT_IPA	0x0
#define BOOT_CODE_SIZE	0x10000
/* A page of any size. */
#define STACK_SIZE	0x10000
/* Affinity level 0 of a vCPU's MPIDR is its number as long as there are no more. */
#define MOST_VCPUS	16

/* No slot covers the device, so each access to it ends in the VMM. Registers are 64 bits wide. */
#define DEVICE_IPA	0x09000000
/* Read: the next command, once every vCPU asked for one. */
#define REGISTER_COMMAND	0x00
/* Written when the guest found something wrong: one of the failures below. */
#define REGISTER_FAILURE	0x08
/* Written before that: the address and the value that are wrong. */
#define REGISTER_ADDRESS	0x10
#define REGISTER_VALUE	0x18
/* Read: the arguments of the command. */
#define REGISTER_ARGUMENTS	0x40

#define RAM_IPA	0x40000000

#ifndef __ASSEMBLER__

#include <stdint.h>

enum command {
	/* Reads, writes or executes pages. */
	COMMAND_TOUCH = 1,
	/* Shares pages with the host, with a word in each. */
	COMMAND_SHARE,
	/* Checks what the host answered, and takes most of the pages back. */
	COMMAND_UNSHARE,
	/* Never seen by the guest: its vCPUs stop to be reset, and then begin again where they began. */
	COMMAND_RESET,
	COMMAND_BEGIN,
};

enum failure {
	/* A page holds what nobody wrote. */
	FAILURE_CONTENT = 1,
	/* An exception; the address is that of the instruction, the value the syndrome. */
	FAILURE_EXCEPTION,
	/* The hypervisor refused to share a page or to take it back. */
	FAILURE_SHARE,
	FAILURE_UNSHARE,
	/* The host's answer in a shared page is wrong. */
	FAILURE_ANSWER,
	FAILURE_COMMAND,
};

enum pattern { PATTERN_SEQUENTIAL, PATTERN_RANDOM, PATTERN_STRIDED };
enum access { ACCESS_MIXED, ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE, ACCESS_DATA };

/* The arguments of a command; the guest reads them one by one. */
struct arguments {
	uint64_t base;
	uint64_t pages;
	uint64_t page_size;
	/* Of COMMAND_TOUCH alone. */
	uint64_t visits;
	uint64_t pattern;
	uint64_t access;
	uint64_t stride;
	uint64_t seed;
	/* Where in a page it touches. */
	uint64_t offset;
};

/* The words of a page that are used, and what they may hold; otherwise they are 0. */
#define WORD_TAG	0
#define WORD_CODE	64
#define WORD_GREETING	128
#define WORD_ANSWER	192
#define WORDS_END	256
#define INSTRUCTION_RET	0xd65f03c0u

static inline uint64_t tag_of(uint64_t ipa)
{
	return ipa ^ 0x7461672d6f662d61;
}

static inline uint64_t answer_to(uint64_t greeting)
{
	return ~greeting;
}

/* A page of every four stays shared until the guest ends. */
static inline int stays_shared(uint64_t page)
{
	return page % 4 == 3;
}

/* SplitMix64: the next number of a sequence that its seed determines. */
static inline uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

#endif
#endif
