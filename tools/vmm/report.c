#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line is written at once: threads may fail together. */
static _Noreturn void end(int status, const char *prefix, int error, const char *format, va_list list)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, list);
	fprintf(stderr, "vmm: %s%s%s%s\n", prefix, text, error ? ": " : "", error ? strerror(error) : "");
	_Exit(status);
}

void die(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	end(STATUS_FAILED, "", 0, format, list);
}

void die_errno(const char *format, ...)
{
	int error = errno;
	va_list list;

	va_start(list, format);
	end(STATUS_FAILED, "", error, format, list);
}

void skip(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	end(STATUS_SKIPPED, "SKIP: ", 0, format, list);
}
