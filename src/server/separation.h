/* Keeps the server's own files (key, audit log, configuration) out of its commands' reach, or
 * warns.
 *
 *     commands of another user (`user =`)      file permissions do it
 *     of the server's own user, not root       a fence (exec/fence.h), as `confine` says
 *     otherwise                                a warning for each user that can reach a file
 *
 * With `confine = auto` there is a fence only if it takes nothing from commands: the server has
 * no_new_privs anyway, and the folders on the way are on read-only file systems, so that nothing
 * can appear in them that the fence does not know. That is a pod of the level `restricted`.
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
    struct words warnings; /* a line each: which commands can reach what, and what to do */
};

/* Needs separation_close, also on failure. AFAR_EINVAL: `confine = yes` is not possible.
 * AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status separation_make(struct separation *separation, const struct config *config,
                                 struct afar_error *err);
void separation_close(struct separation *separation);

/* Whether commands of the rule (NULL: there are no rules) run behind the fence, if there is one. */
bool separation_fences(const struct rule *rule);

#endif
