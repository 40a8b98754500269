/* Where a command begins and what it is run by: by the helper and without it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/fence.h"
#include "exec/interpreter.h"
#include "support/folder.h"
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

/* ---- where ----------------------------------------------------------------------------------- */

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

/* ---- what it is run by ----------------------------------------------------------------------- */

/* execve says ENOENT where "#!" names something that is not there, as if the script were not. */
static void the_interpreter_is_named(void **state)
{
    static const struct {
        const char *text;
        const char *message; /* after "cannot execute 'PATH'" */
        int sys_errno;
    } cases[] = {
        {"#!/usr/bin/perl9\nx\n", ": bad interpreter '/usr/bin/perl9': No such file or directory",
         ENOENT},
        {"#! \t/usr/bin/perl9 -w\nx\n",
         ": bad interpreter '/usr/bin/perl9': No such file or directory", ENOENT},
        {"#!/bin/sh\r\necho x\r\n",
         ": bad interpreter '/bin/sh^M' (its lines end in CR LF): No such file or directory",
         ENOENT},
        {"#!/etc/passwd\n", ": bad interpreter '/etc/passwd': Permission denied", EACCES},
        {"#!/etc/passwd/x\n", ": bad interpreter '/etc/passwd/x': Not a directory", ENOTDIR},
        {"no program\n", ": Exec format error", ENOEXEC},
    };
    char folder[] = "/tmp/afar-script-XXXXXX";
    char path[64];
    char list[128];
    const struct confinement *way[2];
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/script", folder);
    (void)snprintf(list, sizeof list, "PATH=/nonexistent:%s:/nonexistent", folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(cases[i].text, file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(chmod(path, 0755), 0);
        for (size_t j = 0, count = ways(way); j < count; j++) {
            char *argv[] = {"script", NULL};
            char *env[] = {list, NULL};
            char expected[256];
            const struct spawn_request by_path = {
                .argv = argv, .program = path, .env = environment, .confine = way[j]};
            const struct spawn_request by_name = {.argv = argv, .env = env, .confine = way[j]};
            struct afar_error err;
            (void)snprintf(expected, sizeof expected, "cannot execute 'script'%s",
                           cases[i].message);
            spawned_fail(&by_path, "exec", cases[i].sys_errno, &err);
            assert_string_equal(err.message, expected);
            if (cases[i].sys_errno == ENOTDIR)
                continue; /* by name, the last folder's error counts */
            spawned_fail(&by_name, "exec", cases[i].sys_errno, &err);
            assert_string_equal(err.message, expected);
        }
    }
    assert_int_equal(unlink(path) | rmdir(folder), 0);
}

/* Where the program itself is not there, or is not one, nothing is said of an interpreter. */
static void nothing_else_is(void **state)
{
    static const struct {
        const char *path;
        int sys_errno;
    } cases[] = {{"/nonexistent/x", ENOENT},
                 {"/etc/passwd", EACCES},
                 {"/dev/null", EACCES},
                 {"/tmp", EACCES}};
    const struct confinement *way[2];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t j = 0, count = ways(way); j < count; j++) {
            char *argv[] = {"x", NULL};
            const struct spawn_request request = {
                .argv = argv, .program = cases[i].path, .env = environment, .confine = way[j]};
            struct afar_error err;
            spawned_fail(&request, "exec", cases[i].sys_errno, &err);
            assert_null(strstr(err.message, "interpreter"));
        }
    }
}

static void a_loader_that_is_not_there(void **state)
{
    struct interpreter_head head = {.size = 8,
                                    .bytes = "\x7f"
                                             "ELF"};
    char text[256];
    (void)state;
    assert_true(interpreter_explain(&head, text, sizeof text));
    assert_non_null(strstr(text, "the loader that it was built for is not here"));
    head.size = 3;
    assert_false(interpreter_explain(&head, text, sizeof text));
    head = (struct interpreter_head){.size = 2, .bytes = "#!"};
    assert_true(interpreter_explain(&head, text, sizeof text));
    assert_string_equal(text, "bad interpreter ''");
    /* A line without an end. */
    head.size = sizeof head.bytes;
    memset(head.bytes + 2, 'x', sizeof head.bytes - 2);
    assert_true(interpreter_explain(&head, text, 20));
    assert_string_equal(text, "bad interpreter 'xx");
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The helper goes on by itself, as whom and where it was told, and has what it needs to know. */
static void files_are_served_by_the_helper(void **state)
{
    static char read[] = "r/usr/share";
    static char written[] = "w/srv/x y";
    char *roots[] = {read, written, NULL};
    char *argv[] = {"sftp", NULL};
    const struct helper_files files = {.roots = roots, .home = "/home/ann", .notes = true};
    const struct helper_files any = {.roots = roots + 2};
    const struct confinement jail = {.cgroup_fd = -1, .root = "/usr"};
    const struct confinement *way[2];
    struct spawn_request request = {
        .argv = argv, .env = environment, .cwd = "/tmp", .files = &files};
    (void)state;
    for (size_t i = 0, count = ways(way); i < count; i++) {
        struct spawn_result result;
        char text[SPAWNED_TEXT_BYTES];
        unsigned before = spawned_descriptors();
        request.confine = way[i];
        assert_int_equal(spawn_process(&request, NULL, &result, NULL), AFAR_OK);
        spawned_read_all(result.stdout_fd, text, sizeof text);
        assert_string_equal(text, "/tmp /home/ann the r/usr/share w/srv/x y\n");
        spawned_read_all(result.note_fd, text, sizeof text);
        assert_string_equal(text, "note");
        assert_int_equal(close(result.stdout_fd) | close(result.stderr_fd) | close(result.note_fd),
                         0);
        spawned_reap(&result);
        assert_int_equal(spawned_descriptors(), before);
    }
    char text[SPAWNED_TEXT_BYTES];
    request.files = &any;
    request.confine = NULL;
    spawned_run(&request, text);
    assert_string_equal(text, "/tmp - the\n");
    request.cwd = "/nonexistent";
    struct afar_error err;
    spawned_fail(&request, "chdir", ENOENT, &err);
    if (geteuid() != 0)
        return;
    request.cwd = "/";
    request.confine = &jail;
    spawned_run(&request, text);
    assert_string_equal(text, "/ - own\n");
}

/* Behind the fence that keeps the server's own files from its user. */
static void files_are_served_behind_the_fence(void **state)
{
    char folder[] = "/tmp/afar-fenced-XXXXXX";
    char secret[64];
    char file[96];
    char *folders[] = {secret, NULL};
    char *argv[] = {"sftp", NULL};
    char *all[] = {NULL};
    char text[SPAWNED_TEXT_BYTES];
    struct confinement confine = {.cgroup_fd = -1};
    struct helper_files files = {.roots = all, .home = file};
    const struct spawn_request request = {
        .argv = argv, .env = environment, .cwd = "/", .confine = &confine, .files = &files};
    struct fence *fence = NULL;
    (void)state;
    if (fence_abi() < FENCE_ABI_MIN) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    assert_non_null(mkdtemp(folder));
    (void)snprintf(secret, sizeof secret, "%s/secret", folder);
    (void)snprintf(file, sizeof file, "%s/file", secret);
    assert_int_equal(mkdir(secret, 0700), 0);
    assert_int_equal(mknod(file, S_IFREG | 0600, 0), 0);
    assert_int_equal(fence_new(&fence, folders, NULL, NULL), AFAR_OK);
    for (int fenced = 0; fenced < 2; fenced++) {
        char expected[128];
        if (fenced != 0)
            assert_int_equal(fence_take(fence, &confine.fence_fd, NULL), AFAR_OK);
        spawned_run(&request, text);
        (void)snprintf(expected, sizeof expected, "/ %s the%s\n", file, fenced != 0 ? "" : " open");
        assert_string_equal(text, expected);
    }
    assert_int_equal(close(confine.fence_fd), 0);
    fence_free(fence);
    assert_int_equal(folder_remove(folder), 0);
}

int main(int argc, char **argv)
{
    int status = 0;
    if (spawned_main(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_served_by_the_helper),
        cmocka_unit_test(files_are_served_behind_the_fence),
        cmocka_unit_test(a_home_may_be_missing),
        cmocka_unit_test(other_directories_must_be_there),
        cmocka_unit_test(the_interpreter_is_named),
        cmocka_unit_test(nothing_else_is),
        cmocka_unit_test(a_loader_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
