/* Tools that run over ssh run over `afar run` as well: rsync, git, clush and parallel. A tool that is
 * not installed is skipped with a word. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/afard.h"
#include "support/folder.h"

static struct afard afard;
static char folder[] = "/tmp/afar-test-tools-XXXXXX";

/* Runs `tool` in a line of shell; skips where it is not installed. $D is the folder, $PORT the port of
 * a server on localhost. The tools add no port to a host: so $REMOTE is `afar run -s` with one. */
static void expect_output(const char *tool, const char *line, const char *expected)
{
    struct program program;
    char found[128];
    (void)snprintf(found, sizeof found, "command -v %s >/dev/null", tool);
    if (program_run(&program, (const char *const[]){"sh", "-c", found, NULL}, "", 0) != 0) {
        program_close(&program);
        print_message("skipped: %s is not installed\n", tool);
        skip();
    }
    program_close(&program);
    int status = program_run(&program, (const char *const[]){"sh", "-ec", line, NULL}, "", 0);
    if (status != 0 || strcmp(program.stdout_data, expected) != 0)
        fail_msg("%s: status %d, stdout \"%s\", stderr \"%s\"", tool, status, program.stdout_data,
                 program.stderr_data);
    program_close(&program);
}

static void test_rsync(void **state)
{
    (void)state;
    expect_output("rsync",
                  "mkdir $D/from && echo one >$D/from/a && head -c 300000 /dev/zero >$D/from/b\n"
                  "rsync -a -e \"$REMOTE\" $D/from/ localhost:$D/to/\n"
                  "rsync -a -e \"$REMOTE\" localhost:$D/to/ $D/back/\n"
                  "cmp $D/from/b $D/back/b && cat $D/back/a",
                  "one\n");
}

static void test_git(void **state)
{
    (void)state;
    expect_output("git",
                  "export GIT_SSH_COMMAND=\"$REMOTE\" GIT_CONFIG_GLOBAL=/dev/null HOME=$D\n"
                  "git init -q --bare $D/origin.git\n"
                  "git clone -q localhost:$D/origin.git $D/work 2>/dev/null && cd $D/work\n"
                  "git -c user.name=n -c user.email=e commit -q --allow-empty -m subject\n"
                  "git push -q origin HEAD && git --git-dir=$D/origin.git log --all --format=%s",
                  "subject\n");
}

static void test_clush(void **state)
{
    (void)state;
    expect_output("clush",
                  "clush -R exec -w localhost,127.0.0.1 \"afar run %h:$PORT -- echo on\" | sort",
                  "127.0.0.1: on\nlocalhost: on\n");
}

/* parallel has the far side run $SHELL, which a plain command finds only where the server has it. */
static void test_parallel(void **state)
{
    (void)state;
    expect_output("parallel",
                  "export HOME=$D PARALLEL_SSH=\"$REMOTE\" PARALLEL_SHELL=/bin/sh\n"
                  "parallel --will-cite -j1 -S 1/localhost -k echo {} ::: a 'b c' </dev/null",
                  "a\nb c\n");
}

static int set_up(void **state)
{
    static const char script[] = "#!/bin/sh\nhost=$1\nshift\n"
                                 "[ \"$1\" != -- ] || shift\n"
                                 "exec afar run -s \"$host:$PORT\" -- \"$@\"\n";
    char path[PROGRAM_TEXT_BYTES + 256];
    char bin[PROGRAM_TEXT_BYTES];
    char port[8];

    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/remote", folder);
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(script, file) < 0 || fchmod(fileno(file), 0755) != 0)
        return -1;
    (void)fclose(file);
    (void)setenv("REMOTE", path, 1);
    (void)setenv("D", folder, 1);

    *strrchr(program_path("afar", bin), '/') = '\0';
    (void)snprintf(path, sizeof path, "%s:%s", bin, getenv("PATH"));
    (void)setenv("PATH", path, 1);
    afard_start_tls(&afard, (const char *const[]){"--listen", "tls://localhost:0", NULL});
    (void)snprintf(port, sizeof port, "%u", afard_port(&afard, 0));
    (void)setenv("PORT", port, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return afard_stop(&afard) != 0 || folder_remove(folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rsync),
        cmocka_unit_test(test_git),
        cmocka_unit_test(test_clush),
        cmocka_unit_test(test_parallel),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
