/* The fence: nothing outside of the roots is read, changed or told of. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "files/files.h"
#include "support/folder.h"
#include "support/program.h"
#include "support/sftp_peer.h"

/* world/in (written), world/ro (read), world/one (a file, written); world/out and world/secret
 * (neither). */
static char world[64];
static char in_path[96];
static char ro_path[96];
static char one_path[96];
static struct sftp_peer peer;

static void sh(const char *line)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "cd %s && %s", world, line);
    assert_int_equal(system(command), 0); /* NOLINT: the line is ours */
}

static char *at(const char *below)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", world, below);
    return path;
}

static bool has_openat2(void)
{
    const struct open_how how = {.flags = O_PATH, .resolve = RESOLVE_BENEATH};
    long fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
    if (fd >= 0)
        (void)close((int)fd);
    return fd >= 0;
}

static int begin(void **state)
{
    (void)state;
    static struct files_root roots[3];
    static const struct files_options options = {
        .home = "/", .roots = roots, .root_count = 3, .note_fd = -1};
    (void)strcpy(world, "/tmp/afar-fence-XXXXXX");
    assert_non_null(mkdtemp(world));
    (void)snprintf(in_path, sizeof in_path, "%s/in", world);
    (void)snprintf(ro_path, sizeof ro_path, "%s/ro", world);
    roots[0] = (struct files_root){.path = in_path, .writable = true};
    (void)snprintf(one_path, sizeof one_path, "%s/one", world);
    roots[1] = (struct files_root){.path = ro_path};
    roots[2] = (struct files_root){.path = one_path, .writable = true};
    sh("mkdir -p in/d/e ro/d out inside-not && echo secret >secret && echo s >out/s && "
       "echo one >one && "
       "echo a >in/a && echo r >ro/r && echo n >inside-not/n && "
       "ln -s ../secret in/climbs && ln -s $PWD/secret in/absolute && ln -s $PWD/in/a in/to-inside "
       "&& ln -s ../out in/out && ln -s a in/good && ln -s ../a in/d/up && ln -s d/e in/deep && "
       "ln -s /proc/self/root in/magic && ln -s loop in/loop && ln -s ../ro in/to-ro && "
       "ln -s .. in/parent");
    sftp_peer_serve(&peer, files_serve, &options);
    sftp_peer_greet(&peer, false);
    return 0;
}

static int end(void **state)
{
    (void)state;
    int status = sftp_peer_close(&peer);
    return folder_remove(world) != 0 ? -1 : status;
}

static uint32_t open_status(const char *path, uint32_t flags)
{
    if (sftp_peer_call(&peer, SFTP_TYPE_OPEN, "su-", path, flags) == SFTP_TYPE_STATUS)
        return peer.status;
    uint8_t handle[SFTP_HANDLE_BYTES];
    memcpy(handle, peer.handle, sizeof handle);
    (void)sftp_peer_status(&peer, SFTP_TYPE_CLOSE, "h", handle);
    return SFTP_STATUS_OK;
}

static void test_reached(void **state)
{
    (void)state;
    static const char *const inside[] = {
        "in/a", "in/good",    "in/d/../a",     "in/d/up",      "in//./a",
        "ro/r", "in/../ro/r", "in/deep/../up", "in/none/../a", "out/../in/a"};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        /* ".." is taken by the text, so that in/deep/.. is in. */
        uint32_t expected =
            strcmp(inside[i], "in/deep/../up") == 0 ? SFTP_STATUS_NO_SUCH_FILE : SFTP_STATUS_OK;
        assert_int_equal(open_status(at(inside[i]), SFTP_OPEN_READ), expected);
    }
}

static const char *const outside[] = {"secret",         "out/s",
                                      "in/../secret",   "in/climbs",
                                      "in/absolute",    "in/to-inside",
                                      "in/out/s",       "in/magic/etc/passwd",
                                      "in/to-ro/r",     "in/parent/secret",
                                      "in/parent/in/a", "in/d/../../secret",
                                      "inside-not/n",   "in/../../../etc/passwd"};

static void test_not_reached(void **state)
{
    (void)state;
    struct sftp_attrs attrs = {.flags = SFTP_ATTR_MODE, .mode = 0777};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        const char *path = at(outside[i]);
        assert_int_equal(open_status(path, SFTP_OPEN_READ), SFTP_STATUS_PERMISSION_DENIED);
        assert_string_equal(peer.text, "outside of what the rule allows");
        assert_int_equal(open_status(path, SFTP_OPEN_WRITE | SFTP_OPEN_TRUNC | SFTP_OPEN_CREAT),
                         SFTP_STATUS_PERMISSION_DENIED);
        assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_STAT, "s", path),
                         SFTP_STATUS_PERMISSION_DENIED);
        assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SETSTAT, "sa", path, &attrs),
                         SFTP_STATUS_PERMISSION_DENIED);
        assert_int_equal(
            sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "ss", "statvfs@openssh.com", path),
            SFTP_STATUS_PERMISSION_DENIED);
        assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sssqqu", "check-file-name",
                                          path, "sha256", UINT64_C(0), UINT64_C(0), 0U),
                         SFTP_STATUS_PERMISSION_DENIED);
    }
    assert_int_equal(open_status(at("in/loop"), SFTP_OPEN_READ), SFTP_STATUS_FAILURE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_OPENDIR, "s", at("in/out")),
                     SFTP_STATUS_PERMISSION_DENIED);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_OPENDIR, "s", at("out")),
                     SFTP_STATUS_PERMISSION_DENIED);
    sh("test $(cat secret) = secret && test $(stat -c %a secret) != 777");
}

/* What is only to be read stays as it is, whichever way one asks. */
static void test_read_only(void **state)
{
    (void)state;
    struct sftp_attrs attrs = {.flags = SFTP_ATTR_MODE, .mode = 0777};
    uint8_t handle[SFTP_HANDLE_BYTES];
    enum { DENIED = SFTP_STATUS_PERMISSION_DENIED };
    assert_int_equal(open_status(at("ro/r"), SFTP_OPEN_WRITE), DENIED);
    assert_int_equal(open_status(at("ro/new"), SFTP_OPEN_WRITE | SFTP_OPEN_CREAT), DENIED);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SETSTAT, "sa", at("ro/r"), &attrs), DENIED);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_REMOVE, "s", at("ro/r")), DENIED);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_MKDIR, "s-", at("ro/n")), DENIED);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_RMDIR, "s", at("ro/d")), DENIED);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SYMLINK, "ss", "r", at("ro/l")), DENIED);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_RENAME, "ss", at("ro/r"), at("in/r")),
                     DENIED);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_RENAME, "ss", at("in/a"), at("ro/a")),
                     DENIED);
    sftp_peer_open(&peer, at("ro/r"), SFTP_OPEN_READ, handle);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_FSETSTAT, "ha", handle, &attrs), DENIED);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_OPENDIR, "s", at("ro/d")), SFTP_TYPE_HANDLE);
    memcpy(handle, peer.handle, sizeof handle);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_FSETSTAT, "ha", handle, &attrs), DENIED);
    sh("test $(cat ro/r) = r && test $(ls ro | tr -d '\\n') = dr && test $(stat -c %a ro/r) != "
       "777");
}

static void test_root_that_is_a_file(void **state)
{
    (void)state;
    const uint32_t create = SFTP_OPEN_WRITE | SFTP_OPEN_CREAT;
    assert_int_equal(open_status(at("one"), create | SFTP_OPEN_EXCL), SFTP_STATUS_FAILURE);
    assert_int_equal(open_status(at("one"), create | SFTP_OPEN_EXCL | SFTP_OPEN_TRUNC),
                     SFTP_STATUS_FAILURE);
    sh("test $(cat one) = one");
    assert_int_equal(open_status(at("one"), create), SFTP_STATUS_OK);
    assert_int_equal(open_status(at("one"), create | SFTP_OPEN_TRUNC), SFTP_STATUS_OK);
    sh("test -f one && ! test -s one && rm one");
    assert_int_equal(open_status(at("one"), create), SFTP_STATUS_NO_SUCH_FILE);
    assert_int_equal(open_status(at("one"), create | SFTP_OPEN_EXCL), SFTP_STATUS_NO_SUCH_FILE);
    sh("test ! -e one");
}

/* Both ends of what has two. */
static void test_two_ends(void **state)
{
    (void)state;
    static const char *const names[] = {"hardlink@openssh.com", "posix-rename@openssh.com"};
    static const struct {
        const char *from;
        const char *to;
        uint32_t status;
    } cases[] = {
        {"secret", "in/s", SFTP_STATUS_PERMISSION_DENIED},
        {"in/a", "out/a", SFTP_STATUS_PERMISSION_DENIED},
        {"in/a", "in/out/a", SFTP_STATUS_PERMISSION_DENIED},
        {"in/out/s", "in/s", SFTP_STATUS_PERMISSION_DENIED},
        {"ro/r", "in/r", SFTP_STATUS_PERMISSION_DENIED},
        {"in/a", "ro/a", SFTP_STATUS_PERMISSION_DENIED},
        {"in/a", "in", SFTP_STATUS_PERMISSION_DENIED},
        {"in", "in/b", SFTP_STATUS_PERMISSION_DENIED},
    };
    for (size_t n = 0; n < 2; n++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", names[n],
                                              at(cases[i].from), at(cases[i].to)),
                             cases[i].status);
    }
    /* A link is linked and renamed itself, and never what it leads to. */
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sss", names[0], at("in/absolute"),
                                      at("in/again")),
                     SFTP_STATUS_OK);
    sh("test -L in/again && test $(cat out/s) = s && test $(ls out) = s");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_RENAME, "ss", at("in/a"), at("in/d/e/a")),
                     SFTP_STATUS_OK);
    sh("test $(cat in/d/e/a) = a");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_REMOVE, "s", at("in/absolute")),
                     SFTP_STATUS_OK);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_RMDIR, "s", at("in")),
                     SFTP_STATUS_PERMISSION_DENIED);
}

/* Links that another program would follow out. */
static void test_symlinks_made(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        const char *link;
        uint32_t status;
    } cases[] = {
        {"a", "in/l1", SFTP_STATUS_OK},
        {"../a", "in/d/l2", SFTP_STATUS_OK},
        {"../../a", "in/d/e/l3", SFTP_STATUS_OK},
        {"d/e", "in/l4", SFTP_STATUS_OK},
        {"/etc/passwd", "in/l5", SFTP_STATUS_PERMISSION_DENIED},
        {"../secret", "in/l6", SFTP_STATUS_PERMISSION_DENIED},
        {"../../secret", "in/d/l7", SFTP_STATUS_PERMISSION_DENIED},
        {"d/../a", "in/l8", SFTP_STATUS_PERMISSION_DENIED},
        {"..", "in/l9", SFTP_STATUS_PERMISSION_DENIED},
        {"../..", "in/deep/l10", SFTP_STATUS_OK}, /* in/d/e: two deep */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(
            sftp_peer_status(&peer, SFTP_TYPE_SYMLINK, "ss", cases[i].target, at(cases[i].link)),
            cases[i].status);
    /* in/d/top is in: below it the text is two deep, and the file system one. */
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_SYMLINK, "ss", "..", at("in/d/top")),
                     SFTP_STATUS_OK);
    assert_int_equal(
        sftp_peer_status(&peer, SFTP_TYPE_SYMLINK, "ss", "../secret", at("in/d/top/l11")),
        SFTP_STATUS_PERMISSION_DENIED);
    sh("test ! -L in/l11 && test $(cat in/d/e/l3) = a");
}

static void test_told(void **state)
{
    (void)state;
    uint8_t handle[SFTP_HANDLE_BYTES];
    /* REALPATH answers by the text and follows nothing. */
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_REALPATH, "s", at("in/out/../x")),
                     SFTP_TYPE_NAME);
    assert_string_equal(peer.text, at("in/x"));
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_REALPATH, "s", at("in/parent")),
                     SFTP_TYPE_NAME);
    assert_string_equal(peer.text, at("in/parent"));
    /* The way to the roots is seen, and nothing else. */
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_STAT, "s", world), SFTP_TYPE_ATTRS);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_OPENDIR, "s", world), SFTP_TYPE_HANDLE);
    memcpy(handle, peer.handle, sizeof handle);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_FSTAT, "h", handle), SFTP_TYPE_ATTRS);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_READDIR, "h", handle), SFTP_TYPE_NAME);
    assert_int_equal(sftp_read_u32(&peer.body), 3);
    assert_string_equal(peer.text, "in");
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_READDIR, "h", handle), SFTP_STATUS_EOF);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_OPENDIR, "s", "/"), SFTP_TYPE_HANDLE);
    memcpy(handle, peer.handle, sizeof handle);
    assert_int_equal(sftp_peer_call(&peer, SFTP_TYPE_READDIR, "h", handle), SFTP_TYPE_NAME);
    assert_int_equal(sftp_read_u32(&peer.body), 1);
    assert_string_equal(peer.text, "tmp");
    assert_int_equal(
        sftp_peer_status(&peer, SFTP_TYPE_EXTENDED, "sh", "fstatvfs@openssh.com", handle),
        SFTP_STATUS_FAILURE);
    assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_MKDIR, "s-", at("new")),
                     SFTP_STATUS_PERMISSION_DENIED);
}

/* Another process swaps a directory and a link that leads out, while files below are opened,
 * written, renamed and removed. Seen is what is inside or an error. */
static void test_swapped_meanwhile(void **state)
{
    (void)state;
    enum { ROUND_MS = 1500 };
    const char *seconds = getenv("AFAR_FENCE_SECONDS");
    const int64_t round_ms = seconds != NULL ? 1000 * strtol(seconds, NULL, 10) : ROUND_MS;
    unsigned inside = 0;
    struct timespec now;
    sh("mkdir in/swap && echo i >in/swap/s && ln -s ../out in/swap-link");
    pid_t swapper = fork();
    assert_true(swapper >= 0);
    if (swapper == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (swapper == 0) {
        if (syscall(SYS_renameat2, AT_FDCWD, at("in/swap"), AT_FDCWD, at("in/swap-link"), 2) != 0)
            _exit(1);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t until = now.tv_sec * 1000 + now.tv_nsec / 1000000 + round_ms;
    (void)alarm((unsigned)((test_deadline_ms() + round_ms) / 1000));
    do {
        if (sftp_peer_call(&peer, SFTP_TYPE_OPEN, "su-", at("in/swap/s"), SFTP_OPEN_READ) ==
            SFTP_TYPE_HANDLE) {
            uint8_t handle[SFTP_HANDLE_BYTES];
            memcpy(handle, peer.handle, sizeof handle);
            assert_string_equal(sftp_peer_read(&peer, handle, 0, 10), "i\n");
            assert_int_equal(sftp_peer_status(&peer, SFTP_TYPE_CLOSE, "h", handle), 0);
            inside++;
        }
        (void)open_status(at("in/swap/new"), SFTP_OPEN_WRITE | SFTP_OPEN_CREAT);
        (void)sftp_peer_status(&peer, SFTP_TYPE_MKDIR, "s-", at("in/swap/made"));
        (void)sftp_peer_status(&peer, SFTP_TYPE_RENAME, "ss", at("in/swap/new"), at("in/swap/n2"));
        (void)sftp_peer_status(&peer, SFTP_TYPE_REMOVE, "s", at("in/swap/n2"));
        (void)sftp_peer_status(&peer, SFTP_TYPE_RMDIR, "s", at("in/swap/made"));
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < until);
    int status = 0;
    assert_int_equal(waitpid(swapper, &status, WNOHANG), 0);
    assert_int_equal(kill(swapper, SIGKILL), 0);
    assert_int_equal(waitpid(swapper, &status, 0), swapper);
    assert_true(inside > 0);
    sh("test $(ls out) = s && test $(cat out/s) = s");
}

int main(void)
{
    if (!has_openat2()) {
        print_message("skipped: this kernel has no openat2\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reached, begin, end),
        cmocka_unit_test_setup_teardown(test_not_reached, begin, end),
        cmocka_unit_test_setup_teardown(test_read_only, begin, end),
        cmocka_unit_test_setup_teardown(test_root_that_is_a_file, begin, end),
        cmocka_unit_test_setup_teardown(test_two_ends, begin, end),
        cmocka_unit_test_setup_teardown(test_symlinks_made, begin, end),
        cmocka_unit_test_setup_teardown(test_told, begin, end),
        cmocka_unit_test_setup_teardown(test_swapped_meanwhile, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
