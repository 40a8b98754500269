#include "support/ruled.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ruled_write(const struct ruled *ruled, const char *rules)
{
    FILE *file = fopen(ruled->file, "we");
    assert_non_null(file);
    assert_true(fputs(rules, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void ruled_make_file(struct ruled *ruled, const char *rules)
{
    *ruled = (struct ruled){.file = "/tmp/afar-rules-XXXXXX"};
    int fd = mkstemp(ruled->file);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    ruled_write(ruled, rules);
}

void ruled_open(struct ruled *ruled, const char *rules, const char *log_level)
{
    char url[128];
    ruled_make_file(ruled, rules);
    (void)snprintf(url, sizeof url, "unix://%s.sock", ruled->file);
    afard_start(&ruled->afard, WORDS("-c", ruled->file, "--listen", url, "--log-level", log_level));
}

void ruled_close(struct ruled *ruled)
{
    afard_expect_calm(&ruled->afard);
    assert_int_equal(afard_stop(&ruled->afard), 0);
    assert_int_equal(unlink(ruled->file), 0);
}

int ruled_run(const struct ruled *ruled, struct program *program, const char *const *options,
              const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "run", "-n"};
    size_t used = 3;
    for (; options != NULL && *options != NULL; options++)
        argv[used++] = *options;
    argv[used++] = ruled->afard.url[0];
    argv[used++] = "--";
    for (; *words != NULL; words++)
        argv[used++] = *words;
    argv[used] = NULL;
    return program_run(program, argv, NULL, 0);
}

void ruled_expect(const struct ruled *ruled, const char *const *options, const char *const *words,
                  int status, const char *output)
{
    struct program program;
    int got = ruled_run(ruled, &program, options, words);
    if (got != status)
        fail_msg("status %d, not %d: %s%s", got, status, program.stdout_data, program.stderr_data);
    bool error = status == 125 || status == 126;
    const char *stream = error ? program.stderr_data : program.stdout_data;
    if (strstr(stream, output) == NULL)
        fail_msg("'%s' is not in: %s%s", output, program.stdout_data, program.stderr_data);
    program_close(&program);
}
