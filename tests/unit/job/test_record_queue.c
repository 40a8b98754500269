/* The queue between a terminal's loop and the companions that write its recording: several threads,
 * each with a loop and its companions, many sessions in each, a disk that is slow and now and then
 * full, sessions that end while their queue is full. What has come is in the file, in order, or its
 * end was told. Meant for SAN=thread, too. */
// wrap: write fdatasync job_stop job_resume_output job_advance
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "job/internal.h"
#include "job/recording.h"
#include "support/folder.h"
#include "support/program.h"
#include "support/recorded.h"

enum {
    THREADS = 4,
    SESSIONS = 12, /* of each thread */
    CHUNK_MAX = 40000,
    OUTPUT_BYTES = 400000, /* of each session, unless it ends before */
    FDS = 1024,
    QUEUE_MAX = 262144 + 8 * JOB_SCRATCH_BYTES,
    SLOW_US = 2000,
    FILE_BYTES = 8 * OUTPUT_BYTES
};

enum fate { WHOLE, ENDS_WHEN_FULL, DISK_FULL_ENDS, DISK_FULL_GOES_ON, TOO_LONG, FATES };

/* The disk's: after one byte less there is no room behind a descriptor; 0: there is enough; or it
 * does not answer until this changes. */
enum { NO_ANSWER = -1 };
static atomic_long room_left[FDS];

static const struct rule rules[FATES] = {
    [DISK_FULL_GOES_ON] = {.record_go_on = true},
    [TOO_LONG] = {.record_max = {.set = true, .value = 100000}},
};

struct session {
    struct job job; /* first */
    struct recording *recording;
    enum fate fate;
    unsigned number;
    size_t put; /* bytes of output */
    size_t shown;
    size_t most;
    unsigned paused; /* times that it was full */
    bool waits;      /* for job_resume_output */
    bool stopped;
    bool ending;
    bool over;
    char path[RECORDING_PATH_BYTES];
    char sha256[DIGEST_HEX_BYTES];
    uint64_t bytes;
};

struct host {
    pthread_t thread;
    struct job_host host;
    struct mailbox mailbox;
    struct session *sessions;
    unsigned seed;
    unsigned number;
    const char *problem; /* NULL: none */
};

static struct counters counters;
static struct figures figures;
static char folder[64];
static struct log *quiet;

/* ---- the disk -------------------------------------------------------------------------------- */

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

static _Thread_local unsigned disk_seed;

/* What a disk takes is part of what is tried here; nothing waits for this time. */
static void take_time(void)
{
    if (disk_seed == 0)
        disk_seed = (unsigned)clock_now_us() | 1;
    (void)usleep(next_random(&disk_seed) % SLOW_US);
}

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    if (size == sizeof(uint64_t) || fd < 0 || fd >= FDS) /* an eventfd's */
        return __real_write(fd, data, size);
    take_time();
    long left = 0;
    while ((left = atomic_load(&room_left[fd])) == NO_ANSWER)
        take_time();
    if (left == 0)
        return __real_write(fd, data, 1 + next_random(&disk_seed) % size);
    if (left == 1) {
        errno = ENOSPC;
        return -1;
    }
    const size_t part = size < (size_t)left - 1 ? size : (size_t)left - 1;
    const ssize_t written = __real_write(fd, data, part);
    atomic_store(&room_left[fd], left - written);
    return written;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    (void)fd;
    take_time();
    return 0;
}

/* ---- the job --------------------------------------------------------------------------------- */

static struct session *session_of(struct job *job)
{
    return list_object(job, struct session, job);
}

void __wrap_job_stop(struct job *job, enum afar_outcome outcome);
void __wrap_job_stop(struct job *job, enum afar_outcome outcome)
{
    session_of(job)->stopped = outcome == AFAR_OUTCOME_KILLED;
}

void __wrap_job_resume_output(struct job *job);
void __wrap_job_resume_output(struct job *job)
{
    session_of(job)->waits = job_record_is_full(job);
}

static void end(struct session *session)
{
    session->ending = true;
    if (session->over || !job_record_ended(&session->job))
        return;
    session->over = true;
    atomic_store(&room_left[session->recording->fd], 0); /* another's then */
    memcpy(session->sha256, session->recording->sha256, sizeof session->sha256);
    session->bytes = session->recording->bytes;
    job_record_close(&session->job);
}

void __wrap_job_advance(struct job *job);
void __wrap_job_advance(struct job *job)
{
    if (session_of(job)->ending)
        end(session_of(job));
}

/* ---- a thread -------------------------------------------------------------------------------- */

/* The byte of a session's output; one in 17 becomes six. */
static char byte_at(const struct session *session, size_t at)
{
    return at % 17 == 3 ? '\x1b' : (char)('a' + (at * 7 + at / 1000 + session->number) % 26);
}

static bool open_session(struct host *host, unsigned index)
{
    struct session *session = &host->sessions[index];
    struct job *job = &session->job;
    const struct cast_header header = {.term = "xterm", .job = job->launch.id};
    session->number = host->number * SESSIONS + index;
    session->fate = session->number % FATES;
    job->host = &host->host;
    job->launch.decision.rule = &rules[session->fate];
    (void)snprintf(job->launch.id, sizeof job->launch.id, "%u", session->number);
    (void)snprintf(job->label, sizeof job->label, "session %u", session->number);
    session->recording = recording_make(folder, &header, NULL);
    if (session->recording == NULL || session->recording->fd >= FDS)
        return false;
    memcpy(session->path, session->recording->path, sizeof session->path);
    const bool full = session->fate == DISK_FULL_ENDS || session->fate == DISK_FULL_GOES_ON;
    atomic_store(&room_left[session->recording->fd], full                              ? 150000
                                                     : session->fate == ENDS_WHEN_FULL ? NO_ANSWER
                                                                                       : 0);
    job->launch.recording = session->recording;
    job_record_open(job);
    return true;
}

static void put_output(struct host *host, struct session *session)
{
    char data[CHUNK_MAX];
    const size_t left = OUTPUT_BYTES - session->put;
    size_t size = 1 + next_random(&host->seed) % CHUNK_MAX;
    size = size < left ? size : left;
    for (size_t i = 0; i < size; i++)
        data[i] = byte_at(session, session->put + i);
    session->shown += job_record_output(&session->job, data, size);
    session->put += size;
    const size_t waiting = buffer_size(&session->job.record.front);
    session->most = waiting > session->most ? waiting : session->most;
    if (next_random(&host->seed) % 8 == 0)
        job_record_mark(&session->job, "attach");
}

static void turn(struct host *host, struct session *session)
{
    const bool done = session->put == OUTPUT_BYTES || session->stopped;
    if (session->ending || session->waits)
        return;
    if (!done && !job_record_is_full(&session->job)) {
        put_output(host, session);
        return;
    }
    session->paused += !done;
    if (!done && session->fate != ENDS_WHEN_FULL) {
        session->waits = true;
        return;
    }
    end(session);
    if (session->fate == ENDS_WHEN_FULL && !session->over)
        atomic_store(&room_left[session->recording->fd], 0);
}

static bool all_over(const struct host *host)
{
    bool over = true;
    for (unsigned i = 0; i < SESSIONS; i++)
        over = over && host->sessions[i].over;
    return over;
}

/* All of it without anything that only the main thread may use: cmocka's words are its. */
static const char *run_sessions(struct host *host)
{
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    for (unsigned i = 0; i < SESSIONS; i++) {
        if (!open_session(host, i))
            return "a recording could not be made";
    }
    while (!all_over(host)) {
        bool busy = false;
        for (unsigned i = 0; i < SESSIONS; i++) {
            turn(host, &host->sessions[i]);
            busy = busy || !(host->sessions[i].waits || host->sessions[i].ending);
        }
        if (clock_now_ms() > deadline_ms)
            return "it hangs";
        if (busy)
            mailbox_deliver(&host->mailbox);
        else if (!all_over(host) && loop_turn(host->host.loop, NULL) != AFAR_OK)
            return "the loop has failed";
    }
    return NULL;
}

static void *run_host(void *argument)
{
    struct host *host = argument;
    host->host.self = pthread_self();
    if (loop_new(&host->host.loop, NULL) != AFAR_OK ||
        mailbox_open(&host->mailbox, host->host.loop, NULL) != AFAR_OK ||
        job_host_start(&host->host, &host->mailbox, NULL) != AFAR_OK) {
        host->problem = "it does not start";
        return NULL;
    }
    host->problem = run_sessions(host);
    if (host->problem != NULL) /* the rest is in use */
        return NULL;
    if (!job_host_stop(&host->host, &host->mailbox))
        host->problem = "a companion hangs";
    mailbox_close(&host->mailbox);
    loop_free(host->host.loop);
    return NULL;
}

/* ---- what has come of it --------------------------------------------------------------------- */

static char text[FILE_BYTES];

/* How much of the output is there: all from its beginning, in order, in whole lines. */
static size_t check_output(const struct session *session)
{
    size_t at = 0;
    for (const char *line = text; line[0] != '\0'; line = strchr(line, '\n') + 1) {
        static const char output[] = ", \"o\", \"";
        const char *stop = strchr(line, '\n');
        assert_non_null(stop);
        const char *from = memmem(line, (size_t)(stop - line), output, sizeof output - 1);
        if (from == NULL)
            continue;
        for (from += sizeof output - 1; *from != '"'; at++) {
            const bool escaped = *from == '\\';
            const char byte = escaped ? '\x1b' : *from;
            assert_int_equal(byte, byte_at(session, at));
            from += escaped ? 6 : 1;
        }
    }
    return at;
}

static void check_hash(const struct session *session, size_t size)
{
    char hash[DIGEST_HEX_BYTES];
    recorded_hash(text, size, hash);
    assert_int_equal(size, session->bytes);
    assert_string_equal(hash, session->sha256);
}

static void check_session(const struct session *session)
{
    const size_t size = recorded_read(session->path, text, sizeof text);
    const size_t there = check_output(session);
    const char *message = session->job.record.message;
    const bool fails = session->fate != WHOLE && session->fate != ENDS_WHEN_FULL;
    check_hash(session, size);
    assert_true(session->most <= QUEUE_MAX);
    assert_int_equal(session->job.record.failed != 0, fails);
    assert_int_equal(strstr(text, "\"m\", \"end\"]\n") != NULL, !fails);
    assert_int_equal(session->stopped, fails && session->fate != DISK_FULL_GOES_ON);
    assert_int_equal(message[0] != '\0', session->stopped);
    if (!fails)
        assert_int_equal(there, session->put);
    else
        assert_true(there < session->put);
    if (session->fate == ENDS_WHEN_FULL)
        assert_true(session->paused == 1 && session->put < OUTPUT_BYTES);
    if (session->fate == TOO_LONG) {
        assert_int_equal(there, session->shown); /* nothing is shown that is not recorded */
        assert_true(size <= 100000 && size > 98000);
        assert_non_null(strstr(text, "\"m\", \"not recorded from here: it is as long as its rule"));
    } else if (!session->stopped) {
        assert_int_equal(session->shown, session->put);
    }
}

static void many_threads(void **state)
{
    static struct host hosts[THREADS];
    unsigned paused = 0;
    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        struct host *host = &hosts[i];
        *host = (struct host){.number = i, .seed = i + 1};
        host->host = (struct job_host){.log = quiet, .counters = &counters, .figures = &figures};
        host->sessions = calloc(SESSIONS, sizeof *host->sessions);
        assert_non_null(host->sessions);
        job_host_init(&host->host);
        assert_int_equal(pthread_create(&host->thread, NULL, run_host, host), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(hosts[i].thread, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        if (hosts[i].problem != NULL)
            fail_msg("thread %u: %s", i, hosts[i].problem);
        for (unsigned k = 0; k < SESSIONS; k++) {
            check_session(&hosts[i].sessions[k]);
            paused += hosts[i].sessions[k].paused;
        }
        free(hosts[i].sessions);
    }
    print_message("the queue was full %u times\n", paused);
    assert_true(paused >= THREADS * SESSIONS / FATES);
}

static int set_up(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    quiet = log_new(fd, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-queue-XXXXXX");
    return fd >= 0 && quiet != NULL && mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    log_free(quiet);
    return folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
