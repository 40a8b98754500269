#include "base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/utf8.h"

enum { LINE_BYTES = 1024 };

struct log {
    int fd;
    atomic_int level;  /* enum log_level */
    atomic_int format; /* enum log_format */
    bool may_block;    /* a pipe, a socket or a terminal, which may have no room */
    pthread_mutex_t lock;
    unsigned long long lost; /* guarded by lock: lines lost since one was written */
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

struct log *log_new(int fd, enum log_level level, enum log_format format)
{
    struct log *log = malloc(sizeof *log);
    if (log == NULL)
        return NULL;
    struct stat status;
    log->fd = fd;
    log->may_block = fstat(fd, &status) != 0 || !S_ISREG(status.st_mode);
    log->lost = 0;
    (void)pthread_mutex_init(&log->lock, NULL);
    atomic_init(&log->level, level);
    atomic_init(&log->format, format);
    return log;
}

void log_set(struct log *log, enum log_level level, enum log_format format)
{
    atomic_store(&log->level, level);
    atomic_store(&log->format, format);
}

void log_free(struct log *log)
{
    if (log == NULL)
        return;
    (void)pthread_mutex_destroy(&log->lock);
    free(log);
}

bool log_enabled(struct log *log, enum log_level level)
{
    return log != NULL && (int)level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

static void timestamp(char *out, size_t size)
{
    struct timespec now = {0};
    struct tm parts = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(out + used, size - used, ".%03ldZ", now.tv_nsec / 1000000);
}

/* Copies `text` so that it stays on one line and, with `json`, is valid in a JSON string. Returns
 * the bytes written; stops before it would exceed `size`. */
static size_t escape(const char *text, bool json, char *out, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t left = strlen(text);
    size_t used = 0;
    while (left > 0) {
        char piece[ESCAPE_BYTES];
        size_t taken = utf8_sequence(bytes, left);
        size_t length = taken;
        if (taken == 0 || utf8_control(bytes, taken)) {
            /* One byte at a time: the rest of a longer character is not UTF-8, and so is escaped as
             * well. In JSON the backslash of \xNN must itself be escaped. */
            taken = 1;
            length = (size_t)snprintf(piece, sizeof piece, json ? "\\\\x%02x" : "\\x%02x",
                                      (unsigned)bytes[0]);
        } else if (json && (bytes[0] == '"' || bytes[0] == '\\')) {
            piece[0] = '\\';
            piece[1] = (char)bytes[0];
            length = 2;
        } else if (taken > 1) { /* some change how the text around them looks */
            length = escape_one(bytes, left, json ? ESCAPE_STRING : ESCAPE_TERMINAL, piece, &taken);
        } else {
            piece[0] = (char)bytes[0];
        }
        if (length > size - used)
            break;
        memcpy(out + used, piece, length);
        used += length;
        bytes += taken;
        left -= taken;
    }
    return used;
}

/* Formats the message as a line and returns its size. */
static size_t make_line(struct log *log, enum log_level level, const char *message,
                        char line[LINE_BYTES])
{
    static const char json_end[] = "\"}\n";
    char now[40];
    bool json = log->format == LOG_FORMAT_JSON;
    timestamp(now, sizeof now);
    int head = json ? snprintf(line, LINE_BYTES, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"",
                               now, level_names[level])
                    : snprintf(line, LINE_BYTES, "%s %s ", now, level_names[level]);
    size_t used = (size_t)head;
    used += escape(message, json, line + used, LINE_BYTES - used - sizeof json_end);
    for (const char *end = json ? json_end : "\n"; *end != '\0'; end++)
        line[used++] = *end;
    return used;
}

/* True if a line can be written without waiting for a reader. */
static bool has_room(const struct log *log)
{
    struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
    return !log->may_block || (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0);
}

static void put(const struct log *log, const char *line, size_t size)
{
    ssize_t written = write(log->fd, line, size);
    (void)written;
}

/* Writes how many lines were lost, if there is room. The caller holds the lock. */
static void tell_of_lost(struct log *log)
{
    char message[80];
    char line[LINE_BYTES];
    if (log->lost == 0 || !has_room(log))
        return;
    (void)snprintf(message, sizeof message, "%llu lines were lost: the log was not read in time",
                   log->lost);
    log->lost = 0;
    put(log, line, make_line(log, LOG_LEVEL_WARN, message, line));
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
    char message[LINE_BYTES];
    char line[LINE_BYTES];
    va_list args;
    if (!log_enabled(log, level))
        return;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    size_t size = make_line(log, level, message, line);

    (void)pthread_mutex_lock(&log->lock);
    tell_of_lost(log);
    if (has_room(log))
        put(log, line, size);
    else
        log->lost++;
    (void)pthread_mutex_unlock(&log->lock);
}

enum afar_status log_level_parse(const char *text, enum log_level *level, struct afar_error *err)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return AFAR_OK;
        }
    }
    return afar_fail(err, AFAR_EINVAL, "'%s' is not a log level: error, warn, info or debug", text);
}

enum afar_status log_format_parse(const char *text, enum log_format *format, struct afar_error *err)
{
    if (strcmp(text, "text") == 0)
        *format = LOG_FORMAT_TEXT;
    else if (strcmp(text, "json") == 0)
        *format = LOG_FORMAT_JSON;
    else
        return afar_fail(err, AFAR_EINVAL, "'%s' is not a log format: text or json", text);
    return AFAR_OK;
}
