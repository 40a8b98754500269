/* The audit log: one line of JSON for each action of a client and for each refusal. afard(8)
 * describes the lines.
 *
 * With a chain, each line begins with {"seq":N,"prev":"H", where H is the hash of the line before
 * (64 zeros in the first line), and ends with ,"hash":"H"}, the SHA-256 of everything before that
 * field. Anyone who can write to the file can make a new chain: to notice that, keep a copy of the
 * last hash elsewhere.
 *
 * Owns:    the file.
 * Threads: any.
 * Blocks:  all functions but audit_render and audit_lost, on the disk; audit_lost on the lock: not
 *          for an event loop. Threads that write at the same time share one fdatasync(2).
 * Limits:  AUDIT_LINE_BYTES per line; for each field see the numbers below. A field that was cut is
 *          marked as cut and followed by the hash of the whole. */
#ifndef POLICY_AUDIT_H
#define POLICY_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <afar/receipt.h>

#include "base/buffer.h"
#include "base/error.h"
#include "wire/pty_request.h"

enum {
    AUDIT_LINE_BYTES = 262144,
    AUDIT_ARGV_BYTES = 16384,
    AUDIT_ENV_BYTES = 8192,
    AUDIT_CWD_BYTES = 4096,
    AUDIT_NAMES_BYTES = 4096,
    AUDIT_NAMES_MAX = 256, /* clients with more are rejected: net/peer.h */
    AUDIT_TEXT_BYTES = 1024,
    AUDIT_PIDS_MAX = 1024
};

struct audit;

struct audit_options {
    const char *path; /* or "syslog" */
    bool chain;
    bool sync; /* audit_write returns only when the line is on the disk; ignored for syslog */
};

/* The fields of a line; those that are NULL, 0 or false are left out. All borrowed. */
struct audit_record {
    const char *
        event; /* "start", "end", "left", "denied", "refused", "kill", "away", "attach", "takeover", "watch", "forget",
                        * "handshake_failed", "connection_refused", "file" */
    unsigned long long connection;
    const char *job;
    const char *identity; /* one of the client's names */
    const char *owner;
    char *const *names; /* all of them, as in net/peer.h; the pin gets a field of its own */
    const char *address;
    const char *rule;
    const char *decision; /* "allowed", "denied" */
    const char *reason;
    char *const *argv;
    const char *subsystem; /* instead of argv */
    const char *forward;   /* instead of argv: "host:port" */
    char *const *env;      /* "NAME=value": only the names are written */
    const char *cwd;
    const struct screen_size *pty; /* the command's terminal */
    const char *recording;         /* the file that its output is recorded in */
    uint64_t record_bytes;         /* the recording's size, once it is complete */
    const char *record_sha256;     /* its hash; NULL: it is not complete */
    const char *record_error;      /* why the recording lacks something; NULL: it lacks nothing */
    const char *user;
    bool kept;              /* the command has a keeper */
    const char *key_sha256; /* the hash of its key */
    bool lazy;              /* do not wait for the disk, even with audit_options.sync */
    pid_t pid;
    const pid_t *pids; /* processes that a command left running; AUDIT_PIDS_MAX are written */
    size_t pid_count;
    uint64_t more;                      /* the line stands for so many similar events … */
    uint64_t more_s;                    /* … within so many seconds */
    const struct file_note *file;       /* what was done to a file */
    const struct afar_receipt *receipt; /* outcome, bytes, resource use and times */
};

/* Opens a file (created with mode 0600) or syslog, and continues the chain of the file. *audit is
 * freed by audit_close; NULL on failure. AFAR_EINVAL: not a regular file; with a chain, also: its
 * last line is incomplete or belongs to no chain. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status audit_open(struct audit **audit, const struct audit_options *options,
                            struct afar_error *err);

/* Waits for lazy lines to reach the disk, and frees. NULL is fine. */
void audit_close(struct audit *audit);

/* Writes a line. On failure nothing is written, not even a part, and the chain is intact; except if
 * fdatasync(2) fails: then the line is in the file, but perhaps not on the disk. AFAR_ESYSTEM,
 * AFAR_ENOMEM, AFAR_ELIMIT: the line would be too long. */
enum afar_status audit_write(struct audit *audit, const struct audit_record *record,
                             struct afar_error *err);

/* Appends the fields of a record to `body`, to be written later with audit_write_body. The record
 * and all that it points to are copied. AFAR_ENOMEM, AFAR_ELIMIT. */
enum afar_status audit_render(struct buffer *body, const struct audit_record *record,
                              struct afar_error *err);

/* Writes a line with the fields of `body`, as audit_write does; `lazy` as in the record. */
enum afar_status audit_write_body(struct audit *audit, const struct buffer *body, bool lazy,
                                  struct afar_error *err);

/* Counts a line that could not be written; the next line that can says how many there were. */
void audit_lost(struct audit *audit);

/* Opens the file again by its name, as it may have been moved away; the chain goes on in the new
 * file. On failure the old file stays in use. Errors as audit_open; AFAR_EINVAL also if the new
 * file's chain is not this server's. */
enum afar_status audit_reopen(struct audit *audit, struct afar_error *err);

/* ---- for src/policy/ ------------------------------------------------------------------------- */

enum { AUDIT_HASH_BYTES = 65 };

/* Appends the line of a rendered record to `out`, without a newline. With `prev` (the hash of the
 * line before) as part of a chain; then `hash` is set to the line's. AFAR_ENOMEM, AFAR_ELIMIT. */
enum afar_status audit_put_line(struct buffer *out, const struct buffer *body, uint64_t lost,
                                uint64_t seq, const char *prev, char hash[AUDIT_HASH_BYTES],
                                struct afar_error *err);

/* Parses a line of a chain, without its newline. False: it is not one, or its hash is wrong. */
bool audit_check_line(const char *line, size_t size, uint64_t *seq, char prev[AUDIT_HASH_BYTES],
                      char hash[AUDIT_HASH_BYTES]);

#endif
