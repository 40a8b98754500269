/* The start sweep: what fails in it, fails alone. (What it finds: tests/fault/test_killed.c.) */
// wrap: malloc calloc realloc strdup opendir pthread_create
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/remains.h"
#include "support/alloc_fault.h"

static bool no_folder;
static bool no_thread;

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
    errno = EMFILE;
    return no_folder ? NULL : __real_opendir(path);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument)
{
    return no_thread ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}

static struct log *silent;

static int set_up(void **state)
{
    (void)state;
    silent = log_new(STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return silent == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    log_free(silent);
    return 0;
}

static void no_memory(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        alloc_fault_arm(n);
        struct remains *remains = remains_sweep(silent, NULL, NULL);
        bool fired = alloc_fault_fired();
        assert_true(remains_stop(remains));
        if (!fired)
            break;
        assert_true(n > 1 || remains == NULL);
    }
}

static void no_proc_and_no_thread(void **state)
{
    (void)state;
    no_folder = true;
    struct remains *remains = remains_sweep(silent, NULL, NULL);
    assert_non_null(remains);
    assert_true(remains_stop(remains));
    no_folder = false;
    no_thread = true;
    assert_null(remains_sweep(silent, NULL, NULL));
    assert_true(remains_stop(NULL));
    no_thread = false;
}

/* It names this process, which lives. */
static void our_own_name(void **state)
{
    char name[REMAINS_NAME_BYTES];
    char pid[24];
    (void)state;
    remains_name(name, "0123456789abcdef");
    (void)snprintf(pid, sizeof pid, ".%d.", (int)getpid());
    assert_int_equal(strncmp(name, SERVER_VARIABLE, strlen(SERVER_VARIABLE)), 0);
    assert_non_null(strstr(name, pid));
    assert_non_null(strstr(name, ".0123456789abcdef"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory),
        cmocka_unit_test(no_proc_and_no_thread),
        cmocka_unit_test(our_own_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
