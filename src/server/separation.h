/* Whether the server's own files (key, audit log, configuration) are out of its commands' reach.
 *
 *     another user (`user =`)            permissions do it
 *     the server's own user, not root    a fence (exec/fence.h), where `confine` says so
 *     else                               a warning for each user that can get at something
 *
 * With `confine = auto` there is a fence only where it takes nothing from commands: the server has
 * no_new_privs anyway, and the folders on the way are on read-only file systems, so that nothing
 * can appear in them that the fence would not know. That is a pod of the level `restricted`.
 *
 * Owns:    the fence and the texts.
 * Threads: made by the thread that loads the configuration; read-only then.
 * Blocks:  on the file system.
 * Limits:  SEPARATION_KINDS_MAX users are told apart. */
#ifndef SERVER_SEPARATION_H
#define SERVER_SEPARATION_H

#include "exec/fence.h"
#include "policy/config.h"

enum { SEPARATION_KINDS_MAX = 32 };

struct separation {
    struct fence *fence;   /* NULL: none */
    struct words closed;   /* the folders behind it */
    struct words warnings; /* a line each: who can get at what, and what to do */
};

/* AFAR_EINVAL: `confine = yes` cannot be had. AFAR_ESYSTEM, AFAR_ENOMEM. separation_close in any
 * case. */
enum afar_status separation_make(struct separation *separation, const struct config *config,
                                 struct afar_error *err);
void separation_close(struct separation *separation);

/* Whether commands of the rule (NULL: without rules) run behind the fence, if there is one. */
bool separation_fences(const struct rule *rule);

#endif
