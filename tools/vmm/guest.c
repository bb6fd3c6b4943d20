/* The guest: does what the VMM asks for, page by page, and checks that its memory is what it left. */
#include "layout.h"

#define SMCCC_MEM_SHARE		0xc6000003u
#define SMCCC_MEM_UNSHARE	0xc6000004u

/* One load or store of a general register: only such an access has the syndrome that the VMM needs. */
static uint64_t device_read(uint64_t reg)
{
	uint64_t value;

	asm volatile("ldr %0, [%1]" : "=r"(value) : "r"(DEVICE_IPA + reg) : "memory");
	return value;
}

static void device_write(uint64_t reg, uint64_t value)
{
	asm volatile("str %0, [%1]" : : "r"(value), "r"(DEVICE_IPA + reg) : "memory");
}

static void fail(enum failure failure, uint64_t address, uint64_t value)
{
	device_write(REGISTER_ADDRESS, address);
	device_write(REGISTER_VALUE, value);
	device_write(REGISTER_FAILURE, failure);
}

static volatile uint64_t *word(uint64_t page, uint64_t offset)
{
	return (volatile uint64_t *)(page + offset);
}

static int64_t hypercall(uint64_t function, uint64_t argument)
{
	register uint64_t x0 asm("x0") = function;
	register uint64_t x1 asm("x1") = argument;
	register uint64_t x2 asm("x2") = 0;
	register uint64_t x3 asm("x3") = 0;

	asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return (int64_t)x0;
}

static void read_page(uint64_t page)
{
	uint64_t found = *word(page, WORD_TAG);

	if (found && found != tag_of(page))
		fail(FAILURE_CONTENT, page, found);
}

static void write_page(uint64_t page)
{
	*word(page, WORD_TAG) = tag_of(page);
}

/* Calls an instruction that returns at once, which it writes where there is none. */
static void execute_page(uint64_t page)
{
	uint64_t place = page + WORD_CODE;
	uint64_t found = *word(page, WORD_CODE);

	if (found && found != INSTRUCTION_RET)
		fail(FAILURE_CONTENT, place, found);
	if (!found) {
		*word(page, WORD_CODE) = INSTRUCTION_RET;
		asm volatile("dc civac, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb" : : "r"(place) : "memory");
	}
	asm volatile("blr %0" : : "r"(place) : "x30", "memory");
}

static void touch_page(uint64_t page, uint64_t access, uint64_t random)
{
	switch (access) {
	case ACCESS_MIXED:
		if (random % 8 == 0)
			return execute_page(page);
		/* fallthrough */
	case ACCESS_DATA:
		return random % 2 ? write_page(page) : read_page(page);
	case ACCESS_READ:
		return read_page(page);
	case ACCESS_WRITE:
		return write_page(page);
	case ACCESS_EXECUTE:
		return execute_page(page);
	}
}

static void touch(const struct arguments *arguments)
{
	uint64_t state = arguments->seed;
	uint64_t index = next_random(&state) % arguments->pages;

	for (uint64_t visit = 0; visit < arguments->visits; visit++) {
		uint64_t random = next_random(&state);

		touch_page(arguments->base + index * arguments->page_size + arguments->offset, arguments->access,
			   random);
		switch (arguments->pattern) {
		case PATTERN_SEQUENTIAL:
			index = (index + 1) % arguments->pages;
			break;
		case PATTERN_STRIDED:
			index = (index + arguments->stride) % arguments->pages;
			break;
		default:
			index = (random >> 8) % arguments->pages;
		}
	}
}

static void share(const struct arguments *arguments)
{
	for (uint64_t i = 0; i < arguments->pages; i++) {
		uint64_t page = arguments->base + i * arguments->page_size;
		int64_t result;

		/* Half of the pages are there when they are shared; EL2 asks the host for the others. */
		if (i % 2)
			*word(page, WORD_GREETING) = tag_of(page);
		result = hypercall(SMCCC_MEM_SHARE, page);
		if (result)
			fail(FAILURE_SHARE, page, result);
		*word(page, WORD_GREETING) = tag_of(page);
	}
}

static void unshare(const struct arguments *arguments)
{
	for (uint64_t i = 0; i < arguments->pages; i++) {
		uint64_t page = arguments->base + i * arguments->page_size;
		uint64_t found = *word(page, WORD_ANSWER);
		int64_t result;

		if (found != answer_to(tag_of(page)))
			fail(FAILURE_ANSWER, page, found);
		if (stays_shared(i))
			continue;
		result = hypercall(SMCCC_MEM_UNSHARE, page);
		if (result)
			fail(FAILURE_UNSHARE, page, result);
	}
}

void guest_main(void)
{
	for (;;) {
		struct arguments arguments;
		uint64_t command = device_read(REGISTER_COMMAND);
		uint64_t *argument = (uint64_t *)&arguments;

		for (uint64_t i = 0; i < sizeof(arguments) / sizeof(*argument); i++)
			argument[i] = device_read(REGISTER_ARGUMENTS + i * sizeof(*argument));
		switch (command) {
		case COMMAND_TOUCH:
			touch(&arguments);
			break;
		case COMMAND_SHARE:
			share(&arguments);
			break;
		case COMMAND_UNSHARE:
			unshare(&arguments);
			break;
		default:
			fail(FAILURE_COMMAND, 0, command);
		}
	}
}
