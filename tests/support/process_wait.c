#include "support/process_wait.h"

#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/program.h"

bool process_runs(pid_t pid)
{
    char path[64];
    char line[1024] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    const char *end = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    return end != NULL && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

void expect_process_gone(pid_t pid)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (process_runs(pid)) {
        if (clock_now_ms() > deadline_ms)
            fail_msg("process %d is still there", (int)pid);
        (void)poll(NULL, 0, 2);
    }
}

void expect_processes_gone(const char *pids)
{
    size_t count = 0;
    for (const char *at = pids + strcspn(pids, "0123456789"); *at != '\0';
         at += strcspn(at, "0123456789")) {
        char *end = NULL;
        expect_process_gone((pid_t)strtol(at, &end, 10));
        at = end;
        count++;
    }
    assert_true(count > 0);
}

static int64_t cpu_us(pid_t process)
{
    clockid_t clock;
    struct timespec used;
    assert_int_equal(clock_getcpuclockid(process, &clock), 0);
    assert_int_equal(clock_gettime(clock, &used), 0);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

void expect_process_rests(pid_t pid)
{
    enum { LOOK_MS = 300 };
    int64_t before_us = cpu_us(pid);
    (void)poll(NULL, 0, LOOK_MS);
    assert_in_range(cpu_us(pid) - before_us, 0, LOOK_MS * 1000 / 3);
}

static bool has(const char *pid, const char *variable)
{
    char path[300];
    char *entry = NULL;
    size_t room = 0;
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%s/environ", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (!found && getdelim(&entry, &room, '\0', file) > 0)
        found = strcmp(entry, variable) == 0;
    free(entry);
    (void)fclose(file);
    return found;
}

size_t processes_with(const char *variable)
{
    size_t count = 0;
    DIR *folder = opendir("/proc");
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && has(entry->d_name, variable);
    (void)closedir(folder);
    return count;
}
