/* Resolving hosts and users in a static program (make static).
 *
 * When a static program asks libc for a name, libc loads the modules that /etc/nsswitch.conf lists
 * (nsswitch.conf(5)) from the machine's libc: they may be missing, or of another version and crash
 * the program. Files and DNS are built in, so before main libc is told to use only these. */
#include <nss.h>
#include <stddef.h>

#ifdef AFAR_STATIC
__attribute__((constructor)) static void use_only_what_is_linked_in(void)
{
    static const char *const sources[][2] = {
        {"hosts", "files dns"},
        {"passwd", "files"},
        {"group", "files"},
        {"initgroups", "files"},
    };
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
        (void)__nss_configure_lookup(sources[i][0],
                                     sources[i][1]); /* fails only for unknown words */
}
#endif
