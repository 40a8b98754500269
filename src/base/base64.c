#include "base/base64.h"

#include <assert.h>

#include <openssl/evp.h>

size_t base64_length(size_t size)
{
    return (size + 2) / 3 * 4;
}

void base64_encode(char *out, const void *data, size_t size)
{
    assert(size <= BASE64_MAX_BYTES);
    (void)EVP_EncodeBlock((unsigned char *)out, data, (int)size);
}
