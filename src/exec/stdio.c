#include "exec/stdio.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void close_all(int fds[3])
{
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
        fds[i] = -1;
    }
}

void stdio_close(struct stdio *stdio)
{
    close_all(stdio->child);
    close_all(stdio->ours);
}

static enum afar_status open_one(struct stdio *stdio, int fd, struct afar_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return afar_fail_errno(err, errno, "cannot make a pipe");
    /* The child reads fd 0 and writes 1 and 2. Only our end is non-blocking: programs expect that
     * theirs blocks. */
    stdio->child[fd] = fd == 0 ? ends[0] : ends[1];
    stdio->ours[fd] = fd == 0 ? ends[1] : ends[0];
    if (fcntl(stdio->ours[fd], F_SETFL, O_NONBLOCK) < 0)
        return afar_fail_errno(err, errno, "cannot make a pipe non-blocking");
    /* The server always has 0, 1 and 2 open. Otherwise a pipe could have one of these numbers, and
     * the child would overwrite it. */
    assert(ends[0] > 2 && ends[1] > 2);
    return AFAR_OK;
}

enum afar_status stdio_open_pipes(struct stdio *stdio, bool stdin_pipe, struct afar_error *err)
{
    *stdio = (struct stdio){.child = {-1, -1, -1}, .ours = {-1, -1, -1}};
    enum afar_status status = AFAR_OK;
    for (int fd = stdin_pipe ? 0 : 1; fd < 3 && status == AFAR_OK; fd++)
        status = open_one(stdio, fd, err);
    return status;
}

enum afar_status stdio_open_terminal(struct stdio *stdio, const struct pty_wish *wish,
                                     char name[PTY_NAME_BYTES], struct afar_error *err)
{
    struct pty pty;
    *stdio = (struct stdio){.child = {-1, -1, -1}, .ours = {-1, -1, -1}};
    enum afar_status status = pty_open(&pty, wish, err);
    if (status != AFAR_OK)
        return status;
    assert(pty.master_fd > 2 && pty.slave_fd > 2); /* as in open_one */
    memcpy(name, pty.name, sizeof pty.name);
    for (size_t i = 0; i < PTY_TELLS_MAX; i++) {
        if (wish->tell[i] != NULL)
            memcpy(wish->tell[i], pty.name, sizeof pty.name);
    }
    stdio->ours[1] = pty.master_fd;
    stdio->child[0] = pty.slave_fd;
    stdio->ours[0] = fcntl(pty.master_fd, F_DUPFD_CLOEXEC, 0);
    bool made = stdio->ours[0] >= 0;
    for (int fd = 1; fd < 3 && made; fd++) {
        stdio->child[fd] = fcntl(pty.slave_fd, F_DUPFD_CLOEXEC, 0);
        made = stdio->child[fd] >= 0;
    }
    return made ? AFAR_OK : afar_fail_errno(err, errno, "cannot copy a terminal's descriptor");
}
