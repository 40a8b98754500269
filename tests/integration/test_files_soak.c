/* A slice of each case of tests/files/soak.py: files under load and under disturbance. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support/program.h"

static void run_case(void **state)
{
    struct program program;
    const char *name = *state;
    const char *build = getenv("AFAR_BUILD");
    int status = program_run(&program,
                             (const char *const[]){"python3", "tests/files/soak.py",
                                                   build != NULL ? build : "build/release",
                                                   "--short", name, NULL},
                             NULL, 0);
    char result[16] = "";
    (void)strncat(result, program.stdout_data, 7);
    if (status != 0)
        fail_msg("%d: %s%s", status, program.stdout_data, program.stderr_data);
    print_message("%s", program.stdout_data);
    program_close(&program);
    if (strcmp(result, "skipped") == 0)
        skip();
}

int main(void)
{
    static char names[][16] = {"sizes",  "cuts",       "crowd",        "interrupts",
                               "rules",  "no_openat2", "older_server", "sessions",
                               "memory", "far",        "no_room"};
    enum { CASES = sizeof names / sizeof names[0] };
    struct CMUnitTest tests[CASES];
    for (size_t i = 0; i < CASES; i++)
        tests[i] =
            (struct CMUnitTest){.name = names[i], .test_func = run_case, .initial_state = names[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
