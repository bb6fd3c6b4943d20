#include <event-parse.h>
#include <trace-seq.h>
