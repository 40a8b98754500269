// wrap: malloc calloc realloc strdup EVP_MD_CTX_new EVP_DigestUpdate EVP_DigestFinal_ex getrandom
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/digest.h"
#include "support/alloc_fault.h"

/* OpenSSL is a shared library: its own failures are made here. */
EVP_MD_CTX *__real_EVP_MD_CTX_new(void);
EVP_MD_CTX *__wrap_EVP_MD_CTX_new(void);
int __real_EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t size);
int __wrap_EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t size);
int __real_EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *out, unsigned *size);
int __wrap_EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *out, unsigned *size);
ssize_t __real_getrandom(void *out, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);

static bool broken;

EVP_MD_CTX *__wrap_EVP_MD_CTX_new(void)
{
    return broken ? NULL : __real_EVP_MD_CTX_new();
}

int __wrap_EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t size)
{
    return broken ? 0 : __real_EVP_DigestUpdate(context, data, size);
}

int __wrap_EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *out, unsigned *size)
{
    return broken ? 0 : __real_EVP_DigestFinal_ex(context, out, size);
}

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    return broken ? -1 : __real_getrandom(out, size, flags);
}

static void assert_digest(const char *algorithm, const char *text, const char *expected)
{
    struct digest *digest = NULL;
    char hex[DIGEST_HEX_BYTES];
    assert_int_equal(digest_new(&digest, algorithm, NULL), AFAR_OK);
    /* Twice: finish starts over. In two pieces: so do their edges. */
    for (int i = 0; i < 2; i++) {
        size_t half = strlen(text) / 2;
        assert_int_equal(digest_update(digest, text, half, NULL), AFAR_OK);
        assert_int_equal(digest_update(digest, text + half, strlen(text) - half, NULL), AFAR_OK);
        assert_int_equal(digest_finish(digest, hex, NULL), AFAR_OK);
        assert_string_equal(hex, expected);
    }
    digest_free(digest);
}

static void test_known_digests(void **state)
{
    (void)state;
    assert_digest("md5", "", "d41d8cd98f00b204e9800998ecf8427e");
    assert_digest("md5", "abc", "900150983cd24fb0d6963f7d28e17f72");
    assert_digest("sha256", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest("sha256", "abc",
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* As bytes, and what has come so far, which may go on. */
static void test_bytes(void **state)
{
    (void)state;
    static const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    struct digest *digest = NULL;
    struct afar_error err;
    uint8_t hash[DIGEST_MAX_BYTES];
    size_t size = 0;
    assert_int_equal(digest_new(&digest, "sha256", NULL), AFAR_OK);
    assert_int_equal(digest_update(digest, "ab", 2, NULL), AFAR_OK);
    assert_int_equal(digest_peek_bytes(digest, hash, &size, NULL), AFAR_OK);
    assert_memory_not_equal(hash, abc, sizeof abc);
    assert_int_equal(digest_update(digest, "c", 1, NULL), AFAR_OK);
    assert_int_equal(digest_peek_bytes(digest, hash, &size, NULL), AFAR_OK);
    assert_int_equal(size, 32);
    assert_memory_equal(hash, abc, sizeof abc);
    broken = true;
    assert_int_equal(digest_peek_bytes(digest, hash, &size, &err), AFAR_ENOMEM);
    broken = false;
    assert_int_equal(digest_finish_bytes(digest, hash, &size, NULL), AFAR_OK);
    assert_memory_equal(hash, abc, sizeof abc);
    digest_free(digest);
    assert_int_equal(digest_new(&digest, "sha512", NULL), AFAR_OK);
    assert_int_equal(digest_finish_bytes(digest, hash, &size, NULL), AFAR_OK);
    assert_int_equal(size, 64);
    digest_free(digest);
}

static void test_failures(void **state)
{
    (void)state;
    struct afar_error err;
    struct digest *digest = (struct digest *)&err;
    assert_int_equal(digest_new(&digest, "no-such-digest", &err), AFAR_EINVAL);
    assert_null(digest);
    alloc_fault_arm(1);
    assert_int_equal(digest_new(&digest, "sha256", &err), AFAR_ENOMEM);
    assert_true(alloc_fault_fired());
    assert_null(digest);
    broken = true;
    assert_int_equal(digest_new(&digest, "sha256", &err), AFAR_ENOMEM);
    broken = false;
    assert_null(digest);
    digest_free(NULL);

    char hex[DIGEST_HEX_BYTES];
    assert_int_equal(digest_new(&digest, "sha256", &err), AFAR_OK);
    broken = true;
    assert_int_equal(digest_update(digest, "x", 1, &err), AFAR_ESYSTEM);
    assert_int_equal(digest_finish(digest, hex, &err), AFAR_ESYSTEM);
    broken = false;
    digest_free(digest);

    /* Too long for DIGEST_HEX_BYTES. */
    assert_int_equal(digest_new(&digest, "sha512", &err), AFAR_OK);
    assert_int_equal(digest_finish(digest, hex, &err), AFAR_ESYSTEM);
    digest_free(digest);
}

static void test_random_hex(void **state)
{
    (void)state;
    struct afar_error err;
    char one[65];
    char two[65];
    memset(one, 'X', sizeof one);
    assert_int_equal(random_hex(one, 16, &err), AFAR_OK);
    assert_int_equal(strlen(one), 32);
    assert_int_equal(strspn(one, "0123456789abcdef"), 32);
    assert_int_equal(one[33], 'X');
    assert_int_equal(random_hex(one, 32, &err), AFAR_OK);
    assert_int_equal(random_hex(two, 32, &err), AFAR_OK);
    assert_int_equal(strlen(two), 64);
    assert_string_not_equal(one, two);
    assert_int_equal(random_hex(one, 33, &err), AFAR_EBUG);
    broken = true;
    assert_int_equal(random_hex(one, 16, &err), AFAR_ESYSTEM);
    broken = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_digests),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_random_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
