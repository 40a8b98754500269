/* Users and groups of this system. They are looked up only when a configuration is loaded: a
 * directory service that hangs must not delay a command.
 *
 * Owns:    a struct user owns its strings and groups.
 * Threads: any.
 * Blocks:  in getpwnam_r(3) and its like; user_close and user_copy never. A static build reads only
 *          /etc/passwd and /etc/group.
 * Limits:  entries of 1 MiB; 65,536 groups. */
#ifndef POLICY_USERS_H
#define POLICY_USERS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct user {
    char *name; /* as it was asked for: a name or a number */
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* all groups, with gid */
    size_t group_count;
    char *home;  /* NULL: not known */
    char *shell; /* likewise */
};

/* Looks up a user by name or number. A number without an entry is accepted: its gid is the same
 * number, and it has no other groups. AFAR_EINVAL: there is no user of that name. AFAR_ELIMIT: the
 * user is in too many groups. AFAR_ESYSTEM: cannot be looked up. AFAR_ENOMEM. On failure there is
 * nothing to close. */
enum afar_status users_find(struct user *user, const char *name, struct afar_error *err);
void user_close(struct user *user);

/* AFAR_ENOMEM: there is nothing to close. */
enum afar_status user_copy(struct user *to, const struct user *from, struct afar_error *err);

/* The number of a user or group, given by name or number; a number is not looked up. Errors as
 * users_find. */
enum afar_status users_find_id(const char *name, unsigned *uid, struct afar_error *err);
enum afar_status users_find_group_id(const char *name, unsigned *gid, struct afar_error *err);

#endif
