/* What a keeper is to run, in a file without a name. Both sides are the same program.
 *
 * Owns:    what order_take gives is one block (order_free).
 * Threads: any.
 * Blocks:  never: the file is memory.
 * Limits:  none. */
#ifndef KEEP_ORDER_H
#define KEEP_ORDER_H

#include "base/error.h"
#include "job/host.h"
#include "policy/rule.h"

struct keep_order {
    const char *label; /* before log lines */
    char *const *argv;
    const char *program; /* NULL: argv[0] */
    char *const *env;    /* complete */
    const char *cwd;     /* NULL: where the server is */
    bool cwd_is_home;
    const struct rule *rule; /* NULL: none. Only what confines; no texts but name, user, chroot */
    struct job_base base;    /* without seats */
    struct job_limits limits;
    const struct pty_request *pty; /* its terminal; NULL: it has none */
    const char *recording;         /* the file of what that shows, which is there; NULL: none */
    bool stdin_stream;
    uint64_t timeout_ms;
    uint64_t stdin_credit;
    uint64_t window_max; /* as the client said; 0: not at all */
};

/* *fd is the caller's. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status order_put(const struct keep_order *order, int *fd, struct afar_error *err);

struct order_taken;

/* AFAR_EPEER: not such a file. */
enum afar_status order_take(struct order_taken **taken, int fd, struct afar_error *err);
void order_free(struct order_taken *taken);
const struct keep_order *order_of(const struct order_taken *taken);

#endif
