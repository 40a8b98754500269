/* Audit log lines that no request waits for: a worker posts the event, its companion writes the
 * line. (The line of a command's start, which must be written first, is judge.c's.)
 *
 * Owns:    the text of each line, until it is written.
 * Threads: the worker's; audit_note_lost from any.
 * Blocks:  never.
 * Limits:  AUDIT_NOTES_MAX lines or AUDIT_NOTES_BYTES under way for each worker; lines beyond that
 *          are lost and counted, and the next line that is written says how many. */
#ifndef SERVER_AUDIT_NOTE_H
#define SERVER_AUDIT_NOTE_H

#include "policy/audit.h"
#include "server/connection/connection.h"

enum { AUDIT_NOTES_MAX = 1024, AUDIT_NOTES_BYTES = 4 << 20 };

/* Posts a line; does nothing without an audit log. record->event must be a constant; all else is
 * copied. A line that cannot be posted (out of memory, limits) is lost. */
void audit_note(struct worker *worker, const struct audit_record *record);

/* The same for a connection's request that was refused: `event`, why, and what was asked for (NULL:
 * nothing that could be logged). */
void audit_note_refused(struct connection *connection, const char *event, const char *reason,
                        const struct exec_request *request);

/* Counts and logs that a line is lost. */
void audit_note_lost(struct server_shared *shared, const char *event, const char *why);

#endif
