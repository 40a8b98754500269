#include "afar/shell_line.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "afar/report.h"

struct printed {
    int failure; /* errno, 0: none */
};

/* Waiting here is no deadlock: the server has collected the complete reply before it sends it. */
static void on_output(void *user, const void *data, size_t size)
{
    struct printed *printed = user;
    const char *at = data;
    while (size > 0 && printed->failure == 0) {
        ssize_t written = write(STDOUT_FILENO, at, size);
        if (written >= 0) {
            at += written;
            size -= (size_t)written;
        } else if (errno != EINTR) {
            printed->failure = errno;
        }
    }
}

/* The tutorial's own server sends 'xxxxxx' instead of an MD5. */
static bool is_md5(const char *text)
{
    size_t length = 0;
    while (isxdigit((unsigned char)text[length]))
        length++;
    return length == 32 && text[length] == '\0';
}

int shell_line_run(struct remote *remote, const char *line, int64_t timeout_ms)
{
    struct printed printed = {0};
    struct afar_shell_reply reply = AFAR_SHELL_REPLY_INIT();
    struct afar_error err = {0};
    if (!remote_connect(remote))
        return STATUS_FAILED;
    enum afar_status status =
        afar_shell_run(remote->client, line, on_output, &printed, timeout_ms, &reply, &err);
    if (status != AFAR_OK) {
        /* Without --timeout the limit was that for the first answer. */
        const bool late = status == AFAR_ETIMEDOUT;
        const bool mute = late && timeout_ms == 0;
        report("%s%s", err.message,
               mute   ? " The command may still be running; if it needs longer, set --timeout"
               : late ? "; the command may still be running"
                      : "");
        remote_disconnect(remote);
        return late && !mute ? STATUS_TIMED_OUT : STATUS_FAILED;
    }
    const bool damaged = is_md5(reply.md5) && !reply.md5_verified;
    if (damaged)
        report("%s: the output is damaged: its MD5 is not %s, which the server says", remote->host,
               reply.md5);
    if (printed.failure == 0)
        return damaged ? STATUS_FAILED : 0;
    if (printed.failure != EPIPE)
        report("cannot write to standard output: %s", strerror(printed.failure));
    return STATUS_FAILED;
}
