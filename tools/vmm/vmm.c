/* A VMM for recordings: runs guests that touch their memory as the command line says. See options.c. */
#include <stdio.h>

#include "machine.h"
#include "report.h"

/* A guest from its beginning to its end. */
struct life {
	const struct options *options;
	int kvm;
	uint64_t seed;
	pthread_t thread;
	struct machine machine;
};

static void *live(void *argument)
{
	struct life *life = argument;
	const struct options *options = life->options;
	struct machine *machine = &life->machine;

	create_machine(machine, options, life->kvm, life->seed);
	if (options->share * options->rounds >= page_count(machine))
		die("%llu pages are too few to share so many", (unsigned long long)page_count(machine));
	run_rounds(machine);
	destroy_machine(machine);
	if (options->expects_zeroes)
		check_returned(machine);
	free_memory(machine);
	return NULL;
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	uint64_t random = options.seed;
	int kvm = open_kvm();
	static struct life lives[MOST_MACHINES];

	for (uint64_t i = 0; i < options.lifetimes; i++) {
		for (uint64_t m = 0; m < options.machines; m++) {
			lives[m].options = &options;
			lives[m].kvm = kvm;
			lives[m].seed = next_random(&random);
			/* The first one is the main thread's. */
			if (m && pthread_create(&lives[m].thread, NULL, live, &lives[m]))
				die("cannot create a thread for a guest");
		}
		live(&lives[0]);
		for (uint64_t m = 1; m < options.machines; m++)
			pthread_join(lives[m].thread, NULL);
	}
	printf("vmm: %llu guests, %llu rounds each\n", (unsigned long long)(options.lifetimes * options.machines),
	       (unsigned long long)options.rounds);
	return 0;
}
