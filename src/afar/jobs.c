/* The subcommands for kept jobs: ps, logs, attach, wait, kill, rm. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "afar/commands.h"
#include "afar/job_name.h"
#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"
#include "afar/session.h"
#include "afar/tty.h"

enum { SHORT_ID = 12, BACK_MS = 60000 };

static const char ps_help[] =
    "usage: afar ps [-a] [--json] HOST\n"
    "\n"
    "Lists the kept jobs of HOST that run; JOB is the beginning of a job's id.\n"
    "\n"
    "  -a, --all             also those that have ended\n"
    "      --json            one JSON object a line\n";

static const char logs_help[] =
    "usage: afar logs [-f] [--since TIME|SEQ] [--timestamps] [--json] HOST JOB\n"
    "\n"
    "Writes what a kept job has written, each stream to its own descriptor. JOB is its id, a\n"
    "beginning of that, or once:NAME.\n"
    "\n"
    "  -f, --follow          go on until the job ends\n"
    "      --since TIME|SEQ  only what was written within TIME (10m), or from that frame on\n"
    "                        (the \"seq\" of --json)\n"
    "      --timestamps      before each line, when it was written (UTC, as RFC 3339 has it)\n"
    "      --json            one JSON object for each frame, with its \"time_us\"\n"
    "\n"
    "Exit status: 0; 3: some output is not kept any more, which is said on standard error.\n";

static const char attach_help[] =
    "usage: afar attach [-a] [-n] [--escape CHAR] [--forward-signals] [--json] HOST JOB\n"
    "\n"
    "Takes part in a kept job: its output from now on, and your standard input. An interrupt\n"
    "leaves the job, which runs on. Whoever was attached before is told so and ends.\n"
    "\n"
    "A job on a terminal (afar shell --keep, afar run -t --keep) comes back to yours: its screen "
    "is\n"
    "drawn anew at your size, all keys are its own, and ~d after Enter leaves it.\n"
    "\n"
    "  -a, --all             its output from the beginning\n"
    "  -n, --no-stdin        do not forward standard input\n"
    "      --escape CHAR     as for 'afar run'\n"
    "      --forward-signals interrupts and other signals are for the job, as of 'afar run'\n"
    "      --json            one JSON object for each frame\n"
    "\n"
    "Exit status: as of 'afar run'.\n";

static const char wait_help[] =
    "usage: afar wait [--timeout TIME] [--json] HOST JOB\n"
    "\n"
    "Waits for the end of a kept job. Exit status: as of 'afar run'; 124: it runs on, and TIME is\n"
    "over.\n"
    "\n"
    "      --timeout TIME    for so long at most: 500ms, 10 or 10s, 5m, 2h\n"
    "      --json            write the receipt as JSON\n";

static const char kill_help[] = "usage: afar kill [-s SIGNAL] [--json] HOST JOB\n"
                                "\n"
                                "Signals a job.\n"
                                "\n"
                                "  -s, --signal SIGNAL   a name or a number (TERM)\n"
                                "      --json            write what was done as a JSON object\n";

static const char rm_help[] = "usage: afar rm [-f] [--json] HOST JOB\n"
                              "\n"
                              "Removes a kept job that has ended, its output and its name.\n"
                              "\n"
                              "  -f, --force           end it first, where it runs\n"
                              "      --json            write what was done as a JSON object\n";

/* What the subcommands share: options, the job, the connection. */
struct task {
    struct options options;
    struct remote remote;
    char job[JOB_NAME_BYTES];
    bool wants_pty; /* ask whether the job is on a terminal … */
    bool pty;       /* … and if it is */
};

static void print_text(const char *name, const char *text)
{
    char shown[6 * AFAR_ERROR_MESSAGE_BYTES];
    afar_escape(shown, sizeof shown, text, AFAR_ESCAPE_STRING);
    (void)printf(",\"%s\":\"%s\"", name, shown);
}

/* Takes away what the library puts around the server's own words: "HOST refused: … (reason)". */
static void keep_words(char *message, const char *reason)
{
    static const char mark[] = " refused: ";
    char *words = message + strcspn(message, " "); /* other messages continue with another word */
    char end[AFAR_ERROR_REASON_BYTES + 4];
    if (strncmp(words, mark, sizeof mark - 1) != 0)
        return;
    words += sizeof mark - 1;
    memmove(message, words, strlen(words) + 1);
    (void)snprintf(end, sizeof end, " (%s)", reason);
    char *at = strstr(message, end);
    if (at != NULL) /* what follows it is how soon to try again */
        *at = '\0';
}

static void print_error(const struct afar_error *err)
{
    char message[sizeof err->message];
    (void)snprintf(message, sizeof message, "%s", err->message);
    keep_words(message, err->reason);
    (void)printf("{\"type\":\"error\"");
    if (err->reason[0] != '\0')
        print_text("code", err->reason);
    print_text("message", message);
    (void)printf("}\n");
}

/* Finds the job that is meant. False: the reason was reported. */
static bool find_job(struct task *task, const char *word)
{
    struct afar_error err = {0};
    if (job_name_find(&task->remote, word, task->job, task->wants_pty ? &task->pty : NULL, &err))
        return true;
    if (task->options.json)
        print_error(&err);
    report("%s", err.message);
    return false;
}

static bool begin(struct task *task, const char *help, unsigned accepted, bool has_job, int argc,
                  char **argv, int *status)
{
    *status = STATUS_FAILED;
    task->remote = (struct remote){0};
    task->pty = false;
    enum options_result result =
        options_parse(&task->options, OPTIONS_CONNECT | accepted, argc, argv);
    if (result == OPTIONS_HELP)
        *status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        return false;
    const char *word = task->options.words[0];
    if (has_job && word == NULL) {
        report("%s: which job? It follows HOST; try 'afar %s --help'", argv[0], argv[0]);
        return false;
    }
    const char *extra = has_job ? task->options.words[1] : word;
    if (extra != NULL) {
        report("%s: unexpected argument '%s'; try 'afar %s --help'", argv[0], extra, argv[0]);
        return false;
    }
    bool opened = remote_open(&task->remote, &task->options, NULL);
    task->remote.request_follows = true;
    return opened && remote_connect(&task->remote) && (!has_job || find_job(task, word));
}

static int end(struct task *task, int status)
{
    remote_close(&task->remote);
    options_close(&task->options);
    return status;
}

/* ---- ps -------------------------------------------------------------------------------------- */

static void format_age(uint64_t ms, char *text, size_t size)
{
    const unsigned long long s = ms / 1000;
    if (s < 120)
        (void)snprintf(text, size, "%llus", s);
    else if (s < 7200)
        (void)snprintf(text, size, "%llum", s / 60);
    else if (s < 172800)
        (void)snprintf(text, size, "%lluh", s / 3600);
    else
        (void)snprintf(text, size, "%llud", s / 86400);
}

static void format_bytes(uint64_t bytes, char *text, size_t size)
{
    static const char units[] = "BKMGT";
    size_t unit = 0;
    uint64_t rest = 0;
    for (; bytes >= 1024 && unit + 2 < sizeof units; unit++) {
        rest = bytes % 1024;
        bytes /= 1024;
    }
    if (unit > 0 && bytes < 10)
        (void)snprintf(text, size, "%llu.%llu%c", (unsigned long long)bytes,
                       (unsigned long long)(rest * 10 / 1024), units[unit]);
    else
        (void)snprintf(text, size, "%llu%c", (unsigned long long)bytes, units[unit]);
}

static void format_status(const struct afar_job *job, char *text, size_t size)
{
    if (!job->has_outcome)
        (void)snprintf(text, size, "-");
    else if (job->outcome == AFAR_OUTCOME_EXITED)
        (void)snprintf(text, size, "%d", job->code);
    else if (job->signal[0] != '\0')
        afar_escape(text, size, job->signal, AFAR_ESCAPE_TERMINAL);
    else
        (void)snprintf(text, size, "%s", afar_outcome_name(job->outcome));
}

static void print_job(void *user, const struct afar_job *job)
{
    bool *header = user;
    char age[32];
    char status[32];
    char command[512];
    char out[24];
    format_bytes(job->stdout_bytes + job->stderr_bytes, out, sizeof out);
    format_age(job->age_ms, age, sizeof age);
    format_status(job, status, sizeof status);
    afar_escape(command, sizeof command, job->command, AFAR_ESCAPE_TERMINAL);
    if (*header)
        (void)printf("%-12s  %-11s  %5s  %5s  %12s  %s\n", "JOB", "STATE", "AGE", "OUT", "STATUS",
                     "COMMAND");
    *header = false;
    (void)printf("%-12.*s  %-11s  %5s  %5s  %12s  %s\n", SHORT_ID, job->job, job->state, age, out,
                 status, command);
}

static void print_json(void *user, const struct afar_job *job)
{
    (void)user;
    char id[6 * sizeof job->job];
    afar_escape(id, sizeof id, job->job, AFAR_ESCAPE_STRING);
    (void)printf("{\"job\":\"%s\",\"state\":\"%s\",\"age_ms\":%llu,\"kept\":%s", id, job->state,
                 (unsigned long long)job->age_ms, job->kept ? "true" : "false");
    if (job->key[0] != '\0')
        print_text("key", job->key);
    if (job->owner[0] != '\0')
        print_text("owner", job->owner);
    print_text("command", job->command);
    (void)printf(",\"attached\":%s,\"stdout\":%llu,\"stderr\":%llu",
                 job->attached ? "true" : "false", (unsigned long long)job->stdout_bytes,
                 (unsigned long long)job->stderr_bytes);
    if (job->pty)
        (void)printf(",\"pty\":true");
    if (job->has_outcome) {
        (void)printf(",\"ended_ms\":%llu,\"outcome\":\"%s\"", (unsigned long long)job->ended_ms,
                     afar_outcome_name(job->outcome));
        if (job->code >= 0)
            (void)printf(",\"code\":%d", job->code);
        if (job->signal[0] != '\0')
            print_text("signal", job->signal);
    }
    (void)printf("}\n");
}

int ps_main(int argc, char **argv)
{
    struct task task = {.wants_pty = false};
    int status = STATUS_FAILED;
    bool header = true;
    struct afar_error err = {0};
    if (!begin(&task, ps_help, OPTIONS_EVERY | OPTIONS_JSON, false, argc, argv, &status))
        return end(&task, status);
    if (afar_jobs(task.remote.client, task.options.every,
                  task.options.json ? print_json : print_job, &header,
                  task.options.connect_timeout_ms, &err) != AFAR_OK)
        report("%s", err.message);
    else if (fflush(stdout) != 0)
        report("cannot write to standard output");
    else
        status = 0;
    return end(&task, status);
}

/* ---- logs, attach, wait ---------------------------------------------------------------------- */

static int run(struct task *task, struct afar_command *command, bool logs)
{
    const struct session_options how = {.json = task->options.json,
                                        .stays = !task->options.forward_signals,
                                        .logs = logs,
                                        .timestamps =
                                            task->options.timestamps && !task->options.json,
                                        .escape = task->options.escape,
                                        .wait_ms = task->options.timeout_ms};
    command->job = task->job;
    command->resume_ms = task->options.reconnect_ms < 0 ? BACK_MS : task->remote.reconnect_ms;
    return end(task, session_run(&task->remote, command, &how));
}

int logs_main(int argc, char **argv)
{
    struct task task = {.wants_pty = false};
    int status = STATUS_FAILED;
    if (!begin(&task, logs_help, OPTIONS_FOLLOW | OPTIONS_JSON, true, argc, argv, &status))
        return end(&task, status);
    struct afar_command command =
        AFAR_COMMAND_INIT(.watch = true, .no_follow = !task.options.follow,
                          .times = task.options.timestamps || task.options.json,
                          .first = task.options.first, .since_ms = task.options.since_ms);
    return run(&task, &command, true);
}

int attach_main(int argc, char **argv)
{
    struct task task = {.wants_pty = true};
    struct tty_wish wish;
    int status = STATUS_FAILED;
    if (!begin(&task, attach_help, OPTIONS_INPUT | OPTIONS_EVERY | OPTIONS_JSON | OPTIONS_ESCAPE,
               true, argc, argv, &status))
        return end(&task, status);
    struct afar_command command = AFAR_COMMAND_INIT(.with_stdin = !task.options.no_stdin,
                                                    .since_ms = task.options.every ? 0 : -1);
    if (task.pty && command.with_stdin && !task.options.json && tty_is_there()) {
        tty_describe(&wish, environ);
        command.pty = &wish.pty;
        command.since_ms = 0; /* what is needed to draw its screen */
    }
    return run(&task, &command, false);
}

int wait_main(int argc, char **argv)
{
    struct task task = {.wants_pty = false};
    int status = STATUS_FAILED;
    if (!begin(&task, wait_help, OPTIONS_JSON | OPTIONS_TIMEOUT, true, argc, argv, &status))
        return end(&task, status);
    struct afar_command command = AFAR_COMMAND_INIT(.watch = true, .no_output = true);
    return run(&task, &command, false);
}

/* Reports that the server has refused a request about a job. */
static void say_refused(const struct task *task, const struct afar_error *err)
{
    if (task->options.json)
        print_error(err);
    if (strcmp(err->reason, "not_found") == 0)
        report("%s has no job '%s' that this can be done with; 'afar ps -a' lists all",
               task->remote.host, task->options.words[0]);
    else if (strcmp(err->reason, "running") == 0)
        report(
            "job '%s' runs: 'afar wait' for its end, or end it with 'afar kill', or 'afar rm -f'",
            task->options.words[0]);
    else
        report("%s", err->message);
}

/* Reports success with --json: `verb` is "kill" or "rm"; `signal` may be NULL. Returns the exit
 * status. */
static int say_done(const struct task *task, const char *verb, const char *signal)
{
    if (!task->options.json)
        return 0;
    (void)printf("{\"type\":\"done\",\"verb\":\"%s\"", verb);
    print_text("job", task->job);
    if (signal != NULL)
        print_text("signal", signal);
    (void)printf("}\n");
    if (fflush(stdout) == 0)
        return 0;
    report("cannot write to standard output");
    return STATUS_FAILED;
}

/* ---- kill, rm -------------------------------------------------------------------------------- */

/* A name as the server knows it, of "KILL", "SIGKILL" or "9": kill(1). */
static const char *signal_of(const char *text)
{
    char *end = NULL;
    const unsigned long number = strtoul(text, &end, 10);
    const char *name = NULL;
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && number < NSIG)
        name = sigabbrev_np((int)number);
    if (name != NULL)
        return name;
    return strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
}

int kill_main(int argc, char **argv)
{
    struct task task = {.wants_pty = false};
    int status = STATUS_FAILED;
    struct afar_error err = {0};
    if (!begin(&task, kill_help, OPTIONS_SIGNAL | OPTIONS_JSON, true, argc, argv, &status))
        return end(&task, status);
    const char *name = signal_of(task.options.signal != NULL ? task.options.signal : "TERM");
    if (afar_kill(task.remote.client, task.job, name, task.options.connect_timeout_ms, &err) !=
        AFAR_OK)
        say_refused(&task, &err);
    else
        status = say_done(&task, "kill", name);
    return end(&task, status);
}

int rm_main(int argc, char **argv)
{
    struct task task = {.wants_pty = false};
    int status = STATUS_FAILED;
    struct afar_error err = {0};
    if (!begin(&task, rm_help, OPTIONS_FORCE | OPTIONS_JSON, true, argc, argv, &status))
        return end(&task, status);
    const int64_t timeout_ms = task.options.connect_timeout_ms;
    if (task.options.force &&
        afar_kill(task.remote.client, task.job, "KILL", timeout_ms, &err) == AFAR_OK) {
        struct afar_command command = AFAR_COMMAND_INIT(.job = task.job, .watch = true,
                                                        .no_output = true, .resume_ms = BACK_MS);
        if (afar_start(task.remote.client, &command, NULL, &err) == AFAR_OK)
            (void)afar_wait(task.remote.client, timeout_ms, &err);
    }
    if (afar_forget(task.remote.client, task.job, timeout_ms, &err) != AFAR_OK)
        say_refused(&task, &err);
    else
        status = say_done(&task, "rm", NULL);
    return end(&task, status);
}
