// SPDX-License-Identifier: MIT
/*
 * EL2's start and the calls to it. pkvm.c reserves its memory and setup.c sets it up; what arm.c does of it is repeated here, and what these call of
 * the rest of the kernel.
 */
#include <linux/kvm_host.h>
#include <linux/memblock.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_pkvm.h>

#include "pkvm.h"

/* The machine that EL2 was started on, while there are VMs. */
static struct {
	unsigned int vms;
	unsigned int pa_bits;
	u64 features;
	bool is_started;
	bool is_at_el2;		/* for ever, if EL2 has panicked */
	bool is_taken[KIT_EL2_CPUS];	/* CPUs of EL2 */
} machine;

/*
 * The call to EL2.
 */

/* Addresses of the machine's memory differ from build to build, and mean nothing outside. */
static u64 to_tell(u64 arg)
{
	return arg >= kit_memory_start && arg < kit_memory_end ? 0 : arg;
}

long kit_call_el2(unsigned long id, const char *name, unsigned int argc, const kit_u64 *args, unsigned long *result)
{
	struct pkvm *state = state_of(kit_vm);
	kit_u64 told[8];
	unsigned int i;
	long x0, answer;

	if (machine.is_at_el2)
		kit_panic(__FILE__, __LINE__, "EL2 is called after it has panicked");
	for (i = 0; i < argc && i < ARRAY_SIZE(told); i++)
		told[i] = to_tell(args[i]);
	machine.is_at_el2 = true;
	x0 = kit_el2_call(id, argc, args, result);
	machine.is_at_el2 = false;
	/* A handler without a result leaves the argument in x1. */
	answer = argc && *result == args[0] ? 0 : *result;
	if (state && !state->is_silent)
		kit_hypercall_done(name, i, told, x0 == SMCCC_RET_SUCCESS ? answer : -EOPNOTSUPP);
	return x0;
}

/*
 * What the host offers pkvm.c while it reserves EL2's memory at boot.
 */

static struct memblock_region memory_region = { .size = KIT_EL2_MEMORY_SIZE };

struct memblock memblock = {
	.memory = { .cnt = 1, .max = 1, .regions = &memory_region },
};

phys_addr_t memblock_phys_alloc_range(phys_addr_t size, phys_addr_t align, phys_addr_t start, phys_addr_t end)
{
	/* Behind the page that stands for EL2's image. */
	return ALIGN(kit_el2_memory + PAGE_SIZE, align);
}

enum kvm_mode kvm_get_mode(void)
{
	return KVM_MODE_PROTECTED;
}

bool is_kvm_arm_initialised(void)
{
	return true;
}

u32 __boot_cpu_mode[2] = { BOOT_CPU_MODE_EL2, BOOT_CPU_MODE_EL2 };

/* What else pkvm.c calls of the kernel. */

bool static_key_initialized = true;

u64 kit_read_sysreg(const char *name)
{
	/* Under pKVM the host runs at EL1. */
	if (!strcmp(name, "CurrentEL"))
		return kit_vm->config.path == S2_PATH_PKVM ? CurrentEL_EL1 : CurrentEL_EL2;
	kit_panic(__FILE__, __LINE__, name);
}

/* Pins are of no concern: frames are numbers. */
void unpin_user_pages_dirty_lock(struct page **pages, unsigned long count, bool make_dirty)
{
}

int account_locked_vm(struct mm_struct *mm, unsigned long pages, bool inc)
{
	return 0;
}

void add_taint(unsigned int flag, enum lockdep_ok lockdep)
{
}

/*
 * EL2's start, as arm.c's kvm_hyp_init_protection() and pkvm.c's finalize_pkvm(): by its own __pkvm_init().
 */

extern struct memblock_region kvm_nvhe_sym(hyp_memory)[];
extern unsigned int kvm_nvhe_sym(hyp_memblock_nr);
extern unsigned long kvm_nvhe_sym(hyp_nr_cpus);
extern phys_addr_t hyp_mem_base, hyp_mem_size;

/* As wide as the kit's memory needs, whatever the configuration says of it. */
static u64 machine_mmfr0(void)
{
	u64 mmfr0 = read_sanitised_ftr_reg(SYS_ID_AA64MMFR0_EL1);
	u64 parange = machine.pa_bits == 52 ? ID_AA64MMFR0_EL1_PARANGE_52 : ID_AA64MMFR0_EL1_PARANGE_48;

	return (mmfr0 & ~ID_AA64MMFR0_EL1_PARANGE_MASK) | parange << ID_AA64MMFR0_EL1_PARANGE_SHIFT;
}

static int start_el2(const char **why)
{
	unsigned long *per_cpu_base = kit_object_take(sizeof(*per_cpu_base), KIT_UNTOLD);
	int ret;

	kit_el2_start();
	memory_region.base = kit_el2_memory;
	kvm_hyp_reserve();
	kvm_nvhe_sym(id_aa64pfr0_el1_sys_val) = read_sanitised_ftr_reg(SYS_ID_AA64PFR0_EL1);
	kvm_nvhe_sym(id_aa64mmfr0_el1_sys_val) = machine_mmfr0();
	kvm_nvhe_sym(id_aa64mmfr1_el1_sys_val) = read_sanitised_ftr_reg(SYS_ID_AA64MMFR1_EL1);
	kvm_nvhe_sym(hyp_nr_cpus) = 1;
	*per_cpu_base = kit_el2_percpu_base(0);
	ret = kvm_call_hyp_nvhe(__pkvm_init, hyp_mem_base, hyp_mem_size, per_cpu_base, KIT_EL2_VA_BITS);
	if (ret) {
		*why = "EL2's __pkvm_init() failed";
		return -1;
	}
	static_branch_enable(&kvm_protected_mode_initialized);
	ret = kvm_call_hyp_nvhe(__pkvm_prot_finalize);
	if (ret) {
		*why = "EL2's __pkvm_prot_finalize() failed";
		return -1;
	}
	/*
	 * From now on all that has an address is memory: guests' frames are anywhere. Its tables at EL2 were made for less, as
	 * otherwise they would have to be made for all of it.
	 */
	kvm_nvhe_sym(hyp_memory)[0].base = 0;
	kvm_nvhe_sym(hyp_memory)[0].size = BIT_ULL(machine.pa_bits);
	return 0;
}

static void stop_el2(void)
{
	if (!machine.is_started)
		return;
	kit_el2_forget();
	kvm_nvhe_sym(hyp_memblock_nr) = 0;
	static_branch_disable(&kvm_protected_mode_initialized);
	machine.is_started = false;
	machine.is_at_el2 = false;
}

int prepare_el2(struct s2_vm *vm, const char **why)
{
	unsigned int pa_bits = vm->config.pa_bits > 48 ? 52 : 48;
	bool is_same = machine.pa_bits == pa_bits && machine.features == vm->config.features;

	if (machine.is_started && machine.vms && !is_same) {
		*why = "there are VMs of another machine: physical address size and features must be the same";
		return -1;
	}
	if (machine.is_at_el2 && machine.vms) {
		*why = "EL2 has panicked, and its VMs are still there";
		return -1;
	}
	if (machine.is_started && !machine.vms && (!is_same || machine.is_at_el2))
		stop_el2();
	if (machine.is_started)
		return 0;
	machine.pa_bits = pa_bits;
	machine.features = vm->config.features;
	if (kit_el2_reserve(machine.pa_bits, why) || start_el2(why))
		return -1;
	machine.is_started = true;
	return 0;
}

bool el2_has_panicked(void)
{
	return machine.is_at_el2;
}

unsigned int enter_machine(void)
{
	unsigned int cpu;

	for (cpu = 1; cpu < KIT_EL2_CPUS; cpu++) {
		if (machine.is_taken[cpu])
			continue;
		machine.is_taken[cpu] = true;
		machine.vms++;
		return cpu;
	}
	return 0;
}

void leave_machine(unsigned int cpu, bool is_broken)
{
	machine.is_taken[cpu] = false;
	machine.vms--;
	machine.is_at_el2 |= is_broken;
}
