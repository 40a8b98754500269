/* Users and groups of this system, looked up when a configuration is loaded and never later: a
 * directory service that hangs must not hang a command.
 *
 * Owns:    a struct user owns its strings and groups.
 * Threads: any.
 * Blocks:  as long as getpwnam_r(3) and its like do. A static build asks /etc/passwd and /etc/group
 *          only.
 * Limits:  entries of 1 MiB; 65,536 groups. */
#ifndef POLICY_USERS_H
#define POLICY_USERS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct user {
    char *name; /* as asked for */
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* all supplementary ones */
    size_t group_count;
    char *home;  /* NULL: not known */
    char *shell; /* likewise */
};

/* By name or number. A number needs no entry: then its group is of the same number, and there are
 * no others. AFAR_EINVAL: there is none of that name. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status users_find(struct user *user, const char *name, struct afar_error *err);
void user_close(struct user *user);

/* AFAR_ENOMEM: *to is closed. */
enum afar_status user_copy(struct user *to, const struct user *from, struct afar_error *err);

enum afar_status users_find_id(const char *name, unsigned *uid, struct afar_error *err);
enum afar_status users_find_group_id(const char *name, unsigned *gid, struct afar_error *err);

#endif
