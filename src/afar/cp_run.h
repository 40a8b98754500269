/* The loop of `afar cp`: servers, the copy, standard streams, signals, progress.
 *
 * Owns:    all of it (cp_run_close).
 * Threads: one.
 * Blocks:  until the copy is done.
 * Limits:  CP_HOSTS_MAX servers. */
#ifndef AFAR_CP_RUN_H
#define AFAR_CP_RUN_H

#include "afar/cp_host.h"
#include "afar/cp_tell.h"
#include "afar/output.h"
#include "afar/progress.h"
#include "afar/signals.h"
#include "copy/query.h"

enum { CP_HOSTS_MAX = 16 };

struct cp_run {
    const struct options *options;
    struct copy copy;
    struct cp_host hosts[CP_HOSTS_MAX];
    size_t host_count;
    struct cp_host *target; /* NULL: local */
    struct cp_tell tell;
    struct progress progress;
    bool to_output; /* the target is standard output */
    struct output output;
    bool has_output;
    struct signals signals;
    bool has_signals;
    int signal; /* the last signal that ends programs; 0: none */
    int64_t give_up_ms;
    int64_t deadline_ms; /* --timeout */
    bool timed_out;
    bool over; /* a second signal came, or the time after the first, or the deadline, has passed */
    int64_t began_ms;
};

bool cp_run_open(struct cp_run *run, const struct options *options);
void cp_run_close(struct cp_run *run);

/* The server of that name; connects to it if that was not done. NULL: the reason was reported. */
struct cp_host *cp_run_host(struct cp_run *run, const char *name);

/* Waits for a query's answer. False: there will be none; that was reported. */
bool cp_run_wait(struct cp_run *run, const struct query *query);

/* Copies what was added. Returns the exit status. */
int cp_run_copy(struct cp_run *run);

#endif
