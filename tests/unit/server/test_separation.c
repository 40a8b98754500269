/* What commands could do to the server's own files: found, fenced or told. As root each case runs
 * in a process of another user, below a folder that only root can write to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/separation.h"
#include "support/folder.h"

enum { SOMEBODY = 54881 };

struct place {
    char folder[64];    /* root's */
    char key[PATH_MAX]; /* the server's, in a folder of its own */
    char home[PATH_MAX];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    char folder[PATH_MAX];
    (void)snprintf(place->folder, sizeof place->folder, "%s/afar-separation-XXXXXX",
                   geteuid() == 0 ? "/run" : "/tmp");
    if (mkdtemp(place->folder) == NULL || chmod(place->folder, 0755) != 0)
        return -1;
    (void)snprintf(folder, sizeof folder, "%s/tls", place->folder);
    (void)snprintf(place->key, sizeof place->key, "%s/tls/key.pem", place->folder);
    (void)snprintf(place->home, sizeof place->home, "%s/home", place->folder);
    if (mkdir(folder, 0700) != 0 || mkdir(place->home, 0700) != 0)
        return -1;
    int fd = open(place->key, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || close(fd) != 0)
        return -1;
    const char *const theirs[] = {folder, place->key, place->home};
    for (size_t i = 0; i < 3 && geteuid() == 0; i++) {
        if (chown(theirs[i], SOMEBODY, SOMEBODY) != 0)
            return -1;
    }
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    int failed = folder_remove(place->folder);
    free(place);
    return failed;
}

static void need_root(void)
{
    if (geteuid() == 0)
        return;
    print_message("skipped: only root can make a folder that this user cannot write to\n");
    skip();
}

static void need_landlock(void)
{
    if (fence_abi() >= FENCE_ABI_MIN)
        return;
    print_message("skipped: this kernel has no Landlock\n");
    skip();
}

/* A configuration with the key, and more lines. */
static void make_config(const struct place *place, struct config *config, const char *lines)
{
    char path[PATH_MAX];
    struct afar_error err = {.code = AFAR_OK};
    (void)snprintf(path, sizeof path, "%.60s/afard.conf", place->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "tls_key = %s\n%s", place->key, lines) > 0);
    assert_int_equal(fclose(file), 0);
    config_init(config);
    if (config_load(config, path, &err) != AFAR_OK || config_finish(config, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(unlink(path), 0); /* it would be one more file to tell of */
    words_close(&config->files);
}

/* ---- in a child ------------------------------------------------------------------------------ */

/* What is expected of it. Texts: "" is none, else what the only warning (or the error) says. */
struct expected {
    bool fence;
    const char *warning;
    const char *error;
};

static int compare(const struct config *config, const struct expected *expected)
{
    struct separation separation;
    struct afar_error err = {.code = AFAR_OK};
    enum afar_status status = separation_make(&separation, config, &err);
    const char *said = status != AFAR_OK               ? err.message
                       : separation.warnings.count > 0 ? separation.warnings.at[0]
                                                       : "";
    const char *text = status != AFAR_OK ? expected->error : expected->warning;
    bool good = text != NULL && (text[0] == '\0' ? said[0] == '\0' : strstr(said, text) != NULL) &&
                separation.warnings.count <= 1 &&
                (status != AFAR_OK || (separation.fence != NULL) == expected->fence) &&
                (separation.fence != NULL) == (separation.closed.count > 0);
    if (!good)
        (void)fprintf(stderr, "fence: %d; it says: %s\n", separation.fence != NULL, said);
    separation_close(&separation);
    return good ? 0 : 1;
}

enum how { PLAIN = 0, NO_NEW_PRIVS = 1, READ_ONLY = 2, AT_HOME = 4, HOME_IS_TLS = 8 };

/* The root and all that is below it, in a world of this process alone. */
static bool mount_read_only(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("/", "/", NULL, MS_BIND | MS_REC, NULL) == 0 && chroot("/") == 0 &&
           mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0 &&
           (mount(NULL, "/run", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0 ||
            errno == EINVAL);
}

static int as_somebody(const struct place *place, const struct config *config, unsigned how,
                       const struct expected *expected)
{
    char tls[PATH_MAX];
    (void)snprintf(tls, sizeof tls, "%.60s/tls", place->folder);
    if ((how & READ_ONLY) != 0 && !mount_read_only())
        return 77;
    if ((how & NO_NEW_PRIVS) != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        return 1;
    const char *home = (how & HOME_IS_TLS) != 0 ? tls : place->home;
    if (setenv("HOME", home, 1) != 0 || unsetenv("TMPDIR") != 0) // NOLINT(concurrency-mt-unsafe)
        return 1;
    if (geteuid() == 0 && (setresgid(SOMEBODY, SOMEBODY, SOMEBODY) != 0 ||
                           setresuid(SOMEBODY, SOMEBODY, SOMEBODY) != 0))
        return 1;
    if (chdir((how & AT_HOME) != 0 ? home : "/") != 0)
        return 1;
    return compare(config, expected);
}

static void assert_so(const struct place *place, const char *lines, unsigned how,
                      const struct expected *expected)
{
    struct config config;
    int status = 0;
    make_config(place, &config, lines);
    pid_t pid = fork();
    if (pid == 0)
        _exit(as_somebody(place, &config, how, expected));
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    config_close(&config);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: nothing can be mounted here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* By itself only where it takes nothing from commands. */
static void test_auto(void **state)
{
    const struct place *place = *state;
    const struct expected fenced = {.fence = true, .warning = ""};
    const struct expected warned = {.warning = "confine = yes keeps them away"};
    need_root();
    need_landlock();
    assert_so(place, "", PLAIN, &warned);
    assert_so(place, "", NO_NEW_PRIVS, &warned);
    assert_so(place, "", READ_ONLY, &warned);
    assert_so(place, "", NO_NEW_PRIVS | READ_ONLY, &fenced);
    assert_so(place, "confine = no\n", NO_NEW_PRIVS | READ_ONLY,
              &(struct expected){.warning = "confine = no is set"});
}

static void test_yes(void **state)
{
    const struct place *place = *state;
    const struct expected fenced = {.fence = true, .warning = ""};
    const struct expected refused = {.error =
                                         "confine = yes is not possible: a fence around /run/"};
    need_root();
    need_landlock();
    assert_so(place, "confine = yes\n", PLAIN, &fenced);
    assert_so(place, "confine = yes\n", AT_HOME, &fenced);
    /* What they need lies there, too. */
    assert_so(place, "confine = yes\n", HOME_IS_TLS, &refused);
    char rule[PATH_MAX + 128];
    (void)snprintf(rule, sizeof rule,
                   "confine = yes\n[allow x]\nclient = any\nshell = yes\ncwd = %.60s/tls\n",
                   place->folder);
    assert_so(place, rule, PLAIN, &refused);
    /* A rule that is not behind the fence does not need it. */
    (void)strcat(rule, "confine = no\n");
    assert_so(place, rule, PLAIN, &(struct expected){.warning = "can read tls_key"});
}

/* A folder in which commands make files of their own is not the server's alone. */
static void test_in_tmp(void **state)
{
    const struct place *place = *state;
    char key[] = "/tmp/afar-separation-XXXXXX";
    need_landlock();
    int fd = mkstemp(key);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0644) | close(fd), 0);
    struct place other = *place;
    (void)snprintf(other.key, sizeof other.key, "%s", key);
    assert_so(&other, "confine = yes\n", PLAIN,
              &(struct expected){.error = "a fence around /tmp would close /tmp"});
    assert_so(&other, "confine = auto\n", PLAIN,
              &(struct expected){.warning = "a fence around /tmp would close /tmp"});
    assert_int_equal(unlink(key), 0);
}

static void test_rules(void **state)
{
    const struct place *place = *state;
    need_root();
    need_landlock();
    /* Of two kinds, one is fenced and the other told of. */
    assert_so(place,
              "confine = yes\n[allow a]\nclient = any\nshell = yes\n"
              "[allow b]\nclient = any\nshell = yes\nwrapper = /usr/bin/env\n"
              "[allow c]\nclient = any\nshell = yes\nconfine = no\n",
              PLAIN,
              &(struct expected){.fence = true,
                                 .warning = "commands of rule 'b' and 1 more run as uid 54881, as "
                                            "this server does, and can read tls_key"});
    /* Who may not run anything does no harm. */
    assert_so(place, "[allow a]\nclient = any\nmay = kill\n", PLAIN,
              &(struct expected){.warning = ""});
}

static void test_nothing_of_the_servers(void **state)
{
    const struct place *place = *state;
    struct place other = *place;
    need_root();
    need_landlock(); /* valgrind does not know its calls */
    (void)snprintf(other.key, sizeof other.key, "%s/none", place->folder);
    assert_so(&other, "confine = yes\n", PLAIN, &(struct expected){.warning = ""});
}

/* A server that is root: its commands are, or somebody else. */
static void test_root(void **state)
{
    const struct place *place = *state;
    struct config config;
    need_root();
    make_config(place, &config, "");
    assert_int_equal(compare(&config, &(struct expected){.warning = "set user = NAME in [server]"}),
                     0);
    config_close(&config);
    make_config(place, &config, "confine = yes\n");
    assert_int_equal(compare(&config, &(struct expected){.error = "set user = NAME in [server]"}),
                     0);
    config_close(&config);
    make_config(place, &config, "user = 4711\nconfine = yes\n");
    assert_int_equal(compare(&config, &(struct expected){.warning = ""}), 0);
    config_close(&config);
    make_config(place, &config, "user = 54881\n");
    assert_int_equal(
        compare(&config, &(struct expected){.warning = "commands run as 54881 (uid 54881), who can "
                                                       "read tls_key"}),
        0);
    config_close(&config);
    make_config(place, &config, "[allow x]\nclient = any\nshell = yes\nuser = root\n");
    assert_int_equal(compare(&config, &(struct expected){.warning = "commands of rule 'x' run as "
                                                                    "root (uid 0), who can"}),
                     0);
    config_close(&config);
    /* Behind another root directory there is nothing of it. */
    make_config(place, &config,
                "[allow x]\nclient = any\nshell = yes\nuser = 54881\nchroot = /var/empty\n");
    assert_int_equal(compare(&config, &(struct expected){.warning = ""}), 0);
    config_close(&config);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_auto),
        TEST(test_yes),
        TEST(test_in_tmp),
        TEST(test_rules),
        TEST(test_nothing_of_the_servers),
        TEST(test_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
