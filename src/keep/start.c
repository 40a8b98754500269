/* Starting a keeper: see keeper.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keep/keeper_internal.h"

enum { FDS_MAX = KEEPER_FDS, ABOVE_FD = 16, PATIENCE_MS = 10000 };

/* The descriptors that the keeper gets, in the order of the numbers that it expects; -1: none. */
struct gift {
    int fd[FDS_MAX];
    int high[FDS_MAX]; /* owned: copies with numbers above those */
};

static enum afar_status lift(struct gift *gift, struct afar_error *err)
{
    for (int i = 0; i < FDS_MAX; i++) {
        gift->high[i] = -1;
        if (gift->fd[i] >= 0)
            gift->high[i] = fcntl(gift->fd[i], F_DUPFD_CLOEXEC, ABOVE_FD);
        if (gift->fd[i] >= 0 && gift->high[i] < 0)
            return afar_fail_errno(err, errno, "cannot start a keeper");
    }
    return AFAR_OK;
}

static void drop(struct gift *gift)
{
    for (int i = 0; i < FDS_MAX; i++) {
        if (gift->high[i] >= 0)
            (void)close(gift->high[i]);
        gift->high[i] = -1;
    }
}

static int set_actions(posix_spawn_file_actions_t *actions, const struct gift *gift)
{
    int failed = 0;
    for (int fd = 0; fd < KEEPER_FIRST_FD && failed == 0; fd++)
        failed = posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
    for (int i = 0; i < FDS_MAX && failed == 0; i++) {
        failed = gift->high[i] >= 0
                     ? posix_spawn_file_actions_adddup2(actions, gift->high[i], KEEPER_FIRST_FD + i)
                     : posix_spawn_file_actions_addclose(actions, KEEPER_FIRST_FD + i);
    }
    return failed != 0
               ? failed
               : posix_spawn_file_actions_addclosefrom_np(actions, KEEPER_FIRST_FD + FDS_MAX);
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all;
    sigset_t none;
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    int failed = posix_spawnattr_setflags(
        attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    if (failed == 0)
        failed = posix_spawnattr_setsigdefault(attributes, &all);
    return failed != 0 ? failed : posix_spawnattr_setsigmask(attributes, &none);
}

static int spawn(const struct gift *gift, const char *path, char *const *argv, pid_t *pid)
{
    static char *const nothing[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed != 0)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed == 0) {
        failed = set_attributes(&attributes);
        if (failed == 0)
            failed = set_actions(&actions, gift);
        if (failed == 0)
            failed = posix_spawn(pid, path, &actions, &attributes, argv, nothing);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* The program that was given, or this one if there is none or it cannot be executed. */
static int spawn_one(const struct gift *gift, char *const *argv, pid_t *pid)
{
    char given[32];
    (void)snprintf(given, sizeof given, "/proc/self/fd/%d", KEEPER_PROGRAM_FD);
    if (gift->fd[KEEPER_PROGRAM_FD - KEEPER_FIRST_FD] >= 0 && spawn(gift, given, argv, pid) == 0)
        return 0;
    return spawn(gift, "/proc/self/exe", argv, pid);
}

/* Waits for the keeper's report. If there is none for a long time, assume that it runs: its lock
 * shows whether it does. */
static bool is_there(int status_fd)
{
    struct pollfd waiting = {.fd = status_fd, .events = POLLIN};
    char byte = 0;
    int ready = 0;
    do {
        ready = poll(&waiting, 1, PATIENCE_MS);
    } while (ready < 0 && errno == EINTR);
    return ready == 0 || read(status_fd, &byte, 1) == 1;
}

static enum afar_status start(struct gift *gift, char *const *argv, struct afar_error *err)
{
    int ends[2];
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return afar_fail_errno(err, errno, "cannot start a keeper");
    gift->fd[KEEPER_STATUS_FD - KEEPER_FIRST_FD] = ends[1];
    enum afar_status status = lift(gift, err);
    if (status == AFAR_OK) {
        int failed = spawn_one(gift, argv, &pid);
        if (failed != 0)
            status = afar_fail_errno(err, failed, "cannot start a keeper");
    }
    drop(gift);
    (void)close(ends[1]);
    if (status == AFAR_OK) {
        /* This child is not the keeper: it forks the keeper and exits. */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        if (!is_there(ends[0]))
            status = afar_fail(err, AFAR_ESYSTEM, "a keeper has ended as soon as it was started");
    }
    (void)close(ends[0]);
    return status;
}

static void no_gift(struct gift *gift)
{
    for (int i = 0; i < FDS_MAX; i++)
        gift->fd[i] = gift->high[i] = -1;
}

static int *gift_at(struct gift *gift, int fd)
{
    return &gift->fd[fd - KEEPER_FIRST_FD];
}

enum afar_status keep_start(int jobs_fd, struct jobdir_request *request,
                            const struct keep_order *order, int fence_fd, int program_fd,
                            struct afar_error *err)
{
    static char name[] = KEEPER_NAME;
    char *argv[] = {name, request->job, NULL};
    struct jobdir_made made;
    struct gift gift;
    int order_fd = -1;
    enum afar_status status = jobdir_make(jobs_fd, request, &made, err);
    if (status != AFAR_OK)
        return status;
    status = order_put(order, &order_fd, err);
    if (status == AFAR_OK) {
        no_gift(&gift);
        *gift_at(&gift, KEEPER_ORDER_FD) = order_fd;
        *gift_at(&gift, KEEPER_LOCK_FD) = made.lock_fd;
        *gift_at(&gift, KEEPER_LISTENER_FD) = made.listener_fd;
        *gift_at(&gift, KEEPER_FOLDER_FD) = made.folder_fd;
        *gift_at(&gift, KEEPER_FENCE_FD) = fence_fd > 0 ? fence_fd : -1;
        *gift_at(&gift, KEEPER_PROGRAM_FD) = program_fd > 0 ? program_fd : -1;
        status = start(&gift, argv, err);
        (void)close(order_fd);
    }
    jobdir_made_close(&made);
    if (status != AFAR_OK)
        (void)jobdir_remove(jobs_fd, request->job, NULL);
    return status;
}

enum afar_status keep_read(int folder_fd, int program_fd, struct afar_error *err)
{
    static char name[] = KEEPER_NAME;
    static char option[] = KEEPER_READ;
    char *argv[] = {name, option, NULL};
    struct gift gift;
    no_gift(&gift);
    *gift_at(&gift, KEEPER_FOLDER_FD) = folder_fd;
    *gift_at(&gift, KEEPER_PROGRAM_FD) = program_fd > 0 ? program_fd : -1;
    return start(&gift, argv, err);
}
