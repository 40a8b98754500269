#include "support/distant.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

void distant_start(struct distant *distant, const char *max, const char *total,
                   const char *const *more)
{
    const char *args[PROGRAM_ARGS_MAX] = {"--listen", "tls://127.0.0.1:0",
                                          "--listen", "tcp://127.0.0.1:0",
                                          "--http",   "tcp://127.0.0.1:0",
                                          "--set",    max,
                                          "--set",    total};
    size_t count = 10;
    for (size_t i = 0; more[i] != NULL; i++) {
        args[count++] = "--set";
        args[count++] = more[i];
    }
    args[count] = NULL;
    afard_start_tls(&distant->server, args);
    distant->far = far_start(afard_port(&distant->server, 0), DISTANT_ONE_WAY_US);
    assert_non_null(distant->far);
    (void)snprintf(distant->url, sizeof distant->url, "tls://127.0.0.1:%u", far_port(distant->far));
}

int distant_stop(struct distant *distant)
{
    far_stop(distant->far);
    return afard_stop(&distant->server);
}

void distant_begin(const struct distant *distant, struct program *program, const char *line)
{
    char path[PROGRAM_TEXT_BYTES];
    char text[8192];
    (void)snprintf(text, sizeof text, "set -e; AFAR='%s'; URL=%s; NEAR=%s; cd %s; %s",
                   program_path("afar", path), distant->url, distant->server.url[1],
                   distant->server.folder, line);
    const char *words[] = {"sh", "-c", text, NULL};
    program_start(program, words, NULL);
}

void distant_end(struct program *program)
{
    program_finish(program, NULL, 0);
    print_message("%s%s", program->stdout_data, program->stderr_data);
    assert_int_equal(program_exit_status(program), 0);
    program_close(program);
}

void distant_run(const struct distant *distant, const char *line)
{
    struct program program;
    distant_begin(distant, &program, line);
    distant_end(&program);
}

double distant_grown_bytes(const struct distant *distant)
{
    return afard_metric(&distant->server, "afard_windows_grown_bytes");
}

double distant_times_grown(const struct distant *distant)
{
    return afard_metric(&distant->server, "afard_windows_grown_total");
}

void distant_expect_none_grown(const struct distant *distant)
{
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (distant_grown_bytes(distant) > 0) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(10000);
    }
}

bool distant_has_ended(const struct program *program)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
           info.si_pid != 0;
}

void distant_cut_often(const struct distant *distant, const char *line)
{
    struct program program;
    unsigned cuts = 0;
    distant_begin(distant, &program, line);
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    for (double last = 0; cuts < 3 && !distant_has_ended(&program) && clock_now_ms() < deadline_ms;
         (void)usleep(5000)) {
        const double now = distant_times_grown(distant);
        if (now < last + 2)
            continue;
        far_cut(distant->far);
        cuts++;
        last = now;
    }
    program_finish(&program, NULL, 0);
    print_message("%u cuts; %s", cuts, program.stderr_data);
    assert_string_equal(program.stdout_data, "same\n");
    assert_true(cuts >= 1); /* more where the machine is quick enough for windows to grow again */
    program_close(&program);
    distant_expect_none_grown(distant);
}
