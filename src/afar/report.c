#include "afar/report.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, SHOWN_BYTES = 2048, ERRNO_MAX = 200 };

/* Waits until standard error can be written. Meanwhile, signals that are held back for the command
 * (signals.h) end the program. */
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

static void write_line(const char *prefix, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void write_line(const char *prefix, const char *format, va_list args)
{
    char line[LINE_BYTES];
    char shown[SHOWN_BYTES];
    size_t used = (size_t)snprintf(line, sizeof line, "%s", prefix);
    (void)vsnprintf(line + used, sizeof line - used, format, args);
    afar_escape(shown, sizeof shown - 1, line, AFAR_ESCAPE_TERMINAL);
    used = strlen(shown);
    shown[used++] = '\n';
    wait_until_taken();
    /* There is nowhere to report that this failed. */
    if (write(STDERR_FILENO, shown, used) < 0)
        return;
}

void report(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line("afar: ", format, args);
    va_end(args);
}

void report_plain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line("", format, args);
    va_end(args);
}

/* "No such file or directory" for "ENOENT"; unknown names as they are. */
static const char *describe_errno(const char *name)
{
    for (int number = 1; number < ERRNO_MAX; number++) {
        const char *known = strerrorname_np(number);
        if (known != NULL && strcmp(known, name) == 0)
            return strerrordesc_np(number);
    }
    return name;
}

/* ssh(1) gives its words to a shell, and people expect the same: one word with spaces is probably a
 * shell line. */
static const char *hint(const struct afar_command *command, const struct afar_receipt *receipt)
{
    bool line = command->argv != NULL && command->argv[1] == NULL &&
                strpbrk(command->argv[0], " \t\n") != NULL;
    return line && strcmp(receipt->error_name, "ENOENT") == 0
               ? "; -s has a shell run it as a line: 'afar run -s ...'"
               : "";
}

/* Prefers the server's message, which knows the path in question. */
static void report_spawn(const char *host, const struct afar_command *command,
                         const struct afar_receipt *receipt)
{
    const char *program = command->argv != NULL        ? command->argv[0]
                          : command->subsystem != NULL ? command->subsystem
                          : command->forward != NULL   ? command->forward
                          : command->login             ? "the login shell"
                                                       : "/bin/sh";
    const char *more = strcmp(receipt->error_stage, "exec") == 0 ? hint(command, receipt) : "";
    if (receipt->message[0] != '\0')
        report("%s: %s%s", host, receipt->message, more);
    else
        report("%s: cannot start '%s' (%s): %s%s", host, program, receipt->error_stage,
               describe_errno(receipt->error_name), more);
}

/* "90 ms", "5 s" */
static void format_time(uint64_t ms, char *text, size_t size)
{
    bool whole = ms % 1000 == 0;
    (void)snprintf(text, size, "%llu %s", (unsigned long long)(whole ? ms / 1000 : ms),
                   whole ? "s" : "ms");
}

/* "64 MiB", "1000 bytes" */
static void format_bytes(uint64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes > 0 && bytes % 1024 == 0 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(text, size, "%llu %s", (unsigned long long)bytes, units[unit]);
}

/* ", the limit of its rule (timeout)" */
static void format_owner(const struct afar_limit *limit, const char *rule_key,
                         const char *server_key, char *text, size_t size)
{
    text[0] = '\0';
    if (limit->by == AFAR_BY_RULE)
        (void)snprintf(text, size, ", the limit of its rule (%s)", rule_key);
    else if (limit->by == AFAR_BY_SERVER)
        (void)snprintf(text, size, ", the server's own limit (%s)", server_key);
}

/* Older servers do not say which limit it was. */
static void report_timeout(const char *host, const struct afar_command *command,
                           const struct afar_receipt *receipt)
{
    char time[32];
    char owner[80];
    if (receipt->limit.ms > 0) {
        format_time(receipt->limit.ms, time, sizeof time);
        format_owner(&receipt->limit, "timeout", "job_timeout_ms", owner, sizeof owner);
        report("%s: command timed out after %s%s", host, time, owner);
        return;
    }
    double seconds = (double)receipt->run_us / 1e6;
    report("%s: command timed out after %.1f s%s", host, seconds,
           command->timeout_ms > 0 ? "" : ", by the server's own limit");
}

/* Reports a limit that the command has met, if that alone did not end it. */
static void report_limit(const char *host, const struct afar_limit *limit)
{
    char amount[32];
    if (strcmp(limit->name, "memory") == 0) {
        format_bytes(limit->bytes, amount, sizeof amount);
        report("%s: the command, or a process of it, was killed because memory ran out: its limit "
               "is %s",
               host, amount);
    } else if (strcmp(limit->name, "cpu") == 0) {
        format_time(limit->ms, amount, sizeof amount);
        report("%s: the command was killed: its limit of processor time is %s", host, amount);
    } else if (strcmp(limit->name, "pids") == 0) {
        report("%s: the command could not start more processes: its limit is %llu", host,
               (unsigned long long)limit->count);
    } else if (strcmp(limit->name, "left_max") == 0 || strcmp(limit->name, "left_identity") == 0) {
        report("%s: no more processes may be left running: the server's limit is %llu (%s)", host,
               (unsigned long long)limit->count,
               strcmp(limit->name, "left_max") == 0 ? "left_max" : "left_per_identity");
    }
}

static void report_output_limit(const char *host, const struct afar_receipt *receipt)
{
    char amount[32];
    char owner[80];
    const char *more = receipt->message[0] != '\0' ? ": " : "";
    if (receipt->limit.bytes == 0) {
        report("%s: command ended by the server: more output than it allows%s%s", host, more,
               receipt->message);
        return;
    }
    format_bytes(receipt->limit.bytes, amount, sizeof amount);
    format_owner(&receipt->limit, "max_output", "collect_max_bytes", owner, sizeof owner);
    report("%s: command ended by the server: more output than %s%s", host, amount, owner);
}

static void report_killed(const char *host, const struct afar_receipt *receipt)
{
    static const char *const by[] = {
        [AFAR_KILLED_UNKNOWN] = "another request or the server's shutdown",
        [AFAR_KILLED_BY_REQUEST] = "another request",
        [AFAR_KILLED_BY_SHUTDOWN] = "the server's shutdown",
        [AFAR_KILLED_BY_RECORD] = "the server",
    };
    const char *more = receipt->message[0] != '\0' ? ": " : "";
    report("%s: command killed by %s%s%s", host, by[receipt->killed_by], more, receipt->message);
}

/* ": sleep (pid 4711), nohup (pid 4712), …" */
static void format_names(const struct afar_processes *processes, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < AFAR_PROCESSES_NAMED && i < processes->count && used < size; i++) {
        if (processes->first[i].pid > 0)
            used += (size_t)snprintf(text + used, size - used, "%s %s (pid %llu)",
                                     i == 0 ? ":" : ",", processes->first[i].name,
                                     (unsigned long long)processes->first[i].pid);
    }
    if (processes->count > AFAR_PROCESSES_NAMED && used < size)
        (void)snprintf(text + used, size - used, ", …");
}

/* Reports processes that the command has left behind. */
static void report_left(const char *host, const struct afar_receipt *receipt)
{
    char names[256];
    char all[64] = "";
    const struct afar_processes *ended = &receipt->ended;
    const struct afar_processes *held = &receipt->held_by;
    unsigned long long count = ended->count;
    if (receipt->stdio_held_open) {
        format_names(held, names, sizeof names);
        if (count > held->count && held->count > 0)
            (void)snprintf(all, sizeof all, "; %llu were ended in all", count);
        report("%s: %s that outlived the command held its output open and %s ended%s%s", host,
               held->count > 1 ? "processes" : "a process", held->count > 1 ? "were" : "was", names,
               all);
    } else if (count > 0) {
        format_names(ended, names, sizeof names);
        report("%s: the command left %llu process%s behind, which the server has ended%s%s", host,
               count, count > 1 ? "es" : "",
               receipt->leave_denied ? ", as its rule does not let it leave anything" : "", names);
    }
    if (receipt->left.count > 0) {
        format_names(&receipt->left, names, sizeof names);
        report("%s: the command left %llu process%s running%s", host,
               (unsigned long long)receipt->left.count, receipt->left.count > 1 ? "es" : "", names);
    }
}

void report_receipt(const char *host, const struct afar_command *command,
                    const struct afar_receipt *receipt)
{
    const char *more = receipt->message[0] != '\0' ? ": " : "";
    report_left(host, receipt);
    report_limit(host, &receipt->limit);
    switch (receipt->outcome) {
    case AFAR_OUTCOME_EXITED:
    case AFAR_OUTCOME_SIGNALED:
        if (receipt->message[0] != '\0' && !receipt->leave_denied)
            report("%s: %s", host, receipt->message);
        break;
    case AFAR_OUTCOME_TIMED_OUT:
        report_timeout(host, command, receipt);
        break;
    case AFAR_OUTCOME_SPAWN_FAILED:
        report_spawn(host, command, receipt);
        break;
    case AFAR_OUTCOME_OUTPUT_LIMIT:
        report_output_limit(host, receipt);
        break;
    case AFAR_OUTCOME_KILLED:
        report_killed(host, receipt);
        break;
    case AFAR_OUTCOME_DISCONNECTED:
    case AFAR_OUTCOME_SERVER_LOST:
        report("%s: what became of the command is unknown (%s)%s%s", host,
               afar_outcome_name(receipt->outcome), more, receipt->message);
        break;
    }
}

void report_unverified(const char *host, const struct afar_command *command,
                       const struct afar_receipt *receipt, bool cut)
{
    if (!command->with_digest || receipt->outcome == AFAR_OUTCOME_SERVER_LOST)
        return;
    if (cut)
        report("%s: the output cannot be verified (--digest): some of it is missing", host);
    else if (receipt->stdout_sha256[0] == '\0')
        report("%s: the output cannot be verified (--digest): the command was begun without "
               "--digest",
               host);
}
