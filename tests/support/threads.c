#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "support/threads.h"

static bool is_called(pid_t pid, pid_t tid, const char *name)
{
    char path[64];
    char text[32] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/comm", (int)pid, (int)tid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    (void)fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return strcmp(text, name) == 0;
}

bool threads_seize(struct threads *threads, pid_t pid, const char *but)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    assert_non_null(tasks);
    *threads = (struct threads){.count = 0};
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        pid_t tid = (pid_t)atoi(task->d_name);
        if (tid <= 0 || tid == pid || (but != NULL && is_called(pid, tid, but)))
            continue;
        if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0)
            break;
        assert_true(threads->count < THREADS_MAX);
        threads->tid[threads->count++] = tid;
    }
    (void)closedir(tasks);
    return threads->count > 0;
}

void threads_freeze(const struct threads *threads)
{
    for (unsigned i = 0; i < threads->count; i++) {
        int status = 0;
        assert_int_equal(ptrace(PTRACE_INTERRUPT, threads->tid[i], NULL, NULL), 0);
        assert_int_equal(waitpid(threads->tid[i], &status, __WALL), threads->tid[i]);
        assert_true(WIFSTOPPED(status));
    }
}

void threads_thaw(const struct threads *threads)
{
    for (unsigned i = 0; i < threads->count; i++)
        assert_int_equal(ptrace(PTRACE_CONT, threads->tid[i], NULL, NULL), 0);
}

void threads_kill(struct threads *threads, pid_t pid)
{
    if (threads->count > 0)
        (void)kill(pid, SIGKILL);
    for (unsigned i = 0; i < threads->count; i++) {
        int status = 0;
        while (waitpid(threads->tid[i], &status, __WALL) > 0 && WIFSTOPPED(status))
            continue;
    }
    threads->count = 0;
}

void threads_release(struct threads *threads)
{
    for (unsigned i = 0; i < threads->count; i++) {
        int status = 0;
        (void)ptrace(PTRACE_INTERRUPT, threads->tid[i], NULL, NULL);
        (void)waitpid(threads->tid[i], &status, __WALL);
        (void)ptrace(PTRACE_DETACH, threads->tid[i], NULL, NULL);
    }
    threads->count = 0;
}
