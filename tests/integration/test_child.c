/* The program that keepers and helpers are: afard-child where it is installed beside afard and as well
 * protected, and afard itself otherwise. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/folder.h"
#include "support/keeping.h"
#include "support/ruled.h"

#define CHILD "libexec/afar/afard-child-" AFAR_VERSION

/* A build of its own: bin/afar, bin/afard, and as `line` says, with $from and $to, more. */
static void install(char *folder, const char *line)
{
    char words[2 * PROGRAM_TEXT_BYTES];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(words, sizeof words,
                   "from=%s to=%s; mkdir -p $to/bin $to/libexec/afar && "
                   "cp $from/bin/afar $from/bin/afard $to/bin && %s",
                   getenv("AFAR_BUILD"), folder, line);
    struct program program;
    assert_int_equal(program_run(&program, WORDS("sh", "-c", words), NULL, 0), 0);
    program_close(&program);
}

/* The file of the process of that name whose parent afard is; "": there is none. */
static void find_file(pid_t parent, const char *wanted, char *file, size_t room)
{
    DIR *all = opendir("/proc");
    const struct dirent *entry = NULL;
    char path[64];
    file[0] = '\0';
    assert_non_null(all);
    while ((entry = readdir(all)) != NULL) {
        char comm[17] = "";
        int ppid = 0;
        (void)snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
        FILE *stat_file = fopen(path, "re");
        if (stat_file == NULL)
            continue;
        int got = fscanf(stat_file, "%*d (%16[^)]) %*c %d", comm, &ppid);
        (void)fclose(stat_file);
        if (got != 2 || ppid != parent || strcmp(comm, wanted) != 0)
            continue;
        (void)snprintf(path, sizeof path, "/proc/%.20s/exe", entry->d_name);
        ssize_t size = readlink(path, file, room - 1);
        file[size > 0 ? size : 0] = '\0';
    }
    (void)closedir(all);
}

static void expect_file(pid_t parent, const char *name, const char *folder, const char *wanted)
{
    char file[PROGRAM_TEXT_BYTES] = "";
    char expected[PROGRAM_TEXT_BYTES];
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    (void)snprintf(expected, sizeof expected, "%s/%s", folder, wanted);
    while (file[0] == '\0' && clock_now_ms() < deadline_ms) {
        find_file(parent, name, file, sizeof file);
        (void)usleep(1000);
    }
    assert_string_equal(file, expected);
}

static bool is_root(void)
{
    if (geteuid() != 0)
        print_message("skipped: needs root\n");
    return geteuid() == 0;
}

static void expect_program(const char *line, const char *wanted)
{
    char folder[] = "/tmp/afar-child-XXXXXX";
    char build[PROGRAM_TEXT_BYTES];
    char job[KEEPING_JOB_BYTES];
    struct keeping keeping;
    struct program sftp;
    if (!is_root()) /* nobody else may ask what file a keeper is */
        return;
    (void)snprintf(build, sizeof build, "%s", getenv("AFAR_BUILD"));
    install(folder, line);
    assert_int_equal(setenv("AFAR_BUILD", folder, 1), 0);
    keeping_open(&keeping, NULL);
    const pid_t afard = keeping.server.program.pid;
    keeping_detach(&keeping, "sleep 1000", job);
    expect_file(afard, "afard-keep", folder, wanted);
    program_start(&sftp, KEEPING_WORDS("afar", "sftp", keeping.url), NULL);
    expect_file(afard, "afard-files", folder, wanted);
    program_finish(&sftp, NULL, 0);
    program_close(&sftp);
    assert_int_equal(keeping_afar(&sftp, KEEPING_WORDS("rm", "-f", keeping.url, job)), 0);
    program_close(&sftp);
    keeping_close(&keeping);
    assert_int_equal(setenv("AFAR_BUILD", build, 1), 0);
    assert_int_equal(folder_remove(folder), 0);
}

static void it_is_used(void **state)
{
    (void)state;
    expect_program("cp $from/" CHILD " $to/libexec/afar", CHILD);
}

static void without_it(void **state)
{
    (void)state;
    expect_program("rmdir $to/libexec/afar", "bin/afard");
}

/* Another version's. */
static void of_another_version(void **state)
{
    (void)state;
    expect_program("cp $from/" CHILD " $to/libexec/afar/afard-child-0.0.1", "bin/afard");
}

static void others_can_change_it(void **state)
{
    (void)state;
    expect_program("cp $from/" CHILD " $to/libexec/afar; chmod 775 $to/" CHILD, "bin/afard");
    expect_program("cp $from/" CHILD " $to/libexec/afar; chmod 757 $to/" CHILD, "bin/afard");
    expect_program("cp $from/" CHILD " $to/libexec/afar; chown 65534 $to/" CHILD, "bin/afard");
    expect_program("ln -s $from/" CHILD " $to/libexec/afar", "bin/afard");
}

static void it_cannot_be_executed(void **state)
{
    (void)state;
    expect_program("echo nothing > $to/" CHILD "; chmod 755 $to/" CHILD, "bin/afard");
    expect_program("cp $from/" CHILD " $to/libexec/afar; chmod 644 $to/" CHILD, "bin/afard");
}

/* A configuration of OpenSSL in another root directory can name libraries to
 * be loaded. It is not read, or the digests
 * of the copy would not be available. */
static void in_another_root(void **state)
{
    (void)state;
    struct ruled ruled;
    struct program program;
    char folder[] = "/tmp/afar-root-XXXXXX";
    char text[1024];
    if (!is_root())
        return;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(text, sizeof text,
                   "d=%s$(openssl version -d | cut -d'\"' -f2) && chmod 777 %s && mkdir -p $d && "
                   "printf 'openssl_conf = a\\n[a]\\nalg_section = b\\n"
                   "[b]\\ndefault_properties = fips=yes\\n' >$d/openssl.cnf",
                   folder, folder);
    assert_int_equal(program_run(&program, WORDS("sh", "-c", text), NULL, 0), 0);
    program_close(&program);
    (void)snprintf(text, sizeof text,
                   "[allow x]\nclient = any\nmay = files\nuser = nobody\nchroot = %s\n", folder);
    ruled_open(&ruled, text, "warn");
    (void)snprintf(text, sizeof text, "%s:/copy", ruled.afard.url[0]);
    int status = program_run(&program, WORDS("afar", "cp", "/etc/passwd", text), NULL, 0);
    if (status != 0)
        fail_msg("%d: %s", status, program.stderr_data);
    program_close(&program);
    ruled_close(&ruled);
    assert_int_equal(folder_remove(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_used),
        cmocka_unit_test(without_it),
        cmocka_unit_test(of_another_version),
        cmocka_unit_test(others_can_change_it),
        cmocka_unit_test(it_cannot_be_executed),
        cmocka_unit_test(in_another_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
