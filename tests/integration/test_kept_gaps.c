/* Output of a kept command that is not kept any more: where its reader is told, and what --digest says
 * of it, and of a command that was begun without. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/keeping.h"

#define WORDS KEEPING_WORDS

static struct keeping keeping;

static void expect(const char *const *args, const char *output, const char *words)
{
    struct program client;
    int got = keeping_afar(&client, args);
    if (got != 0 || strcmp(client.stdout_data, output) != 0 ||
        (words[0] != '\0' ? strstr(client.stderr_data, words) == NULL : client.stderr_size > 0))
        fail_msg("%d: %s%s", got, client.stdout_data, client.stderr_data);
    program_close(&client);
}

static void sums_that_nobody_asked_for(void **state)
{
    (void)state;
    keeping_open(&keeping, NULL);
    char *const url = keeping.url;
    static const char without[] = "cannot be verified (--digest): the command was begun without";
    expect(WORDS("run", "--once", "a", "-n", url, "echo", "hi"), "hi\n", "");
    expect(WORDS("run", "--once", "a", "-n", "--digest", url, "echo", "hi"), "hi\n", without);
    expect(WORDS("run", "--once", "b", "-n", "--digest", url, "echo", "hi"), "hi\n", "");
    expect(WORDS("run", "--once", "b", "-n", "--digest", url, "echo", "hi"), "hi\n", "");
    expect(WORDS("run", "--once", "b", "-n", url, "echo", "hi"), "hi\n", "");
    keeping_close(&keeping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_that_nobody_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
