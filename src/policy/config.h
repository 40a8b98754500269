/* The server's configuration: defaults, the INI file (afard.conf(5)), command-line options.
 *
 * Owns:    a struct config owns its strings.
 * Threads: read-only once loaded; then any number may read it.
 * Blocks:  config_load reads a file; the rest never.
 * Limits:  CONFIG_LISTEN_MAX listeners; each number's range stands in config.c's table. */
#ifndef POLICY_CONFIG_H
#define POLICY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "net/endpoint.h"
#include "policy/rules.h"

enum { CONFIG_LISTEN_MAX = 32 };

/* What a client hears of a refusal by the rules. */
enum deny_reason { DENY_REASON_FULL, DENY_REASON_BRIEF };

/* What happens to a command whose beginning cannot be written to the audit log. */
enum audit_mode {
    AUDIT_REQUIRED, /* it is refused */
    AUDIT_COUNTED   /* it runs; the loss is counted and logged */
};

/* Which operations on files the audit log has lines of. */
enum audit_files {
    AUDIT_FILES_CHANGES,
    AUDIT_FILES_ALL, /* also what is read and listed */
    AUDIT_FILES_NO
};

/* Whether commands that run as the server's own user are kept away from its files. */
enum confine_mode {
    CONFINE_AUTO, /* where that takes nothing from them */
    CONFINE_YES,
    CONFINE_NO
};

/* What becomes of kept commands where the server stops. */
enum keep_on_stop {
    KEEP_ON_STOP_KEEP, /* they go on, unless the server is PID 1, whose end is theirs */
    KEEP_ON_STOP_END   /* they are ended as the others */
};

/* Whether each command has a cgroup of its own. */
enum cgroup_mode {
    CGROUP_AUTO, /* where one can be made */
    CGROUP_NO    /* only where its rule has limits that need one */
};

struct config {
    struct endpoint listen[CONFIG_LISTEN_MAX];
    unsigned listen_count;
    unsigned listen_preset; /* so many of these come from config_load_defaults */
    struct endpoint http;   /* where health and metrics are to be had */
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
    char *state_directory; /* for kept commands; NULL: there are none */
    bool dumpable;         /* its user may look into the process, and it may leave a core */
    unsigned deny_reason;  /* enum deny_reason */
    struct rules *rules;   /* a reference; NULL: no [allow] section at all */
    struct words include;  /* glob(7) patterns of files with more of them */
    size_t include_preset; /* so many of these come from config_load_defaults */
    struct words files;    /* what it was read from */
    char *user;            /* of commands whose rule names none; NULL: the server's own */
    bool user_preset;      /* it comes from config_load_defaults: left out where it cannot be had */
    bool state_preset;     /* the same of state_directory */
    unsigned confine;      /* enum confine_mode */
    unsigned keep_on_stop; /* enum keep_on_stop */
    unsigned cgroup;       /* enum cgroup_mode */
    enum log_level log_level;
    enum log_format log_format;

    /* Numbers. A duration of 0 means "no limit", but for kill_grace_ms, drain_ms and last_words_ms,
     * where it means "at once"; handshake_timeout_ms, linger_max_ms and quiet_ms are at least 1. */
    uint64_t workers;                     /* 0: twice the processors, at least 4 */
    uint64_t bulk_workers;                /* besides, for what carries much; 0: none */
    uint64_t bulk_bytes;                  /* so much within 100 ms is much */
    uint64_t max_connections;             /* in all */
    uint64_t max_connections_per_address; /* from one address or IPv6 /64; 0: no limit */
    uint64_t max_unauthenticated;         /* connections whose peer has not yet shown who it is */
    uint64_t
        max_unauthenticated_per_address; /* the same from one address or IPv6 /64; 0: no limit */
    uint64_t max_jobs;                   /* running or starting, in all */
    uint64_t max_jobs_per_identity; /* of one client, by any number of connections; 0: no limit */
    uint64_t max_queued;            /* requests that wait for one of the two above */
    uint64_t spawns_per_identity;   /* commands of one client that are being started; 0: no limit */
    uint64_t refusals_per_minute;   /* of one client, before it is slowed; 0: no limit */
    uint64_t max_stuck_spawns;      /* threads of one worker that hang in one beyond its end */
    uint64_t header_bytes;          /* of a frame */
    uint64_t payload_bytes;         /* of a frame */
    uint64_t argv_bytes;            /* all words of a command, with their NULs */
    uint64_t env_bytes;             /* all of the environment that a request adds, likewise */
    uint64_t tls_expiry_warning;    /* days before an end that it is said; 0: never */
    uint64_t tls_chain_bytes;       /* of a client's certificates */
    uint64_t tls_watch_ms;          /* between looks at the files of TLS; 0: only at SIGHUP */
    uint64_t handshake_timeout_ms;  /* from accept to the end of the handshake */
    uint64_t first_request_timeout_ms; /* from then to the first frame */
    uint64_t frame_timeout_ms;         /* from a frame's first byte to its last; 0: no limit */
    uint64_t keepalive_ms;         /* TCP: silence before the peer's machine is asked; 0: never */
    uint64_t tcp_user_timeout_ms;  /* TCP: unacknowledged for so long: gone; 0: the system's */
    uint64_t heartbeat_ms;         /* a job runs, the client is silent: a ping; 0: never */
    uint64_t heartbeat_timeout_ms; /* silent for so long in spite of it: gone; 0: never */
    uint64_t pause_max_ms;         /* … which a client may interrupt for so long */
    uint64_t idle_timeout_ms;      /* without a job and without a byte from the client */
    uint64_t write_timeout_ms;     /* the client takes nothing of what waits for it */
    uint64_t spawn_timeout_ms;     /* for a command's chdir and execve */
    uint64_t resume_ms;            /* upper bound for how long a command waits for its client */
    uint64_t job_timeout_ms;       /* upper bound for a job's own timeout_ms */
    uint64_t keep_max;             /* kept commands whose name or output is there */
    uint64_t keep_per_identity;    /* the same of one client; 0: no limit */
    uint64_t left_max;             /* processes that commands have left, and that go on */
    uint64_t left_per_identity;    /* the same of one client; 0: no limit */
    uint64_t spool_bytes;          /* output of each on the disk */
    uint64_t keep_bytes;           /* output of all */
    uint64_t keep_ms;              /* from its end to the removal of its output */
    uint64_t key_ms;               /* … and of its name */
    uint64_t kill_grace_ms;        /* from TERM to KILL */
    uint64_t linger_ms;            /* see design: output held open after the command's end */
    uint64_t linger_max_ms;
    uint64_t drain_ms;            /* jobs may go on so long after the server's TERM */
    uint64_t last_words_ms;       /* … then clients may take so long for their receipts */
    uint64_t output_log_bytes;    /* per job: output that the client has not acknowledged */
    uint64_t stdin_bytes;         /* per job: input that the command has not taken */
    uint64_t files_window_bytes;  /* instead of these two, where files are served */
    uint64_t window_max_bytes;    /* each of these, where the way to the client is long; 0: fixed */
    uint64_t window_total_bytes;  /* what they have grown by, all together; 0: by the memory */
    uint64_t control_queue_bytes; /* per connection: replies to control frames */
    uint64_t request_bytes;       /* headed, sized: a command's length */
    uint64_t collect_memory_bytes; /* headed, sized: output kept in memory, per stream */
    uint64_t collect_max_bytes;    /* headed, sized: output in all */
    uint64_t quiet_ms;             /* headed, sized: silence that ends a request */
    uint64_t udp_rate_per_second;  /* upper over UDP: datagrams answered */
};

/* Fills in the defaults; nothing is allocated yet. */
void config_init(struct config *config);
void config_close(struct config *config);

/* The same on the heap. NULL: out of memory. */
struct config *config_new(void);
void config_free(struct config *config);

/* Sets one option by its key ("workers", "tls_cert", "listen", …), as the file and the command line
 * both do. "listen" adds. AFAR_EINVAL says which value was expected; an unknown key names those
 * that resemble it. AFAR_ENOMEM. */
enum afar_status config_set(struct config *config, const char *key, const char *value,
                            struct afar_error *err);

/* Reads an INI file: keys in the section [server] (or before any section), rules in sections
 * [allow NAME]. The error names file, line and what was expected: "afard.conf:12: workers: 'many'
 * is not a whole number from 0 to 1024". AFAR_EINVAL (also: others can change the file, see
 * trusted.h), AFAR_ESYSTEM (cannot be read), AFAR_ENOMEM. */
enum afar_status config_load(struct config *config, const char *path, struct afar_error *err);

/* The same before all others, for the settings of a container's image or a unit: what another file,
 * the environment or the command line says replaces it. What may not be had everywhere is left out
 * there: a folder of `include` that is missing, `user` where the server is not root. */
enum afar_status config_load_defaults(struct config *config, const char *path,
                                      struct afar_error *err);

/* The same for a file of rules alone, which are added to those that are there. */
enum afar_status config_load_rules(struct config *config, const char *path, struct afar_error *err);

/* After all of these, the environment and the command line, and before config_check: reads the
 * files that `include` names, looks `user` up, and gives it to the rules that have none.
 * AFAR_EINVAL, AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status config_finish(struct config *config, struct afar_error *err);

/* What only the whole can show: no listener, TLS listener without certificate, key or client CA,
 * udp without protocol upper. AFAR_EINVAL says what to add. (Whether an address is beyond loopback
 * is known once it is resolved: server.h.) */
enum afar_status config_check(const struct config *config, struct afar_error *err);

#endif
