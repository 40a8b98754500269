/* What a command must not have from the server: its keys, its place before all others when memory
 * is short, the switches that make attacks on it easier. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/inheritance.h"
#include "support/spawned.h"

enum { NOBODY = 54871 };

static char *environment[] = {"PATH=/usr/bin:/bin", NULL};

static const struct confinement as_nobody = {
    .cgroup_fd = -1, .set_user = true, .user = NOBODY, .set_group = true, .group = NOBODY};

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can become somebody else\n");
        skip();
    }
}

/* What the command sees of a file of /proc. */
static void show(const struct confinement *confine, const char *file, char *text)
{
    char *argv[] = {"cat", (char *)(uintptr_t)file, NULL};
    const struct spawn_request request = {.argv = argv, .env = environment, .confine = confine};
    spawned_run(&request, text);
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* A key in the session keyring can be read by all who have that keyring, whoever they are. */
static void keys_stay_with_the_server(void **state)
{
    static const char name[] = "afar-test-secret";
    const struct confinement as_we_are = {.cgroup_fd = -1};
    char text[SPAWNED_TEXT_BYTES];
    (void)state;
    need_root();
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
        syscall(SYS_add_key, "user", name, "secret", 6, KEY_SPEC_SESSION_KEYRING) < 0 ||
        access("/proc/keys", R_OK) != 0) {
        print_message("skipped: no keys in this kernel, or none for us\n");
        skip();
    }
    show(&as_we_are, "/proc/keys", text);
    assert_non_null(strstr(text, name)); /* so would anybody see it who has the keyring */
    show(&as_nobody, "/proc/keys", text);
    assert_null(strstr(text, name));
}

/* ---- memory ---------------------------------------------------------------------------------- */

static bool set_oom(const char *value)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t written = write(fd, value, strlen(value));
    assert_int_equal(close(fd), 0);
    return written == (ssize_t)strlen(value);
}

/* The child shares our memory when it says so, and yet it is its own place that it gives up. */
static void nobody_dies_for_a_command(void **state)
{
    struct confinement as_we_are = {.cgroup_fd = -1, .reset_oom = true};
    struct confinement another = as_nobody;
    char text[SPAWNED_TEXT_BYTES];
    (void)state;
    assert_true(set_oom("17")); /* anybody may be less protected */
    assert_false(inheritance_oom_protected());
    show(&as_we_are, "/proc/self/oom_score_adj", text);
    assert_string_equal(text, "0\n");
    another.reset_oom = true;
    if (geteuid() == 0)
        show(&another, "/proc/self/oom_score_adj", text);
    assert_string_equal(text, "0\n");
    as_we_are.reset_oom = false;
    show(&as_we_are, "/proc/self/oom_score_adj", text);
    assert_string_equal(text, "17\n");
    assert_true(set_oom("0"));
    if (set_oom("-17")) /* CAP_SYS_RESOURCE */
        assert_true(inheritance_oom_protected());
    (void)set_oom("0");
}

/* ---- personality ----------------------------------------------------------------------------- */

static void addresses_are_random(void **state)
{
    char text[SPAWNED_TEXT_BYTES];
    int before = personality(0xffffffff);
    (void)state;
    need_root();
    if (personality((unsigned long)before | ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC) < 0) {
        print_message("skipped: the personality cannot be changed here\n");
        skip();
    }
    show(&as_nobody, "/proc/self/personality", text);
    assert_int_equal(strtoul(text, NULL, 16) & (ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC), 0);
    assert_true(personality((unsigned long)before) >= 0);
}

int main(int argc, char **argv)
{
    int status = 0;
    if (spawned_main(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_stay_with_the_server),
        cmocka_unit_test(nobody_dies_for_a_command),
        cmocka_unit_test(addresses_are_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
