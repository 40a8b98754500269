#include "support/copying.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/folder.h"

enum { ARGS_MAX = 16 };

void copying_open(struct copying *copying, const char *const *args)
{
    const char *words[ARGS_MAX] = {"--listen", "tcp://127.0.0.1:0"};
    unsigned count = 2;
    *copying = (struct copying){.ran = false};
    for (; args != NULL && *args != NULL && count < ARGS_MAX - 1; args++)
        words[count++] = *args;
    (void)strcpy(copying->folder, "/tmp/afar-copying-XXXXXX");
    assert_non_null(mkdtemp(copying->folder));
    afard_start(&copying->afard, words);
}

static void forget(struct copying *copying)
{
    if (copying->ran)
        program_close(&copying->program);
    copying->ran = false;
}

void copying_close(struct copying *copying)
{
    forget(copying);
    afard_expect_calm(&copying->afard);
    assert_int_equal(afard_stop(&copying->afard), 0);
    assert_int_equal(folder_remove(copying->folder), 0);
}

static void start(struct copying *copying, const char *format, va_list args)
{
    char line[COPYING_LINE_BYTES];
    char path[PROGRAM_TEXT_BYTES];
    char environment[4][PROGRAM_TEXT_BYTES + 8];
    int used = snprintf(line, sizeof line, "cd '%s' || exit 99; ", copying->folder);
    used += vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    assert_in_range(used, 1, sizeof line - 1);
    (void)snprintf(environment[0], sizeof environment[0], "U=%s", copying->afard.url[0]);
    (void)snprintf(environment[1], sizeof environment[1], "D=%s", copying->folder);
    (void)snprintf(environment[2], sizeof environment[2], "A=%s", program_path("afar", path));
    forget(copying);
    program_start(&copying->program, (const char *const[]){"sh", "-c", line, NULL},
                  (const char *const[]){environment[0], environment[1], environment[2], NULL});
    copying->ran = true;
}

void copying_start(struct copying *copying, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    start(copying, format, args);
    va_end(args);
}

static int run(struct copying *copying, const char *format, va_list args)
{
    start(copying, format, args);
    program_finish(&copying->program, NULL, 0);
    return program_exit_status(&copying->program);
}

int copying_run(struct copying *copying, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int status = run(copying, format, args);
    va_end(args);
    return status;
}

void copying_expect(struct copying *copying, int status, const char *said, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int got = run(copying, format, args);
    va_end(args);
    const char *errors = copying->program.stderr_data;
    if (got != status || (said != NULL && strstr(errors, said) == NULL))
        fail_msg("%s\n%d, not %d; '%s' is not in: %s\n%s", format, got, status,
                 said != NULL ? said : "", errors, copying->program.stdout_data);
}
