/* Each call that the recorder of a terminal's session makes, and each of the terminal's own, fails
 * at each of its occurrences, alone or with all that follow, in a server of its own: nothing is left, the command ends or goes on as
 * its rule says, and what the audit log says of the recording is so. */
// wrap: recording_make recording_write recording_finish recording_free recording_discard
// wrap: job_record_open job_record_output job_record_size job_record_mark job_record_ended
// wrap: job_record_close pty_open pty_resize pty_signal job_terminal_opened job_terminal_end_input
// wrap: job_terminal_run_timers job_terminal_closed job_terminal_signal
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/pty.h"
#include "job/internal.h"
#include "job/recording.h"
#include "support/folder.h"
#include "support/inject.h"
#include "support/inject_server.h"
#include "support/program.h"
#include "support/recorded.h"

enum { WAYS = 6, FILE_BYTES = 1 << 18, NTH_MAX = 12, LAST_LINE = 3000, ALL = 1000 };

static const struct {
    const char *name;
    int ways[WAYS];
    bool seldom; /* made only where another has failed, or not at all on this way */
} calls[] = {
    {"malloc", {ENOMEM}, true},
    {"calloc", {ENOMEM}, false},
    {"realloc", {ENOMEM}, false},
    {"open", {EMFILE, ENFILE, ENOSPC, EIO}, false},
    {"write", {ENOSPC, EIO, EINTR, INJECT_SHORT}, false},
    {"fdatasync", {EIO, ENOSPC}, false},
    {"ioctl", {EIO, ENOSPC}, false},
    {"tcgetattr", {EIO}, false},
    {"tcsetattr", {EIO, EINTR}, false},
    {"close", {EINTR, EIO}, false},
};

/* ---- the scope ------------------------------------------------------------------------------- */

#define IN_SCOPE(type, name, declared, given) \
    type __real_##name declared;              \
    type __wrap_##name declared;              \
    type __wrap_##name declared               \
    {                                         \
        inject_enter();                       \
        type result = __real_##name given;    \
        inject_leave();                       \
        return result;                        \
    }

#define VOID_IN_SCOPE(name, declared, given) \
    void __real_##name declared;             \
    void __wrap_##name declared;             \
    void __wrap_##name declared              \
    {                                        \
        inject_enter();                      \
        __real_##name given;                 \
        inject_leave();                      \
    }

IN_SCOPE(struct recording *, recording_make,
         (const char *folder, const struct cast_header *header, struct afar_error *err),
         (folder, header, err))
IN_SCOPE(int, recording_write, (struct recording * recording, const void *data, size_t size),
         (recording, data, size))
IN_SCOPE(int, recording_finish, (struct recording * recording), (recording))
VOID_IN_SCOPE(recording_free, (struct recording * recording), (recording))
VOID_IN_SCOPE(recording_discard, (struct recording * recording), (recording))
VOID_IN_SCOPE(job_record_open, (struct job * job), (job))
IN_SCOPE(size_t, job_record_output, (struct job * job, const void *data, size_t size),
         (job, data, size))
VOID_IN_SCOPE(job_record_size, (struct job * job, const struct screen_size *size), (job, size))
VOID_IN_SCOPE(job_record_mark, (struct job * job, const char *what), (job, what))
IN_SCOPE(bool, job_record_ended, (struct job * job), (job))
VOID_IN_SCOPE(job_record_close, (struct job * job), (job))
IN_SCOPE(enum afar_status, pty_open,
         (struct pty * pty, const struct pty_wish *wish, struct afar_error *err), (pty, wish, err))
IN_SCOPE(int, pty_resize, (int fd, const struct pty_size *size), (fd, size))
IN_SCOPE(int, pty_signal, (int fd, int number), (fd, number))
VOID_IN_SCOPE(job_terminal_opened, (struct job * job), (job))
VOID_IN_SCOPE(job_terminal_end_input, (struct job * job), (job))
VOID_IN_SCOPE(job_terminal_run_timers, (struct job * job, int64_t now_ms), (job, now_ms))
VOID_IN_SCOPE(job_terminal_closed, (struct job * job), (job))
IN_SCOPE(bool, job_terminal_signal, (struct job * job, int number), (job, number))

/* ---- files ----------------------------------------------------------------------------------- */

static char folder[64];
static char casts[96];
static char audit_path[96];
static char config[96];
static char audit[FILE_BYTES];
static char cast[FILE_BYTES];
static char shown[FILE_BYTES];

static void write_config(bool goes_on)
{
    FILE *file = fopen(config, "we");
    assert_non_null(file);
    (void)fprintf(file,
                  "[server]\nlisten = unix://%s/socket\nworkers = 1\nkill_grace_ms = 100\n"
                  "audit_log = %s\naudit_chain = yes\n"
                  "[allow all]\nclient = any\nshell = yes\ncommand = **\nrecord = %s\n"
                  "record_full = %s\n",
                  folder, audit_path, casts, goes_on ? "go_on" : "end");
    assert_int_equal(fclose(file), 0);
}

/* What the player would show, into `shown`. */
static void play(void)
{
    size_t used = 0;
    for (const char *line = cast; line[0] != '\0'; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n');
        const char *at = strstr(line, ", \"o\", \"");
        assert_non_null(end); /* there is no half of a line */
        if (at == NULL || at > end)
            continue;
        for (at += strlen(", \"o\", \""); *at != '"'; used++) {
            const bool escaped = strncmp(at, "\\u00", 4) == 0;
            const char digits[3] = {at[4], at[5], '\0'};
            shown[used] = escaped ? (char)strtol(digits, NULL, 16) : *at;
            at += escaped ? 6 : 1;
        }
    }
    shown[used] = '\0';
}

/* ---- one round ------------------------------------------------------------------------------- */

static bool persists; /* what has failed once fails again */

/* What has come of it. */
struct result {
    struct program client;
    int status;
    unsigned files;
    bool ran;
    bool complete; /* all of the output is in the recording, and its end */
    bool told;     /* the log says that it is not */
    bool hashed;   /* the audit log has its hash */
    bool ends_noted;
};

static void use(struct inject_server *server, struct result *result)
{
    static char script[64];
    const char *argv[] = {"timeout", "-k",           "1",  "60", "afar", "run",  "--reconnect", "0",
                          "-t",      server->url[0], "--", "sh", "-c",   script, NULL};
    char path[PROGRAM_TEXT_BYTES];
    (void)program_path("afar", path);
    argv[4] = path;
    (void)snprintf(script, sizeof script, "echo one; read x; echo got $x; seq %d; exit 7",
                   LAST_LINE);
    result->status = program_run(&result->client, argv, "typed\n", 6);
}

static void look(struct inject_server *server, struct result *result)
{
    char path[RECORDED_PATH_BYTES];
    result->files = recorded_find(casts, path);
    cast[0] = '\0';
    if (result->files > 0)
        (void)recorded_read(path, cast, sizeof cast);
    play();
    (void)recorded_read(audit_path, audit, sizeof audit);
    const char *end = strstr(audit, "\"event\":\"end\"");
    result->ran = end != NULL && strstr(end, "\"outcome\":\"spawn_failed\"") == NULL;
    result->complete = strstr(cast, "\"m\", \"end\"]\n") != NULL &&
                       strncmp(shown, result->client.stdout_data, result->client.stdout_size) == 0;
    result->told = inject_server_logged(server, "its recording cannot be written: ");
    result->hashed = strstr(audit, ",\"record_sha256\":\"") != NULL;
}

static const char *judge_client(const struct result *result, bool goes_on)
{
    const char *text = result->client.stderr_data;
    const bool whole = result->status == 7 && strstr(result->client.stdout_data, "\n3000\r\n");
    const bool refused = strstr(text, "the server cannot make its recording") != NULL ||
                         (!result->ran && text[0] != '\0');
    const bool ended = strstr(text, "its recording cannot be written: ") != NULL;
    if (whole)
        return NULL;
    if (result->status != 125 && result->status != 126)
        return "its status is wrong";
    if (result->ran && (goes_on || !ended || !result->told))
        return "it was ended, and not for its recording";
    return result->ran || refused ? NULL : "its client was not told why";
}

static const char *judge_audit(const struct result *result, bool goes_on)
{
    const char *end = strstr(audit, "\"event\":\"end\"");
    const bool says = end != NULL && strstr(end, "its recording cannot be written: ") != NULL;
    if (result->files > 1 || (result->files == 0 && strstr(audit, "\"record\":") != NULL))
        return "a recording that is named is not there";
    if (result->files == 1 && strstr(audit, "\"record\":") == NULL)
        return "a recording is named nowhere";
    if (!result->ran)
        return NULL;
    if (!result->complete && !result->told)
        return "it is not all there, and the log does not say so";
    if (result->told && !goes_on && !says)
        return "the audit log does not say that it was not all recorded";
    if (!result->told && (says || !result->hashed))
        return "the audit log does not have the hash of a good recording";
    if (result->told != (end != NULL && strstr(end, ",\"record_error\":\"") != NULL))
        return "the audit log has a word about a good recording, or none about a bad one";
    if (result->told && !result->complete && goes_on && !persists &&
        strstr(cast, "\"m\", \"not recorded") == NULL)
        return "the recording does not say that it ends";
    return NULL;
}

static const char *verify_audit(void)
{
    struct program program;
    const char *argv[] = {"afard", "--verify-audit", audit_path, NULL};
    int status = program_run(&program, argv, NULL, 0);
    if (status != 0)
        (void)fprintf(stderr, "%s\n", program.stderr_data);
    program_close(&program);
    return status == 0 ? NULL : "the recording is not what the audit log says";
}

static void clear(void)
{
    assert_int_equal(folder_remove(casts), 0);
    assert_int_equal(mkdir(casts, 0700), 0);
    (void)unlink(audit_path);
}

/* NULL, or what is wrong. */
static const char *run_round(bool goes_on)
{
    struct inject_server server;
    struct result result = {.status = -1};
    clear();
    const char *problem = inject_server_start(&server, config);
    if (problem == NULL && server.refused)
        problem = "it does not start";
    if (problem != NULL) {
        inject_server_close(&server);
        return problem;
    }
    use(&server, &result);
    if (!inject_server_calm(&server))
        problem = "descriptors or children are left";
    const int end = inject_server_stop(&server);
    if (problem == NULL && end != INJECT_END_OK)
        problem = "it did not end well";
    look(&server, &result);
    if (problem == NULL)
        problem = judge_client(&result, goes_on);
    if (problem == NULL)
        problem = judge_audit(&result, goes_on);
    if (problem == NULL)
        problem = verify_audit();
    if (problem != NULL) {
        (void)fprintf(stderr, "---- status %d, %s\n%s\n", result.status, result.client.stderr_data,
                      audit);
        inject_server_show_log(&server);
    }
    program_close(&result.client);
    inject_server_close(&server);
    return problem;
}

struct tally {
    unsigned rounds;
    unsigned in_vain; /* the call was not made: how many there are is also a matter of timing */
    unsigned failures;
};

static void play_round(struct tally *tally, size_t call, int way, unsigned nth, bool goes_on)
{
    inject_arm_scope(calls[call].name, way, nth, persists ? ALL : 1);
    const char *problem = run_round(goes_on);
    tally->rounds++;
    tally->in_vain += inject_fired() == 0;
    if (problem == NULL && inject_fired() == 0 && nth == 1)
        problem = "the call was not made";
    tally->failures += problem != NULL;
    if (problem != NULL)
        print_error("%s %u%s, %s: %s\n", calls[call].name, nth, persists ? " and later" : "",
                    way == INJECT_SHORT ? "short" : strerrorname_np(way), problem);
}

static void each_call_fails(bool goes_on)
{
    unsigned seen[sizeof calls / sizeof calls[0]];
    struct tally tally = {0};
    write_config(goes_on);
    inject_disarm();
    assert_null(run_round(goes_on));
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        seen[i] = inject_scope_seen(calls[i].name);
        if (seen[i] == 0 && !calls[i].seldom)
            fail_msg("%s is not called", calls[i].name);
    }
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        const unsigned times = seen[i] < NTH_MAX ? seen[i] : NTH_MAX;
        for (unsigned turn = 0; turn < times * WAYS * 2; turn++) {
            const int way = calls[i].ways[turn / 2 % WAYS];
            persists = turn % 2 == 1;
            if (way != 0 && !(persists && way == EINTR))
                play_round(&tally, i, way, turn / 2 / WAYS + 1, goes_on);
        }
    }
    persists = false;
    print_message("%u rounds, %u in vain\n", tally.rounds, tally.in_vain);
    assert_int_equal(tally.failures, 0);
}

static void its_command_ends(void **state)
{
    (void)state;
    each_call_fails(false);
}

static void its_command_goes_on(void **state)
{
    (void)state;
    each_call_fails(true);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-recording-faults-XXXXXX");
    if (!inject_new() || mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(casts, sizeof casts, "%s/casts", folder);
    (void)snprintf(audit_path, sizeof audit_path, "%s/audit", folder);
    (void)snprintf(config, sizeof config, "%s/afard.conf", folder);
    return mkdir(casts, 0700);
}

static int tear_down(void **state)
{
    (void)state;
    return folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_command_ends),
        cmocka_unit_test(its_command_goes_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
