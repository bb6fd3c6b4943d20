/* What the host does to a guest's memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine.h"
#include "report.h"

/* In sys/mman.h from glibc 2.37 on. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* The most pages that one call changes. */
#define LONGEST_RUN 16

/* Pages at the start of the memory that are shared in some round: the host leaves them alone. */
static uint64_t shared_pages(const struct machine *machine)
{
	return machine->options->share * machine->options->rounds;
}

/* Some neighbouring pages, at most as many as are asked for. */
static uint64_t some_pages(struct machine *machine, uint64_t most, uint64_t *first)
{
	uint64_t start = shared_pages(machine), pages = page_count(machine) - start;
	uint64_t count = next_random(&machine->random) % LONGEST_RUN + 1;

	if (count > most)
		count = most;
	if (count > pages)
		count = pages;
	*first = start + next_random(&machine->random) % (pages - count + 1);
	return count;
}

static char *page(const struct machine *machine, uint64_t index)
{
	return machine->memory + index * machine->page_size;
}

/* Reading what nobody wrote maps the zero page, which the guest's first write replaces. */
void peek_pages(struct machine *machine, uint64_t pages)
{
	while (pages) {
		uint64_t first, count = some_pages(machine, pages, &first);

		for (uint64_t i = first; i < first + count; i++)
			if (*(volatile uint64_t *)page(machine, i))
				die("page %llu is not empty before the guest runs", (unsigned long long)i);
		pages -= count;
	}
}

void discard_pages(struct machine *machine, uint64_t pages)
{
	while (pages) {
		uint64_t first, count = some_pages(machine, pages, &first);

		if (machine->options->backing == BACKING_GUEST_MEMFD) {
			if (fallocate(machine->memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      first * machine->page_size, count * machine->page_size))
				die_errno("cannot punch a hole into guest memory");
		} else if (machine->backing_size != machine->page_size) {
			/* A huge page goes as a whole. */
			first -= first % (machine->backing_size / machine->page_size);
			if (madvise(page(machine, first), machine->backing_size, MADV_DONTNEED))
				die_errno("MADV_DONTNEED of a huge page");
		} else if (madvise(page(machine, first), count * machine->page_size, MADV_DONTNEED)) {
			die_errno("MADV_DONTNEED");
		}
		pages -= count;
	}
}

void protect_pages(struct machine *machine, uint64_t pages)
{
	while (pages) {
		uint64_t first, count = some_pages(machine, pages, &first);
		char *start = page(machine, first);

		if (mprotect(start, count * machine->page_size, PROT_READ) ||
		    mprotect(start, count * machine->page_size, PROT_READ | PROT_WRITE))
			die_errno("mprotect");
		pages -= count;
	}
}

void advise_pages(struct machine *machine, uint64_t pages)
{
	static const int kinds[] = { MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT,
				     MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_COLLAPSE };
	size_t block_pages = machine->block_size / machine->page_size;

	while (pages) {
		uint64_t first, count = some_pages(machine, pages, &first), left = pages - count;
		int kind = kinds[next_random(&machine->random) % (sizeof(kinds) / sizeof(*kinds))];

		/* What becomes a block has to be one, and there may be none to be had. */
		if (kind == MADV_COLLAPSE) {
			first -= first % block_pages;
			count = block_pages;
		}
		pages = left;
		if (first + count > page_count(machine))
			continue;
		if (madvise(page(machine, first), count * machine->page_size, kind) &&
		    (kind != MADV_COLLAPSE || errno == EFAULT))
			die_errno("advice %d on page %llu", kind, (unsigned long long)first);
	}
}

/* The guest's memory of the thread, if it is a vCPU's. */
static __thread size_t replaced_size;

/* The host's address is that of the page, as KVM or the thread itself met it. */
static void meet_failed(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (replaced_size)
		madvise((void *)((uintptr_t)info->si_addr & -replaced_size), replaced_size, MADV_DONTNEED);
}

void fail_pages(struct machine *machine, uint64_t pages)
{
	struct sigaction action = { .sa_sigaction = meet_failed, .sa_flags = SA_SIGINFO };

	/* The thread that says so gets the signal as well, and leaves the page as it is. */
	if (sigaction(SIGBUS, &action, NULL))
		die_errno("SIGBUS");
	while (pages) {
		uint64_t first, count = some_pages(machine, pages, &first);

		pages -= count;
		/* The zero page cannot fail, one that failed cannot be populated, and one on its way to a list is busy. */
		if (madvise(page(machine, first), count * machine->page_size, MADV_POPULATE_WRITE) && errno == EHWPOISON)
			continue;
		if (madvise(page(machine, first), count * machine->page_size, MADV_HWPOISON) && errno != EBUSY) {
			if (errno == EINVAL || errno == EPERM)
				skip("this kernel does not let memory fail");
			die_errno("MADV_HWPOISON of page %llu", (unsigned long long)first);
		}
	}
}

void replace_failed(const struct machine *machine)
{
	replaced_size = machine->page_size;
}

void fork_child(struct machine *machine)
{
	uint64_t writes = next_random(&machine->random) % page_count(machine);
	pid_t child = fork();

	if (child < 0)
		die_errno("fork");
	machine->child = child;
	if (child)
		return;
	/* Reads all of the memory and writes to some of it, which makes the pages its own. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t i = 0; i < page_count(machine); i++) {
		volatile uint64_t *word = (volatile uint64_t *)page(machine, i);

		if (i % 8 == writes % 8)
			*word = *word + 1;
	}
	for (;;)
		pause();
}

void end_child(struct machine *machine)
{
	if (!machine->child)
		return;
	kill(machine->child, SIGKILL);
	waitpid(machine->child, NULL, 0);
	machine->child = 0;
}

/* Reads the log of a slot, which write-protects what it finds dirty. */
static void read_log(struct machine *machine, const struct slot *slot)
{
	uint64_t pages = slot->size / machine->page_size;
	uint64_t *bitmap = calloc((pages + 63) / 64, sizeof(*bitmap));
	struct kvm_dirty_log log = { .slot = slot->id, .dirty_bitmap = bitmap };

	if (!bitmap)
		die("no memory");
	if (ioctl(machine->fd, KVM_GET_DIRTY_LOG, &log))
		die_errno("KVM_GET_DIRTY_LOG of slot %u", slot->id);
	free(bitmap);
}

void switch_log(struct machine *machine, bool is_on)
{
	for (unsigned int i = FIRST_RAM_SLOT; i < machine->slot_count; i++) {
		struct slot *slot = &machine->slots[i];

		if (slot->flags)
			read_log(machine, slot);
		slot->flags = is_on ? KVM_MEM_LOG_DIRTY_PAGES : 0;
		set_slot(machine, slot);
	}
}

static struct slot *some_slot(struct machine *machine)
{
	unsigned int count = machine->slot_count - FIRST_RAM_SLOT;

	return &machine->slots[FIRST_RAM_SLOT + next_random(&machine->random) % count];
}

void move_slot(struct machine *machine)
{
	struct slot *slot = some_slot(machine), away = *slot;

	/* Behind all slots, at the same offset into a gigabyte. */
	away.ipa += (machine->size + (1ull << 30) - 1) >> 30 << 30;
	set_slot(machine, &away);
	set_slot(machine, slot);
}

void recreate_slot(struct machine *machine)
{
	struct slot *slot = some_slot(machine), deleted = *slot;

	deleted.size = 0;
	set_slot(machine, &deleted);
	set_slot(machine, slot);
}

void answer_shared(struct machine *machine, uint64_t first, uint64_t pages)
{
	for (uint64_t i = first; i < first + pages; i++) {
		volatile uint64_t *greeting = (volatile uint64_t *)(page(machine, i) + WORD_GREETING);
		volatile uint64_t *answer = (volatile uint64_t *)(page(machine, i) + WORD_ANSWER);

		if (*greeting != tag_of(RAM_IPA + i * machine->page_size))
			die("page %llu is shared, but the host reads 0x%llx there", (unsigned long long)i,
			    (unsigned long long)*greeting);
		*answer = answer_to(*greeting);
	}
}

/*
 * A program that touches a protected guest's page gets a signal, or EFAULT from a system call that is to read it. When
 * the kernel reads it through a mapping of its own, as here, it takes the page from the guest first.
 */
void poison_pages(struct machine *machine, uint64_t pages)
{
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	uint64_t word;

	if (memory < 0)
		die_errno("/proc/self/mem");
	while (pages) {
		uint64_t first, count = some_pages(machine, pages, &first);

		for (uint64_t i = first; i < first + count; i++) {
			if (pread(memory, &word, sizeof(word), (uintptr_t)page(machine, i)) != sizeof(word))
				die_errno("the kernel cannot read page %llu", (unsigned long long)i);
			if (word && machine->options->expects_zeroes)
				die("the host reads what the guest has in page %llu", (unsigned long long)i);
		}
		pages -= count;
	}
	close(memory);
}

/* What a protected guest had comes back as zeroes, but for pages that stayed shared. */
void check_returned(struct machine *machine)
{
	uint64_t left = 0;

	for (uint64_t i = shared_pages(machine); i < page_count(machine); i++) {
		volatile uint64_t *words = (volatile uint64_t *)(page(machine, i) + machine->options->offset);

		left += words[WORD_TAG / sizeof(*words)] || words[WORD_CODE / sizeof(*words)];
	}
	if (left)
		die("the guest is gone, and %llu pages have what it left in them", (unsigned long long)left);
}
