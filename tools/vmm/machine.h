/* A virtual machine: its memory, its slots and its vCPUs. */
#ifndef MACHINE_H
#define MACHINE_H

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

#include "options.h"

struct kvm_run;

/* Slot 0 holds the boot code and the stacks; the guest's memory follows in slots 1 and up. */
#define BOOT_SLOT	0
#define FIRST_RAM_SLOT	1

struct slot {
	uint32_t id;
	uint32_t flags;
	uint64_t ipa;
	uint64_t size;
	char *memory;
	/* Into memory_fd, if the slot is of guest memory. */
	uint64_t memory_offset;
};

struct vcpu {
	struct machine *machine;
	unsigned int number;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	/* What the guest said before REGISTER_FAILURE. */
	uint64_t address, value;
	struct arguments arguments;
	/* It ended because the host took a page away, as was expected. */
	bool is_poisoned;
};

struct machine {
	const struct options *options;
	int kvm, fd;
	size_t run_size, page_size, block_size;
	/* What the host gives and takes as a whole: a page, or a huge page of hugetlb. */
	size_t backing_size;

	/* The guest's memory, all slots of it. */
	char *memory;
	uint64_t size;
	/* Of the mapping that the memory is aligned in. */
	char *mapping;
	size_t mapping_size;
	/* What it is a mapping of, for BACKING_GUEST_MEMFD. */
	int memory_fd;
	char *boot;
	size_t boot_size;
	struct slot slots[256 + FIRST_RAM_SLOT];
	unsigned int slot_count;

	struct vcpu vcpus[MOST_VCPUS];

	/* The vCPUs wait for the next command until the host gave it: see rounds.c. */
	pthread_mutex_t lock;
	pthread_cond_t host_turn, guest_turn;
	unsigned int generation, waiting;
	enum command command;
	bool ends, expects_poison;
	/* The process that --fork made, or 0. */
	pid_t child;
	int snapshot_fd;
	pthread_t snapshot_thread;

	uint64_t random;
};

/* Opens /dev/kvm, or skips. */
int open_kvm(void);

/* Makes a machine with memory and vCPUs that did not run yet. */
void create_machine(struct machine *machine, const struct options *options, int kvm, uint64_t seed);
/* Closes it: its stage 2 is gone on return, unless its memory is a file of KVM's, which keeps it. */
void destroy_machine(struct machine *machine);
/* Unmaps its memory, last. */
void free_memory(struct machine *machine);

/* Creates, changes or (size 0) deletes a slot. */
void set_slot(struct machine *machine, const struct slot *slot);

uint64_t page_count(const struct machine *machine);

/* vcpu.c */
void create_vcpu(struct machine *machine, unsigned int number);
/* Puts a vCPU that does not run back to where it began. If it ever ran, KVM may unmap all memory of the guest. */
void reset_vcpu(struct vcpu *vcpu);
/* The thread of a vCPU. */
void *run_vcpu(void *vcpu);

/* rounds.c */
/* Called by a vCPU's thread: waits for the next command. False when there is none. */
bool next_command(struct vcpu *vcpu);
/* Called by a vCPU's thread that ends. */
void leave_rounds(struct vcpu *vcpu);
/* Runs the guest from its first instruction to its end. */
void run_rounds(struct machine *machine);

/* snapshot.c */
void begin_snapshot(struct machine *machine);
void end_snapshot(struct machine *machine);

/* memory.c: where the guest's memory is in the host. */
void map_memory(struct machine *machine);
void unmap_memory(struct machine *machine);

/* host.c: what the host does to a guest's memory. */
void peek_pages(struct machine *machine, uint64_t pages);
void discard_pages(struct machine *machine, uint64_t pages);
void protect_pages(struct machine *machine, uint64_t pages);
void advise_pages(struct machine *machine, uint64_t pages);
void fail_pages(struct machine *machine, uint64_t pages);
/* Has the thread that calls it give the guest another page for one that failed, when it comes to it. */
void replace_failed(const struct machine *machine);
/* A process that has the memory, too, until end_child. */
void fork_child(struct machine *machine);
void end_child(struct machine *machine);
void switch_log(struct machine *machine, bool is_on);
void move_slot(struct machine *machine);
void recreate_slot(struct machine *machine);
void answer_shared(struct machine *machine, uint64_t first, uint64_t pages);
void poison_pages(struct machine *machine, uint64_t pages);
void check_returned(struct machine *machine);

#endif
