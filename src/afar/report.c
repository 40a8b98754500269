#include "afar/report.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, SHOWN_BYTES = 2048, ERRNO_MAX = 200 };

/* Nobody takes it for now. Signals that are held back for the command (afar/signals.h) shall end
 * the program meanwhile. */
static void wait_until_taken(void)
{
    struct pollfd waiting = {.fd = STDERR_FILENO, .events = POLLOUT};
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    if (poll(&waiting, 1, 0) != 0)
        return;
    (void)sigprocmask(SIG_UNBLOCK, &all, &before);
    (void)poll(&waiting, 1, -1);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

void report(const char *format, ...)
{
    char line[LINE_BYTES] = "afar: ";
    char shown[SHOWN_BYTES];
    size_t used = strlen(line);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    afar_escape(shown, sizeof shown - 1, line, AFAR_ESCAPE_TERMINAL);
    used = strlen(shown);
    shown[used++] = '\n';
    wait_until_taken();
    /* There is nowhere to report that this failed. */
    if (write(STDERR_FILENO, shown, used) < 0)
        return;
}

/* "No such file or directory" for "ENOENT", or the name itself. */
static const char *describe_errno(const char *name)
{
    for (int number = 1; number < ERRNO_MAX; number++) {
        const char *known = strerrorname_np(number);
        if (known != NULL && strcmp(known, name) == 0)
            return strerrordesc_np(number);
    }
    return name;
}

/* ssh(1) gives its words to a shell, and people expect the same: one word with spaces is a line. */
static const char *hint(const struct afar_command *command, const struct afar_receipt *receipt)
{
    bool line = command->argv != NULL && command->argv[1] == NULL &&
                strpbrk(command->argv[0], " \t\n") != NULL;
    return line && strcmp(receipt->error_name, "ENOENT") == 0
               ? "; -s has a shell run it as a line: 'afar run -s ...'"
               : "";
}

/* The server knows best which path it was about. */
static void report_spawn(const char *host, const struct afar_command *command,
                         const struct afar_receipt *receipt)
{
    const char *program = command->argv != NULL ? command->argv[0] : "/bin/sh";
    const char *more = strcmp(receipt->error_stage, "exec") == 0 ? hint(command, receipt) : "";
    if (receipt->message[0] != '\0')
        report("%s: %s%s", host, receipt->message, more);
    else
        report("%s: cannot start '%s' (%s): %s%s", host, program, receipt->error_stage,
               describe_errno(receipt->error_name), more);
}

static void report_timeout(const char *host, const struct afar_command *command,
                           const struct afar_receipt *receipt)
{
    double seconds = (double)receipt->run_us / 1e6;
    if (command->timeout_ms > 0 && command->timeout_ms % 1000 == 0)
        report("%s: command timed out after %lld s", host, (long long)command->timeout_ms / 1000);
    else if (command->timeout_ms > 0)
        report("%s: command timed out after %lld ms", host, (long long)command->timeout_ms);
    else
        report("%s: command timed out after %.1f s, by the server's own limit", host, seconds);
}

void report_receipt(const char *host, const struct afar_command *command,
                    const struct afar_receipt *receipt)
{
    const char *more = receipt->message[0] != '\0' ? ": " : "";
    if (receipt->stdio_held_open)
        report("%s: a process that outlived the command held its output open and was ended", host);
    switch (receipt->outcome) {
    case AFAR_OUTCOME_EXITED:
    case AFAR_OUTCOME_SIGNALED:
        if (receipt->message[0] != '\0')
            report("%s: %s", host, receipt->message);
        break;
    case AFAR_OUTCOME_TIMED_OUT:
        report_timeout(host, command, receipt);
        break;
    case AFAR_OUTCOME_SPAWN_FAILED:
        report_spawn(host, command, receipt);
        break;
    case AFAR_OUTCOME_OUTPUT_LIMIT:
        report("%s: command ended by the server: more output than it allows%s%s", host, more,
               receipt->message);
        break;
    case AFAR_OUTCOME_KILLED:
        report("%s: command killed by another request or the server's shutdown%s%s", host, more,
               receipt->message);
        break;
    case AFAR_OUTCOME_DISCONNECTED:
    case AFAR_OUTCOME_SERVER_LOST:
        report("%s: what became of the command is unknown (%s)%s%s", host,
               afar_outcome_name(receipt->outcome), more, receipt->message);
        break;
    }
}
