#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include <afar/keygen.h>

#include "client/sized.h"

/* One struct as three versions know it. */
struct older {
    size_t size;
    int64_t a;
};
struct present {
    size_t size;
    int64_t a;
    int64_t b;
};
struct newer {
    size_t size;
    int64_t a;
    int64_t b;
    int64_t c;
};

static enum afar_status take(struct present *own, const void *theirs, struct afar_error *err)
{
    memset(own, 0x55, sizeof *own);
    return sized_take(own, sizeof *own, theirs, "afar_thing", err);
}

static void test_take_from_the_same_version(void **state)
{
    (void)state;
    const struct present theirs = {.size = sizeof theirs, .a = 1, .b = 2};
    struct present own;
    struct afar_error err;
    assert_int_equal(take(&own, &theirs, &err), AFAR_OK);
    assert_memory_equal(&own, &theirs, sizeof own);
}

static void test_take_from_an_older_program(void **state)
{
    (void)state;
    const struct older theirs = {.size = sizeof theirs, .a = 1};
    struct present own;
    struct afar_error err;
    assert_int_equal(take(&own, &theirs, &err), AFAR_OK);
    assert_int_equal(own.size, sizeof own);
    assert_int_equal(own.a, 1);
    assert_int_equal(own.b, 0);
}

static void test_take_from_a_newer_program(void **state)
{
    (void)state;
    struct newer theirs = {.size = sizeof theirs, .a = 1, .b = 2};
    struct present own;
    struct afar_error err;
    assert_int_equal(take(&own, &theirs, &err), AFAR_OK);
    assert_int_equal(own.size, sizeof own);
    assert_int_equal(own.b, 2);
    theirs.c = INT64_C(1) << 40;
    assert_int_equal(take(&own, &theirs, &err), AFAR_EINVAL);
    assert_non_null(strstr(err.message, "afar_thing"));
}

static void test_without_a_size(void **state)
{
    (void)state;
    static const size_t bad[] = {0, sizeof(size_t), SIZED_MAX_BYTES + 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct present theirs = {.size = bad[i], .a = 1};
        struct present own;
        struct afar_error err = {0};
        assert_int_equal(take(&own, &theirs, &err), AFAR_EINVAL);
        assert_string_equal(err.message,
                            "struct afar_thing has no size: start it with AFAR_THING_INIT()");
        assert_int_equal(sized_clear(&theirs, "afar_thing", &err), AFAR_EINVAL);
        assert_int_equal(theirs.a, 1);
    }
}

/* An older program's struct ends before our last member, and what is behind it is not ours. */
static void test_give_to_an_older_program(void **state)
{
    (void)state;
    const struct present own = {.size = sizeof own, .a = 1, .b = 2};
    struct {
        struct older theirs;
        int64_t behind;
    } place = {.theirs = {.size = sizeof place.theirs, .a = 7}, .behind = 9};
    assert_int_equal(sized_clear(&place.theirs, "afar_thing", NULL), AFAR_OK);
    assert_int_equal(place.theirs.a, 0);
    sized_give(&place.theirs, &own, sizeof own);
    assert_int_equal(place.theirs.size, sizeof place.theirs);
    assert_int_equal(place.theirs.a, 1);
    assert_int_equal(place.behind, 9);
}

static void test_give_to_a_newer_program(void **state)
{
    (void)state;
    const struct present own = {.size = sizeof own, .a = 1, .b = 2};
    struct newer theirs = {.size = sizeof theirs, .a = 7, .b = 7, .c = 7};
    assert_int_equal(sized_clear(&theirs, "afar_thing", NULL), AFAR_OK);
    sized_give(&theirs, &own, sizeof own);
    assert_int_equal(theirs.size, sizeof theirs);
    assert_int_equal(theirs.a, 1);
    assert_int_equal(theirs.b, 2);
    assert_int_equal(theirs.c, 0);
}

/* Each function that takes one asks for its size. */
static void test_public_functions_want_a_size(void **state)
{
    (void)state;
    struct afar_error err;
    struct afar_context *context = NULL;
    const struct afar_credentials credentials = {.ca_file = NULL};
    assert_int_equal(afar_context_new(&context, &credentials, &err), AFAR_EINVAL);
    assert_null(context);
    assert_string_equal(
        err.message, "struct afar_credentials has no size: start it with AFAR_CREDENTIALS_INIT()");

    struct afar_health health = {.words = "before"};
    assert_int_equal(afar_health("http://127.0.0.1:1", 1000, &health, &err), AFAR_EINVAL);

    struct afar_keygen_options options = {.name = "x", .days = 1};
    struct afar_identity identity = AFAR_IDENTITY_INIT();
    assert_int_equal(afar_keygen(&identity, &options, &err), AFAR_EINVAL);
    options.size = sizeof options;
    struct afar_identity no_size = {.size = 0};
    assert_int_equal(afar_keygen(&no_size, &options, &err), AFAR_EINVAL);
    assert_int_equal(afar_keygen(&identity, &options, &err), AFAR_OK);
    afar_identity_close(&identity);
    assert_null(identity.key_pem);
    assert_int_equal(identity.size, sizeof identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_from_the_same_version),
        cmocka_unit_test(test_take_from_an_older_program),
        cmocka_unit_test(test_take_from_a_newer_program),
        cmocka_unit_test(test_without_a_size),
        cmocka_unit_test(test_give_to_an_older_program),
        cmocka_unit_test(test_give_to_a_newer_program),
        cmocka_unit_test(test_public_functions_want_a_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
