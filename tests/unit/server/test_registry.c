#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/registry.h"

static void ids_are_unlike_and_limited(void **state)
{
    (void)state;
    struct registry *registry = registry_new(2);
    struct registry_entry entries[3];
    struct afar_error err;
    assert_non_null(registry);
    assert_int_equal(registry_add(registry, &entries[0], NULL), AFAR_OK);
    assert_int_equal(registry_add(registry, &entries[1], NULL), AFAR_OK);
    assert_int_equal(strlen(entries[0].id), 32);
    assert_string_not_equal(entries[0].id, entries[1].id);
    assert_int_equal(registry_add(registry, &entries[2], &err), AFAR_ELIMIT);
    assert_non_null(strstr(err.message, "max_jobs"));
    assert_int_equal(registry_count(registry), 2);
    registry_remove(registry, &entries[0]);
    assert_int_equal(registry_add(registry, &entries[2], NULL), AFAR_OK);
    registry_remove(registry, &entries[1]);
    registry_remove(registry, &entries[2]);
    assert_int_equal(registry_count(registry), 0);
    registry_free(registry);
    registry_free(NULL);
}

static void only_a_running_job_is_signalled(void **state)
{
    (void)state;
    struct registry *registry = registry_new(10);
    struct registry_entry entry;
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setpgid(0, 0);
        for (;;)
            (void)pause();
    }
    (void)setpgid(pid, pid); /* whoever is first */
    assert_int_equal(registry_add(registry, &entry, NULL), AFAR_OK);
    assert_false(registry_signal(registry, entry.id, SIGTERM)); /* not started yet */
    registry_set_leader(registry, &entry, pid);
    assert_false(registry_signal(registry, "0000", SIGTERM));
    assert_false(registry_signal(registry, "", SIGTERM));
    assert_true(registry_signal(registry, entry.id, SIGTERM));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_true(registry_clear_leader(registry, &entry));
    assert_false(
        registry_signal(registry, entry.id, SIGTERM)); /* the pid may be a stranger's now */
    registry_remove(registry, &entry);
    registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_unlike_and_limited),
        cmocka_unit_test(only_a_running_job_is_signalled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
