/* The command line. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "report.h"

static const char help[] =
	"vmm: runs a small guest whose memory use is known, for recordings of KVM/arm64's stage 2\n"
	"\n"
	"  --protected          a protected guest; the host must run pKVM\n"
	"  --vcpus N            vCPUs, each a thread; 1 unless told otherwise, 16 at most\n"
	"  --memory MIB         the guest's memory; 16 unless told otherwise\n"
	"  --slots N            memory slots that it is divided into; 1 unless told otherwise\n"
	"  --ipa-bits N         the size of the IPA space; KVM's 40 unless told otherwise\n"
	"  --backing KIND       anonymous (the default), thp, hugetlb, hugetlb-1g, shmem or guest-memfd\n"
	"  --huge               --backing thp\n"
	"  --eager-split BYTES  KVM splits blocks when logging begins, so many bytes at once\n"
	"\n"
	"  --peek PAGES         the host reads pages before the guest runs, as a loader does\n"
	"  --rounds N           how often all vCPUs touch memory; 1 unless told otherwise\n"
	"  --touch PAGES        pages that each vCPU touches in a round; as many as there are unless told otherwise\n"
	"  --pattern KIND       random (the default), sequential or strided; each vCPU has an order of its own\n"
	"  --access KIND        mixed (the default), data, read, write or execute\n"
	"  --offset BYTES       where in a page the guest touches it: a multiple of 8; at the start unless told otherwise\n"
	"  --seed N             what all random numbers start from; 1 unless told otherwise\n"
	"\n"
	"between the rounds, while no vCPU runs:\n"
	"  --discard PAGES      the host discards pages (MADV_DONTNEED, or a hole in guest memory)\n"
	"  --advise PAGES       the host gives advice of all kinds on pages (madvise)\n"
	"  --while-running      ... these two while the vCPUs run instead; mixed accesses then leave execution out\n"
	"  --protect PAGES      the host makes pages read-only and writable again\n"
	"  --log                dirty logging is on in every other round; not for protected guests\n"
	"  --move               a slot moves away and back; not for protected guests\n"
	"  --recreate           a slot is deleted and created; not for protected guests\n"
	"  --failing PAGES      memory fails (MADV_HWPOISON); a vCPU that comes to such a page gets another one\n"
	"  --fork               the host forks, every other time while the vCPUs run; not for protected guests\n"
	"  --reset              the vCPUs are reset, and begin again; not for protected guests\n"
	"  --snapshot           in every other round: a snapshot is taken (userfaultfd) while the vCPUs run\n"
	"  --share PAGES        a protected guest shares pages with the host, and takes three of four back\n"
	"  --pause MS           nothing happens for a while\n"
	"at the end:\n"
	"  --poison PAGES       the host's kernel reads pages of a protected guest, which then cannot use them\n"
	"  --expect-zeroes      what a protected guest did not share has to come back as zeroes\n"
	"\n"
	"  --lifetimes N        how many such guests run, one after another; 1 unless told otherwise\n"
	"  --machines N         and how many of them at once; 1 unless told otherwise, 16 at most\n"
	"\n"
	"Exit status: 0 the guest did all that, 1 it did not, 4 this machine cannot run it, 64 wrong command line.\n";

static _Noreturn void usage(const char *format, ...)
{
	va_list list;

	fputs("vmm: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputs("; --help explains\n", stderr);
	exit(64);
}

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || *end || end == text || *text == '-')
		usage("--%s: '%s' is no number", option, text);
	if (value < least || value > most)
		usage("--%s: %s is not between %llu and %llu", option, text, (unsigned long long)least,
		      (unsigned long long)most);
	return value;
}

static unsigned int one_of(const char *option, const char *text, const char *const names[])
{
	for (unsigned int i = 0; names[i]; i++)
		if (!strcmp(text, names[i]))
			return i;
	usage("--%s: there is no '%s'", option, text);
}

static const char *const patterns[] = { "sequential", "random", "strided", NULL };
static const char *const accesses[] = { "mixed", "read", "write", "execute", "data", NULL };
static const char *const backings[] = { "anonymous", "thp", "hugetlb", "hugetlb-1g", "shmem", "guest-memfd", NULL };

static const struct option names[] = {
	{ "protected", no_argument, NULL, 'P' },
	{ "vcpus", required_argument, NULL, 'c' },
	{ "memory", required_argument, NULL, 'm' },
	{ "slots", required_argument, NULL, 'S' },
	{ "ipa-bits", required_argument, NULL, 'i' },
	{ "backing", required_argument, NULL, 'b' },
	{ "huge", no_argument, NULL, 'H' },
	{ "eager-split", required_argument, NULL, 'e' },
	{ "peek", required_argument, NULL, 'k' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "touch", required_argument, NULL, 't' },
	{ "pattern", required_argument, NULL, 'p' },
	{ "access", required_argument, NULL, 'a' },
	{ "offset", required_argument, NULL, 'O' },
	{ "seed", required_argument, NULL, 's' },
	{ "discard", required_argument, NULL, 'd' },
	{ "advise", required_argument, NULL, 'A' },
	{ "while-running", no_argument, NULL, 'w' },
	{ "protect", required_argument, NULL, 'R' },
	{ "log", no_argument, NULL, 'l' },
	{ "move", no_argument, NULL, 'M' },
	{ "recreate", no_argument, NULL, 'C' },
	{ "failing", required_argument, NULL, 'F' },
	{ "fork", no_argument, NULL, 'f' },
	{ "reset", no_argument, NULL, 'I' },
	{ "snapshot", no_argument, NULL, 'u' },
	{ "share", required_argument, NULL, 'x' },
	{ "pause", required_argument, NULL, 'z' },
	{ "poison", required_argument, NULL, 'o' },
	{ "expect-zeroes", no_argument, NULL, 'Z' },
	{ "lifetimes", required_argument, NULL, 'n' },
	{ "machines", required_argument, NULL, 'N' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void set(struct options *options, int option, const char *name, const char *word)
{
	switch (option) {
	case 'P': options->is_protected = true; break;
	case 'c': options->vcpus = number(name, optarg, 1, MOST_VCPUS); break;
	case 'm': options->memory_mib = number(name, optarg, 1, 1 << 20); break;
	case 'S': options->slots = number(name, optarg, 1, 256); break;
	case 'i': options->ipa_bits = number(name, optarg, 32, 52); break;
	case 'b': options->backing = one_of(name, optarg, backings); break;
	case 'H': options->backing = BACKING_THP; break;
	case 'e': options->eager_split = number(name, optarg, 1, UINT32_MAX); break;
	case 'k': options->peek = number(name, optarg, 1, UINT32_MAX); break;
	case 'r': options->rounds = number(name, optarg, 1, 1000000); break;
	case 't': options->touch = number(name, optarg, 1, UINT32_MAX); break;
	case 'p': options->pattern = one_of(name, optarg, patterns); break;
	case 'a': options->access = one_of(name, optarg, accesses); break;
	case 'O': options->offset = number(name, optarg, 0, 0xff00) & ~7ull; break;
	case 's': options->seed = number(name, optarg, 0, UINT64_MAX); break;
	case 'd': options->discard = number(name, optarg, 1, UINT32_MAX); break;
	case 'A': options->advise = number(name, optarg, 1, UINT32_MAX); break;
	case 'w': options->works_while_running = true; break;
	case 'R': options->protect = number(name, optarg, 1, UINT32_MAX); break;
	case 'l': options->logs = true; break;
	case 'M': options->moves = true; break;
	case 'C': options->recreates = true; break;
	case 'F': options->failing = number(name, optarg, 1, UINT32_MAX); break;
	case 'f': options->forks = true; break;
	case 'I': options->resets = true; break;
	case 'u': options->takes_snapshots = true; break;
	case 'x': options->share = number(name, optarg, 1, UINT32_MAX); break;
	case 'z': options->pause_ms = number(name, optarg, 1, 3600000); break;
	case 'o': options->poison = number(name, optarg, 1, UINT32_MAX); break;
	case 'Z': options->expects_zeroes = true; break;
	case 'n': options->lifetimes = number(name, optarg, 1, 1000000); break;
	case 'N': options->machines = number(name, optarg, 1, MOST_MACHINES); break;
	case 'h': fputs(help, stdout); exit(0);
	default: usage("'%s' is no option, or lacks its value", word);
	}
}

static void check(struct options *options)
{
	if (options->is_protected && (options->logs || options->moves || options->recreates))
		usage("the slots of a protected guest stay as they are: no --log, --move or --recreate");
	if (options->is_protected && (options->advise || options->forks || options->resets || options->takes_snapshots))
		usage("a protected guest's memory is its own: no --advise, --fork, --reset or --snapshot");
	if (options->is_protected && (options->eager_split || options->failing || options->backing == BACKING_GUEST_MEMFD))
		usage("not for protected guests: --eager-split, --failing and --backing guest-memfd");
	if (options->backing == BACKING_GUEST_MEMFD && (options->logs || options->moves))
		usage("a slot of guest memory cannot be logged or moved");
	if (!options->is_protected && (options->share || options->poison || options->expects_zeroes))
		usage("--share, --poison and --expect-zeroes need --protected");
	if (options->failing && options->backing != BACKING_ANONYMOUS)
		usage("--failing needs --backing anonymous");
	if ((options->advise || options->forks || options->takes_snapshots) &&
	    options->backing != BACKING_ANONYMOUS && options->backing != BACKING_THP)
		usage("--advise, --fork and --snapshot need --backing anonymous or thp");
	if (options->works_while_running && !options->discard && !options->advise)
		usage("--while-running needs --discard or --advise");
	/* A page that is discarded between the write of an instruction and its execution holds none. */
	if (options->works_while_running && options->access == ACCESS_MIXED)
		options->access = ACCESS_DATA;
	if (options->works_while_running && options->access == ACCESS_EXECUTE)
		usage("--while-running: the guest cannot execute what is being discarded");
}

struct options parse_options(int argc, char **argv)
{
	struct options options = {
		.vcpus = 1, .memory_mib = 16, .slots = 1, .rounds = 1, .pattern = PATTERN_RANDOM, .seed = 1,
		.lifetimes = 1, .machines = 1,
	};
	int option, index = 0;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", names, &index)) != -1)
		set(&options, option, names[index].name, argv[optind - 1]);
	if (optind < argc)
		usage("'%s' is no option", argv[optind]);
	check(&options);
	return options;
}
