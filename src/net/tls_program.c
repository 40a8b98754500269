/* What OpenSSL does for the whole process when it is first used, and again at its end: for a
 * program that connects once, a sixth of its time. A library must not decide that for its host; the
 * program may. */
#include "net/tls.h"

#include <stdlib.h>

#include <openssl/crypto.h>

void tls_program_begin(void)
{
    uint64_t options = OPENSSL_INIT_NO_ATEXIT; /* the kernel frees faster */
    if (getenv("OPENSSL_CONF") == NULL)        // NOLINT(concurrency-mt-unsafe)
        options |= OPENSSL_INIT_NO_LOAD_CONFIG;
    /* Where this fails, it is tried again, and reported, when OpenSSL is used. */
    (void)OPENSSL_init_crypto(options, NULL);
}
