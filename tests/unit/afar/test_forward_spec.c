/* What is to be forwarded, as ssh(1) and `afar forward` take it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "afar/forward_spec.h"
#include "afar/jump.h"

/* "BIND|PORT|PATH|TARGET", "-" for a bind that was not given; NULL: it is refused. */
static const struct {
    const char *text;
    bool brief;
    const char *expected;
} locals[] = {
    {"8080:web:80", false, "-|8080||web:80"},
    {"0:web:80", false, "-|0||web:80"},
    {"127.0.0.1:8080:Web:80", false, "127.0.0.1|8080||web:80"},
    {":8080:web:80", false, "|8080||web:80"},
    {"*:8080:web:80", false, "*|8080||web:80"},
    {"[::1]:8080:[fd00::7]:80", false, "::1|8080||[fd00::7]:80"},
    {"8080:[::1]:80", false, "-|8080||[::1]:80"},
    {"8080 web:80", false, "-|8080||web:80"}, /* as a file has it */
    {"localhost:8080 \t web:80", false, "localhost|8080||web:80"},
    {"/run/x.sock:web:80", false, "-|0|/run/x.sock|web:80"},
    {"8080:/run/x.sock", false, NULL},
    {"/run/a:/run/b", false, NULL},
    {"/run/x.sock:80", false, NULL},
    {"8080", false, NULL},
    {"8080:80", false, NULL},
    {"8080:80", true, "-|8080||localhost:80"},
    {"8080", true, "-|8080||localhost:8080"},
    {"0:80", true, "-|0||localhost:80"},
    {"0", true, NULL},
    {"8080:web:80", true, "-|8080||web:80"},
    {"a:b:c:d:e", false, NULL},
    {"x:web:80", false, NULL},
    {"65536:web:80", false, NULL},
    {"8080:web:0", false, NULL},
    {"8080::80", false, NULL},
    {"8080:we b:80", false, NULL},
    {"[::1:8080:web:80", false, NULL},
    {"[::1]x:8080:web:80", false, NULL},
    {"", false, NULL},
};

static void describe(char *out, size_t size, const struct forward_spec *spec)
{
    (void)snprintf(out, size, "%s|%u|%s|%s", spec->has_bind ? spec->bind : "-",
                   (unsigned)spec->port, spec->path, spec->target);
}

static void test_local(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof locals / sizeof locals[0]; i++) {
        struct forward_spec spec;
        struct afar_error err = {0};
        char made[1024] = "";
        const char *expected = locals[i].expected;
        enum afar_status status = forward_spec_local(&spec, locals[i].text, locals[i].brief, &err);
        if (status == AFAR_OK)
            describe(made, sizeof made, &spec);
        if ((status == AFAR_OK) != (expected != NULL) ||
            (expected != NULL && strcmp(made, expected) != 0))
            fail_msg("'%s': '%s' %s", locals[i].text, made, err.message);
    }
}

static void test_dynamic(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } table[] = {{"1080", "-|1080||"},
                 {"0", "-|0||"},
                 {"localhost:1080", "localhost|1080||"},
                 {"[::]:1080", "::|1080||"},
                 {":1080", "|1080||"},
                 {"1080:web:80", NULL},
                 {"web", NULL},
                 {"", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct forward_spec spec;
        char made[1024] = "";
        enum afar_status status = forward_spec_dynamic(&spec, table[i].text, NULL);
        if (status == AFAR_OK)
            describe(made, sizeof made, &spec);
        if ((status == AFAR_OK) != (table[i].expected != NULL) ||
            (status == AFAR_OK && (strcmp(made, table[i].expected) != 0 || !spec.dynamic)))
            fail_msg("'%s': '%s'", table[i].text, made);
    }
}

/* ssh(1) puts any host in brackets for its -J. */
static void test_stdio(void **state)
{
    static const struct {
        const char *text;
        const char *target; /* NULL: it is refused */
    } table[] = {
        {"web:80", "web:80"},     {"[Web]:80", "web:80"}, {"[127.0.0.1]:80", "127.0.0.1:80"},
        {"[::1]:80", "[::1]:80"}, {"::1:80", NULL},       {"[]:80", NULL},
        {"[web:80", NULL},        {"[web]80", NULL},      {"[web]", NULL},
        {"[[web]]:80", NULL},     {"[web]:0", NULL},      {"web", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char target[FORWARD_TEXT_BYTES] = "";
        bool good = forward_spec_stdio(target, table[i].text, NULL) == AFAR_OK;
        if (good != (table[i].target != NULL) || (good && strcmp(target, table[i].target) != 0))
            fail_msg("%s: '%s'", table[i].text, target);
    }
}

/* Where a jump host is to lead to. */
static void test_jump_target(void **state)
{
    static const struct {
        const char *url;
        const char *target; /* NULL: nowhere */
    } table[] = {{"tls://h:1", "h:1"},
                 {"tls://h", "h:7420"},
                 {"h", "h:7420"},
                 {"h:9?protocol=sized", "h:9"},
                 {"tcp://10.0.0.7:1/", "10.0.0.7:1"},
                 {"tls://[::1]", "[::1]:7420"},
                 {"tls://[fd00::7]:9", "[fd00::7]:9"},
                 {"unix:///run/afard.sock", NULL},
                 {"tls://a b:1", NULL},
                 {"tls://", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char target[FORWARD_TEXT_BYTES] = "";
        bool good = jump_target(table[i].url, target);
        if (good != (table[i].target != NULL) || (good && strcmp(target, table[i].target) != 0))
            fail_msg("%s: '%s'", table[i].url, target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_stdio),
        cmocka_unit_test(test_jump_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
