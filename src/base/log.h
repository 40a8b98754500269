/* Writes log lines, as text or as one JSON object per line.
 *
 * Owns:    only its own memory; the descriptor stays the caller's (*kept*).
 * Threads: any may write; a lock serializes them. Each line is one write(2), which a pipe keeps
 *          whole up to PIPE_BUF.
 * Blocks:  never for a reader: if a pipe, socket or terminal has no room a line is lost, and a
 *          later line says how many were. Writing to a file may wait for the disk.
 * Limits:  a line is cut at 1,024 bytes. Control bytes and bytes that are not UTF-8 are shown as
 *          \xNN, so that a client cannot forge a line. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log;

/* Creates a log; free it with log_free. NULL: out of memory. Lines look like
 *     2026-11-23T05:12:01.123Z info connection 7 from 127.0.0.1:5050: closed
 *     {"time":"2026-11-23T05:12:01.123Z","level":"info","message":"connection 7 …"} */
struct log *log_new(int fd, enum log_level level, enum log_format format);
void log_free(struct log *log);

/* Changes level and format for later lines. From any thread. */
void log_set(struct log *log, enum log_level level, enum log_format format);

/* True if a line of this level would be written; false if `log` is NULL. */
bool log_enabled(struct log *log, enum log_level level);

/* Writes one line, unless `log` is NULL or the level is not enabled. A line that cannot be written
 * is lost: there is nowhere to report it. */
void log_write(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "error", "warn", "info", "debug"; "text", "json". AFAR_EINVAL for anything else. */
enum afar_status log_level_parse(const char *text, enum log_level *level, struct afar_error *err);
enum afar_status log_format_parse(const char *text, enum log_format *format,
                                  struct afar_error *err);

#endif
