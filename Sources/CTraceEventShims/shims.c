#include "CTraceEventShims.h"

void ptes_print_info(struct tep_handle *tep, struct trace_seq *seq, struct tep_record *record)
{
	tep_print_event(tep, seq, record, "%s", TEP_PRINT_INFO);
}
