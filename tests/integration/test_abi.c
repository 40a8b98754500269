/* What programs that were compiled with these headers rely on: layouts, values, functions, symbols.
 *
 * A failure means that such a program would break. What is listed here never changes while the
 * soname stays. A new member is appended to its struct, at what was the struct's end and filling it
 * to a new end (no padding behind it), and then to the list; so is a new function, and a new value.
 * Before the first release the list may still be made to fit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <afar/afar.h>
#include <afar/keygen.h>
#include <afar/relay.h>

#include "support/program.h"

/* ---- layouts, on machines of 64 bits --------------------------------------------------------- */

struct layout {
    const char *name;
    size_t offset; /* of a member */
    size_t bytes;
    size_t recorded_offset;
    size_t recorded_bytes;
};

#define STRUCT(type, bytes)                               \
    {                                                     \
        "struct " #type, 0, sizeof(struct type), 0, bytes \
    }
#define MEMBER(type, member, at, bytes)                                                           \
    {                                                                                             \
#type "." #member, offsetof(struct type, member), sizeof(((struct type *)0)->member), at, \
            bytes                                                                                 \
    }

static const struct layout layouts[] = {
    STRUCT(afar_credentials, 72),
    MEMBER(afar_credentials, size, 0, 8),
    MEMBER(afar_credentials, ca_file, 8, 8),
    MEMBER(afar_credentials, cert_file, 16, 8),
    MEMBER(afar_credentials, key_file, 24, 8),
    MEMBER(afar_credentials, pin, 32, 8),
    MEMBER(afar_credentials, trust, 40, 8),
    MEMBER(afar_credentials, trust_user, 48, 8),
    MEMBER(afar_credentials, session_folder, 56, 8),
    MEMBER(afar_credentials, trust_alone, 64, 8),
    STRUCT(afar_command, 160),
    MEMBER(afar_command, size, 0, 8),
    MEMBER(afar_command, argv, 8, 8),
    MEMBER(afar_command, shell, 16, 8),
    MEMBER(afar_command, env, 24, 8),
    MEMBER(afar_command, cwd, 32, 8),
    MEMBER(afar_command, timeout_ms, 40, 8),
    MEMBER(afar_command, start_within_ms, 48, 8),
    MEMBER(afar_command, with_stdin, 56, 1),
    MEMBER(afar_command, with_digest, 57, 1),
    MEMBER(afar_command, with_pty, 58, 1),
    MEMBER(afar_command, subsystem, 64, 8),
    MEMBER(afar_command, resume_ms, 72, 8),
    STRUCT(afar_resume_options, 40),
    MEMBER(afar_resume_options, size, 0, 8),
    MEMBER(afar_resume_options, context, 8, 8),
    MEMBER(afar_resume_options, timeout_ms, 16, 8),
    MEMBER(afar_resume_options, stop_fd, 24, 4),
    MEMBER(afar_resume_options, stream, 32, 8),
    MEMBER(afar_command, user, 80, 8),
    MEMBER(afar_command, env_if_allowed, 88, 8),
    MEMBER(afar_command, pty, 96, 8),
    MEMBER(afar_command, home, 104, 1),
    MEMBER(afar_command, login, 105, 1),
    MEMBER(afar_command, leave, 106, 1),
    MEMBER(afar_command, shell_of_user, 107, 1),
    MEMBER(afar_command, keep, 108, 1),
    MEMBER(afar_command, watch, 109, 1),
    MEMBER(afar_command, no_output, 110, 1),
    MEMBER(afar_command, no_follow, 111, 1),
    MEMBER(afar_command, key, 112, 8),
    MEMBER(afar_command, job, 120, 8),
    MEMBER(afar_command, first, 128, 8),
    MEMBER(afar_command, since_ms, 136, 8),
    MEMBER(afar_command, forward, 144, 8),
    MEMBER(afar_command, times, 152, 1),
    STRUCT(afar_route, 48),
    MEMBER(afar_route, size, 0, 8),
    MEMBER(afar_route, timeout_ms, 8, 8),
    MEMBER(afar_route, local_address, 16, 8),
    MEMBER(afar_route, family, 24, 4),
    MEMBER(afar_route, stream, 28, 4),
    MEMBER(afar_route, ready, 32, 1),
    MEMBER(afar_route, request_follows, 33, 1),
    MEMBER(afar_route, reply_timeout_ms, 40, 8),
    STRUCT(afar_pty, 48),
    MEMBER(afar_pty, size, 0, 8),
    MEMBER(afar_pty, term, 8, 8),
    MEMBER(afar_pty, color, 16, 8),
    MEMBER(afar_pty, locale, 24, 8),
    MEMBER(afar_pty, rows, 32, 2),
    MEMBER(afar_pty, cols, 34, 2),
    MEMBER(afar_pty, xpixel, 36, 2),
    MEMBER(afar_pty, ypixel, 38, 2),
    MEMBER(afar_pty, no_utf8, 40, 1),
    STRUCT(afar_callbacks, 72),
    MEMBER(afar_callbacks, size, 0, 8),
    MEMBER(afar_callbacks, on_stdout, 8, 8),
    MEMBER(afar_callbacks, on_stderr, 16, 8),
    MEMBER(afar_callbacks, on_started, 24, 8),
    MEMBER(afar_callbacks, on_frame, 32, 8),
    MEMBER(afar_callbacks, user, 40, 8),
    MEMBER(afar_callbacks, on_cut, 48, 8),
    MEMBER(afar_callbacks, on_screen, 56, 8),
    MEMBER(afar_callbacks, on_time, 64, 8),
    STRUCT(afar_pong, 48),
    MEMBER(afar_pong, size, 0, 8),
    MEMBER(afar_pong, round_trip_us, 8, 8),
    MEMBER(afar_pong, server_version, 16, 32),
    STRUCT(afar_health, 144),
    MEMBER(afar_health, size, 0, 8),
    MEMBER(afar_health, round_trip_us, 8, 8),
    MEMBER(afar_health, words, 16, 128),
    STRUCT(afar_job, 1032),
    MEMBER(afar_job, size, 0, 8),
    MEMBER(afar_job, job, 8, 33),
    MEMBER(afar_job, state, 41, 16),
    MEMBER(afar_job, key, 57, 129),
    MEMBER(afar_job, owner, 186, 512),
    MEMBER(afar_job, command, 698, 256),
    MEMBER(afar_job, age_ms, 960, 8),
    MEMBER(afar_job, ended_ms, 968, 8),
    MEMBER(afar_job, stdout_bytes, 976, 8),
    MEMBER(afar_job, stderr_bytes, 984, 8),
    MEMBER(afar_job, kept, 992, 1),
    MEMBER(afar_job, attached, 993, 1),
    MEMBER(afar_job, has_outcome, 994, 1),
    MEMBER(afar_job, outcome, 996, 4),
    MEMBER(afar_job, code, 1000, 4),
    MEMBER(afar_job, signal, 1004, 20),
    MEMBER(afar_job, pty, 1024, 1),
    STRUCT(afar_shell_reply, 56),
    MEMBER(afar_shell_reply, size, 0, 8),
    MEMBER(afar_shell_reply, output_bytes, 8, 8),
    MEMBER(afar_shell_reply, md5, 16, 33),
    MEMBER(afar_shell_reply, md5_verified, 49, 1),
    STRUCT(afar_error, 552),
    MEMBER(afar_error, code, 0, 4),
    MEMBER(afar_error, sys_errno, 4, 4),
    MEMBER(afar_error, reason, 8, 32),
    MEMBER(afar_error, message, 40, 512),
    STRUCT(afar_keygen_options, 32),
    MEMBER(afar_keygen_options, size, 0, 8),
    MEMBER(afar_keygen_options, name, 8, 8),
    MEMBER(afar_keygen_options, hosts, 16, 8),
    MEMBER(afar_keygen_options, days, 24, 4),
    STRUCT(afar_identity, 96),
    MEMBER(afar_identity, size, 0, 8),
    MEMBER(afar_identity, cert_pem, 8, 8),
    MEMBER(afar_identity, key_pem, 16, 8),
    MEMBER(afar_identity, pin, 24, 65),
    STRUCT(afar_receipt, 944),
    MEMBER(afar_receipt, size, 0, 8),
    MEMBER(afar_receipt, outcome, 8, 4),
    MEMBER(afar_receipt, code, 12, 4),
    MEMBER(afar_receipt, signal, 16, 16),
    MEMBER(afar_receipt, core_dumped, 32, 1),
    MEMBER(afar_receipt, error_name, 33, 24),
    MEMBER(afar_receipt, error_stage, 57, 24),
    MEMBER(afar_receipt, message, 81, 256),
    MEMBER(afar_receipt, stdin_bytes, 344, 8),
    MEMBER(afar_receipt, stdout_bytes, 352, 8),
    MEMBER(afar_receipt, stderr_bytes, 360, 8),
    MEMBER(afar_receipt, stdout_sha256, 368, 65),
    MEMBER(afar_receipt, stderr_sha256, 433, 65),
    MEMBER(afar_receipt, user_us, 504, 8),
    MEMBER(afar_receipt, system_us, 512, 8),
    MEMBER(afar_receipt, max_rss_bytes, 520, 8),
    MEMBER(afar_receipt, queued_us, 528, 8),
    MEMBER(afar_receipt, spawn_us, 536, 8),
    MEMBER(afar_receipt, run_us, 544, 8),
    MEMBER(afar_receipt, drain_us, 552, 8),
    MEMBER(afar_receipt, stdio_held_open, 560, 1),
    MEMBER(afar_receipt, limit, 568, 48),
    MEMBER(afar_receipt, killed_by, 616, 4),
    MEMBER(afar_receipt, ended, 624, 104),
    MEMBER(afar_receipt, held_by, 728, 104),
    MEMBER(afar_receipt, left, 832, 104),
    MEMBER(afar_receipt, leave_denied, 936, 1),
    STRUCT(afar_limit, 48),
    MEMBER(afar_limit, name, 0, 16),
    MEMBER(afar_limit, by, 16, 4),
    MEMBER(afar_limit, ms, 24, 8),
    MEMBER(afar_limit, bytes, 32, 8),
    MEMBER(afar_limit, count, 40, 8),
    STRUCT(afar_process, 24),
    MEMBER(afar_process, pid, 0, 8),
    MEMBER(afar_process, name, 8, 16),
    STRUCT(afar_processes, 104),
    MEMBER(afar_processes, count, 0, 8),
    MEMBER(afar_processes, first, 8, 96),
};

static void layouts_are_as_recorded(void **state)
{
    (void)state;
    if (sizeof(void *) != 8)
        skip();
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        const struct layout *it = &layouts[i];
        if (it->offset != it->recorded_offset || it->bytes != it->recorded_bytes)
            fail_msg("%s: %zu bytes at %zu; recorded are %zu at %zu", it->name, it->bytes,
                     it->offset, it->recorded_bytes, it->recorded_offset);
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

static void values_are_as_recorded(void **state)
{
    (void)state;
    static const int values[][2] = {
        {AFAR_OK, 0},
        {AFAR_EAGAIN, 1},
        {AFAR_ECLOSED, 2},
        {AFAR_ETIMEDOUT, 3},
        {AFAR_EPEER, 4},
        {AFAR_EREFUSED, 5},
        {AFAR_ETRUST, 6},
        {AFAR_ELIMIT, 7},
        {AFAR_EINVAL, 8},
        {AFAR_ESYSTEM, 9},
        {AFAR_ENOMEM, 10},
        {AFAR_EBUG, 11},
        {AFAR_OUTCOME_EXITED, 0},
        {AFAR_OUTCOME_SIGNALED, 1},
        {AFAR_OUTCOME_TIMED_OUT, 2},
        {AFAR_OUTCOME_OUTPUT_LIMIT, 3},
        {AFAR_OUTCOME_KILLED, 4},
        {AFAR_OUTCOME_DISCONNECTED, 5},
        {AFAR_OUTCOME_SPAWN_FAILED, 6},
        {AFAR_OUTCOME_SERVER_LOST, 7},
        {AFAR_ESCAPE_TERMINAL, 0},
        {AFAR_ESCAPE_STRING, 1},
        {AFAR_BY_UNKNOWN, 0},
        {AFAR_BY_REQUEST, 1},
        {AFAR_BY_RULE, 2},
        {AFAR_BY_SERVER, 3},
        {AFAR_KILLED_UNKNOWN, 0},
        {AFAR_KILLED_BY_REQUEST, 1},
        {AFAR_KILLED_BY_SHUTDOWN, 2},
        {AFAR_KILLED_BY_RECORD, 3},
        {AFAR_PIN_BYTES, 65},
        {sizeof(enum afar_status), 4},
        {sizeof(enum afar_outcome), 4},
        {sizeof(enum afar_limit_owner), 4},
        {sizeof(enum afar_killer), 4},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_int_equal(values[i][0], values[i][1]);
}

/* ---- functions: a declaration that differs from the header's does not compile ---------------- */

const char *afar_version(void);
void afar_begin_program(void);
enum afar_status afar_context_new(struct afar_context **, const struct afar_credentials *,
                                  struct afar_error *);
void afar_context_free(struct afar_context *);
enum afar_status afar_connect(struct afar_client **, struct afar_context *, const char *, int64_t,
                              struct afar_error *);
enum afar_status afar_connect_by(struct afar_client **, struct afar_context *, const char *,
                                 const struct afar_route *, struct afar_error *);
void afar_close(struct afar_client *);
void afar_keep_session(struct afar_client *);
bool afar_resumed(const struct afar_client *);
int64_t afar_resume_granted(const struct afar_client *);
enum afar_status afar_start(struct afar_client *, const struct afar_command *,
                            const struct afar_callbacks *, struct afar_error *);
enum afar_status afar_write_stdin(struct afar_client *, const void *, size_t, size_t *,
                                  struct afar_error *);
enum afar_status afar_close_stdin(struct afar_client *, struct afar_error *);
enum afar_status afar_close_output(struct afar_client *, int, struct afar_error *);
enum afar_status afar_signal(struct afar_client *, const char *, struct afar_error *);
int afar_fd(const struct afar_client *);
short afar_events(const struct afar_client *);
int afar_timeout(const struct afar_client *);
void afar_set_heartbeat(struct afar_client *, int64_t, int64_t);
bool afar_away(const struct afar_client *);
const char *afar_why_away(const struct afar_client *);
enum afar_status afar_resume(struct afar_client *, const struct afar_resume_options *,
                             struct afar_error *);
enum afar_status afar_process(struct afar_client *, struct afar_error *);
const struct afar_receipt *afar_receipt(const struct afar_client *);
enum afar_status afar_wait(struct afar_client *, int64_t, struct afar_error *);
int afar_exit_status(const struct afar_receipt *);
const char *afar_outcome_name(enum afar_outcome);
enum afar_status afar_detach(struct afar_client *, struct afar_error *);
enum afar_status afar_resize(struct afar_client *, const struct afar_pty *, struct afar_error *);
enum afar_status afar_pause(struct afar_client *, struct afar_error *);
enum afar_status afar_probe(struct afar_client *, int64_t, struct afar_error *);
void afar_escape(char *, size_t, const char *, enum afar_escape);
enum afar_status afar_ping(struct afar_client *, int64_t, struct afar_pong *, struct afar_error *);
const char *afar_features(const struct afar_client *);
bool afar_offers(const struct afar_client *, const char *);
enum afar_status afar_health(const char *, int64_t, struct afar_health *, struct afar_error *);
enum afar_status afar_kill(struct afar_client *, const char *, const char *, int64_t,
                           struct afar_error *);
enum afar_status afar_jobs(struct afar_client *, bool, void (*)(void *, const struct afar_job *),
                           void *, int64_t, struct afar_error *);
enum afar_status afar_forget(struct afar_client *, const char *, int64_t, struct afar_error *);
enum afar_status afar_shell_run(struct afar_client *, const char *,
                                void (*)(void *, const void *, size_t), void *, int64_t,
                                struct afar_shell_reply *, struct afar_error *);
enum afar_status afar_upper(struct afar_client *, const void *, size_t, void *, int64_t,
                            struct afar_error *);
enum afar_status afar_keygen(struct afar_identity *, const struct afar_keygen_options *,
                             struct afar_error *);
void afar_identity_close(struct afar_identity *);
enum afar_status afar_pin(const char *, char[AFAR_PIN_BYTES], struct afar_error *);
enum afar_status afar_relay_send(struct afar_client *, const void *, size_t, size_t *,
                                 struct afar_error *);
enum afar_status afar_relay_receive(struct afar_client *, void *, size_t, size_t *,
                                    struct afar_error *);
short afar_relay_events(const struct afar_client *, bool, bool);

/* ---- symbols --------------------------------------------------------------------------------- */

static const char soname[] = "libafar.so.1\n";

static const char symbols[] = "afar_away\n"
                              "afar_begin_program\n"
                              "afar_close\n"
                              "afar_close_output\n"
                              "afar_close_stdin\n"
                              "afar_connect\n"
                              "afar_connect_by\n"
                              "afar_context_free\n"
                              "afar_context_new\n"
                              "afar_detach\n"
                              "afar_escape\n"
                              "afar_events\n"
                              "afar_exit_status\n"
                              "afar_fd\n"
                              "afar_features\n"
                              "afar_forget\n"
                              "afar_health\n"
                              "afar_identity_close\n"
                              "afar_jobs\n"
                              "afar_keep_session\n"
                              "afar_keygen\n"
                              "afar_kill\n"
                              "afar_offers\n"
                              "afar_outcome_name\n"
                              "afar_pause\n"
                              "afar_pin\n"
                              "afar_ping\n"
                              "afar_probe\n"
                              "afar_process\n"
                              "afar_receipt\n"
                              "afar_relay_events\n"
                              "afar_relay_receive\n"
                              "afar_relay_send\n"
                              "afar_resize\n"
                              "afar_resume\n"
                              "afar_resume_granted\n"
                              "afar_resumed\n"
                              "afar_set_heartbeat\n"
                              "afar_shell_run\n"
                              "afar_signal\n"
                              "afar_start\n"
                              "afar_timeout\n"
                              "afar_upper\n"
                              "afar_version\n"
                              "afar_wait\n"
                              "afar_why_away\n"
                              "afar_write_stdin\n";

static void run_on_library(const char *command, const char *after, struct program *program)
{
    char line[512];
    const char *build = getenv("AFAR_BUILD");
    (void)snprintf(line, sizeof line, "%s %.300s/lib/libafar.so %s", command,
                   build != NULL ? build : "build/release", after);
    const char *argv[] = {"sh", "-c", line, NULL};
    assert_int_equal(program_run(program, argv, NULL, 0), 0);
}

/* A sanitizer and gcov add symbols of their own, which do not begin with afar_. */
static void symbols_are_as_recorded(void **state)
{
    (void)state;
    struct program program;
    run_on_library("nm -D --defined-only", "| awk '$3 ~ /^afar_/ {print $3}' | LC_ALL=C sort",
                   &program);
    assert_string_equal(program.stdout_data, symbols);
    program_close(&program);
    run_on_library("objdump -p", "| awk '$1 == \"SONAME\" {print $2}'", &program);
    assert_string_equal(program.stdout_data, soname);
    program_close(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_are_as_recorded),
        cmocka_unit_test(values_are_as_recorded),
        cmocka_unit_test(symbols_are_as_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
