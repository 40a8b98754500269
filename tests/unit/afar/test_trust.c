/* What is said of a server that no CA vouches for. The question itself needs a terminal:
 * integration/test_known_hosts.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "afar/trust.h"
#include "support/stderr_capture.h"

#define PIN_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PIN_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char folder[] = "/tmp/afar-trust-XXXXXX";
static char file[64];

/* Standard error is not a terminal while it is kept, so nobody is asked. */
static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(file, sizeof file, "%s/known_hosts", folder);
    return known_hosts_add(file, "known:7420", PIN_A) ? 0 : -1;
}

static int tear_down(void **state)
{
    char lock[96];
    (void)state;
    (void)snprintf(lock, sizeof lock, "%s.lock", file);
    return unlink(file) == 0 && unlink(lock) == 0 ? rmdir(folder) : -1;
}

static const struct {
    const char *what;
    const char *url;
    bool with_file;
    bool accepted;
    enum trust_next next;
    const char *say; /* NULL: nothing */
} cases[] = {
    {"known", "known", true, true, TRUST_SAY_WHY, NULL},
    {"known, written otherwise", "tls://KNOWN:7420/", true, true, TRUST_SAY_WHY, NULL},
    {"another port", "known:7421", true, false, TRUST_STOP, "'known:7421 sha256:" PIN_A "' to "},
    {"unknown", "other", true, false, TRUST_STOP, "--pin sha256:" PIN_A},
    {"no place for a file", "known", false, false, TRUST_STOP, "--pin sha256:" PIN_A},
    {"no name", "known:x", true, false, TRUST_SAY_WHY, NULL},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trust trust;
        struct stderr_capture capture;
        assert_true(trust_open(&trust, cases[i].with_file ? file : NULL, cases[i].url));
        bool accepted = trust_check(&trust, "known", PIN_A);
        stderr_capture_begin(&capture);
        enum trust_next next = trust_settle(&trust);
        const char *told = stderr_capture_end(&capture);
        bool right = cases[i].say == NULL ? told[0] == '\0' : strstr(told, cases[i].say) != NULL;
        if (accepted != cases[i].accepted || next != cases[i].next || !right)
            fail_msg("%s: accepted %d, next %d, said: %s", cases[i].what, accepted, (int)next,
                     told);
        trust_close(&trust);
    }
}

static void test_changed(void **state)
{
    struct trust trust;
    struct stderr_capture capture;
    (void)state;
    assert_true(trust_open(&trust, file, "known"));
    assert_false(trust_check(&trust, "known", PIN_B));
    stderr_capture_begin(&capture);
    assert_int_equal(trust_settle(&trust), TRUST_STOP);
    const char *told = stderr_capture_end(&capture);
    static const char *const parts[] = {"THE KEY OF known:7420 HAS CHANGED", "sha256:" PIN_A,
                                        "sha256:" PIN_B, ", line 1)", "afar forget known:7420"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        assert_non_null(strstr(told, parts[i]));
    assert_non_null(strstr(told, file));
    trust_close(&trust);
}

/* Before anybody connects: whether the keys in the file are all that counts. */
static void test_who_has_keys(void **state)
{
    static const struct {
        const char *url;
        bool has_keys;
    } servers[] = {{"known", true}, {"KNOWN.:7420", true}, {"known:1", false}, {"other", false}};
    struct trust trust;
    struct stderr_capture capture;
    (void)state;
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        assert_true(trust_open(&trust, file, servers[i].url));
        assert_int_equal(trust.has_keys, servers[i].has_keys);
        trust_close(&trust);
    }
    stderr_capture_begin(&capture);
    assert_false(trust_open(&trust, folder, "known")); /* a folder is no file */
    assert_non_null(strstr(stderr_capture_end(&capture), "not a plain file"));
}

/* What another connection said is not this one's. */
static void test_not_asked(void **state)
{
    struct trust trust;
    struct stderr_capture capture;
    (void)state;
    assert_true(trust_open(&trust, file, "other"));
    assert_int_equal(trust_settle(&trust), TRUST_SAY_WHY);
    assert_false(trust_check(&trust, "other", PIN_B));
    stderr_capture_begin(&capture);
    assert_int_equal(trust_settle(&trust), TRUST_STOP);
    (void)stderr_capture_end(&capture);
    assert_int_equal(trust_settle(&trust), TRUST_SAY_WHY);
    trust_close(&trust);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_who_has_keys),
        cmocka_unit_test(test_not_asked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
