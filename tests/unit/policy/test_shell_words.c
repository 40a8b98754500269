/* Shell lines that mean the same without a shell. What is split is also given to a real shell, which
 * must make the same words of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/shell_words.h"

static const char *const lines[] = {
    "a",
    "a b  c\td",
    "  a  ",
    "git-upload-pack '/srv/x y.git'",
    "a '' \"\"",
    "a'b'\"c\"d",
    "a 'b;c|d$e`f>g*h?[i~j#k(l)'",
    "a \"b;c|d>e*f?[g~h#i(j)k'l\"",
    "a \"b\\\"c\\\\d\\$e\\`f\\g\"",
    "a \\b\\ c \\' \\\" \\$x \\;",
    "rsync --server -logDtpre.iLsfxCIvu . dir",
    "a b=c --d=e",
    "a -n",
    "a caf\xe9",
    "a ]x {y} %z ^ @ ! , : + =",
};

static const char *const others[] = {
    "",          "  ",    "a $x",     "a `x`",      "a;b",     "a & b", "a | b",
    "a < b",     "a > b", "(a)",      "a *",        "a ?",     "a [x]", "~/a",
    "a ~",       "a # b", "a\nb",     "a 'b",       "a \"b",   "a \\",  "a \"$x\"",
    "a \"`x`\"", "A=b c", "a 'b\nc'", "a \"b\nc\"", "a \\\nb", "A=b",   "a \"b\\\nc\"",
};

/* Each word between < and >, as printf(1) makes it of what a shell makes of the line. */
static void ask_shell(const char *line, char *out, size_t size)
{
    char path[] = "/tmp/afar-words-XXXXXX";
    char command[600];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *script = fdopen(fd, "w");
    assert_non_null(script);
    (void)fprintf(script, "set -- %s\nprintf '<%%s>' \"$@\"\n", line);
    assert_int_equal(fclose(script), 0);
    (void)snprintf(command, sizeof command, "/bin/sh %s", path);
    FILE *shell = popen(command, "r");
    assert_non_null(shell);
    out[fread(out, 1, size - 1, shell)] = '\0';
    assert_int_equal(pclose(shell), 0);
    assert_int_equal(remove(path), 0);
}

static void test_simple(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct words words;
        char expected[1024];
        char got[1024] = "";
        size_t used = 0;
        bool simple = false;
        assert_int_equal(shell_words_split(lines[i], &words, &simple, NULL), AFAR_OK);
        if (!simple)
            fail_msg("'%s' is not simple", lines[i]);
        for (size_t w = 0; w < words.count; w++)
            used += (size_t)snprintf(got + used, sizeof got - used, "<%s>", words.at[w]);
        ask_shell(lines[i], expected, sizeof expected);
        assert_string_equal(got, expected);
        words_close(&words);
    }
}

static void test_for_a_shell(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct words words;
        bool simple = true;
        assert_int_equal(shell_words_split(others[i], &words, &simple, NULL), AFAR_OK);
        if (simple || words.count > 0)
            fail_msg("'%s' is taken for words", others[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),
        cmocka_unit_test(test_for_a_shell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
