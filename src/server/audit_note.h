/* Lines of the audit log that nobody waits for: a worker says what has happened, its companion
 * writes it. (The line of a command's start is another matter: judge.c.)
 *
 * Owns:    a note owns the line that it will be, until that is written.
 * Threads: the worker's.
 * Blocks:  never.
 * Limits:  AUDIT_NOTES_MAX or AUDIT_NOTES_BYTES under way, for each worker; what is beyond is lost,
 *          counted, and said by the next line that is written. */
#ifndef SERVER_AUDIT_NOTE_H
#define SERVER_AUDIT_NOTE_H

#include "policy/audit.h"
#include "server/connection/connection.h"

enum { AUDIT_NOTES_MAX = 1024, AUDIT_NOTES_BYTES = 4 << 20 };

/* Where there is no audit log, nothing. `event` is a constant. */
void audit_note(struct worker *worker, const struct audit_record *record);

/* The same about what a connection asked for: `event` and why; `request` NULL: none. */
void audit_note_refused(struct connection *connection, const char *event, const char *reason,
                        const struct exec_request *request);

/* A line is lost: counted, and logged. Any thread. */
void audit_note_lost(struct server_shared *shared, const char *event, const char *why);

#endif
