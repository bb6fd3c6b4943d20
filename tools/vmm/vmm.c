/* A VMM for recordings: runs guests that touch their memory as the command line says. See options.c. */
#include <stdio.h>

#include "machine.h"
#include "report.h"

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	uint64_t random = options.seed;
	int kvm = open_kvm();
	static struct machine machine;

	for (uint64_t i = 0; i < options.lifetimes; i++) {
		create_machine(&machine, &options, kvm, next_random(&random));
		if (options.share * options.rounds >= page_count(&machine))
			die("%llu pages are too few to share so many", (unsigned long long)page_count(&machine));
		run_rounds(&machine);
		destroy_machine(&machine);
		if (options.expects_zeroes)
			check_returned(&machine);
		free_memory(&machine);
	}
	printf("vmm: %llu guests, %llu rounds each\n", (unsigned long long)options.lifetimes,
	       (unsigned long long)options.rounds);
	return 0;
}
