/* vCPUs: a thread each, and the device through which the guest gets its commands. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "machine.h"
#include "report.h"

void reset_vcpu(struct vcpu *vcpu)
{
	struct kvm_vcpu_init init;

	if (ioctl(vcpu->machine->fd, KVM_ARM_PREFERRED_TARGET, &init))
		die_errno("KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init))
		die_errno("vCPU %u: KVM_ARM_VCPU_INIT", vcpu->number);
}

void create_vcpu(struct machine *machine, unsigned int number)
{
	struct vcpu *vcpu = &machine->vcpus[number];
	int size = ioctl(machine->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < 0)
		die_errno("KVM_GET_VCPU_MMAP_SIZE");
	machine->run_size = size;
	vcpu->machine = machine;
	vcpu->number = number;
	vcpu->fd = ioctl(machine->fd, KVM_CREATE_VCPU, number);
	if (vcpu->fd < 0)
		die_errno("vCPU %u: KVM_CREATE_VCPU", number);
	reset_vcpu(vcpu);
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die_errno("vCPU %u: cannot map kvm_run", number);
}

static _Noreturn void guest_failed(const struct vcpu *vcpu, uint64_t failure)
{
	static const char *const texts[] = {
		[FAILURE_CONTENT] = "memory holds what nobody wrote",
		[FAILURE_EXCEPTION] = "an exception",
		[FAILURE_SHARE] = "the hypervisor refused to share a page",
		[FAILURE_UNSHARE] = "the hypervisor refused to take a shared page back",
		[FAILURE_ANSWER] = "the host's answer in a shared page is wrong",
		[FAILURE_COMMAND] = "an unknown command",
	};
	int is_known = failure < sizeof(texts) / sizeof(*texts) && texts[failure];

	die("the guest on vCPU %u found: %s, at 0x%llx: 0x%llx", vcpu->number,
	    is_known ? texts[failure] : "something else", (unsigned long long)vcpu->address,
	    (unsigned long long)vcpu->value);
}

/* A load from the device. False when the guest is to end. */
static bool read_register(struct vcpu *vcpu, uint64_t reg, uint64_t *value)
{
	uint64_t index = (reg - REGISTER_ARGUMENTS) / sizeof(uint64_t);

	if (reg == REGISTER_COMMAND) {
		if (!next_command(vcpu))
			return false;
		*value = vcpu->machine->command;
		return true;
	}
	if (reg < REGISTER_ARGUMENTS || index >= sizeof(vcpu->arguments) / sizeof(uint64_t))
		die("vCPU %u read register 0x%llx", vcpu->number, (unsigned long long)reg);
	memcpy(value, (char *)&vcpu->arguments + index * sizeof(uint64_t), sizeof(*value));
	return true;
}

static void write_register(struct vcpu *vcpu, uint64_t reg, uint64_t value)
{
	switch (reg) {
	case REGISTER_ADDRESS:
		vcpu->address = value;
		break;
	case REGISTER_VALUE:
		vcpu->value = value;
		break;
	case REGISTER_FAILURE:
		guest_failed(vcpu, value);
	default:
		die("vCPU %u wrote register 0x%llx", vcpu->number, (unsigned long long)reg);
	}
}

/* An access to the device. False when the guest is to end. */
static bool access_device(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint64_t reg = run->mmio.phys_addr - DEVICE_IPA, value = 0;

	if (run->mmio.len != sizeof(value) || reg >= vcpu->machine->page_size)
		die("vCPU %u touched 0x%llx, where nothing is", vcpu->number, (unsigned long long)run->mmio.phys_addr);
	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, sizeof(value));
		write_register(vcpu, reg, value);
		return true;
	}
	if (!read_register(vcpu, reg, &value))
		return false;
	memcpy(run->mmio.data, &value, sizeof(value));
	return true;
}

/* Ends the access that the vCPU is in, whatever comes then: until it is over, it belongs to what the vCPU does next. */
static void finish_access(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	if (!ioctl(vcpu->fd, KVM_RUN, 0) || errno != EINTR)
		die("vCPU %u ran on", vcpu->number);
	vcpu->run->immediate_exit = 0;
}

void *run_vcpu(void *argument)
{
	struct vcpu *vcpu = argument;
	bool goes_on = true;

	replace_failed(vcpu->machine);
	while (goes_on) {
		if (ioctl(vcpu->fd, KVM_RUN, 0)) {
			if (errno == EINTR)
				continue;
			if (errno != EFAULT || !vcpu->machine->expects_poison)
				die_errno("vCPU %u: KVM_RUN", vcpu->number);
			vcpu->is_poisoned = true;
			break;
		}
		if (vcpu->run->exit_reason != KVM_EXIT_MMIO)
			die("vCPU %u: KVM_RUN ended with reason %u", vcpu->number, vcpu->run->exit_reason);
		goes_on = access_device(vcpu);
		/* The host resets it meanwhile. */
		if (goes_on && vcpu->machine->command == COMMAND_RESET) {
			finish_access(vcpu);
			goes_on = next_command(vcpu);
		}
	}
	leave_rounds(vcpu);
	return NULL;
}
