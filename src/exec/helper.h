/* The helper: what stands between the server and a command that runs as another user, or in another
 * root directory.
 *
 *     companion ── vfork, execve /proc/self/exe as "afard-exec" ──▶ helper ── execve ──▶ command
 *                  with the server's privileges, in its memory      in memory of its own: chroot,
 *                                                                   groups, gid, uid, capabilities
 *
 * It is the server's own program under another name, so that there is nothing more to install. It
 * reads from descriptor 3 what it is to do, drops what it has, verifies that it is gone, and says
 * by descriptor 4 how far it got: nothing but the end of the file means that it is dead.
 *
 * Where files are to be served there is no second execve: the helper goes on as the file server, by
 * which nothing of the target's is needed. It tells what it does by descriptor 5. Where a connection
 * is to be forwarded, it goes on as what makes that.
 *
 * Owns:    nothing.
 * Threads: helper_main is a program; the others: any.
 * Blocks:  helper_way_wait, until the helper has said something.
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
    char *const *roots; /* NULL-terminated; "r" or "w", and a path; none: all that the user may */
    const char *home;   /* NULL: "/" */
    bool notes;         /* what is done is told by HELPER_NOTE_FD, and not only locks, … */
    bool all_notes;     /* … also what is only read */
};

/* What it is to do. */
struct helper_order {
    char *const *candidates; /* paths to try, as execvp(3) does; none with files */
    char *const *argv;
    char *const *env;
    const char *cwd;   /* NULL: where it is; with a root: there */
    bool cwd_optional; /* where it cannot be entered, "/" will do */
    const struct confinement *confine;
    const struct helper_files *files; /* NULL: a command; or */
    const char *forward;              /* "host:port" to connect to; NULL: that is not asked for */
};

/* The way to the helper and back. Its descriptors are close-on-exec, and -1 where closed. */
struct helper_way {
    int order;
    int ours; /* of its status */
    int its;
    int note_ours; /* of what it tells of files; may be moved out */
    int note_its;
    int fence; /* of the confinement, for what does not execute: it enters it by itself */
};

/* Writes the order into a file without a name, and makes the pipes, all of them above the
 * descriptors that the helper expects. helper_way_close in any case. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status helper_way_open(struct helper_way *way, const struct helper_order *order,
                                 struct afar_error *err);
void helper_way_close(struct helper_way *way);

/* Waits for what it says, once it has been started. True: the command was started, or files are
 * served. Otherwise *stage is a constant, *failed an errno (ECANCELED: it was killed), and *head
 * the beginning of a program that could not be executed (as it was, where nothing is known). */
bool helper_way_wait(struct helper_way *way, const char **stage, int *failed,
                     struct interpreter_head *head);

/* What the program goes on with. Owned by nobody: it lives as long as the process. */
struct helper_service {
    char **roots; /* as in struct helper_files */
    char *home;   /* NULL: "/" */
    int note_fd;
    bool notes; /* as in struct helper_files */
    bool all_notes;
    bool own_root; /* in another root directory, where no library is to be trusted */
    char *forward; /* where to connect to; then nothing of the above is; NULL: files are served */
};

/* The program. Returns only where files are to be served or a connection is to be forwarded. */
void helper_main(struct helper_service *service);

#endif
