/* The helper: the process that starts a command as another user or in another root directory.
 *
 *     companion ── vfork, execve as "afard-exec" ──▶ helper ── execve ──▶ command
 *                  with the server's privileges,      in memory of its own: chroot,
 *                  in its memory                      groups, gid, uid, capabilities
 *
 * It is the server's own program under another name, so nothing more needs to be installed; if it
 * is installed, a smaller program of the same build (own_program.h). It reads its order from
 * descriptor 3, drops its privileges, verifies that they are gone, and reports on descriptor 4 how
 * far it got. End of file without a report means that it died; after the report that the execve is
 * next, that this has succeeded.
 *
 * To serve files, it does not execute another program but becomes the file server, so that none of
 * the target's files are needed; it reports operations on descriptor 5. To forward a connection, it
 * likewise becomes the process that forwards it.
 *
 * Owns:    nothing.
 * Threads: helper_main is a program; the others: any.
 * Blocks:  helper_way_wait, until the helper has reported or died.
 * Limits:  none. */
#ifndef EXEC_HELPER_H
#define EXEC_HELPER_H

#include <stdbool.h>

#include "base/error.h"
#include "exec/confine.h"
#include "exec/interpreter.h"

#define HELPER_NAME "afard-exec"

enum { HELPER_ORDER_FD = 3, HELPER_STATUS_FD = 4, HELPER_NOTE_FD = 5, HELPER_FENCE_FD = 6 };

/* Files to be served. All borrowed. */
struct helper_files {
    char *const *roots; /* NULL-terminated; "r" or "w" and a path; none: all the user may access */
    const char *home;   /* NULL: "/" */
    bool notes;         /* HELPER_NOTE_FD reports changes of files, not only locks … */
    bool all_notes;     /* … and also reading */
};

/* What the helper shall do. All borrowed. */
struct helper_order {
    char *const *candidates; /* paths to try, as execvp(3) does; not used with files or forward */
    char *const *argv;
    char *const *env;
    const char *cwd;   /* NULL: the server's, or "/" in another root */
    bool cwd_optional; /* if it cannot be entered, use "/" */
    const struct confinement *confine;
    const struct helper_files *files; /* serve files instead of running a command; or NULL */
    const char *forward;              /* connect to "host:port" instead; or NULL */
};

/* Descriptors to talk to the helper: close-on-exec, -1 if closed. */
struct helper_way {
    int order;
    int ours; /* pipe of its reports */
    int its;
    int note_ours; /* pipe of its notes about files; the caller may take it and leave -1 */
    int note_its;
    int fence; /* copy of the fence for the file server and forwarder, which enter it themselves */
};

/* Writes the order into a memfd and makes the pipes; all descriptors that the helper gets are above
 * those that it expects. Call helper_way_close in any case. AFAR_ESYSTEM. */
enum afar_status helper_way_open(struct helper_way *way, const struct helper_order *order,
                                 struct afar_error *err);
void helper_way_close(struct helper_way *way);

/* Waits for the report of the helper, which must have been started. True: the command was started,
 * or the helper serves files or forwards. False: *stage is a string constant, *failed an errno
 * (ECANCELED: it was killed), and *head the beginning of the program that could not be executed
 * (unchanged if the helper died without a report). */
bool helper_way_wait(struct helper_way *way, const char **stage, int *failed,
                     struct interpreter_head *head);

/* What the program has to do after helper_main. Never freed: it lives as long as the process. */
struct helper_service {
    char **roots; /* as in struct helper_files */
    char *home;   /* NULL: "/" */
    int note_fd;
    bool notes; /* as in struct helper_files */
    bool all_notes;
    bool own_root; /* it is in another root directory, whose libraries must not be trusted */
    char *forward; /* "host:port" to connect to; the members above are not used. NULL: files */
};

/* The program of the helper. Returns only to serve files or to forward a connection; on failure it
 * reports and exits. */
void helper_main(struct helper_service *service);

#endif
