/* The server's configuration: defaults, the INI file (afard.conf(5)), command-line options.
 *
 * Owns:    a struct config owns its strings.
 * Threads: read-only once loaded; then any number may read it.
 * Blocks:  config_load and its like, config_finish and config_check, on the file system, and in
 *          looking up users; the rest never.
 * Limits:  CONFIG_LISTEN_MAX listeners; for the range of each number see config_table.c. */
#ifndef POLICY_CONFIG_H
#define POLICY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "net/endpoint.h"
#include "policy/rules.h"

enum { CONFIG_LISTEN_MAX = 32 };

/* What a client is told if the rules refuse it. */
enum deny_reason { DENY_REASON_FULL, DENY_REASON_BRIEF };

/* What happens to a command whose start cannot be written to the audit log. */
enum audit_mode {
    AUDIT_REQUIRED, /* it is refused */
    AUDIT_COUNTED   /* it runs; the lost line is counted and logged */
};

/* Which operations on files are written to the audit log. */
enum audit_files {
    AUDIT_FILES_CHANGES,
    AUDIT_FILES_ALL, /* also reading and listing */
    AUDIT_FILES_NO
};

/* Whether commands that run as the server's own user are kept away from its files. */
enum confine_mode {
    CONFINE_AUTO, /* if this does not restrict them in other ways */
    CONFINE_YES,
    CONFINE_NO
};

/* What happens to kept commands when the server stops. */
enum keep_on_stop {
    KEEP_ON_STOP_KEEP, /* they go on; if the server is PID 1, they end with it */
    KEEP_ON_STOP_END   /* they are ended like other commands */
};

/* Whether each command gets a cgroup of its own. */
enum cgroup_mode {
    CGROUP_AUTO, /* if one can be made */
    CGROUP_NO    /* only if its rule has limits that need one */
};

struct config {
    struct endpoint listen[CONFIG_LISTEN_MAX];
    unsigned listen_count;
    unsigned listen_preset; /* so many of these come from config_load_defaults */
    struct endpoint http;   /* where health and metrics are served */
    bool http_wanted;
    bool allow_plaintext;
    char *tls_cert; /* NULL: not given */
    char *tls_key;
    char *tls_client_ca;
    char *tls_crl; /* NULL: no revocation list */
    bool tls_allow_12;
    char *audit_log;      /* a file, or "syslog"; NULL: none */
    unsigned audit;       /* enum audit_mode */
    unsigned audit_files; /* enum audit_files */
    bool audit_chain;
    char *state_directory; /* for kept commands; NULL: commands cannot be kept */
    bool dumpable;         /* the process may be debugged by its user and may leave a core dump */
    unsigned deny_reason;  /* enum deny_reason */
    struct rules *rules;   /* a reference; NULL: no [allow] section and no `user` */
    struct words include;  /* glob(7) patterns of files with more rules */
    size_t include_preset; /* so many of these come from config_load_defaults */
    struct words files;    /* the files that the configuration was read from */
    char *user;            /* of commands whose rule names none; NULL: the server's own */
    bool user_preset;      /* `user` comes from config_load_defaults: ignored if not possible */
    bool state_preset;     /* the same for state_directory */
    unsigned confine;      /* enum confine_mode */
    unsigned keep_on_stop; /* enum keep_on_stop */
    unsigned cgroup;       /* enum cgroup_mode */
    enum log_level log_level;
    enum log_format log_format;

    /* Numbers. A duration of 0 means "no limit" if nothing else is said; for kill_grace_ms,
     * drain_ms, last_words_ms, keep_ms and key_ms it means "immediately". handshake_timeout_ms,
     * linger_max_ms and quiet_ms are at least 1. */
    uint64_t workers;                     /* 0: twice the processors, at least 4 */
    uint64_t bulk_workers;                /* more workers, for bulk connections; 0: none */
    uint64_t bulk_bytes;                  /* a connection is bulk if it moves so much in 100 ms */
    uint64_t max_connections;             /* in all */
    uint64_t max_connections_per_address; /* from one address or IPv6 /64; 0: no limit */
    uint64_t max_unauthenticated;         /* connections whose handshake has not ended */
    uint64_t
        max_unauthenticated_per_address; /* the same from one address or IPv6 /64; 0: no limit */
    uint64_t max_jobs;                   /* running or starting, in all */
    uint64_t max_jobs_per_identity;      /* of one client, on all its connections; 0: no limit */
    uint64_t max_queued;                 /* requests that wait for one of the two limits above */
    uint64_t spawns_per_identity;  /* commands of one client that are being started; 0: no limit */
    uint64_t refusals_per_minute;  /* of one client, before it is slowed down; 0: no limit */
    uint64_t max_stuck_spawns;     /* per worker: threads that hang in starting a command */
    uint64_t header_bytes;         /* of a frame */
    uint64_t payload_bytes;        /* of a frame */
    uint64_t argv_bytes;           /* all words of a command, with their NULs */
    uint64_t env_bytes;            /* all variables that a request adds, with their NULs */
    uint64_t tls_expiry_warning;   /* days before a certificate's end to warn; 0: never */
    uint64_t tls_chain_bytes;      /* of a client's certificates */
    uint64_t tls_watch_ms;         /* between checks for new TLS files; 0: only at SIGHUP */
    uint64_t handshake_timeout_ms; /* from accept to the end of the handshake */
    uint64_t first_request_timeout_ms; /* from then to the first frame */
    uint64_t frame_timeout_ms;         /* from a frame's first byte to its last; 0: no limit */
    uint64_t keepalive_ms;             /* TCP: silence before a keepalive probe; 0: never */
    uint64_t tcp_user_timeout_ms;  /* TCP: close if unacknowledged for so long; 0: system default */
    uint64_t heartbeat_ms;         /* a job runs, the client is silent: a ping; 0: never */
    uint64_t heartbeat_timeout_ms; /* close if the client is silent so long despite it; 0: never */
    uint64_t pause_max_ms;         /* a stopped client may be silent for so long; 0: not at all */
    uint64_t idle_timeout_ms;      /* without a job and without a byte from the client */
    uint64_t write_timeout_ms;     /* data waits for the client, which takes none of it */
    uint64_t spawn_timeout_ms;     /* for a command's chdir and execve */
    uint64_t resume_ms;            /* how long a command waits for its client, at most; 0: not */
    uint64_t job_timeout_ms;       /* upper bound for a job's own timeout_ms */
    uint64_t keep_max;             /* kept commands of which the name or output exists */
    uint64_t keep_per_identity;    /* the same of one client; 0: no limit */
    uint64_t left_max;             /* processes left running by their commands */
    uint64_t left_per_identity;    /* the same of one client; 0: no limit */
    uint64_t spool_bytes;          /* output of one kept command on the disk */
    uint64_t keep_bytes;           /* output of all kept commands */
    uint64_t keep_ms;              /* from a kept command's end to the removal of its output */
    uint64_t key_ms;               /* … and to the removal of its name */
    uint64_t kill_grace_ms;        /* from TERM to KILL */
    uint64_t linger_ms;            /* a command has ended, its output is held open and silent */
    uint64_t linger_max_ms;        /* the same, silent or not */
    uint64_t drain_ms;             /* jobs may go on so long after the server's TERM */
    uint64_t last_words_ms;        /* … then clients may take so long for their receipts */
    uint64_t output_log_bytes;     /* per job: output that the client has not acknowledged */
    uint64_t stdin_bytes;          /* per job: input that the command has not read */
    uint64_t files_window_bytes;   /* instead of these two if files are served */
    uint64_t window_max_bytes;     /* each of these may grow to this; 0: they do not grow */
    uint64_t window_total_bytes;   /* by how much all may grow in total; 0: by the memory */
    uint64_t control_queue_bytes;  /* per connection: replies to control frames */
    uint64_t request_bytes;        /* headed, sized: a command's length */
    uint64_t collect_memory_bytes; /* headed, sized: output kept in memory, per stream */
    uint64_t collect_max_bytes;    /* headed, sized: output in all */
    uint64_t quiet_ms;             /* headed, sized: silence that ends a request */
    uint64_t udp_rate_per_second;  /* upper over UDP: datagrams answered */
};

/* Fills in the defaults; allocates nothing. */
void config_init(struct config *config);
void config_close(struct config *config);

/* Allocates a config and calls config_init. NULL: out of memory. config_free frees it; NULL is
 * fine. */
struct config *config_new(void);
void config_free(struct config *config);

/* Sets one option by its key ("workers", "tls_cert", "listen", …); used for the file and for the
 * command line. "listen" and "include" add a value. AFAR_EINVAL: a bad value, and the message says
 * what was expected; or an unknown key, and the message names similar keys. AFAR_ENOMEM. */
enum afar_status config_set(struct config *config, const char *key, const char *value,
                            struct afar_error *err);

/* Reads an INI file: keys in the section [server] (or before any section), rules in sections
 * [allow NAME]. The error names file, line and what was expected: "afard.conf:12: workers: 'many'
 * is not a whole number from 0 to 1024". AFAR_EINVAL (also: other users can change the file, see
 * trusted.h), AFAR_ESYSTEM (cannot be read), AFAR_ELIMIT (a rule's user is in too many groups),
 * AFAR_ENOMEM. */
enum afar_status config_load(struct config *config, const char *path, struct afar_error *err);

/* Reads a file with the defaults of a container image or a unit, as config_load does. Call it
 * before all others: settings from another file, the environment or the command line replace those
 * of this file. Three of its settings are ignored if they are not possible: a pattern of `include`
 * whose folder is missing, `user` if the server is not root, and `state_directory`. */
enum afar_status config_load_defaults(struct config *config, const char *path,
                                      struct afar_error *err);

/* Reads a file that has only [allow NAME] sections, as config_load does, and adds its rules. */
enum afar_status config_load_rules(struct config *config, const char *path, struct afar_error *err);

/* Call it after all settings are in, and before config_check. Reads the files that `include` names,
 * looks `user` up, and gives it to the rules that have none. AFAR_EINVAL, AFAR_ESYSTEM,
 * AFAR_ENOMEM; AFAR_ELIMIT: the user is in too many groups. */
enum afar_status config_finish(struct config *config, struct afar_error *err);

/* Checks what depends on several settings: no listener, a TLS listener without certificate, key or
 * client CA, udp without protocol upper, and all rules (rules_check). AFAR_EINVAL says what to add;
 * AFAR_ESYSTEM. (Whether an address is beyond loopback is known only once it is resolved:
 * server.h.) */
enum afar_status config_check(const struct config *config, struct afar_error *err);

#endif
