// SPDX-License-Identifier: MIT
/*
 * What happens in an operation, kept until its end and told to the host in order: the level of a table is known only once it
 * hangs in the tree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit-vm.h"
#include "report.h"

#define MOST_ARGS 16
/* So many are kept at most, but for those that wait for the level of a table: to unmap a large VM makes millions. */
#define MOST_EVENTS 1024

enum kind { HYPERCALL, WARNING, PANIC, MAINTENANCE, MEMORY };

struct event {
	enum kind kind;
	const char *name;	/* of a hypercall, or of a file */
	const char *text;
	unsigned int number;	/* line, kind of maintenance, arguments or object */
	int level;
	long long count;	/* or result */
	kit_u64 values[MOST_ARGS];
};

struct s2_vm *kit_vm;
jmp_buf *kit_stop;
static struct event *events;
static size_t event_count, event_capacity;

static struct event *new_event(enum kind kind)
{
	if (event_count >= MOST_EVENTS && kit_vm && !kit_vm->fresh_tables)
		kit_tell();
	if (event_count == event_capacity) {
		event_capacity = event_capacity ? 2 * event_capacity : 64;
		events = realloc(events, event_capacity * sizeof(*events));
		if (!events)
			abort();
	}
	events[event_count].kind = kind;
	return &events[event_count++];
}

void kit_warn(const char *file, unsigned int line, const char *condition)
{
	struct event *event = new_event(WARNING);

	event->name = file;
	event->number = line;
	event->text = condition;
}

void kit_panic(const char *file, unsigned int line, const char *text)
{
	struct event *event = new_event(PANIC);

	event->name = file;
	event->number = line;
	event->text = text;
	kit_vm->is_stopped = 1;
	longjmp(*kit_stop, 1);
}

static char reason[200];

void kit_missing(const char *name)
{
	snprintf(reason, sizeof(reason), "the kernel called %s(), which the kit has not", name);
	kit_panic(__FILE__, __LINE__, reason);
}

void kit_instruction(const char *place)
{
	const char *colon = strrchr(place, ':');

	if (!colon)
		kit_panic(place, 0, "an instruction of arm64's for which the kit has nothing");
	snprintf(reason, sizeof(reason), "%.*s", (int)(colon - place), place);
	kit_panic(reason, atoi(colon + 1), "an instruction of arm64's for which the kit has nothing");
}

void kit_maintenance(unsigned int kind, kit_u64 address, kit_u64 size)
{
	struct event *event = new_event(MAINTENANCE);

	event->number = kind;
	event->values[0] = address;
	event->values[1] = size;
}

void kit_hypercall_done(const char *name, unsigned int argc, const kit_u64 *args, long long result)
{
	struct event *event = new_event(HYPERCALL);

	event->name = name;
	event->number = argc < MOST_ARGS ? argc : MOST_ARGS;
	event->count = result;
	memcpy(event->values, args, event->number * sizeof(*args));
}

/* The counter of an object, NULL where it has none. */
static uint64_t *counter(int object, int level)
{
	struct s2_counters *counters = &kit_vm->counters;

	switch (object) {
	case S2_OBJECT_TABLE:
		return level >= -1 && level <= 4 ? &counters->table_pages[level + 1] : NULL;
	case S2_OBJECT_PGD:
		return &counters->pgd_pages;
	case S2_OBJECT_MAPPING:
		return &counters->mappings;
	case S2_OBJECT_MEMCACHE:
		return &counters->memcache_pages;
	case S2_OBJECT_POOL:
		return &counters->pool_pages;
	default:
		return NULL;
	}
}

static void count_object(int object, int level, long long count)
{
	uint64_t *number = counter(object, level);

	if (number)
		*number += count;
}

long kit_memory(int object, int level, long long count, kit_u64 size)
{
	struct event *event = new_event(MEMORY);

	event->number = object;
	event->level = level;
	event->count = count;
	event->values[0] = size;
	if (object == S2_OBJECT_MAPPING)
		kit_vm->counters.mapping_bytes = size;
	count_object(object, level, count);
	return event_count - 1;
}

void kit_memory_level(long event, int level)
{
	count_object(S2_OBJECT_TABLE, level, 1);
	if (event >= 0 && (size_t)event < event_count)
		events[event].level = level;
}

static void tell(const struct s2_host *host, const struct event *event)
{
	switch (event->kind) {
	case HYPERCALL:
		if (host->hypercall)
			host->hypercall(host->user, event->name, event->number, (const uint64_t *)event->values, event->count);
		break;
	case WARNING:
		if (host->warning)
			host->warning(host->user, event->name, event->number, event->text);
		break;
	case PANIC:
		if (host->panic)
			host->panic(host->user, event->name, event->number, event->text);
		break;
	case MAINTENANCE:
		if (host->maintenance)
			host->maintenance(host->user, event->number, event->values[0], event->values[1]);
		break;
	case MEMORY:
		if (host->memory)
			host->memory(host->user, event->number, event->level, event->count, event->values[0]);
		break;
	}
}

void kit_tell(void)
{
	size_t i;

	for (i = 0; i < event_count; i++)
		tell(&kit_vm->host, &events[i]);
	event_count = 0;
}
