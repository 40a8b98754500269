/* Makes one libc call fail, once, in a server that runs in a forked child.
 *
 * A *site* is a call together with how it was reached: its name and the return addresses of its
 * callers, up to the innermost three of the program itself. A forked child has its parent's
 * addresses, so a site that one child has reached can be made to fail in the next child.
 *
 *     1. inject_new, before the first fork. All children share what follows.
 *     2. in the child: inject_begin, … the calls …, inject_end.
 *     3. in the parent: inject_site lists the sites reached; inject_arm selects what fails in the
 *        next child; inject_fired says whether it did.
 *
 * Owns:    one mapping, shared by parent and children.
 * Threads: any number in the child; one in the parent.
 * Blocks:  never.
 * Limits:  INJECT_SITES_MAX. Intercepted are the calls that the test's link wraps ("// wrap:" in
 *          inject_calls.c and inject_io.c), cJSON's and OpenSSL's allocations; not calls inside
 *          other shared libraries. */
#ifndef SUPPORT_INJECT_H
#define SUPPORT_INJECT_H

#include <stdbool.h>
#include <stdint.h>

enum { INJECT_SITES_MAX = 4096, INJECT_FRAMES_MAX = 12, INJECT_TEXT_BYTES = 1024 };

struct inject_site {
    uint64_t key; /* never 0 */
    unsigned call;
    unsigned depth;
    uintptr_t frames[INJECT_FRAMES_MAX]; /* return addresses, innermost first */
};

/* Also intercepts OpenSSL's allocations, so OpenSSL must not have been used yet. False: it
 * failed. */
bool inject_new(void);

/* In the child: begins to intercept calls, also cJSON's allocations. */
void inject_begin(void);

/* Stops intercepting. Returns the number of allocations since inject_begin that were not freed,
 * without OpenSSL's. */
long inject_end(void);

/* The sites that any child has reached so far, in the order of first use; NULL: no more. */
const struct inject_site *inject_site(unsigned index);
unsigned inject_site_count(void);

/* How often the site was reached so far, by all children. */
unsigned inject_seen(unsigned index);

/* The same for all sites of a call. */
unsigned inject_calls_seen(const char *name);

/* In how many ways the site's call can fail; they are numbered from 0. */
unsigned inject_ways(const struct inject_site *site);

/* Makes the site's nth call (from 1) fail. */
void inject_arm(const struct inject_site *site, unsigned way, unsigned nth);

/* Makes OpenSSL's nth allocation fail. */
void inject_arm_openssl(unsigned nth);
/* How many allocations OpenSSL has made since inject_arm_openssl (with 0: none fails). */
unsigned inject_openssl_count(void);
/* inject_openssl_alive: allocations of OpenSSL that are not freed. inject_openssl_armed: whether
 * one is to fail. */
long inject_openssl_alive(void);
bool inject_openssl_armed(void);

/* Makes calls of this name fail at any site: `times` calls, after the first `after`. */
void inject_arm_call(const char *name, int failure, unsigned after, unsigned times);

/* Calls that this thread makes between inject_enter and inject_leave are in the scope. They
 * nest. */
void inject_enter(void);
void inject_leave(void);

/* Makes calls of this name in the scope fail: `times` calls, beginning with the nth. `failure`: an
 * errno, or INJECT_SHORT: a write accepts only half of the data. */
enum { INJECT_SHORT = -1 };
void inject_arm_scope(const char *name, int failure, unsigned nth, unsigned times);

/* The number of such calls in the scope, of all children, since the last arming or disarming. */
unsigned inject_scope_seen(const char *name);

/* inject_disarm: nothing fails any more. inject_pause: suspends or resumes what was armed. Both
 * also take effect in a running child. */
void inject_disarm(void);
void inject_pause(bool pause);

/* The number of failures since the last arming. */
unsigned inject_fired(void);

/* For people: "recv: ECONNRESET at socket_read tls/bio.c:29 < …". */
void inject_describe(const struct inject_site *site, unsigned way, char text[INJECT_TEXT_BYTES]);

#endif
