// The codes are those of PROTOCOL.md §9, all of them and no others.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/refusal.h"

static void the_words_of_the_protocol(void **state)
{
    (void)state;
    const char *root = getenv("AFAR_SRC");
    char path[4096];
    char line[1024];
    bool inside = false;
    int code = REFUSAL_NONE + 1;
    (void)snprintf(path, sizeof path, "%s/src/wire/PROTOCOL.md", root != NULL ? root : ".");
    FILE *text = fopen(path, "re");
    assert_non_null(text);
    while (fgets(line, sizeof line, text) != NULL) {
        if (strncmp(line, "## ", 3) == 0)
            inside = strncmp(line, "## 9.", 5) == 0;
        if (!inside || strncmp(line, "| `", 3) != 0)
            continue;
        assert_true(code < REFUSAL_CODES);
        line[3 + strcspn(line + 3, "`")] = '\0';
        assert_string_equal(refusal_word((enum refusal_code)code), line + 3);
        code++;
    }
    (void)fclose(text);
    assert_int_equal(code, REFUSAL_CODES);
    assert_string_equal(refusal_word(REFUSAL_NONE), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_words_of_the_protocol)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
