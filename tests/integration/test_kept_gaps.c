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

/* More than is kept is written while nobody reads. The reader's script checks that the lines' numbers
 * follow on each other, and that those of the gap are told where it is, once. */
static void a_gap_has_its_place(void **state)
{
    static const char *const options[] = {"--set", "spool_bytes=1048576", NULL};
    static const char line[] =
        "$AFAR run --keep -n --json --digest $URL -- sh -c 'head -c 6000000 /dev/zero | "
        "tr \"\\0\" a | fold -w 99' 2>err | (sleep 1; cut -c 1-80) >out; grep -q 'some of it is "
        "missing' err && tr -d '{}' <out | awk -F '[:,]' '"
        "$2 == \"\\\"cut\\\"\" { if ($6 != next_seq) exit 1; next_seq = $8; cuts++ }"
        "$2 == \"\\\"stdout\\\"\" { if ($6 != next_seq + 0) exit 1; next_seq = $6 + 1 }"
        "END { exit cuts == 0 }'";
    struct program reader;
    char path[PROGRAM_TEXT_BYTES];
    char script[2 * PROGRAM_TEXT_BYTES];
    (void)state;
    keeping_open(&keeping, options);
    (void)snprintf(script, sizeof script, "cd %s; AFAR=%s; URL=%s; %s || { cat err; exit 1; }",
                   keeping.folder, program_path("afar", path), keeping.url, line);
    const int status = program_run(&reader, WORDS("sh", "-c", script), NULL, 0);
    if (status != 0)
        fail_msg("%d: %s%s", status, reader.stdout_data, reader.stderr_data);
    program_close(&reader);
    keeping_close(&keeping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_that_nobody_asked_for),
        cmocka_unit_test(a_gap_has_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
