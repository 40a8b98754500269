#include "support/hung.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { EXIT_UNABLE = 77, REQUEST_BYTES = 1 << 17 };

static const char option[] = "--hung";
static const char greeted[] = "daemon ";
static const char heard[] = "heard";
static const char listening[] = "listening tcp://127.0.0.1:";

/* ---- in the namespace ------------------------------------------------------------------------ */

/* Answers the kernel's INIT, because otherwise all requests wait for that; answers nothing else.
 * Prints a line for each request. */
static void serve(int fd, pid_t program)
{
    static union {
        struct fuse_in_header header;
        char bytes[REQUEST_BYTES];
    } request;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != program) /* the program has ended already */
        _exit(0);
    while (read(fd, &request, sizeof request) > 0) {
        struct {
            struct fuse_out_header header;
            struct fuse_init_out init;
        } reply = {.header = {.len = sizeof reply, .unique = request.header.unique},
                   .init = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096}};
        if (request.header.opcode == FUSE_INIT && write(fd, &reply, sizeof reply) < 0)
            break;
        if (request.header.opcode == FUSE_INIT)
            (void)printf("daemon %d\n", (int)getpid());
        else if (request.header.opcode != FUSE_INTERRUPT)
            (void)printf("%s\n", heard);
        (void)fflush(stdout);
    }
    _exit(0);
}

/* `--hung KIND FOLDER PROGRAM ARGS…`: runs PROGRAM with a FOLDER that hangs. If no process
 * serves the folder, PROGRAM inherits the mount's other end: if that were closed, all requests
 * would fail. */
static int run(char **argv)
{
    char options[128];
    enum hung_kind kind = (enum hung_kind)atoi(argv[0]);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return EXIT_UNABLE;
    int fd = open("/dev/fuse", O_RDWR | (kind == HUNG_BEYOND_KILL ? O_CLOEXEC : 0));
    if (fd < 0)
        return EXIT_UNABLE;
    (void)snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd,
                   (unsigned)getuid(), (unsigned)getgid());
    if (mount("hang", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) != 0)
        return EXIT_UNABLE;
    if (kind == HUNG_BEYOND_KILL) {
        pid_t program = getpid();
        pid_t daemon = fork();
        if (daemon < 0)
            return EXIT_UNABLE;
        if (daemon == 0)
            serve(fd, program);
    }
    (void)execv(argv[2], argv + 2);
    return EXIT_UNABLE;
}

bool hung_main(int argc, char **argv, int *status)
{
    if (argc < 5 || strcmp(argv[1], option) != 0)
        return false;
    *status = run(argv + 2);
    return true;
}

/* ---- in the test ----------------------------------------------------------------------------- */

/* Tries it with a program that ends immediately. */
static bool is_possible(const char *self, const char *kind, const char *folder)
{
    struct program probe;
    const char *try[] = {self, option, kind, folder, "/bin/true", NULL};
    int status = program_run(&probe, try, NULL, 0);
    program_close(&probe);
    if (status != 0)
        assert_int_equal(status, EXIT_UNABLE);
    return status == 0;
}

bool hung_start(struct hung *hung, enum hung_kind kind, const char *const *args)
{
    /* LeakSanitizer cannot inspect a thread that hangs. */
    static const char *const environment[] = {"ASAN_OPTIONS=detect_leaks=0", NULL};
    char self[256];
    char path[PROGRAM_TEXT_BYTES];
    char number[16];
    *hung = (struct hung){.folder = "/tmp/afar-hang-XXXXXX"};
    (void)snprintf(number, sizeof number, "%d", (int)kind);
    assert_non_null(mkdtemp(hung->folder));
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    if (!is_possible(self, number, hung->folder)) {
        print_message("skipped: no privilege to mount FUSE in a namespace\n");
        assert_int_equal(rmdir(hung->folder), 0);
        return false;
    }
    const char *argv[PROGRAM_ARGS_MAX] = {self,
                                          option,
                                          number,
                                          hung->folder,
                                          program_path("afard", path),
                                          "--print-endpoints",
                                          "--listen",
                                          "tcp://127.0.0.1:0",
                                          "--workers",
                                          "1"};
    size_t used = 10;
    for (; *args != NULL; args++)
        argv[used++] = *args;
    program_start(&hung->server, argv, environment);
    if (kind == HUNG_BEYOND_KILL) {
        program_expect(&hung->server, 1, greeted);
        const char *at = strstr(hung->server.stdout_data, greeted) + strlen(greeted);
        hung->daemon = (pid_t)atoi(at); /* written in one piece */
    }
    program_expect(&hung->server, 1, listening);
    size_t line = (size_t)(strstr(hung->server.stdout_data, listening) - hung->server.stdout_data);
    (void)program_expect_after(&hung->server, 1, line, "\n"); /* the rest of the line */
    hung->port = (uint16_t)atoi(hung->server.stdout_data + line + strlen(listening));
    return true;
}

void hung_expect(struct hung *hung)
{
    const char *at = program_expect_after(&hung->server, 1, hung->heard, heard);
    hung->heard = (size_t)(at - hung->server.stdout_data) + strlen(heard);
}

void hung_stop(struct hung *hung)
{
    assert_int_equal(kill(hung->server.pid, SIGTERM), 0);
    program_finish(&hung->server, NULL, 0);
    if (program_exit_status(&hung->server) != 0)
        fail_msg("%s", hung->server.stderr_data);
    program_close(&hung->server);
    assert_int_equal(rmdir(hung->folder), 0);
}
