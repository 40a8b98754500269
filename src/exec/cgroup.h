/* A cgroup (version 2) for a command: to kill all its processes in one step, even those that have
 * left their parents, session and environment; and to limit memory, processors or processes, if its
 * rule says so.
 *
 *     the server's own cgroup
 *      ├─ afard    the server itself, if some command has limits: a cgroup that passes
 *      │           controllers on to its children must not have processes
 *      └─ job-…    one for each command
 *
 * Owns:    the cgroup "afard", which is never removed; those of jobs are made and removed.
 * Threads: any, once open.
 * Blocks:  only in the kernel; no disk is involved.
 * Limits:  none. See Documentation/admin-guide/cgroup-v2.rst of Linux. */
#ifndef EXEC_CGROUP_H
#define EXEC_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "exec/proc.h"

enum { CGROUP_NAME_BYTES = 128 };

struct cgroups;

struct cgroup_limits {
    uint64_t memory_bytes; /* 0: no limit, here and below */
    uint64_t cpu_millis;   /* thousandths of a processor */
    uint64_t pids;
};

/* Finds the server's cgroup, and tries whether cgroups can be made, killed (Linux 5.14) and removed
 * in it. AFAR_ESYSTEM: no; the message says what is missing and what to do. AFAR_ENOMEM.
 * cgroups_close frees *cgroups. */
enum afar_status cgroups_open(struct cgroups **cgroups, struct afar_error *err);

/* NULL is fine. */
void cgroups_close(struct cgroups *cgroups);

/* For tests: the same in a given directory. */
enum afar_status cgroups_open_at(struct cgroups **cgroups, const char *directory,
                                 struct afar_error *err);

/* Prepares for limits: moves the server into the cgroup "afard". Call it once, before any cgroup
 * with limits is made. AFAR_ESYSTEM, as above. */
enum afar_status cgroups_prepare(struct cgroups *cgroups, struct afar_error *err);

/* Whether a command's cgroup may outlive the server. In a systemd unit it would prevent the server
 * from being started again, unless the unit has DelegateSubgroup=afard. */
bool cgroups_may_stay(const struct cgroups *cgroups);

/* The suffix that marks a cgroup's name as this server's: ".NAMESPACE.PID.START". If that process
 * has ended (and belongs to this pid namespace), the cgroup is abandoned. Borrowed. */
const char *cgroups_mark(const struct cgroups *cgroups);

/* Kills all processes in abandoned cgroups and removes these; also removes empty cgroups without a
 * mark. Stops at `until_us` (base/clock.h). Returns in how many cgroups processes were killed. */
size_t cgroups_sweep(const struct cgroups *cgroups, int64_t until_us);

/* Whether all of these limits are possible. AFAR_ESYSTEM names the first that is not. */
enum afar_status cgroups_check(const struct cgroups *cgroups, const struct cgroup_limits *limits,
                               struct afar_error *err);

/* Makes the cgroup "job-NAME" and opens it (O_PATH) for struct confinement; the caller closes
 * *its_fd. `limits` NULL: none. AFAR_ESYSTEM: no cgroup was made, and *its_fd is -1. */
enum afar_status cgroup_make(const struct cgroups *cgroups, const char *name,
                             const struct cgroup_limits *limits, int *its_fd,
                             struct afar_error *err);

/* Kills all processes in the cgroup "job-NAME" and below. False: it does not exist, or the kernel
 * is older than 5.14. */
bool cgroup_kill(const struct cgroups *cgroups, const char *name);

/* Adds the processes in the cgroup itself, not below, to `pids`. */
void cgroup_list(const struct cgroups *cgroups, const char *name, struct proc_numbers *pids);

/* How often the limits of a cgroup took effect. */
struct cgroup_events {
    uint64_t memory_kills; /* processes killed by the kernel at the memory limit */
    uint64_t pids_refused; /* forks that failed */
};
/* What cannot be read is left unchanged in *events. */
void cgroup_read_events(const struct cgroups *cgroups, const char *name,
                        struct cgroup_events *events);

/* Removes the cgroup, and empty cgroups that its processes have made in it. True also if it does
 * not exist. False: it still has processes. */
bool cgroup_remove(const struct cgroups *cgroups, const char *name);

/* The same with a single system call: false also if there are cgroups in it. */
bool cgroup_remove_empty(const struct cgroups *cgroups, const char *name);

#endif
