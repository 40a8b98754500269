#include "bench/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void read_to_end(int out, int err)
{
    struct pollfd both[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    char data[4096];
    while (both[0].fd >= 0 || both[1].fd >= 0) {
        if (poll(both, 2, -1) < 0)
            continue;
        for (int i = 0; i < 2; i++) {
            if (both[i].fd >= 0 && both[i].revents != 0 &&
                read(both[i].fd, data, sizeof data) <= 0) {
                (void)close(both[i].fd);
                both[i].fd = -1;
            }
        }
    }
}

void clock_spawn(void)
{
    static char path[] = "/bin/true";
    char *argv[] = {path, NULL};
    posix_spawn_file_actions_t actions;
    int in[2];
    int out[2];
    int err[2];
    pid_t pid = 0;
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
        clock_give_up("spawn", "no pipe");
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    (void)posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    if (posix_spawn(&pid, path, &actions, NULL, argv, environ) != 0)
        clock_give_up("spawn", path);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err[1]);
    (void)close(in[1]);
    read_to_end(out[0], err[0]);
    clock_program_wait(pid, path);
}

pid_t clock_program_start(char *const *words, char *const *environment, int out)
{
    return clock_program_start_as(words[0], words, environment, out);
}

pid_t clock_program_start_as(const char *file, char *const *words, char *const *environment,
                             int out)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (out >= 0)
        (void)posix_spawn_file_actions_adddup2(&actions, out, 1);
    else
        (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, file, &actions, NULL, words, environment) != 0)
        clock_give_up(file, "cannot be started");
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

void clock_program_wait(pid_t pid, const char *name)
{
    int status = 0;
    pid_t ended = -1;
    do
        ended = waitpid(pid, &status, 0);
    while (ended < 0 && errno == EINTR);
    if (ended != pid || status != 0)
        clock_give_up(name, "did not end with status 0");
}
