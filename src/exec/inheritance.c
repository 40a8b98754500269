#include "exec/inheritance.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in spawn.c: sanitizers keep state per thread, and two processes may share a thread's here. */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

enum { ADJUSTMENT_BYTES = 8 }; /* "-1000\n" */

static const char oom_file[] = "/proc/self/oom_score_adj";

bool inheritance_oom_protected(void)
{
    char text[ADJUSTMENT_BYTES] = "";
    int fd = open(oom_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, text, sizeof text - 1);
    (void)close(fd);
    return size > 0 && text[0] == '-';
}

IN_CHILD void inheritance_reset_oom(void)
{
    long fd = syscall(SYS_openat, AT_FDCWD, oom_file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)syscall(SYS_write, fd, "0", 1);
    (void)syscall(SYS_close, fd);
}

/* ENOSYS: a kernel without keys. EPERM: a seccomp filter, as in containers, forbids keyctl(2); then
 * it forbids it to the command too, which cannot use any key. */
static bool leave_keyring(void)
{
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0 || errno == ENOSYS ||
           errno == EPERM;
}

/* Clears the flags that the kernel clears for set-user-ID programs (PER_CLEAR_ON_SETID). */
static bool leave_personality(void)
{
    const unsigned long weak =
        READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT | MMAP_PAGE_ZERO;
    int now = personality(0xffffffff);
    if (now < 0 || ((unsigned long)now & weak) == 0)
        return true;
    return personality((unsigned long)now & ~weak) >= 0;
}

bool inheritance_leave(void)
{
    return leave_keyring() && leave_personality();
}
