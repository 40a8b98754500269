#include "policy/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

static const char nothing[] = "0000000000000000000000000000000000000000000000000000000000000000";

struct audit {
    char *path; /* NULL: syslog */
    bool chain;
    bool sync;
    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t synced_more;
    int fd;
    uint64_t lost;
    uint64_t seq; /* of the next line */
    char prev[AUDIT_HASH_BYTES];
    uint64_t appended; /* lines, since the start */
    uint64_t synced;   /* the first so many lines are on the disk */
    uint64_t failed;   /* the value of `appended` when fdatasync(2) last failed … */
    int failed_errno;  /* … and why it did */
    bool syncing;      /* a thread is in fdatasync(2) */
};

/* ---- opening --------------------------------------------------------------------------------- */

static enum afar_status open_file(const char *path, int *fd, struct afar_error *err)
{
    struct stat info;
    *fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (*fd < 0)
        return afar_fail_errno(err, errno, "the audit log '%.200s' cannot be opened", path);
    if (fstat(*fd, &info) == 0 && S_ISREG(info.st_mode))
        return AFAR_OK;
    (void)close(*fd);
    *fd = -1;
    return afar_fail(err, AFAR_EINVAL, "the audit log '%.200s' is not a regular file", path);
}

static enum afar_status fail_tail(const char *path, const char *why, struct afar_error *err)
{
    return afar_fail(err, AFAR_EINVAL,
                     "the audit log '%.200s' cannot be continued: %s; move it away, check it with "
                     "--verify-audit, and start a new one",
                     path, why);
}

/* The last line of a file, without its newline; `data` is the end of the file. NULL: the last line
 * has no newline. */
static const char *last_line(const char *data, size_t size, size_t *length)
{
    if (size == 0 || data[size - 1] != '\n')
        return NULL;
    const char *end = data + size - 1;
    const char *begin = memrchr(data, '\n', size - 1);
    begin = begin == NULL ? data : begin + 1;
    *length = (size_t)(end - begin);
    return begin;
}

/* Reads the number and the hash of a file's last line. *empty: the file is empty. */
static enum afar_status read_tail(int fd, const char *path, uint64_t *seq,
                                  char hash[AUDIT_HASH_BYTES], bool *empty, struct afar_error *err)
{
    enum { TAIL_BYTES = AUDIT_LINE_BYTES + 2 };
    char prev[AUDIT_HASH_BYTES];
    size_t length = 0;
    struct stat info;
    enum afar_status status = AFAR_OK;
    char *data = malloc(TAIL_BYTES);
    if (data == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for the audit log");
    if (fstat(fd, &info) != 0)
        info.st_size = 0;
    *empty = info.st_size == 0;
    off_t from = info.st_size > TAIL_BYTES ? info.st_size - TAIL_BYTES : 0;
    ssize_t size = *empty ? 0 : pread(fd, data, TAIL_BYTES, from);
    if (size < 0)
        status = afar_fail_errno(err, errno, "the audit log '%.200s' cannot be read", path);
    const char *line = size > 0 ? last_line(data, (size_t)size, &length) : NULL;
    if (status == AFAR_OK && !*empty && line == NULL)
        status = fail_tail(path, "its last line is incomplete", err);
    else if (status == AFAR_OK && !*empty && !audit_check_line(line, length, seq, prev, hash))
        status = fail_tail(path, "its last line belongs to no chain", err);
    free(data);
    return status;
}

static enum afar_status begin_file(struct audit *audit, struct afar_error *err)
{
    bool empty = true;
    enum afar_status status = open_file(audit->path, &audit->fd, err);
    if (status != AFAR_OK || !audit->chain)
        return status;
    status = read_tail(audit->fd, audit->path, &audit->seq, audit->prev, &empty, err);
    if (status == AFAR_OK && empty)
        memcpy(audit->prev, nothing, sizeof audit->prev);
    else if (status == AFAR_OK)
        audit->seq++;
    return status;
}

enum afar_status audit_open(struct audit **audit, const struct audit_options *options,
                            struct afar_error *err)
{
    bool to_syslog = strcmp(options->path, "syslog") == 0;
    *audit = NULL;
    struct audit *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for the audit log");
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)pthread_cond_init(&made->synced_more, NULL);
    made->fd = -1;
    made->chain = options->chain;
    made->sync = options->sync && !to_syslog;
    memcpy(made->prev, nothing, sizeof made->prev);
    enum afar_status status = AFAR_OK;
    if (!to_syslog) {
        made->path = strdup(options->path);
        status = made->path == NULL ? afar_fail(err, AFAR_ENOMEM, "out of memory for the audit log")
                                    : begin_file(made, err);
    }
    if (status != AFAR_OK) {
        audit_close(made);
        return status;
    }
    *audit = made;
    return AFAR_OK;
}

void audit_close(struct audit *audit)
{
    if (audit == NULL)
        return;
    if (audit->fd >= 0 && audit->sync)
        (void)fdatasync(audit->fd); /* for lazy lines */
    if (audit->fd >= 0)
        (void)close(audit->fd);
    (void)pthread_cond_destroy(&audit->synced_more);
    (void)pthread_mutex_destroy(&audit->lock);
    free(audit->path);
    free(audit);
}

/* ---- writing; with the lock held ------------------------------------------------------------- */

/* Removes a line that could be written only in part. If even that fails, ends it with a newline, so
 * that the next line begins a new one. */
static void undo(const struct audit *audit, off_t size)
{
    if (size < 0 || ftruncate(audit->fd, size) != 0) {
        ssize_t written = write(audit->fd, "\n", 1);
        (void)written;
    }
}

static enum afar_status append(const struct audit *audit, const uint8_t *data, size_t size,
                               struct afar_error *err)
{
    struct stat info;
    size_t done = 0;
    off_t before = fstat(audit->fd, &info) == 0 ? info.st_size : -1;
    while (done < size) {
        ssize_t written = write(audit->fd, data + done, size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            int failed = errno;
            if (done > 0)
                undo(audit, before);
            return afar_fail_errno(err, failed, "the audit log '%.200s' cannot be written",
                                   audit->path);
        }
        done += (size_t)written;
    }
    return AFAR_OK;
}

/* fdatasync(2) for the first `target` lines has ended. */
static void note_sync(struct audit *audit, uint64_t target, int failed)
{
    if (failed == 0)
        audit->synced = target;
    else
        audit->failed = target;
    audit->failed_errno = failed != 0 ? failed : audit->failed_errno;
    (void)pthread_cond_broadcast(&audit->synced_more);
}

/* Returns when line `number` is on the disk. One thread at a time calls fdatasync(2), for all lines
 * that are in the file by then; the others wait. */
static enum afar_status sync_to(struct audit *audit, uint64_t number, struct afar_error *err)
{
    while (audit->synced < number && audit->failed < number) {
        if (audit->syncing) {
            (void)pthread_cond_wait(&audit->synced_more, &audit->lock);
            continue;
        }
        uint64_t target = audit->appended;
        int fd = audit->fd;
        audit->syncing = true;
        (void)pthread_mutex_unlock(&audit->lock);
        int failed = fdatasync(fd) == 0 ? 0 : errno;
        (void)pthread_mutex_lock(&audit->lock);
        audit->syncing = false;
        note_sync(audit, target, failed);
    }
    if (audit->synced >= number && audit->failed < number)
        return AFAR_OK;
    return afar_fail_errno(err, audit->failed_errno,
                           "the audit log '%.200s' could not be written to the disk", audit->path);
}

static enum afar_status write_locked(struct audit *audit, const struct buffer *body, bool lazy,
                                     struct buffer *line, struct afar_error *err)
{
    char hash[AUDIT_HASH_BYTES] = "";
    enum afar_status status = audit_put_line(line, body, audit->lost, audit->seq,
                                             audit->chain ? audit->prev : NULL, hash, err);
    if (status != AFAR_OK)
        return status;
    if (audit->path == NULL) {
        syslog(LOG_AUTHPRIV | LOG_NOTICE, "%.*s", (int)buffer_size(line),
               (const char *)buffer_head(line));
    } else {
        status = buffer_append(line, "\n", 1, err);
        if (status == AFAR_OK)
            status = append(audit, buffer_head(line), buffer_size(line), err);
    }
    if (status != AFAR_OK)
        return status;
    audit->lost = 0;
    audit->seq++;
    audit->appended++;
    if (audit->chain)
        memcpy(audit->prev, hash, sizeof audit->prev);
    return audit->sync && !lazy ? sync_to(audit, audit->appended, err) : AFAR_OK;
}

/* ---- verbs ----------------------------------------------------------------------------------- */

enum afar_status audit_write_body(struct audit *audit, const struct buffer *body, bool lazy,
                                  struct afar_error *err)
{
    struct buffer line;
    buffer_init(&line, AUDIT_LINE_BYTES);
    (void)pthread_mutex_lock(&audit->lock);
    enum afar_status status = write_locked(audit, body, lazy, &line, err);
    (void)pthread_mutex_unlock(&audit->lock);
    buffer_close(&line);
    return status;
}

enum afar_status audit_write(struct audit *audit, const struct audit_record *record,
                             struct afar_error *err)
{
    struct buffer body;
    buffer_init(&body, AUDIT_LINE_BYTES);
    enum afar_status status = audit_render(&body, record, err);
    if (status == AFAR_OK)
        status = audit_write_body(audit, &body, record->lazy, err);
    buffer_close(&body);
    return status;
}

void audit_lost(struct audit *audit)
{
    (void)pthread_mutex_lock(&audit->lock);
    audit->lost++;
    (void)pthread_mutex_unlock(&audit->lock);
}

enum afar_status audit_reopen(struct audit *audit, struct afar_error *err)
{
    char hash[AUDIT_HASH_BYTES];
    uint64_t seq = 0;
    bool empty = true;
    int fd = -1;
    if (audit->path == NULL)
        return AFAR_OK;
    enum afar_status status = open_file(audit->path, &fd, err);
    if (status != AFAR_OK)
        return status;
    (void)pthread_mutex_lock(&audit->lock);
    while (audit->syncing)
        (void)pthread_cond_wait(&audit->synced_more, &audit->lock);
    if (audit->chain)
        status = read_tail(fd, audit->path, &seq, hash, &empty, err);
    if (status == AFAR_OK && !empty && strcmp(hash, audit->prev) != 0)
        status = fail_tail(audit->path, "its chain is not this server's", err);
    /* With the lock held: a line that was added to the old file now would be looked for in the new
     * one when it is brought to the disk. */
    if (status == AFAR_OK && audit->sync && audit->synced < audit->appended)
        note_sync(audit, audit->appended, fdatasync(audit->fd) == 0 ? 0 : errno);
    if (status == AFAR_OK) {
        int old = audit->fd;
        audit->fd = fd;
        fd = old;
    }
    (void)pthread_mutex_unlock(&audit->lock);
    (void)close(fd);
    return status;
}
