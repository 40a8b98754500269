#include "support/keeping.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/folder.h"

void keeping_start(struct keeping *keeping)
{
    const char *args[PROGRAM_ARGS_MAX] = {"--listen",    keeping->url,
                                          "--set",       keeping->state_key,
                                          "--set",       "keep_per_identity=0",
                                          "--set",       "keep_max=5000",
                                          "--log-level", "warn"};
    size_t count = 10;
    for (size_t i = 0; keeping->options != NULL && keeping->options[i] != NULL; i++)
        args[count++] = keeping->options[i];
    args[count] = NULL;
    afard_start(&keeping->server, args);
    keeping->runs = true;
}

void keeping_kill(struct keeping *keeping)
{
    struct program *program = &keeping->server.program;
    assert_int_equal(kill(program->pid, SIGKILL), 0);
    program_finish(program, NULL, 0);
    assert_int_equal(program_exit_status(program), 128 + SIGKILL);
    program_close(program);
    (void)folder_remove(keeping->server.folder);
    keeping->runs = false;
}

int keeping_stop(struct keeping *keeping)
{
    keeping->runs = false;
    return afard_stop(&keeping->server);
}

void keeping_open(struct keeping *keeping, const char *const *options)
{
    *keeping = (struct keeping){.options = options};
    (void)snprintf(keeping->folder, sizeof keeping->folder, "/tmp/afar-test-kept-XXXXXX");
    assert_non_null(mkdtemp(keeping->folder));
    (void)snprintf(keeping->url, sizeof keeping->url, "unix://%s/door", keeping->folder);
    (void)snprintf(keeping->state_key, sizeof keeping->state_key, "state_directory=%s/state",
                   keeping->folder);
    keeping_start(keeping);
}

void keeping_close(struct keeping *keeping)
{
    if (keeping->runs)
        (void)keeping_stop(keeping);
    /* Keepers may still be writing receipts there. */
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    int failed = folder_remove(keeping->folder);
    while (failed != 0 && clock_now_ms() < deadline_ms)
        failed = folder_remove(keeping->folder);
    assert_int_equal(failed, 0);
}

int keeping_afar(struct program *client, const char *const *args)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar"};
    struct program own;
    for (size_t i = 0; args[i] != NULL; i++)
        argv[i + 1] = args[i];
    int status = program_run(client != NULL ? client : &own, argv, NULL, 0);
    if (client == NULL)
        program_close(&own);
    return status;
}

void keeping_detach(const struct keeping *keeping, const char *line, char job[KEEPING_JOB_BYTES])
{
    struct program client;
    int status = keeping_afar(&client, KEEPING_WORDS("run", "-d", "-s", keeping->url, line));
    if (status != 0 || client.stdout_size != KEEPING_JOB_BYTES)
        fail_msg("%d: %s%s", status, client.stdout_data, client.stderr_data);
    memcpy(job, client.stdout_data, KEEPING_JOB_BYTES - 1);
    job[KEEPING_JOB_BYTES - 1] = '\0';
    program_close(&client);
}

pid_t keeping_number(const struct keeping *keeping, const char *job)
{
    struct program client;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    pid_t pid = 0;
    while (pid == 0 && clock_now_ms() < deadline_ms) {
        assert_int_equal(keeping_afar(&client, KEEPING_WORDS("logs", keeping->url, job)), 0);
        if (strchr(client.stdout_data, '\n') != NULL)
            pid = (pid_t)atoi(client.stdout_data);
        program_close(&client);
    }
    assert_true(pid > 0);
    return pid;
}
