/* Whose files are believed: a configuration, or a CA, that another user can change is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/trusted.h"

enum { STRANGER = 4242 };

static char folder[64];
static char file[80];
static char link_name[80]; /* in the folder "open", to the file */

static int make(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-trusted-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(file, sizeof file, "%s/conf", folder);
    (void)snprintf(link_name, sizeof link_name, "%s/open", folder);
    int made = mkdir(link_name, 0755);
    (void)snprintf(link_name, sizeof link_name, "%s/open/link", folder);
    FILE *stream = fopen(file, "we");
    if (stream == NULL || fputs("workers = 1\n", stream) < 0 || fclose(stream) != 0)
        return -1;
    return made | symlink(file, link_name) | chmod(file, 0644);
}

static int remove_all(void **state)
{
    char open_folder[80];
    (void)state;
    (void)snprintf(open_folder, sizeof open_folder, "%s/open", folder);
    return unlink(link_name) | unlink(file) | rmdir(open_folder) | rmdir(folder);
}

static void assert_trusted(const char *path)
{
    struct afar_error err;
    struct config config;
    if (trusted_check_path(path, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    config_init(&config);
    assert_int_equal(config_load(&config, path, &err), AFAR_OK);
    config_close(&config);
}

static void assert_refused(const char *path, const char *why)
{
    struct afar_error err;
    struct config config;
    assert_int_equal(trusted_check_path(path, &err), AFAR_EINVAL);
    if (strstr(err.message, why) == NULL)
        fail_msg("'%s' is not in: %s", why, err.message);
    config_init(&config);
    assert_int_equal(config_load(&config, path, &err), AFAR_EINVAL);
    assert_int_equal(config.workers, 0); /* no line of it was taken */
    config_close(&config);
}

static void test_everybody_can_write(void **state)
{
    (void)state;
    assert_trusted(file);
    assert_int_equal(chmod(file, 0646), 0);
    assert_refused(file, "conf: others can write to it");
    assert_int_equal(chmod(file, 0644), 0);
    assert_trusted(file);
}

static bool is_root(void)
{
    if (geteuid() == 0)
        return true;
    print_message("skipped: only root is so strict, and can give files away\n");
    return false;
}

static void test_the_group_can_write(void **state)
{
    (void)state;
    if (!is_root())
        skip();
    assert_int_equal(chown(file, 0, STRANGER) | chmod(file, 0664), 0);
    assert_refused(file, "conf: others can write to it");
    assert_int_equal(chmod(file, 0644), 0);
    assert_trusted(file);
    assert_int_equal(chown(file, 0, 0), 0);
}

static void test_it_is_anothers(void **state)
{
    (void)state;
    if (!is_root())
        skip();
    assert_int_equal(chown(file, STRANGER, 0) | chmod(file, 0400), 0);
    assert_refused(file, "conf: it belongs to uid 4242");
    assert_int_equal(chown(file, 0, 0) | chmod(file, 0644), 0);
    assert_trusted(file);
}

/* Whoever can write to a folder can put another file in the place of this one. */
static void test_a_folder_is_anothers(void **state)
{
    char open_folder[80];
    (void)state;
    if (!is_root())
        skip();
    char expected[128];
    (void)snprintf(expected, sizeof expected, "%s: it belongs to uid 4242", folder);
    assert_int_equal(chown(folder, STRANGER, 0), 0);
    assert_refused(file, expected);
    assert_int_equal(chown(folder, 0, 0) | chmod(folder, 0777), 0);
    (void)snprintf(expected, sizeof expected, "%s: others can write to it", folder);
    assert_refused(file, expected);
    assert_int_equal(chmod(folder, 01777), 0); /* as /tmp, where this folder is */
    assert_trusted(file);
    assert_int_equal(chmod(folder, 0700), 0);

    /* A link is as good as the folder that it is in. */
    (void)snprintf(open_folder, sizeof open_folder, "%s/open", folder);
    assert_trusted(link_name);
    assert_int_equal(chmod(open_folder, 0777), 0);
    assert_refused(link_name, "/open: others can write to it");
    assert_trusted(file);
    assert_int_equal(chmod(open_folder, 0755), 0);
    assert_int_equal(chmod(folder, 0770) | chown(folder, 0, STRANGER), 0);
    assert_refused(link_name, expected);
    assert_int_equal(chown(folder, 0, 0) | chmod(folder, 0700), 0);

    assert_int_equal(chdir(open_folder), 0);
    assert_trusted("link");
    assert_trusted("./link");
    assert_int_equal(chmod(".", 0777), 0);
    assert_refused("link", ".: others can write to it");
    assert_int_equal(chmod(".", 0755) | chdir("/"), 0);
}

static void link_to(const char *target, const char *path)
{
    (void)unlink(path);
    assert_int_equal(symlink(target, path), 0);
}

/* A link that leads to another link: whoever can replace that one decides, too, although its folder
 * is neither in the path nor in the real path. */
static void test_a_link_in_between_is_anothers(void **state)
{
    char shared[80];
    char between[96];
    char first[80];
    char through[96];
    (void)state;
    if (!is_root())
        skip();
    (void)snprintf(shared, sizeof shared, "%s/shared", folder);
    (void)snprintf(between, sizeof between, "%s/between", shared);
    (void)snprintf(first, sizeof first, "%s/first", folder);
    assert_int_equal(mkdir(shared, 0755), 0);
    link_to(file, between);
    link_to(between, first);
    assert_trusted(first);
    assert_int_equal(chmod(shared, 0777), 0);
    assert_refused(first, "/shared: others can write to it");
    assert_int_equal(chmod(shared, 0755) | chown(shared, STRANGER, 0), 0);
    assert_refused(first, "/shared: it belongs to uid 4242");
    /* Where each can replace only their own: it matters whose link it is. */
    assert_int_equal(chown(shared, 0, 0) | chmod(shared, 01777), 0);
    assert_trusted(first);
    assert_int_equal(lchown(between, STRANGER, 0), 0);
    assert_refused(first, "/between: the link belongs to uid 4242");
    assert_refused(between, "/between: the link belongs to uid 4242");
    /* The same where a folder is the link: relative, and with "..". */
    assert_int_equal(chmod(shared, 0755) | lchown(between, 0, 0), 0);
    link_to("..", between);
    link_to("shared/../shared/between", first);
    (void)snprintf(through, sizeof through, "%s/conf", first);
    assert_trusted(through);
    assert_int_equal(chmod(shared, 0777), 0);
    assert_refused(through, "/shared: others can write to it");
    assert_int_equal(chmod(shared, 0755), 0);
    assert_int_equal(unlink(first) | unlink(between) | rmdir(shared), 0);
}

static void test_what_is_no_file(void **state)
{
    struct afar_error err;
    int ends[2];
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(trusted_check_file(ends[0], "/dev/stdin", &err), AFAR_OK);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(trusted_check_path("/dev/null", &err), AFAR_OK); /* mode 666 */
    assert_int_equal(trusted_check_path("/nowhere/at/all", &err), AFAR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everybody_can_write),
        cmocka_unit_test(test_the_group_can_write),
        cmocka_unit_test(test_it_is_anothers),
        cmocka_unit_test(test_a_folder_is_anothers),
        cmocka_unit_test(test_a_link_in_between_is_anothers),
        cmocka_unit_test(test_what_is_no_file),
    };
    return cmocka_run_group_tests(tests, make, remove_all);
}
