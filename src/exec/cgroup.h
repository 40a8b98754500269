/* A cgroup (version 2) for a command: so that all of it can be killed at once, whatever it has done
 * to its parents, session and environment; and where its rule limits memory, processors or
 * processes.
 *
 *     the server's own cgroup
 *      ├─ afard    the server itself, where some command has limits: a cgroup with limits for its
 *      │           children holds no processes
 *      └─ job-…    one for each command
 *
 * Owns:    the cgroup "afard" stays where it is, as long as the server is in it; those of jobs are
 *          made and removed.
 * Threads: any, once open.
 * Blocks:  on the kernel only; no disk is behind it.
 * Limits:  none. Where from: Documentation/admin-guide/cgroup-v2.rst of Linux. */
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
    uint64_t memory_bytes; /* 0: no limit, as in the others */
    uint64_t cpu_millis;   /* thousandths of a processor */
    uint64_t pids;
};

/* Finds the server's cgroup, in which others can be made, filled and killed at once (Linux 5.14).
 * AFAR_ESYSTEM: says what is missing, and what to do about it. AFAR_ENOMEM. */
enum afar_status cgroups_open(struct cgroups **cgroups, struct afar_error *err);
void cgroups_close(struct cgroups *cgroups);

/* For tests: the same at a given directory. */
enum afar_status cgroups_open_at(struct cgroups **cgroups, const char *directory,
                                 struct afar_error *err);

/* Makes it ready for limits: the server moves into a cgroup of its own. Once, before others make any
 * with limits. AFAR_ESYSTEM, as above. */
enum afar_status cgroups_prepare(struct cgroups *cgroups, struct afar_error *err);

/* Whether a command's cgroup may be there longer than the server. In a unit of systemd it would keep
 * that from starting the server again, but where the unit has DelegateSubgroup=afard. */
bool cgroups_may_stay(const struct cgroups *cgroups);

/* What makes a cgroup's name the server's: ".NAMESPACE.PID.START". Where that process has ended, and
 * is not in another pid namespace, nobody looks after the cgroup any more. */
const char *cgroups_mark(const struct cgroups *cgroups);

/* Kills all in those with the mark of a server that has ended, and removes them; also those without
 * any mark that are empty. Goes on until `until_us`. How many it has killed in. */
size_t cgroups_sweep(const struct cgroups *cgroups, int64_t until_us);

/* Whether all of these limits can be had. AFAR_ESYSTEM names the one that cannot. */
enum afar_status cgroups_check(const struct cgroups *cgroups, const struct cgroup_limits *limits,
                               struct afar_error *err);

/* Makes the cgroup "job-NAME"; *its_fd is the caller's, for struct confinement. `limits` NULL: none.
 * On failure there is none. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status cgroup_make(const struct cgroups *cgroups, const char *name,
                             const struct cgroup_limits *limits, int *its_fd,
                             struct afar_error *err);

/* Kills all that is in it. False: it is gone, or an old kernel cannot (before 5.14). */
bool cgroup_kill(const struct cgroups *cgroups, const char *name);

/* Adds those that are in it. */
void cgroup_list(const struct cgroups *cgroups, const char *name, struct proc_numbers *pids);

/* What has happened in it because of its limits. */
struct cgroup_events {
    uint64_t memory_kills; /* processes that the kernel has killed for want of memory */
    uint64_t pids_refused; /* forks that failed */
};
/* Leaves *events as it is where nothing can be read. */
void cgroup_read_events(const struct cgroups *cgroups, const char *name,
                        struct cgroup_events *events);

/* With the empty ones that its processes have made in it. False: somebody is still in there. */
bool cgroup_remove(const struct cgroups *cgroups, const char *name);

/* The same in one call: also false where there are others in it. */
bool cgroup_remove_empty(const struct cgroups *cgroups, const char *name);

#endif
