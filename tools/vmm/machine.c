/* Machines: memory, slots and file descriptors. */
#define _GNU_SOURCE
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "report.h"

/* In linux/kvm.h from 7.1 on. */
#ifndef KVM_VM_TYPE_ARM_PROTECTED
#define KVM_VM_TYPE_ARM_PROTECTED (1UL << 31)
#endif
#define DEFAULT_IPA_BITS 40
/* In linux/kvm.h from 6.5 on. */
#ifndef KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE
#define KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE 228
#endif
/* In linux/kvm.h from 6.8 on. */
#ifndef KVM_MEM_GUEST_MEMFD
#define KVM_MEM_GUEST_MEMFD (1UL << 2)
struct kvm_userspace_memory_region2 {
	uint32_t slot, flags;
	uint64_t guest_phys_addr, memory_size, userspace_addr, guest_memfd_offset;
	uint32_t guest_memfd, padding;
	uint64_t reserved[14];
};
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#endif

extern const char guest_start[], guest_end[];

int open_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		skip("no /dev/kvm: %s", strerror(errno));
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		skip("/dev/kvm has another API");
	return kvm;
}

/* A page of the guest's memory is pinned for as long as a protected guest has it. */
static void allow_locked_memory(const struct options *options)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	uint64_t needed = (options->memory_mib << 20) + BOOT_CODE_SIZE + MOST_VCPUS * STACK_SIZE;

	if (!options->is_protected || !setrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		die_errno("RLIMIT_MEMLOCK");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur < needed)
		skip("a protected guest of this size needs an RLIMIT_MEMLOCK of %llu bytes, and %llu are allowed",
		     (unsigned long long)needed, (unsigned long long)limit.rlim_cur);
}

static void open_machine(struct machine *machine)
{
	const struct options *options = machine->options;
	int limit = ioctl(machine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	uint64_t bits = options->ipa_bits, last = RAM_IPA + 2 * machine->size + (2ull << 30);
	unsigned long type;

	if (limit <= 0)
		limit = DEFAULT_IPA_BITS;
	if (bits > (uint64_t)limit)
		skip("this CPU has an IPA space of %d bits at most", limit);
	/* A type without a size stands for the default, which small CPUs lack. */
	if (!bits && limit < DEFAULT_IPA_BITS)
		bits = limit;
	if (last > 1ull << (bits ? bits : DEFAULT_IPA_BITS))
		die("%llu MiB do not fit into the guest's IPA space", (unsigned long long)options->memory_mib);
	type = bits | (options->is_protected ? KVM_VM_TYPE_ARM_PROTECTED : 0);
	machine->fd = ioctl(machine->kvm, KVM_CREATE_VM, type);
	if (machine->fd < 0 && errno == EINVAL && options->is_protected)
		skip("this host has no protected guests");
	if (machine->fd < 0)
		die_errno("KVM_CREATE_VM");
}

/* Before there are slots. */
static void split_eagerly(struct machine *machine)
{
	struct kvm_enable_cap capability = {
		.cap = KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE,
		.args = { machine->options->eager_split },
	};

	if (ioctl(machine->fd, KVM_ENABLE_CAP, &capability))
		skip("this host does not split blocks of %llu bytes eagerly: %s",
		     (unsigned long long)machine->options->eager_split, strerror(errno));
}

/* The boot code is in place before the guest runs: a protected guest's memory is not the host's any more then. */
static void map_boot(struct machine *machine)
{
	machine->boot_size = BOOT_CODE_SIZE + machine->options->vcpus * STACK_SIZE;
	machine->boot = mmap(NULL, machine->boot_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (machine->boot == MAP_FAILED)
		die_errno("cannot map the guest's boot memory");
	memcpy(machine->boot, guest_start, guest_end - guest_start);
}

/* A slot that has its memory from a file of KVM's own. */
static void set_guest_memory_slot(struct machine *machine, const struct slot *slot)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot->id,
		.flags = slot->flags | KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = slot->ipa,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->memory,
		.guest_memfd = machine->memory_fd,
		.guest_memfd_offset = slot->memory_offset,
	};

	if (ioctl(machine->fd, KVM_SET_USER_MEMORY_REGION2, &region))
		die_errno("slot %u of guest memory at 0x%llx", slot->id, (unsigned long long)slot->ipa);
}

void set_slot(struct machine *machine, const struct slot *slot)
{
	if (slot->id != BOOT_SLOT && machine->options->backing == BACKING_GUEST_MEMFD)
		return set_guest_memory_slot(machine, slot);

	struct kvm_userspace_memory_region region = {
		.slot = slot->id,
		.flags = slot->flags,
		.guest_phys_addr = slot->ipa,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->memory,
	};

	if (ioctl(machine->fd, KVM_SET_USER_MEMORY_REGION, &region))
		die_errno("slot %u at 0x%llx", slot->id, (unsigned long long)slot->ipa);
}

uint64_t page_count(const struct machine *machine)
{
	return machine->size / machine->page_size;
}

/* Divides the memory into slots, each as long as the others but for the last. */
static void create_slots(struct machine *machine)
{
	uint64_t count = machine->options->slots, pages = page_count(machine), each = pages / count;

	if (!each)
		die("%llu pages are too few for %llu slots", (unsigned long long)pages, (unsigned long long)count);
	machine->slots[BOOT_SLOT] = (struct slot){
		.id = BOOT_SLOT, .ipa = BOOT_IPA, .size = machine->boot_size, .memory = machine->boot,
	};
	for (uint64_t i = 0; i < count; i++) {
		uint64_t offset = i * each * machine->page_size;

		machine->slots[FIRST_RAM_SLOT + i] = (struct slot){
			.id = FIRST_RAM_SLOT + i,
			.ipa = RAM_IPA + offset,
			.size = i + 1 < count ? each * machine->page_size : machine->size - offset,
			.memory = machine->memory + offset,
			.memory_offset = offset,
		};
	}
	machine->slot_count = FIRST_RAM_SLOT + count;
	for (unsigned int i = 0; i < machine->slot_count; i++)
		set_slot(machine, &machine->slots[i]);
}

void create_machine(struct machine *machine, const struct options *options, int kvm, uint64_t seed)
{
	*machine = (struct machine){ .options = options, .kvm = kvm, .random = seed };
	machine->page_size = sysconf(_SC_PAGESIZE);
	/* A page of last-level descriptors, each of 8 bytes, covers a block. */
	machine->block_size = machine->page_size / 8 * machine->page_size;
	machine->backing_size = options->backing == BACKING_HUGETLB	 ? machine->block_size :
				options->backing == BACKING_HUGETLB_1G ? 1ul << 30 :
									 machine->page_size;
	machine->size = options->memory_mib << 20;
	if (options->offset + WORDS_END > machine->page_size)
		die("there is no offset %llu in a page", (unsigned long long)options->offset);
	machine->size = (machine->size + machine->backing_size - 1) / machine->backing_size * machine->backing_size;
	pthread_mutex_init(&machine->lock, NULL);
	pthread_cond_init(&machine->host_turn, NULL);
	pthread_cond_init(&machine->guest_turn, NULL);

	allow_locked_memory(options);
	open_machine(machine);
	if (options->eager_split)
		split_eagerly(machine);
	map_memory(machine);
	map_boot(machine);
	create_slots(machine);
	for (unsigned int i = 0; i < options->vcpus; i++)
		create_vcpu(machine, i);
}

void destroy_machine(struct machine *machine)
{
	for (unsigned int i = 0; i < machine->options->vcpus; i++) {
		munmap(machine->vcpus[i].run, machine->run_size);
		close(machine->vcpus[i].fd);
	}
	/* Nobody else has the machine, so it is taken down before this returns. */
	close(machine->fd);
}

void free_memory(struct machine *machine)
{
	unmap_memory(machine);
	munmap(machine->boot, machine->boot_size);
}
