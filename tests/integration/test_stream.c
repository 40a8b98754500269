/* A gibibyte each way at once, in constant memory on both sides. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/afard.h"

enum { PEAK_KIB = 32 * 1024, MEBIBYTES = 1024, MEBIBYTES_SLOW = 48 };

/* Sanitizers multiply memory and time: the bytes are compared there too, but fewer, and no peak is.
 */
static bool slow(void)
{
    const char *sanitizers = getenv("SAN");
    return sanitizers != NULL && sanitizers[0] != '\0';
}

/* `test_stream --peak FILE PROGRAM…` runs PROGRAM and writes its peak memory, in KiB, to FILE. */
static int peak(const char *path, char **argv)
{
    struct rusage usage = {0};
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
        return 126;
    FILE *file = fopen(path, "w");
    if (file == NULL || fprintf(file, "%ld\n", usage.ru_maxrss) < 0 || fclose(file) != 0)
        return 126;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Pseudo-random bytes go through `cat` on the server and back; digests are taken on either side of
 * it. */
static void through_cat(const char *listen)
{
    struct afard server;
    const char *args[] = {"--listen", listen, NULL};
    afard_start_tls(&server, args);

    char self[512] = "";
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    char afar[PROGRAM_TEXT_BYTES];
    char line[4096];
    (void)snprintf(line, sizeof line,
                   "set -e; cd %s; mkfifo sums\n"
                   "openssl enc -aes-128-ctr -pass pass:seed -nosalt -md sha256 -in /dev/zero "
                   "2>/dev/null | head -c %dM | tee sums | "
                   "(%s --peak peak %.600s run %.400s -- cat; echo $? >status) | md5sum >back &\n"
                   "md5sum <sums >there; wait\n"
                   "cat there back status peak",
                   server.folder, slow() ? MEBIBYTES_SLOW : MEBIBYTES, self,
                   program_path("afar", afar), server.url[0]);
    const char *words[] = {"sh", "-c", line, NULL};
    struct program program;
    assert_int_equal(program_run(&program, words, NULL, 0), 0);

    char there[64];
    char back[64];
    int status = -1;
    long client_kib = 0;
    assert_int_equal(
        sscanf(program.stdout_data, "%63s - %63s - %d %ld", there, back, &status, &client_kib), 4);
    assert_int_equal(status, 0);
    assert_string_equal(there, back);
    program_close(&program);

    print_message("peak memory: server %ld KiB, client %ld KiB\n", afard_peak_kib(&server),
                  client_kib);
    if (!slow()) {
        assert_true(afard_peak_kib(&server) < PEAK_KIB);
        assert_true(client_kib < PEAK_KIB);
    }
    assert_int_equal(afard_stop(&server), 0);
}

static void over_tls(void **state)
{
    (void)state;
    through_cat("tls://127.0.0.1:0");
}

static void over_tcp(void **state)
{
    (void)state;
    through_cat("tcp://127.0.0.1:0");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_tls),
        cmocka_unit_test(over_tcp),
    };
    if (argc > 3 && strcmp(argv[1], "--peak") == 0)
        return peak(argv[2], argv + 3);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
