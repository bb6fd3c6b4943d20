/* How the program ends when it cannot go on: with one line and a status. */
#ifndef REPORT_H
#define REPORT_H

#define STATUS_FAILED	1
/* What KVM's selftests say when the machine lacks something. */
#define STATUS_SKIPPED	4

/* Ends with STATUS_FAILED. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, with the text of errno. */
_Noreturn void die_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends with STATUS_SKIPPED: this machine cannot run it. */
_Noreturn void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
