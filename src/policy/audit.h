/* The audit log: a line of JSON for each thing that a client asked for, and for each that it was
 * refused. afard(8) describes the lines.
 *
 * With a chain, each line begins with {"seq":N,"prev":"H", where H is the hash of the line before
 * (64 zeros: there is none), and ends with ,"hash":"H"}, the SHA-256 of all that stands before that
 * field. Anyone who can write to the file can make a new chain: a copy of the last hash elsewhere
 * is what tells.
 *
 * Owns:    the file.
 * Threads: any.
 * Blocks:  audit_write, on the disk: not for an event loop. Threads that write at once share the
 *          waiting.
 * Limits:  AUDIT_LINE_BYTES a line; of each field no more than is said below. What is cut is marked
 *          as cut, and the hash of the whole stands beside it. */
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
    AUDIT_NAMES_MAX = 256, /* a client with more is turned away: net/peer.h */
    AUDIT_TEXT_BYTES = 1024,
    AUDIT_PIDS_MAX = 1024
};

struct audit;

struct audit_options {
    const char *path; /* or "syslog" */
    bool chain;
    bool sync; /* a line is on the disk when audit_write returns */
};

/* What a line says; whatever is NULL, 0 or false is left out. All borrowed. */
struct audit_record {
    const char *
        event; /* "start", "end", "left", "denied", "refused", "kill", "away", "attach", "takeover", "watch", "forget",
                        * "handshake_failed", "connection_refused", "file" */
    unsigned long long connection;
    const char *job;
    const char *identity; /* one of its names */
    const char *owner;
    char *const *names; /* all of them, as net/peer.h has them; the pin is a field of its own */
    const char *address;
    const char *rule;
    const char *decision; /* "allowed", "denied" */
    const char *reason;
    char *const *argv;
    const char *subsystem; /* in place of argv */
    const char *forward;   /* likewise: "host:port" */
    char *const *env;      /* "NAME=value": only the names are written */
    const char *cwd;
    const struct screen_size *pty; /* the command's terminal */
    const char *recording;         /* the file of what that shows; where it is complete … */
    uint64_t record_bytes;         /* … its size … */
    const char *record_sha256;     /* … and this; NULL: it is not */
    const char *record_error;      /* why not all is in it that was shown; NULL: all is */
    const char *user;
    bool lazy; /* need not be on the disk when audit_write returns, though the options say so */
    pid_t pid;
    const pid_t *pids; /* of what a command has left: AUDIT_PIDS_MAX of them at most … */
    size_t pid_count;  /* … of so many */
    uint64_t more;     /* such lines, which stand for themselves no more, … */
    uint64_t more_s;   /* … within so many seconds */
    const struct file_note *file;       /* what was done to a file */
    const struct afar_receipt *receipt; /* outcome, bytes, resource use and times */
};

/* Opens a file (made with mode 0600) or the way to syslog, and goes on with the chain that the file
 * has. AFAR_EINVAL: not a regular file; its last line is incomplete or belongs to no chain.
 * AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status audit_open(struct audit **audit, const struct audit_options *options,
                            struct afar_error *err);
void audit_close(struct audit *audit);

/* Writes a line. On failure there is none, not even in part, and the chain is whole; but where the
 * disk took it and did not keep it, it may be there. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status audit_write(struct audit *audit, const struct audit_record *record,
                             struct afar_error *err);

/* The fields of a record, added to `body`, for audit_write_body later: a copy of all that the line
 * will say. AFAR_ENOMEM, AFAR_ELIMIT. */
enum afar_status audit_render(struct buffer *body, const struct audit_record *record,
                              struct afar_error *err);

/* As audit_write; `lazy` is the record's. */
enum afar_status audit_write_body(struct audit *audit, const struct buffer *body, bool lazy,
                                  struct afar_error *err);

/* A line could not be written and will not be: the next one says how many. */
void audit_lost(struct audit *audit);

/* Opens the file of that name anew: it may have been moved away. The old one stays where that
 * fails. As audit_open. */
enum afar_status audit_reopen(struct audit *audit, struct afar_error *err);

/* ---- for src/policy/ ------------------------------------------------------------------------- */

enum { AUDIT_HASH_BYTES = 65 };

/* Appends the line of a rendered record without its newline, and, with `prev`, in a chain; `hash`
 * is then the line's. AFAR_ENOMEM, AFAR_ELIMIT. */
enum afar_status audit_put_line(struct buffer *out, const struct buffer *body, uint64_t lost,
                                uint64_t seq, const char *prev, char hash[AUDIT_HASH_BYTES],
                                struct afar_error *err);

/* Takes a line of a chain apart. False: it is none, or its hash is not its own. */
bool audit_check_line(const char *line, size_t size, uint64_t *seq, char prev[AUDIT_HASH_BYTES],
                      char hash[AUDIT_HASH_BYTES]);

#endif
