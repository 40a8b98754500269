/* The restrictions of one command: limits, a user, a root directory.
 *
 * Owns:    nothing; all is borrowed.
 * Threads: plain values.
 * Blocks:  never.
 * Limits:  none. */
#ifndef EXEC_CONFINE_H
#define EXEC_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The limits of setrlimit(2) that rules can set. */
enum confine_limit {
    CONFINE_NOFILE,
    CONFINE_CORE,
    CONFINE_NPROC,
    CONFINE_AS,
    CONFINE_CPU,
    CONFINE_FSIZE,
    CONFINE_LIMITS
};

struct confine_value {
    bool set;
    uint64_t soft;
    uint64_t hard;
};

struct confinement {
    struct confine_value limits[CONFINE_LIMITS];
    bool reset_oom; /* undo the server's OOM protection: see inheritance.h */
    bool set_umask;
    bool set_nice;
    bool set_group;
    bool set_user; /* also sets no_new_privs, and drops all capabilities if user is not root */
    mode_t umask;
    int nice;
    gid_t group;
    uid_t user;
    const gid_t *groups; /* supplementary groups; used with set_group or set_user */
    size_t group_count;
    const char *root;     /* NULL: the server's */
    int cgroup_fd;        /* of the cgroup for the command; -1: the server's */
    bool cgroup_optional; /* if it cannot be moved there, it runs in the server's */
    int fence_fd;         /* from fence_take; not with another user, group or root. 0: none */
};

/* The RLIMIT_… of a limit. */
int confine_resource(enum confine_limit limit);

/* Whether the command must be started by the helper (helper.h): a process that drops privileges
 * must not share the server's memory. `confine` may be NULL. */
static inline bool confine_needs_helper(const struct confinement *confine)
{
    return confine != NULL && (confine->set_group || confine->set_user || confine->root != NULL);
}

#endif
