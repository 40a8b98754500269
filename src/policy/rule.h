/* One [allow NAME] section of afard.conf(5): which clients it is for, what it allows, and how their
 * commands run.
 *
 * Owns:    everything that it points to, except `file`.
 * Threads: read-only once rule_check has accepted it; then any.
 * Blocks:  rule_set, when it looks up users; rule_check, on the file system, for `record`.
 * Limits:  RULE_LIST_MAX entries of each list. */
#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/client_pattern.h"
#include "policy/forward_pattern.h"
#include "policy/network.h"
#include "policy/template.h"
#include "policy/users.h"
#include "policy/words.h"

enum { RULE_LIST_MAX = 1024, RULE_RECORD_MAX_BYTES = 64 << 20 /* the default of record_max */ };

/* What a rule may allow; bits. */
enum policy_verb {
    POLICY_RUN = 1 << 0,
    POLICY_ATTACH = 1 << 1,
    POLICY_KILL = 1 << 2,
    POLICY_LIST = 1 << 3,
    POLICY_FILES = 1 << 4,
    POLICY_KEEP = 1 << 5,
    POLICY_LEAVE = 1 << 6,
    POLICY_FORWARD = 1 << 7
};

/* An optional number. */
struct rule_number {
    bool set;
    uint64_t value;
};

/* Terminals: the client may choose; it may have none; it must have one. */
enum rule_pty { RULE_PTY_YES, RULE_PTY_NO, RULE_PTY_MUST };

struct rule {
    char *name;
    const char *file; /* where it begins; borrowed from its struct rules */
    unsigned line;

    struct client_pattern *clients;
    size_t client_count;
    struct network *networks; /* none: from anywhere */
    size_t network_count;
    unsigned may; /* enum policy_verb */
    bool may_set;
    bool others; /* jobs = all: attach, kill and list apply to the jobs of all clients */
    bool jobs_set;

    struct template *commands;
    size_t command_count;
    bool shell; /* any shell line is allowed */
    bool shell_set;
    enum rule_pty pty; /* whether its commands run on a terminal */
    bool pty_set;
    bool unconfined; /* confine = no */
    bool confine_set;
    struct words force; /* run instead of what was asked for */
    struct words wrapper;
    struct words env;   /* variables that the client may set; env_pattern.h */
    bool env_dangerous; /* … among them patterns that env_pattern_is_wide rejects */
    bool env_dangerous_set;

    struct words roots; /* for files: see rule_files.h; none: all files that the user may access */

    struct forward_pattern *forwards; /* where connections may be forwarded to */
    size_t forward_count;

    struct user user; /* name NULL: the server's */
    bool group_set;
    gid_t group;
    char *cwd;    /* NULL: the user's home or the server's own */
    char *chroot; /* NULL: none */

    char *record; /* the folder for recordings of terminals; NULL: they are not recorded */
    struct rule_number record_max; /* bytes of one recording */
    bool record_go_on;             /* the command goes on if the recording cannot be written */
    bool record_full_set;

    struct rule_number umask;
    struct rule_number timeout_ms;
    struct rule_number resume_ms;
    struct rule_number spool_bytes; /* of a kept command */
    struct rule_number max_output;  /* bytes, both streams together */
    struct rule_number max_jobs;
    struct rule_number files_max; /* bytes of one file that is written */
    struct rule_number nofile;    /* setrlimit(2) */
    struct rule_number nproc;
    struct rule_number as_bytes;
    struct rule_number core_bytes;
    struct rule_number cpu_s;
    struct rule_number memory_bytes; /* cgroup v2 */
    struct rule_number cpu_millis;
    struct rule_number pids;
    bool nice_set;
    int nice;
};

/* A rule without `file`. NULL: out of memory. */
struct rule *rule_new(const char *name, unsigned line);
void rule_free(struct rule *rule);

/* Sets one key. client, from, command, env, force, wrapper, files, forward and may can be given
 * more than once, and add; any other key only once. AFAR_EINVAL: an unknown key or a bad value; the
 * message says what was expected. AFAR_ESYSTEM: a user or group cannot be looked up. AFAR_ELIMIT:
 * the user is in too many groups. AFAR_ENOMEM. */
enum afar_status rule_set(struct rule *rule, const char *key, const char *value,
                          struct afar_error *err);

/* Checks what depends on several keys: it matches no client, it allows nothing, this server cannot
 * become its user. AFAR_EINVAL says what to add; AFAR_ESYSTEM: the folder of `record` cannot be
 * opened; AFAR_ENOMEM. */
enum afar_status rule_check(const struct rule *rule, struct afar_error *err);

/* Whether the rule names a user, group or root directory. */
bool rule_switches(const struct rule *rule);

/* Whether its commands need a cgroup: it limits memory, cpu or pids. */
bool rule_wants_cgroup(const struct rule *rule);

#endif
