/* A guest's memory in the host. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine.h"
#include "report.h"

#ifndef MAP_HUGE_1GB
#define MAP_HUGE_1GB (30 << 26)
#endif
/* In linux/kvm.h from 6.8 on, the flags from 6.18 on. */
#ifndef KVM_CREATE_GUEST_MEMFD
struct kvm_create_guest_memfd {
	uint64_t size, flags, reserved[6];
};
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP (1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ULL << 1)
#endif

static bool is_hugetlb(const struct machine *machine)
{
	return machine->options->backing == BACKING_HUGETLB || machine->options->backing == BACKING_HUGETLB_1G;
}

/* A file of KVM's own, which the host can map as well. */
static void map_guest_memory(struct machine *machine)
{
	struct kvm_create_guest_memfd memory = {
		.size = machine->size,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};

	machine->memory_fd = ioctl(machine->fd, KVM_CREATE_GUEST_MEMFD, &memory);
	if (machine->memory_fd < 0)
		skip("this host has no guest memory that it can map: %s", strerror(errno));
	machine->mapping_size = machine->size;
	machine->mapping = mmap(NULL, machine->size, PROT_READ | PROT_WRITE, MAP_SHARED, machine->memory_fd, 0);
	if (machine->mapping == MAP_FAILED)
		die_errno("cannot map guest memory");
	machine->memory = machine->mapping;
}

void map_memory(struct machine *machine)
{
	enum backing backing = machine->options->backing;
	size_t size = machine->size, slack = machine->block_size;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uintptr_t address;

	if (is_hugetlb(machine))
		flags |= MAP_HUGETLB;
	if (backing == BACKING_HUGETLB_1G)
		flags |= MAP_HUGE_1GB;
	if (backing == BACKING_SHMEM)
		flags ^= MAP_PRIVATE | MAP_SHARED;
	if (backing == BACKING_GUEST_MEMFD)
		return map_guest_memory(machine);
	/* Blocks need memory that is aligned as the guest's addresses are. */
	machine->mapping_size = is_hugetlb(machine) ? size : size + slack;
	machine->mapping = mmap(NULL, machine->mapping_size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (machine->mapping == MAP_FAILED && is_hugetlb(machine))
		skip("no huge pages: see /proc/sys/vm/nr_hugepages");
	if (machine->mapping == MAP_FAILED)
		die_errno("cannot map %zu bytes of guest memory", size);
	address = (uintptr_t)machine->mapping;
	if (!is_hugetlb(machine))
		address = (address + slack - 1) & ~(uintptr_t)(slack - 1);
	machine->memory = (char *)address;
	/* What is not to be huge cannot be collapsed, either: what is to be advised is as the host's settings have it. */
	if (backing == BACKING_ANONYMOUS && machine->options->advise)
		return;
	if (madvise(machine->memory, size, backing == BACKING_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) &&
	    backing == BACKING_THP)
		skip("this kernel has no transparent huge pages");
}

void unmap_memory(struct machine *machine)
{
	munmap(machine->mapping, machine->mapping_size);
	if (machine->options->backing == BACKING_GUEST_MEMFD)
		close(machine->memory_fd);
}
