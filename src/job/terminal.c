/* A job on a terminal: one master is its input and its output, the end of input is a key, and there
 * are sizes and hang-ups. */
#include "job/internal.h"

#include <errno.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    END_KEY = 4,        /* Ctrl-D */
    END_TIMES = 5,      /* how often it is sent again */
    END_AGAIN_MS = 500, /* pause before the first repetition; doubled each time */
    END_FULL_MS = 50    /* pause after EAGAIN */
};

bool job_is_on_terminal(const struct job *job)
{
    return job->launch.request->pty != NULL;
}

/* Either of the two descriptors; -1: not opened yet, or hung up. */
static int master(const struct job *job)
{
    int fd = job->streams.output[STREAM_STDOUT].source.fd;
    return fd >= 0 ? fd : job->streams.stdin_source.fd;
}

bool job_terminal_is_open(const struct job *job)
{
    return master(job) >= 0;
}

/* ---- its size -------------------------------------------------------------------------------- */

static void apply_size(struct job *job)
{
    const struct screen_size *size = &job->terminal.size;
    const struct pty_size set = {
        .rows = size->rows, .cols = size->cols, .xpixel = size->xpixel, .ypixel = size->ypixel};
    if (size->rows > 0 && size->cols > 0)
        job_record_size(job, size);
    /* The kernel sends WINCH to the foreground if it changes. */
    if (master(job) >= 0)
        (void)pty_resize(master(job), &set);
}

void job_resize(struct job *job, const struct screen_size *size)
{
    if (!job_is_on_terminal(job))
        return;
    job->terminal.size = *size;
    job->terminal.resized = true;
    if (job_has_run(job))
        apply_size(job);
}

void job_terminal_begins(struct job *job)
{
    if (job->terminal.resized)
        job->launch.request->pty->size = job->terminal.size;
    job->terminal.resized = false;
}

const struct screen_size *job_screen(const struct job *job)
{
    return job->terminal.resized ? &job->terminal.size : &job->launch.request->pty->size;
}

const char *job_terminal_name(const struct job *job)
{
    const struct rule *rule = job->launch.decision.rule;
    const char *name = job->launch.spawned.terminal;
    /* In another root it has another name, or none. */
    return name[0] != '\0' && (rule == NULL || rule->chroot == NULL) ? name : NULL;
}

/* ---- the end of input ------------------------------------------------------------------------ */

/* The key that ends input now: the one that the program has set, or Ctrl-D if it reads raw. */
static unsigned char end_key(int fd)
{
    struct termios modes;
    if (tcgetattr(fd, &modes) != 0 || (modes.c_lflag & ICANON) == 0 ||
        modes.c_cc[VEOF] == _POSIX_VDISABLE)
        return END_KEY;
    return modes.c_cc[VEOF];
}

static uint64_t output_of(const struct job *job)
{
    return job->streams.output_bytes[STREAM_STDOUT];
}

static void send_end(struct job *job)
{
    struct job_terminal *terminal = &job->terminal;
    int fd = job->streams.stdin_source.fd;
    const unsigned char key = end_key(fd);
    while (terminal->keys_left > 0) {
        ssize_t written = write(fd, &key, 1);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN) {
            terminal->end_at_ms = clock_deadline_ms(END_FULL_MS);
            return;
        }
        terminal->keys_left--;
    }
    terminal->output_then = output_of(job);
    terminal->end_at_ms = terminal->times < END_TIMES
                              ? clock_deadline_ms(END_AGAIN_MS << terminal->times)
                              : DEADLINE_NEVER;
    terminal->times++;
}

void job_terminal_end_input(struct job *job)
{
    struct job_terminal *terminal = &job->terminal;
    if (terminal->input_over)
        return;
    terminal->input_over = true;
    /* In the middle of a line the first key only hands over the line; the second is the end. */
    terminal->keys_left = terminal->in_line ? 2 : 1;
    send_end(job);
    job_set_timer(job);
}

void job_terminal_run_timers(struct job *job, int64_t now_ms)
{
    struct job_terminal *terminal = &job->terminal;
    if (terminal->end_at_ms > now_ms)
        return;
    terminal->end_at_ms = DEADLINE_NEVER;
    if (job->streams.stdin_source.fd < 0 || job->state >= JOB_DRAINING)
        return;
    /* A program that writes is not waiting for input. */
    if (terminal->keys_left == 0 && output_of(job) != terminal->output_then) {
        terminal->output_then = output_of(job);
        terminal->end_at_ms = clock_deadline_ms(END_AGAIN_MS);
        return;
    }
    if (terminal->keys_left == 0)
        terminal->keys_left = 1;
    send_end(job);
}

/* ---- signals and the end --------------------------------------------------------------------- */

void job_hang_up(struct job *job)
{
    if (!job_has_run(job)) {
        job->early_signal = SIGHUP;
        return;
    }
    /* Both descriptors must be closed: then the kernel sends HUP and CONT. */
    job->streams.stdin_taken += buffer_size(&job->streams.input); /* it will not be read */
    job_streams_close(job);
}

bool job_terminal_signal(struct job *job, int number)
{
    if (!job_is_on_terminal(job))
        return false;
    if (number == SIGHUP) {
        job_hang_up(job);
        return true;
    }
    bool by_key = number == SIGINT || number == SIGQUIT || number == SIGTSTP;
    return by_key && master(job) >= 0 && pty_signal(master(job), number) == 0;
}

void job_terminal_opened(struct job *job)
{
    if (!job_is_on_terminal(job))
        return;
    job->terminal.counted = true;
    job_record_open(job);
    (void)atomic_fetch_add(&job->host->figures->terminals, 1);
    if (job->terminal.resized)
        apply_size(job);
}

void job_terminal_closed(struct job *job)
{
    if (job->terminal.counted)
        (void)atomic_fetch_sub(&job->host->figures->terminals, 1);
    job->terminal.counted = false;
}
