/* Talks to keepers. Everything here blocks. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/kept_internal.h"
#include "wire/frame.h"

enum { TRIES = 100, PAUSE_US = 20000, ANSWER_MS = 5000, LIST_MS = 2000, ANSWER_BYTES = 1 << 16 };

/* ---- the door -------------------------------------------------------------------------------- */

static enum afar_status knock(int folder_fd, int *fd, struct afar_error *err)
{
    char token[JOBDIR_TOKEN_BYTES];
    enum afar_status status = jobdir_read_token(folder_fd, token, err);
    if (status == AFAR_OK)
        status = jobdir_connect(folder_fd, fd, err);
    if (status == AFAR_OK &&
        send(*fd, token, sizeof token - 1, MSG_NOSIGNAL) != (ssize_t)sizeof token - 1) {
        (void)close(*fd);
        *fd = -1;
        status = afar_fail(err, AFAR_ECLOSED, "a job's keeper has just ended");
    }
    return status;
}

static enum afar_status unreadable(const char *job, struct afar_error *err)
{
    return afar_fail(err, AFAR_ESYSTEM,
                     "the folder of job %s cannot be read: what became of it is unknown", job);
}

static bool was_unreadable(struct kept *kept, const char *job)
{
    (void)pthread_mutex_lock(&kept->lock);
    const struct kept_entry *entry = kept_entry_locked(kept, job);
    const bool was = entry != NULL && entry->unreadable;
    (void)pthread_mutex_unlock(&kept->lock);
    return was;
}

/* No keeper listens. AFAR_OK: try again, as one was started to read the folder, or is just starting
 * or ending. */
static enum afar_status open_door(struct kept *kept, const char *job, int folder_fd,
                                  struct afar_error *err)
{
    enum kept_fate fate = kept_look(kept, job);
    if (fate == KEPT_NEVER_RAN || fate == KEPT_IS_GONE)
        return afar_fail(err, AFAR_EINVAL, "no such job");
    if (fate == KEPT_UNREADABLE)
        return unreadable(job, err);
    if (fate == KEPT_HAS_ENDED)
        return keep_read(folder_fd, kept->program_fd, err);
    (void)usleep(PAUSE_US); /* its keeper is just starting or ending */
    return AFAR_OK;
}

enum afar_status kept_connect(struct kept *kept, const char *job, int *fd, struct afar_error *err)
{
    int folder_fd = -1;
    *fd = -1;
    /* A later version's keeper may live, but it is not known how to speak to it. */
    if (was_unreadable(kept, job) && kept_look(kept, job) == KEPT_UNREADABLE)
        return unreadable(job, err);
    if (jobdir_open(kept->jobs_fd, job, &folder_fd, err) != AFAR_OK)
        return kept_is_gone(kept, job) ? afar_fail(err, AFAR_EINVAL, "no such job")
                                       : unreadable(job, err);
    enum afar_status status = knock(folder_fd, fd, err);
    for (int i = 0; i < TRIES && status == AFAR_ECLOSED; i++) {
        status = open_door(kept, job, folder_fd, err);
        if (status == AFAR_OK)
            status = knock(folder_fd, fd, err);
    }
    (void)close(folder_fd);
    return status == AFAR_ECLOSED ? afar_fail(err, AFAR_EAGAIN, "the job's keeper does not answer")
                                  : status;
}

/* ---- a question ------------------------------------------------------------------------------ */

/* Receives the first frame into *message; message_close it. */
static enum afar_status receive(int fd, int64_t deadline_ms, struct message *message,
                                struct afar_error *err)
{
    struct buffer in;
    struct decoder decoder;
    const uint8_t *payload = NULL;
    size_t used = 0;
    enum afar_status status = AFAR_EAGAIN;
    buffer_init(&in, ANSWER_BYTES);
    decoder_init(&decoder);
    while (status == AFAR_EAGAIN) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        uint8_t *at = NULL;
        int ready = poll(&waiting, 1, clock_poll_timeout(deadline_ms));
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0 || buffer_reserve(&in, ANSWER_BYTES / 4, &at, NULL) != AFAR_OK)
            break;
        ssize_t got = recv(fd, at, ANSWER_BYTES / 4, MSG_DONTWAIT);
        buffer_commit(&in, got > 0 ? (size_t)got : 0);
        if (got <= 0)
            break;
        status = decoder_next(&decoder, buffer_head(&in), buffer_size(&in), message, &payload,
                              &used, NULL);
    }
    decoder_close(&decoder);
    buffer_close(&in);
    return status == AFAR_OK ? AFAR_OK
                             : afar_fail(err, AFAR_ESYSTEM, "the job's keeper does not answer");
}

/* False: the keeper does not take it. */
static bool put(int fd, const struct buffer *out)
{
    return send(fd, buffer_head(out), buffer_size(out), MSG_NOSIGNAL) == (ssize_t)buffer_size(out);
}

/* Sends requests to the job's keeper. The answer comes on *fd, which the caller closes if it is not
 * -1, also on failure. */
static enum afar_status ask(struct kept *kept, const char *job, const struct buffer *out, int *fd,
                            struct afar_error *err)
{
    enum afar_status status = kept_connect(kept, job, fd, err);
    if (status == AFAR_OK && !put(*fd, out))
        status = afar_fail(err, AFAR_ESYSTEM, "the job's keeper does not answer");
    return status;
}

enum afar_status kept_listen(struct kept *kept, const char *job, int *fd, struct afar_error *err)
{
    struct message_attach attach = {.watch = true, .follow = true};
    struct buffer out;
    int folder_fd = -1;
    *fd = -1;
    buffer_init(&out, ANSWER_BYTES);
    enum afar_status status = random_hex(attach.holder, (MESSAGE_HOLDER_MIN_BYTES + 1) / 2, err);
    if (status == AFAR_OK)
        status = message_put_attach(&out, 1, job, &attach, err);
    if (status == AFAR_OK)
        status = jobdir_open(kept->jobs_fd, job, &folder_fd, err);
    if (status == AFAR_OK)
        status = knock(folder_fd, fd, err);
    if (status == AFAR_OK && !put(*fd, &out)) {
        (void)close(*fd);
        *fd = -1;
        status = afar_fail(err, AFAR_ECLOSED, "a job's keeper has just ended");
    }
    if (folder_fd >= 0)
        (void)close(folder_fd);
    buffer_close(&out);
    return status;
}

void kept_ask_all(struct kept *kept, struct message_job *jobs, size_t count)
{
    struct buffer out;
    int *fds = calloc(count > 0 ? count : 1, sizeof *fds);
    buffer_init(&out, ANSWER_BYTES);
    /* A keeper of an older version does not know `jobs`, and answers the ping. */
    if (fds == NULL || message_put_jobs(&out, 1, "", false, NULL) != AFAR_OK ||
        message_put_ping(&out, 2, NULL) != AFAR_OK)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        fds[i] = -1;
        /* (One that is connected but does not take the question does not answer it either.) */
        if (jobs[i].state == MESSAGE_JOB_RUNNING &&
            ask(kept, jobs[i].job, &out, &fds[i], NULL) != AFAR_OK && fds[i] < 0)
            jobs[i].state = MESSAGE_JOB_UNREACHABLE;
    }
    const int64_t deadline_ms = clock_deadline_ms(LIST_MS);
    for (size_t i = 0; i < count; i++) {
        struct message message;
        if (fds[i] < 0)
            continue;
        if (receive(fds[i], deadline_ms, &message, NULL) != AFAR_OK) {
            jobs[i].state = MESSAGE_JOB_UNREACHABLE;
        } else {
            if (message.type == MESSAGE_JOBS && message.jobs != NULL && message.jobs->count == 1) {
                const struct message_job *told = &message.jobs->job[0];
                jobs[i].attached = told->attached;
                memcpy(jobs[i].bytes, told->bytes, sizeof jobs[i].bytes);
                jobs[i].state = told->state != MESSAGE_JOB_ENDED ? told->state : jobs[i].state;
            }
            message_close(&message);
        }
        (void)close(fds[i]);
    }
    buffer_close(&out);
    free(fds);
}

/* Sends a request and waits for the answer. AFAR_OK: the keeper has done it. */
static enum afar_status tell(struct kept *kept, const char *job, const struct buffer *out,
                             struct afar_error *err)
{
    struct message message;
    int fd = -1;
    enum afar_status status = ask(kept, job, out, &fd, err);
    if (status == AFAR_OK)
        status = receive(fd, clock_deadline_ms(ANSWER_MS), &message, err);
    if (status == AFAR_OK) {
        if (message.type != MESSAGE_DONE)
            status = afar_fail(err, AFAR_EINVAL, "%s", message.text);
        message_close(&message);
    }
    if (fd >= 0)
        (void)close(fd);
    return status;
}

enum afar_status kept_end(struct kept *kept, const char *job, struct afar_error *err)
{
    struct buffer out;
    buffer_init(&out, ANSWER_BYTES);
    enum afar_status status = message_put_shutdown(&out, 1, job, err);
    if (status == AFAR_OK)
        status = tell(kept, job, &out, err);
    buffer_close(&out);
    return status;
}

enum afar_status kept_kill(struct kept *kept, const char *job, const char *name,
                           struct afar_error *err)
{
    struct buffer out;
    const enum kept_fate fate = kept_look(kept, job);
    if (fate == KEPT_UNREADABLE)
        return unreadable(job, err);
    if (fate != KEPT_IS_LIVE)
        return afar_fail(err, AFAR_EINVAL, "no such job runs");
    buffer_init(&out, ANSWER_BYTES);
    enum afar_status status = message_put_kill(&out, 1, job, name, err);
    if (status == AFAR_OK)
        status = tell(kept, job, &out, err);
    buffer_close(&out);
    return status;
}

/* A job whose folder cannot be read may run: then its keeper has locked it. */
static enum afar_status check_dead(struct kept *kept, const char *job, struct afar_error *err)
{
    int folder_fd = -1;
    int lock_fd = -1;
    enum afar_status status = jobdir_open(kept->jobs_fd, job, &folder_fd, err);
    if (status == AFAR_OK)
        status = jobdir_lock(folder_fd, &lock_fd, err);
    if (lock_fd >= 0)
        (void)close(lock_fd);
    if (folder_fd >= 0)
        (void)close(folder_fd);
    return status;
}

enum afar_status kept_forget(struct kept *kept, const char *job, struct afar_error *err)
{
    enum kept_fate fate = kept_look(kept, job);
    if (fate == KEPT_IS_LIVE)
        return afar_fail(err, AFAR_EAGAIN, "the job runs");
    if (fate == KEPT_NEVER_RAN)
        return AFAR_OK;
    if (fate == KEPT_IS_GONE)
        return afar_fail(err, AFAR_EINVAL, "no such job");
    enum afar_status status = fate == KEPT_UNREADABLE ? check_dead(kept, job, err) : AFAR_OK;
    if (status == AFAR_OK)
        status = jobdir_remove(kept->jobs_fd, job, err);
    if (status != AFAR_OK && kept_is_gone(kept, job))
        return afar_fail(err, AFAR_EINVAL, "no such job"); /* another client was faster */
    if (status != AFAR_OK)
        return status;
    (void)pthread_mutex_lock(&kept->lock);
    struct kept_entry *entry = kept_entry_locked(kept, job);
    if (entry != NULL)
        list_remove(&entry->link);
    (void)pthread_mutex_unlock(&kept->lock);
    kept_entry_free(kept, entry);
    return AFAR_OK;
}
