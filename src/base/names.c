/* Names of hosts and users, in a program without shared libraries (make static).
 *
 * When a static program asks libc for a name, libc loads the modules that /etc/nsswitch.conf lists
 * (nsswitch.conf(5)) from whatever libc the machine has: they may be absent, or of another version
 * and crash it. Files and DNS it knows by itself; so it is told, before main begins, to use only
 * these. */
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
                                     sources[i][1]); /* fails for unknown words only */
}
#endif
