/* What a command is confined to, besides what all are: limits, a user, a root directory.
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

/* What setrlimit(2) limits, as far as rules can say it. */
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
    bool reset_oom; /* the server is protected from the want of memory: see inheritance.h */
    bool set_umask;
    bool set_nice;
    bool set_group;
    bool set_user; /* with no_new_privs, and unless it is root without any capability */
    mode_t umask;
    int nice;
    gid_t group;
    uid_t user;
    const gid_t *groups; /* supplementary ones; set with a group or user */
    size_t group_count;
    const char *root;     /* NULL: the server's */
    int cgroup_fd;        /* of the cgroup that the command is to be in; -1: the server's */
    bool cgroup_optional; /* … as it also is where it cannot be moved there */
    int fence_fd;         /* of fence_take; not with another user, group or root. 0: none */
};

/* The kernel's RLIMIT_… */
int confine_resource(enum confine_limit limit);

/* Whether a process of our own must come between: one that drops privileges must not share the
 * server's memory. */
static inline bool confine_needs_helper(const struct confinement *confine)
{
    return confine != NULL && (confine->set_group || confine->set_user || confine->root != NULL);
}

#endif
