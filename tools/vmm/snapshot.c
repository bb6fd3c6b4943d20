/*
 * A snapshot of a guest that runs: userfaultfd write-protects all of its memory, and a page is saved before it is written
 * for the first time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine.h"
#include "report.h"

/* Pages that are saved in a row while no vCPU waits. */
#define RUN 16

static void protect(struct machine *machine, uint64_t first, uint64_t pages, bool is_on)
{
	struct uffdio_writeprotect range = {
		.range = { .start = (uintptr_t)machine->memory + first * machine->page_size,
			   .len = pages * machine->page_size },
		.mode = is_on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	if (ioctl(machine->snapshot_fd, UFFDIO_WRITEPROTECT, &range))
		die_errno("UFFDIO_WRITEPROTECT of page %llu", (unsigned long long)first);
}

/* Reads the pages, as if they went to a file, and lets them be written. */
static void save(struct machine *machine, uint64_t first, uint64_t pages)
{
	static __thread char copy[1 << 16];

	for (uint64_t i = first; i < first + pages; i++)
		memcpy(copy, machine->memory + i * machine->page_size, machine->page_size);
	protect(machine, first, pages, false);
}

/* Whether a vCPU waited for a page. */
static bool save_waited_for(struct machine *machine)
{
	struct pollfd poll_fd = { .fd = machine->snapshot_fd, .events = POLLIN };
	struct uffd_msg message;

	if (poll(&poll_fd, 1, 1) <= 0)
		return false;
	if (read(machine->snapshot_fd, &message, sizeof(message)) != sizeof(message))
		return false;
	if (message.event == UFFD_EVENT_PAGEFAULT)
		save(machine, (message.arg.pagefault.address - (uintptr_t)machine->memory) / machine->page_size, 1);
	return true;
}

static void *take_snapshot(void *argument)
{
	struct machine *machine = argument;
	uint64_t next = 0, all = page_count(machine);

	while (next < all) {
		uint64_t pages = all - next < RUN ? all - next : RUN;

		if (save_waited_for(machine))
			continue;
		save(machine, next, pages);
		next += pages;
	}
	return NULL;
}

void begin_snapshot(struct machine *machine)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register memory = {
		.range = { .start = (uintptr_t)machine->memory, .len = machine->size },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	machine->snapshot_fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (machine->snapshot_fd < 0)
		skip("no userfaultfd");
	if (ioctl(machine->snapshot_fd, UFFDIO_API, &api) ||
	    ioctl(machine->snapshot_fd, UFFDIO_REGISTER, &memory))
		skip("userfaultfd does not write-protect here");
	protect(machine, 0, page_count(machine), true);
	if (pthread_create(&machine->snapshot_thread, NULL, take_snapshot, machine))
		die("cannot create a thread for the snapshot");
}

void end_snapshot(struct machine *machine)
{
	pthread_join(machine->snapshot_thread, NULL);
	close(machine->snapshot_fd);
}
