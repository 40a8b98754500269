#include "exec/interpreter.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in spawn.c: sanitizers keep state per thread, and two processes may share a thread's here. */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

/* ---- in the child ---------------------------------------------------------------------------- */

/* Only a regular file: opening a device can have side effects. */
IN_CHILD static bool is_program(const char *path)
{
    struct statx info;
    return syscall(SYS_faccessat, AT_FDCWD, path, X_OK) == 0 &&
           syscall(SYS_statx, AT_FDCWD, path, 0, STATX_TYPE, &info) == 0 &&
           (info.stx_mode & S_IFMT) == S_IFREG;
}

IN_CHILD void interpreter_look(char *const *paths, struct interpreter_head *head)
{
    head->size = 0;
    while (*paths != NULL && !is_program(*paths))
        paths++;
    if (*paths == NULL)
        return;
    long fd = syscall(SYS_openat, AT_FDCWD, *paths, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return;
    long size = syscall(SYS_read, fd, head->bytes, sizeof head->bytes);
    head->size = size > 0 ? (size_t)size : 0;
    (void)syscall(SYS_close, fd);
}

/* ---- in the server --------------------------------------------------------------------------- */

static bool begins(const struct interpreter_head *head, const char *magic)
{
    size_t size = strlen(magic);
    return head->size >= size && memcmp(head->bytes, magic, size) == 0;
}

/* What follows "#!", as the kernel reads it: up to a blank or the end of the line. */
static void take_interpreter(const struct interpreter_head *head,
                             char interpreter[INTERPRETER_HEAD_BYTES])
{
    size_t at = 2;
    size_t used = 0;
    while (at < head->size && (head->bytes[at] == ' ' || head->bytes[at] == '\t'))
        at++;
    for (; at < head->size && memchr(" \t\n", head->bytes[at], 4) == NULL; at++)
        interpreter[used++] = head->bytes[at];
    interpreter[used] = '\0';
}

bool interpreter_explain(const struct interpreter_head *head, char *text, size_t size)
{
    char interpreter[INTERPRETER_HEAD_BYTES];
    if (head->size == 0)
        return false;
    if (begins(head, "\x7f"
                     "ELF")) {
        (void)snprintf(text, size,
                       "the loader that it was built for is not here (is it for another "
                       "C library or processor?)");
        return true;
    }
    if (!begins(head, "#!"))
        return false;
    take_interpreter(head, interpreter);
    size_t length = strlen(interpreter);
    if (length > 0 && interpreter[length - 1] == '\r') {
        interpreter[length - 1] = '\0';
        (void)snprintf(text, size, "bad interpreter '%s^M' (its lines end in CR LF)", interpreter);
    } else {
        (void)snprintf(text, size, "bad interpreter '%s'", interpreter);
    }
    return true;
}
