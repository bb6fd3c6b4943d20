#ifndef CTRACE_EVENT_SHIMS_H
#define CTRACE_EVENT_SHIMS_H

#include <event-parse.h>
#include <trace-seq.h>

/// tep_print_event() with the format TEP_PRINT_INFO: the text after the event's name.
/// A shim because Swift cannot call a variadic C function.
void ptes_print_info(struct tep_handle *tep, struct trace_seq *seq, struct tep_record *record);

#endif
