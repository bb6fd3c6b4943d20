/* The rounds: the vCPUs touch memory, and between two rounds, while they wait, the host works. */
#include <stdlib.h>
#include <time.h>

#include "machine.h"
#include "report.h"

bool next_command(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;
	unsigned int generation;
	bool goes_on;

	pthread_mutex_lock(&machine->lock);
	generation = machine->generation;
	machine->waiting++;
	pthread_cond_signal(&machine->host_turn);
	while (machine->generation == generation)
		pthread_cond_wait(&machine->guest_turn, &machine->lock);
	goes_on = !machine->ends;
	pthread_mutex_unlock(&machine->lock);
	return goes_on;
}

void leave_rounds(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;

	/* It counts as waiting from now on, and nothing wakes it up. */
	pthread_mutex_lock(&machine->lock);
	machine->waiting++;
	pthread_cond_signal(&machine->host_turn);
	pthread_mutex_unlock(&machine->lock);
}

static void sleep_us(long us)
{
	struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&time, NULL);
}

static unsigned int running_vcpus(struct machine *machine)
{
	unsigned int count;

	pthread_mutex_lock(&machine->lock);
	count = machine->options->vcpus - machine->waiting;
	pthread_mutex_unlock(&machine->lock);
	return count;
}

/* Waits until every vCPU asks for a command. */
static void wait_for_guest(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	while (machine->waiting < machine->options->vcpus)
		pthread_cond_wait(&machine->host_turn, &machine->lock);
	pthread_mutex_unlock(&machine->lock);
}

static void give_command(struct machine *machine, enum command command)
{
	pthread_mutex_lock(&machine->lock);
	machine->command = command;
	machine->ends = !command;
	machine->waiting = 0;
	machine->generation++;
	pthread_cond_broadcast(&machine->guest_turn);
	pthread_mutex_unlock(&machine->lock);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	return b ? common_divisor(b, a % b) : a;
}

/* A step of about a third of the memory that comes to every page. */
static uint64_t stride(uint64_t pages)
{
	uint64_t step = pages / 3 + 1;

	while (common_divisor(step, pages) != 1)
		step++;
	return step;
}

static void touch(struct machine *machine, bool takes_snapshot)
{
	const struct options *options = machine->options;
	uint64_t pages = page_count(machine), left = 0;

	for (unsigned int i = 0; i < options->vcpus; i++)
		machine->vcpus[i].arguments = (struct arguments){
			.base = RAM_IPA,
			.pages = pages,
			.page_size = machine->page_size,
			.visits = options->touch ? options->touch : pages,
			.pattern = options->pattern,
			.access = options->access,
			.stride = stride(pages),
			.seed = next_random(&machine->random),
			.offset = options->offset,
		};
	if (takes_snapshot)
		begin_snapshot(machine);
	give_command(machine, COMMAND_TOUCH);
	if (options->works_while_running)
		left = options->discard > options->advise ? options->discard : options->advise;
	if (options->forks && !machine->child)
		fork_child(machine);
	for (uint64_t done = 0; done < left && running_vcpus(machine); done++) {
		if (done < options->discard)
			discard_pages(machine, 1);
		if (done < options->advise)
			advise_pages(machine, 1);
		sleep_us(200);
	}
	wait_for_guest(machine);
	if (takes_snapshot)
		end_snapshot(machine);
}

/* What a reset of the guest comes to: all vCPUs stop, the VMM resets them, and they begin again. */
static void reset_guest(struct machine *machine)
{
	give_command(machine, COMMAND_RESET);
	wait_for_guest(machine);
	for (unsigned int i = 0; i < machine->options->vcpus; i++)
		reset_vcpu(&machine->vcpus[i]);
	give_command(machine, COMMAND_BEGIN);
	wait_for_guest(machine);
}

/* vCPU 0 shares pages that were never shared before; the others have nothing to do. */
static void share(struct machine *machine, uint64_t round)
{
	uint64_t pages = machine->options->share, first = round * pages;

	for (unsigned int i = 0; i < machine->options->vcpus; i++)
		machine->vcpus[i].arguments = (struct arguments){
			.base = RAM_IPA + first * machine->page_size,
			.pages = i ? 0 : pages,
			.page_size = machine->page_size,
		};
	give_command(machine, COMMAND_SHARE);
	wait_for_guest(machine);
	answer_shared(machine, first, pages);
	give_command(machine, COMMAND_UNSHARE);
	wait_for_guest(machine);
}

static void work_between(struct machine *machine, uint64_t round)
{
	const struct options *options = machine->options;

	end_child(machine);
	if (options->forks && round % 2)
		fork_child(machine);
	if (options->discard && !options->works_while_running)
		discard_pages(machine, options->discard);
	if (options->advise && !options->works_while_running)
		advise_pages(machine, options->advise);
	if (options->failing)
		fail_pages(machine, options->failing);
	if (options->protect)
		protect_pages(machine, options->protect);
	if (options->moves)
		move_slot(machine);
	if (options->recreates)
		recreate_slot(machine);
	if (options->resets)
		reset_guest(machine);
	if (options->logs)
		switch_log(machine, round % 2);
	if (options->pause_ms)
		sleep_us(options->pause_ms * 1000);
}

/* The host takes pages away and the vCPUs go on until each has met one. */
static void poison(struct machine *machine)
{
	const struct options *options = machine->options;

	machine->expects_poison = true;
	poison_pages(machine, options->poison);
	touch(machine, false);
}

void run_rounds(struct machine *machine)
{
	const struct options *options = machine->options;
	bool met_poison = !options->poison;

	if (options->peek)
		peek_pages(machine, options->peek);
	for (unsigned int i = 0; i < options->vcpus; i++)
		if (pthread_create(&machine->vcpus[i].thread, NULL, run_vcpu, &machine->vcpus[i]))
			die("cannot create a thread for vCPU %u", i);
	wait_for_guest(machine);
	for (uint64_t round = 0; round < options->rounds; round++) {
		if (round)
			work_between(machine, round);
		touch(machine, options->takes_snapshots && round % 2);
		if (options->share)
			share(machine, round);
	}
	if (options->poison)
		poison(machine);
	end_child(machine);
	give_command(machine, 0);
	for (unsigned int i = 0; i < options->vcpus; i++) {
		pthread_join(machine->vcpus[i].thread, NULL);
		met_poison |= machine->vcpus[i].is_poisoned;
	}
	if (!met_poison)
		die("no vCPU met a page that the host took away");
}
