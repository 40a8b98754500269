#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <afar/afar.h>

static void test_without_credentials(void **state)
{
    (void)state;
    struct afar_context *context = NULL;
    struct afar_client *client = NULL;
    struct afar_error err;
    assert_int_equal(afar_context_new(&context, NULL, &err), AFAR_OK);
    assert_non_null(context);
    /* Not refused for want of them: nobody listens there. */
    assert_int_equal(afar_connect(&client, context, "tls://127.0.0.1:1", 1000, &err), AFAR_ESYSTEM);
    afar_context_free(context);
    afar_context_free(NULL);
}

static void test_files_that_are_not_there(void **state)
{
    (void)state;
    const struct afar_credentials bad[] = {
        AFAR_CREDENTIALS_INIT(.ca_file = "/nonexistent/ca.pem"),
        AFAR_CREDENTIALS_INIT(.cert_file = "/nonexistent/cert.pem",
                              .key_file = "/nonexistent/key.pem"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct afar_context *context = NULL;
        struct afar_error err = {0};
        assert_int_equal(afar_context_new(&context, &bad[i], &err), AFAR_EINVAL);
        assert_null(context);
        assert_non_null(strstr(err.message, "/nonexistent/"));
    }
}

static void test_the_systems_store(void **state)
{
    (void)state;
    const struct afar_credentials none = AFAR_CREDENTIALS_INIT();
    struct afar_context *context = NULL;
    struct afar_error err;
    assert_int_equal(afar_context_new(&context, &none, &err), AFAR_OK);
    afar_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_credentials),
        cmocka_unit_test(test_files_that_are_not_there),
        cmocka_unit_test(test_the_systems_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
