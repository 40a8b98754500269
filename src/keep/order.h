/* What a keeper must run, in a memory file. Writer and reader are the same program.
 *
 * Owns:    order_take returns one object; order_free frees it and all that it points to.
 * Threads: any.
 * Blocks:  never: the file is in memory.
 * Limits:  none. */
#ifndef KEEP_ORDER_H
#define KEEP_ORDER_H

#include "base/error.h"
#include "job/host.h"
#include "policy/rule.h"

struct keep_order {
    const char *label; /* begins log lines */
    char *const *argv;
    const char *program; /* NULL: argv[0] */
    char *const *env;    /* complete */
    const char *cwd;     /* NULL: the server's directory */
    bool cwd_is_home;
    /* NULL: none. Only what confines the command; of the texts only name, user and chroot. */
    const struct rule *rule;
    struct job_base base; /* without seats */
    struct job_limits limits;
    const struct pty_request *pty; /* NULL: no terminal */
    const char *recording;         /* path of its recording, which exists; NULL: none */
    bool stdin_stream;
    uint64_t timeout_ms;
    uint64_t stdin_credit;
    uint64_t window_max; /* from the client; 0: the window does not grow */
};

/* Writes the order. *fd is the caller's. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status order_put(const struct keep_order *order, int *fd, struct afar_error *err);

struct order_taken;

/* Reads the order. AFAR_EPEER: the file is not a sound order. AFAR_ENOMEM. */
enum afar_status order_take(struct order_taken **taken, int fd, struct afar_error *err);
void order_free(struct order_taken *taken);
const struct keep_order *order_of(const struct order_taken *taken);

#endif
