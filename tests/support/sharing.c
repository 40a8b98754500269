#include "support/sharing.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"

enum { LOOK_MS = 10 };

int sharing_open(struct sharing *sharing)
{
    const char *args[] = {"--listen", "tls://127.0.0.1:0", "--http", "tcp://127.0.0.1:0",
                          "--set",    "resume_ms=20000",   "--set",  "heartbeat_ms=0",
                          NULL};
    /* Without pings, so that a connection that a pool has forgotten stays open and is noticed. */
    *sharing = (struct sharing){0};
    afard_start_tls(&sharing->server, args);
    (void)snprintf(sharing->folder, sizeof sharing->folder, "%s/run", sharing->server.folder);
    (void)snprintf(sharing->starts, sizeof sharing->starts, "%s/starts", sharing->server.folder);
    (void)snprintf(sharing->counted, sizeof sharing->counted, "echo x >>%s; echo ready; cat",
                   sharing->starts);
    return mkdir(sharing->folder, 0700) != 0 || setenv("XDG_RUNTIME_DIR", sharing->folder, 1) != 0;
}

int sharing_close(struct sharing *sharing)
{
    return afard_stop(&sharing->server);
}

bool sharing_is_late(int64_t deadline_ms)
{
    (void)poll(NULL, 0, LOOK_MS);
    return clock_now_ms() > deadline_ms;
}

unsigned sharing_count(pid_t *pid)
{
    static const char mark[] = " pid ";
    struct program program;
    unsigned count = 0;
    const char *argv[] = {"afar", "share", "--list", NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    for (const char *at = program.stdout_data; (at = strstr(at, mark)) != NULL; count++) {
        at += sizeof mark - 1;
        *pid = (pid_t)atoi(at);
    }
    program_close(&program);
    return count;
}

pid_t sharing_expect_one(void)
{
    pid_t pid = 0;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (sharing_count(&pid) != 1)
        assert_false(sharing_is_late(deadline_ms));
    return pid;
}

void sharing_expect_connections(const struct afard *server, double count)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (afard_metric(server, "afard_connections") != count)
        assert_false(sharing_is_late(deadline_ms));
}

double sharing_accepted(const struct afard *server)
{
    return afard_metric(server, "afard_connections_accepted_total");
}

unsigned sharing_files(const struct sharing *sharing, char path[SHARING_PATH_BYTES],
                       const char *end)
{
    unsigned count = 0;
    char folder[SHARING_PATH_BYTES];
    struct dirent *entry = NULL;
    (void)snprintf(folder, sizeof folder, "%s/afar", sharing->folder);
    DIR *dir = opendir(folder);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (entry->d_name[0] == '.' || dot == NULL || (end != NULL && strcmp(dot, end) != 0))
            continue;
        if (path != NULL)
            assert_true(snprintf(path, SHARING_PATH_BYTES, "%s/%s", folder, entry->d_name) <
                        SHARING_PATH_BYTES);
        count++;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

int sharing_stop(struct sharing *sharing)
{
    pid_t pid = 0;
    struct program program;
    const char *argv[] = {"afar", "share", "--stop", NULL};
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    do {
        if (program_run(&program, argv, NULL, 0) != 0 || sharing_is_late(deadline_ms))
            return -1;
        program_close(&program);
    } while (sharing_count(&pid) > 0);
    sharing_expect_connections(&sharing->server, 0);
    (void)unlink(sharing->starts);
    return 0;
}

void sharing_start(const struct sharing *sharing, struct program *program, const char *idle,
                   const char *line)
{
    const char *argv[] = {"afar", "run", "--share", idle, sharing->server.url[0],
                          "--",   "sh",  "-c",      line, NULL};
    program_start(program, argv, NULL);
}

void sharing_run(const struct sharing *sharing, const char *idle, const char *line,
                 const char *output, int status)
{
    struct program program;
    sharing_start(sharing, &program, idle, line);
    program_finish(&program, NULL, 0);
    if (program_exit_status(&program) != status || strcmp(program.stdout_data, output) != 0 ||
        program.stderr_size > 0)
        fail_msg("%s: status %d, '%s' '%s'", line, program_exit_status(&program),
                 program.stdout_data, program.stderr_data);
    program_close(&program);
}

double sharing_warm(const struct sharing *sharing, pid_t *pid)
{
    double before = sharing_accepted(&sharing->server);
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    sharing_run(sharing, "10m", "echo one", "one\n", 0);
    *pid = sharing_expect_one();
    while (sharing_accepted(&sharing->server) != before + 3) /* the run's own, and two in reserve */
        assert_false(sharing_is_late(deadline_ms));
    sharing_expect_connections(&sharing->server, 2);
    return before + 3;
}

void sharing_expect_one_start(const struct sharing *sharing)
{
    struct stat found;
    assert_int_equal(stat(sharing->starts, &found), 0);
    assert_int_equal(found.st_size, 2);
}
