#include "support/spawned.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/helper.h"
#include "exec/process.h"
#include "support/program.h"

unsigned spawned_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

void spawned_read_all(int fd, char *text, size_t size)
{
    size_t used = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
        ssize_t got = read(fd, text + used, size - 1 - used);
        assert_true(got >= 0);
        if (got == 0)
            break;
        used += (size_t)got;
    }
    text[used] = '\0';
}

void spawned_reap(struct spawn_result *result)
{
    struct process process = {.pid = result->pid, .pidfd = result->pidfd};
    struct process_end end;
    struct pollfd wait = {.fd = result->pidfd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, (int)test_deadline_ms()), 1);
    assert_int_equal(process_reap(&process, &end, NULL), AFAR_OK);
}

void spawned_run(const struct spawn_request *request, char text[SPAWNED_TEXT_BYTES])
{
    struct spawn_result result;
    struct afar_error err;
    char errors[SPAWNED_TEXT_BYTES];
    unsigned before = spawned_descriptors();
    if (spawn_process(request, NULL, &result, &err) != AFAR_OK)
        fail_msg("%s: %s", result.stage, err.message);
    spawned_read_all(result.stdout_fd, text, SPAWNED_TEXT_BYTES);
    spawned_read_all(result.stderr_fd, errors, sizeof errors);
    assert_int_equal(close(result.stdout_fd) | close(result.stderr_fd), 0);
    if (request->files != NULL)
        assert_int_equal(close(result.note_fd), 0);
    spawned_reap(&result);
    assert_string_equal(errors, "");
    assert_int_equal(spawned_descriptors(), before);
}

void spawned_fail(const struct spawn_request *request, const char *stage, int sys_errno,
                  struct afar_error *err)
{
    struct spawn_result result;
    unsigned before = spawned_descriptors();
    assert_int_equal(spawn_process(request, NULL, &result, err), AFAR_ESYSTEM);
    assert_string_equal(result.stage, stage);
    assert_int_equal(err->sys_errno, sys_errno);
    assert_int_equal(spawned_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Instead of serving files prints the service. Ends without clean-up, because the order still owns
 * the service's data. */
_Noreturn static void be_helper(void)
{
    char cwd[256];
    struct helper_service service;
    helper_main(&service);
    (void)printf("%s %s %s", getcwd(cwd, sizeof cwd), service.home != NULL ? service.home : "-",
                 service.own_root ? "own" : "the");
    for (char **root = service.roots; *root != NULL; root++)
        (void)printf(" %s", *root);
    int home = service.home != NULL ? open(service.home, O_RDONLY | O_CLOEXEC) : -1;
    (void)printf("%s\n", home >= 0 ? " open" : "");
    bool noted = service.note_fd < 0 || write(service.note_fd, "note", 4) == 4;
    _exit(fflush(stdout) == 0 && noted ? 0 : 1);
}

bool spawned_main(int argc, char **argv, int *status)
{
    if (argc > 0 && strcmp(argv[0], HELPER_NAME) == 0)
        be_helper();
    bool valgrind = getenv("VALGRIND") != NULL;
    if (valgrind)
        (void)puts("skipped: valgrind makes a fork of a child that shares our memory");
    *status = 0;
    return valgrind;
}
