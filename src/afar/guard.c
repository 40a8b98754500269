#include "afar/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/term_modes.h"

enum { ALL_IS_WELL = 'k', WRITE_WITHIN_MS = 200, DESCRIPTORS = 65536 };

bool guard_same_modes(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
           a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof a->c_cc) == 0;
}

bool guard_set_mode(int fd, const struct termios *mode)
{
    return tcsetattr(fd, TCSADRAIN, mode) == 0 ||
           (errno == EINTR && tcsetattr(fd, TCSANOW, mode) == 0);
}

/* ---- the guard ------------------------------------------------------------------------------- */

/* Writes what undoes the modes. The terminal may be non-blocking, because another process has set
 * that. */
static void undo_modes(int fd, uint32_t set)
{
    char text[TERM_MODES_TEXT_BYTES];
    size_t size = term_modes_undo(set, text);
    size_t done = 0;
    while (done < size) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        ssize_t written = write(fd, text + done, size - done);
        if (written < 0 && errno == EAGAIN && poll(&ready, 1, WRITE_WITHIN_MS) <= 0)
            return;
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        done += written > 0 ? (size_t)written : 0;
    }
}

/* Waits until our process ends. True: it has said that the terminal is in order. */
static bool wait_for_the_end(int fd)
{
    char word = 0;
    ssize_t got = 0;
    do {
        got = read(fd, &word, 1);
    } while (got < 0 && errno == EINTR);
    return got == 1 && word == ALL_IS_WELL;
}

/* The guard is in the terminal's background, and must not be stopped when it changes the
 * terminal. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGTTOU, SIGTTIN, SIGINT,  SIGHUP,  SIGQUIT,
                                  SIGTSTP, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};
    sigset_t none;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Closes descriptors from `from` up to `next`; below 0: all. close_range(2) is missing before Linux
 * 5.9, and some sandboxes refuse it. */
static void close_from(int from, int next)
{
    struct rlimit limit;
    if (syscall(SYS_close_range, (unsigned)from, next < 0 ? ~0U : (unsigned)next - 1, 0U) == 0)
        return;
    int end = next;
    if (end < 0)
        end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS
                  ? (int)limit.rlim_cur
                  : DESCRIPTORS;
    for (int fd = from; fd < end; fd++)
        (void)close(fd);
}

/* Closes all descriptors but these three, some of which may be equal. Otherwise we would keep pipes
 * of our process open. */
static void close_others(int a, int b, int c)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fd != a && fd != b && fd != c)
            (void)close(fd);
    }
    int from = 3;
    for (;;) {
        int next = -1; /* the lowest kept descriptor from here on */
        const int kept[] = {a, b, c};
        for (size_t i = 0; i < 3; i++) {
            if (kept[i] >= from && (next < 0 || kept[i] < next))
                next = kept[i];
        }
        if (next != from)
            close_from(from, next);
        if (next < 0)
            return;
        from = next + 1;
    }
}

_Noreturn static void watch(const struct guard_page *page, int pipe_fd, int fd, int modes_fd,
                            const struct termios *before, const struct termios *raw)
{
    struct termios now;
    (void)setpgid(0, 0);
    ignore_signals();
    close_others(pipe_fd, fd, modes_fd);
    if (wait_for_the_end(pipe_fd))
        _exit(0);
    if (tcgetattr(fd, &now) == 0 && guard_same_modes(&now, raw))
        (void)guard_set_mode(fd, before);
    if (modes_fd >= 0)
        undo_modes(modes_fd, atomic_load(&page->modes));
    _exit(0);
}

/* ---- ours ------------------------------------------------------------------------------------ */

bool guard_start(struct guard *guard, int fd, int modes_fd, const struct termios *before,
                 const struct termios *raw)
{
    int ends[2];
    *guard = (struct guard){.pipe_fd = -1};
    void *page = mmap(NULL, sizeof(struct guard_page), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        int failed = errno;
        (void)munmap(page, sizeof(struct guard_page));
        errno = failed;
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[1]);
        watch(page, ends[0], fd, modes_fd, before, raw);
    }
    int failed = errno;
    (void)close(ends[0]);
    if (pid < 0) {
        (void)close(ends[1]);
        (void)munmap(page, sizeof(struct guard_page));
        errno = failed;
        return false;
    }
    /* The child does this too, so that neither has to wait for the other. */
    (void)setpgid(pid, pid);
    *guard = (struct guard){.pid = pid, .pipe_fd = ends[1], .page = page};
    return true;
}

void guard_note(struct guard *guard, uint32_t modes)
{
    if (guard->page != NULL)
        atomic_store(&guard->page->modes, modes);
}

void guard_dismiss(struct guard *guard)
{
    const char word = ALL_IS_WELL;
    if (guard->pid <= 0)
        return;
    ssize_t written = 0;
    do {
        written = write(guard->pipe_fd, &word, 1);
    } while (written < 0 && errno == EINTR);
    if (written != 1) /* the guard may be gone, or may miss the word: leave it nothing to undo */
        guard_note(guard, 0);
    (void)close(guard->pipe_fd);
    while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    (void)munmap(guard->page, sizeof *guard->page);
    *guard = (struct guard){.pipe_fd = -1};
}
