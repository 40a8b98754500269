/* OpenSSL, in a program without shared libraries (make static).
 *
 * Its configuration (/usr/lib/ssl/openssl.cnf, OPENSSL_CONF) may name providers and engines, which
 * are shared libraries: OpenSSL would load them, and with them another libc, into a program that
 * has its own, and that may crash it. So it is told, before main begins, to read none. What the
 * programs need of OpenSSL they set themselves. */
#include <stddef.h>

#include <openssl/crypto.h>

#ifdef AFAR_STATIC
__attribute__((constructor)) static void read_no_configuration(void)
{
    /* The first call decides, for the program's whole life. At its end the kernel frees faster. */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL);
}
#endif
