/* The receipt: how a command ended. It is the last frame of every command ("exit" in PROTOCOL.md),
 * and the only proof that the command ran.
 *
 * Owns:    nothing; plain values.
 * Threads: a value, copied freely.
 * Blocks:  never.
 * Limits:  the sizes of its arrays. */
#ifndef AFAR_RECEIPT_H
#define AFAR_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum afar_outcome {
    AFAR_OUTCOME_EXITED,       /* `code` is the exit status */
    AFAR_OUTCOME_SIGNALED,     /* `signal` killed it */
    AFAR_OUTCOME_TIMED_OUT,    /* timeout_ms passed, and the server ended it */
    AFAR_OUTCOME_OUTPUT_LIMIT, /* ended because it wrote more than allowed */
    AFAR_OUTCOME_KILLED,       /* ended by the server: see `killed_by` */
    AFAR_OUTCOME_DISCONNECTED, /* ended because its client was gone */
    AFAR_OUTCOME_SPAWN_FAILED, /* never ran: `error_name`, `error_stage`, `message` say why */
    AFAR_OUTCOME_SERVER_LOST   /* the server died meanwhile; the command's fate is unknown */
};

enum {
    AFAR_SIGNAL_NAME_BYTES = 16,
    AFAR_ERRNO_NAME_BYTES = 24,
    AFAR_STAGE_NAME_BYTES = 24,
    AFAR_RECEIPT_MESSAGE_BYTES = 256,
    AFAR_DIGEST_HEX_BYTES = 65, /* SHA-256 in hex and a NUL */
    AFAR_LIMIT_NAME_BYTES = 16,
    AFAR_PROCESS_NAME_BYTES = 16,
    AFAR_PROCESSES_NAMED = 4
};

/* Who set the limit. */
enum afar_limit_owner { AFAR_BY_UNKNOWN, AFAR_BY_REQUEST, AFAR_BY_RULE, AFAR_BY_SERVER };

/* The limit that ended the command or a part of it. Only the number of the limit's kind is not 0.
 * (This struct and the two of processes are inside the receipt, so their layout never changes.) */
struct afar_limit {
    char name[AFAR_LIMIT_NAME_BYTES]; /* "timeout", "spawn_timeout", "output", "memory", "pids",
                                         "cpu", …; "": none */
    enum afar_limit_owner by;
    uint64_t ms;
    uint64_t bytes;
    uint64_t count;
};

/* What ended a command whose outcome is AFAR_OUTCOME_KILLED. */
enum afar_killer {
    AFAR_KILLED_UNKNOWN,
    AFAR_KILLED_BY_REQUEST,
    AFAR_KILLED_BY_SHUTDOWN,
    AFAR_KILLED_BY_RECORD /* its rule requires a recording of its terminal, which failed */
};

struct afar_process {
    uint64_t pid;
    char name[AFAR_PROCESS_NAME_BYTES]; /* as the process calls itself */
};

struct afar_processes {
    uint64_t count;
    struct afar_process first[AFAR_PROCESSES_NAMED]; /* the first `count` of these are set */
};

/* Made by the library, so new members can be appended; `size` says which members there are. */
struct afar_receipt {
    size_t size; /* the library's sizeof(struct afar_receipt), also in a copy */
    enum afar_outcome outcome;
    int code;                            /* exit status 0..255, or -1 if there is none */
    char signal[AFAR_SIGNAL_NAME_BYTES]; /* "TERM", "KILL", …, or "" if there is none */
    bool core_dumped;
    char error_name[AFAR_ERRNO_NAME_BYTES];   /* "ENOENT", … */
    char error_stage[AFAR_STAGE_NAME_BYTES];  /* "chdir", "exec", … */
    char message[AFAR_RECEIPT_MESSAGE_BYTES]; /* for people, or "" */
    uint64_t stdin_bytes;                     /* delivered to the command */
    uint64_t stdout_bytes;                    /* read from the command */
    uint64_t stderr_bytes;
    char stdout_sha256[AFAR_DIGEST_HEX_BYTES]; /* "" unless the request asked for digests */
    char stderr_sha256[AFAR_DIGEST_HEX_BYTES];
    uint64_t user_us; /* processor time of the command and of children that it waited for */
    uint64_t system_us;
    uint64_t max_rss_bytes; /* 0: not known */
    uint64_t queued_us;     /* from the request to the spawn */
    uint64_t spawn_us;      /* spawning, to the successful execve */
    uint64_t run_us;        /* from execve to the command's end */
    uint64_t drain_us;      /* from its end to the end of its output */
    bool stdio_held_open;   /* a process that outlived the command held its output open */
    struct afar_limit limit;
    enum afar_killer killed_by;
    struct afar_processes ended;   /* processes that the command left behind and the server ended */
    struct afar_processes held_by; /* those of `ended` that held its output open */
    struct afar_processes left;    /* processes that it left behind and that continue (`leave`) */
    bool leave_denied;             /* `leave` was requested, but the rule does not allow it */
};

#ifdef __cplusplus
}
#endif

#endif
