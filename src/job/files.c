/* A job that serves files instead of running a command: reads its notes, for the audit log. */
#include "job/internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/file_note.h"

enum {
    NOTES_READ_BYTES = 16384,
    READS_AT_END = 8, /* twice a pipe's capacity: pipe(7) */
    RETRY_MS = 20
};

/* Notes were lost. */
static void lose(struct job *job)
{
    job->place->ops->note_file(job->place, &job->launch, NULL);
}

static void close_notes(struct job *job)
{
    int fd = job->streams.notes_source.fd;
    if (fd < 0)
        return;
    loop_remove(job->host->loop, &job->streams.notes_source);
    (void)close(fd);
}

/* Passes on the complete notes. False: the data is not a note. */
static bool take_notes(struct job *job)
{
    struct file_note note;
    size_t used = 0;
    while ((used = file_note_take(buffer_head(&job->streams.notes),
                                  buffer_size(&job->streams.notes), &note)) > 0) {
        if (used == SIZE_MAX)
            return false;
        job->place->ops->note_file(job->place, &job->launch, &note);
        buffer_consume(&job->streams.notes, used);
    }
    return true;
}

/* Reads once. False: there is nothing more now, or the pipe was closed. */
static bool read_notes(struct job *job)
{
    uint8_t *room = NULL;
    if (buffer_reserve(&job->streams.notes, NOTES_READ_BYTES, &room, NULL) != AFAR_OK)
        return false;
    ssize_t got = read(job->streams.notes_source.fd, room, NOTES_READ_BYTES);
    if (got > 0) {
        buffer_commit(&job->streams.notes, (size_t)got);
        if (take_notes(job))
            return true;
        lose(job);
    } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return errno == EINTR;
    }
    close_notes(job);
    return false;
}

static void notes_ready(struct loop_source *source, uint32_t events)
{
    struct job *job = list_object(source, struct job, streams.notes_source);
    (void)events;
    /* Without room, do not read: the file server then waits once its pipe is full. */
    if (job->place->ops->file_room(job->place)) {
        (void)read_notes(job);
        return;
    }
    (void)loop_set_events(job->host->loop, source, 0, NULL); /* removing cannot fail */
    job->deadlines.retry_at_ms = clock_deadline_ms(RETRY_MS);
    job_set_timer(job);
}

void job_files_open(struct job *job)
{
    buffer_init(&job->streams.notes, FILE_NOTE_MAX_BYTES + NOTES_READ_BYTES);
    if (job->launch.spawned.note_fd < 0)
        return;
    if (loop_add(job->host->loop, &job->streams.notes_source, job->launch.spawned.note_fd, EPOLLIN,
                 notes_ready, NULL) == AFAR_OK)
        return;
    /* The file server gets EPIPE and continues without notes. */
    (void)close(job->launch.spawned.note_fd);
    lose(job);
}

void job_files_retry(struct job *job)
{
    if (job->streams.notes_source.fd >= 0)
        (void)loop_set_events(job->host->loop, &job->streams.notes_source, EPOLLIN, NULL);
}

void job_files_close(struct job *job)
{
    for (int i = 0; i < READS_AT_END && job->streams.notes_source.fd >= 0; i++)
        (void)read_notes(job);
    close_notes(job);
    buffer_clear(&job->streams.notes);
}
