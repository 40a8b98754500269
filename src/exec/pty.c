#include "exec/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { DEFAULT_ROWS = 24, DEFAULT_COLS = 80, ERASE_KEY = 127 };

/* All calls use O_NOCTTY: if the server leads a session, a terminal that it opens without this
 * would become its controlling terminal, and could send it SIGINT and SIGHUP. */
static int open_master(void)
{
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    /* In a hand-made /dev, only this one may exist. */
    if (fd < 0 && errno == ENOENT)
        fd = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    return fd;
}

static enum afar_status explain(int sys_errno, struct afar_error *err)
{
    if (sys_errno == ENOENT)
        return afar_fail_errno(err, sys_errno,
                               "no terminal: /dev/ptmx is missing; mount devpts, or run without a "
                               "terminal");
    if (sys_errno == ENOSPC)
        return afar_fail_errno(err, sys_errno,
                               "no terminal: all terminals are in use (kernel.pty.max)");
    return afar_fail_errno(err, sys_errno, "no terminal");
}

/* Opens the slave through the master, not by its path: this works even if /dev/pts is another
 * devpts or missing (Linux 4.13). */
static int open_slave(int master_fd, char name[PTY_NAME_BYTES])
{
    int unlocked = 0;
    unsigned number = 0;
    if (ioctl(master_fd, TIOCSPTLCK, &unlocked) != 0 || ioctl(master_fd, TIOCGPTN, &number) != 0)
        return -1;
    (void)snprintf(name, PTY_NAME_BYTES, "/dev/pts/%u", number);
    return ioctl(master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int set_modes(int slave_fd, const struct pty_wish *wish)
{
    struct termios modes;
    if (tcgetattr(slave_fd, &modes) != 0)
        return -1;
    if (wish->utf8)
        modes.c_iflag |= IUTF8;
    else
        modes.c_iflag &= ~(tcflag_t)IUTF8;
    modes.c_cc[VERASE] = ERASE_KEY;
    return tcsetattr(slave_fd, TCSANOW, &modes);
}

int pty_resize(int master_fd, const struct pty_size *size)
{
    bool whole = size->rows > 0 && size->cols > 0;
    const struct winsize set = {.ws_row = whole ? size->rows : DEFAULT_ROWS,
                                .ws_col = whole ? size->cols : DEFAULT_COLS,
                                .ws_xpixel = size->xpixel,
                                .ws_ypixel = size->ypixel};
    return ioctl(master_fd, TIOCSWINSZ, &set);
}

int pty_signal(int master_fd, int number)
{
    return ioctl(master_fd, TIOCSIG, number);
}

enum afar_status pty_open(struct pty *pty, const struct pty_wish *wish, struct afar_error *err)
{
    *pty = (struct pty){.master_fd = open_master(), .slave_fd = -1};
    if (pty->master_fd < 0)
        return explain(errno, err);
    enum afar_status status = AFAR_OK;
    pty->slave_fd = open_slave(pty->master_fd, pty->name);
    if (pty->slave_fd < 0 || pty_resize(pty->master_fd, &wish->size) != 0 ||
        set_modes(pty->slave_fd, wish) != 0)
        status = explain(errno, err);
    /* Group and mode stay as devpts sets them (its mount options gid=5,mode=620). */
    else if (wish->owned && fchown(pty->slave_fd, wish->owner, (gid_t)-1) != 0)
        status = afar_fail_errno(err, errno, "cannot give a terminal to its user");
    if (status == AFAR_OK)
        return AFAR_OK;
    if (pty->slave_fd >= 0)
        (void)close(pty->slave_fd);
    (void)close(pty->master_fd);
    pty->master_fd = pty->slave_fd = -1;
    return status;
}
