/* In place of base/libcrypto.c: loads the library with the first digest. */
#include "base/libcrypto.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/loaded.h"

#define TEXT_OF(number) #number
#define SONAME_OF(version) "libcrypto.so." TEXT_OF(version)
#define SONAME SONAME_OF(OPENSSL_SHLIB_VERSION)

/* Written by load, once; after that it is only read. */
static struct {
    pthread_once_t once;
    bool loaded;
    struct libcrypto library;
} found = {.once = PTHREAD_ONCE_INIT};

static void load(void)
{
    struct libcrypto *library = &found.library;
    void *handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
    found.loaded = handle != NULL &&
                   loaded_find(handle, "EVP_get_digestbyname", &library->get_digestbyname) &&
                   loaded_find(handle, "EVP_MD_CTX_new", &library->ctx_new) &&
                   loaded_find(handle, "EVP_MD_CTX_free", &library->ctx_free) &&
                   loaded_find(handle, "EVP_MD_CTX_copy_ex", &library->ctx_copy) &&
                   loaded_find(handle, "EVP_DigestInit_ex", &library->init) &&
                   loaded_find(handle, "EVP_DigestUpdate", &library->update) &&
                   loaded_find(handle, "EVP_DigestFinal_ex", &library->finish);
}

enum afar_status libcrypto_get(const struct libcrypto **library, struct afar_error *err)
{
    (void)pthread_once(&found.once, load);
    if (!found.loaded)
        return afar_fail(err, AFAR_ESYSTEM, "cannot load %s, which computes digests", SONAME);
    *library = &found.library;
    return AFAR_OK;
}
