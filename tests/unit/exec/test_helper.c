/* Where a command begins, by the helper and without it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec/helper.h"
#include "support/spawned.h"

enum { NOBODY = 54871 };

static char *environment[] = {"PATH=/usr/bin:/bin", NULL};

static const struct confinement as_nobody = {
    .cgroup_fd = -1, .set_user = true, .user = NOBODY, .set_group = true, .group = NOBODY};
static const struct confinement as_we_are = {.cgroup_fd = -1};

/* By either way, as far as we may. */
static size_t ways(const struct confinement *way[2])
{
    way[0] = &as_we_are;
    way[1] = &as_nobody;
    if (geteuid() != 0)
        print_message("not as another user: only root can\n");
    return geteuid() == 0 ? 2 : 1;
}

/* ---- where -------------------------------------------------------------------------------------
 */

/* A user's home that is not there, or is not open to him, does not keep him from his command. */
static void a_home_may_be_missing(void **state)
{
    char folder[] = "/tmp/afar-home-XXXXXX";
    const struct confinement *way[2];
    (void)state;
    assert_non_null(mkdtemp(folder)); /* 0700, root's */
    for (size_t i = 0, count = ways(way); i < count; i++) {
        char *argv[] = {"pwd", NULL};
        char text[SPAWNED_TEXT_BYTES];
        struct spawn_request request = {.argv = argv,
                                        .env = environment,
                                        .cwd = "/nonexistent/home",
                                        .cwd_optional = true,
                                        .confine = way[i]};
        spawned_run(&request, text);
        assert_string_equal(text, "/\n");
        request.cwd = folder;
        spawned_run(&request, text);
        assert_true(way[i] == &as_nobody ? strcmp(text, "/\n") == 0
                                         : strncmp(text, folder, strlen(folder)) == 0);
        request.cwd = "/tmp";
        spawned_run(&request, text);
        assert_string_equal(text, "/tmp\n");
    }
    assert_int_equal(rmdir(folder), 0);
}

/* What was asked for by name must be there, and is named where it is not. */
static void other_directories_must_be_there(void **state)
{
    const struct confinement *way[2];
    struct confinement jail = {.cgroup_fd = -1, .root = "/nonexistent/jail"};
    char *argv[] = {"pwd", NULL};
    struct spawn_request request = {.argv = argv, .env = environment, .cwd = "/nonexistent/home"};
    struct afar_error err;
    (void)state;
    for (size_t i = 0, count = ways(way); i < count; i++) {
        request.confine = way[i];
        spawned_fail(&request, "chdir", ENOENT, &err);
        assert_string_equal(err.message, "cannot change to directory '/nonexistent/home': "
                                         "No such file or directory");
    }
    if (geteuid() != 0)
        return;
    request.confine = &jail;
    spawned_fail(&request, "chroot", ENOENT, &err);
    assert_string_equal(err.message, "cannot change to the root directory '/nonexistent/jail': "
                                     "No such file or directory");
    jail.root = "/usr";
    spawned_fail(&request, "chdir", ENOENT, &err);
    assert_string_equal(err.message, "cannot change to directory '/nonexistent/home' in the root "
                                     "'/usr': No such file or directory");
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], HELPER_NAME) == 0)
        return helper_main();
    if (getenv("VALGRIND") != NULL) {
        (void)puts("skipped: valgrind makes a fork of a child that shares our memory");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_home_may_be_missing),
        cmocka_unit_test(other_directories_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
