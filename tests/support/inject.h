/* Makes one call of libc fail, once, in a server that runs in a forked child.
 *
 * A *site* is a call as it was reached: its name and the addresses from which it was called, the
 * innermost three of the program's own. A forked child has its parent's addresses, so a site that
 * one child has met can be made to fail in the next.
 *
 *     1. inject_new, before the first fork. Every child shares what follows.
 *     2. in the child: inject_begin, … the calls …, inject_end.
 *     3. in the parent: inject_site lists what has been met; inject_arm says what the next child's
 *        calls are to do; inject_fired tells whether one did.
 *
 * Owns:    one mapping, shared by parent and children.
 * Threads: the child's may be any number; all else is for the parent's one.
 * Blocks:  never.
 * Limits:  INJECT_SITES_MAX. Seen are the calls that the test's link wraps ("// wrap:" in
 *          inject_calls.c and inject_io.c), cJSON's allocations and OpenSSL's; not those inside
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
    uintptr_t frames[INJECT_FRAMES_MAX]; /* return addresses, the innermost first */
};

/* Also takes over OpenSSL's allocations, so OpenSSL must not have been used yet. False: something
 * failed. */
bool inject_new(void);

/* In the child: calls are seen from now on, and cJSON allocates through here too. */
void inject_begin(void);

/* Calls are no longer seen. Returns how many allocations have not been freed since inject_begin;
 * OpenSSL's own are not counted. */
long inject_end(void);

/* Sites met by any child so far, in the order of their first meeting; NULL: no more. */
const struct inject_site *inject_site(unsigned index);
unsigned inject_site_count(void);

/* How often it has been met by now, by all children. */
unsigned inject_seen(unsigned index);

/* The same of all calls of a name. */
unsigned inject_calls_seen(const char *name);

/* Ways in which the call of a site can fail: 0 … inject_ways - 1. */
unsigned inject_ways(const struct inject_site *site);

/* The site's nth call (from 1) will fail. */
void inject_arm(const struct inject_site *site, unsigned way, unsigned nth);

/* OpenSSL's nth allocation will fail. */
void inject_arm_openssl(unsigned nth);
/* How many it has made since it was armed (with 0: none fails). */
unsigned inject_openssl_count(void);
/* How many it has not freed; and whether it is armed. */
long inject_openssl_alive(void);
bool inject_openssl_armed(void);

/* Every call of this name will fail `times` times, wherever it is made, after `after` have not. */
void inject_arm_call(const char *name, int failure, unsigned after, unsigned times);

/* Calls that this thread makes between the two, which nest, are in the scope. */
void inject_enter(void);
void inject_leave(void);

/* The nth call of this name in the scope, and as many in all as `times`, will fail: by an errno, or INJECT_SHORT, a write that takes
 * half of what it is given. */
enum { INJECT_SHORT = -1 };
void inject_arm_scope(const char *name, int failure, unsigned nth, unsigned times);

/* How many there have been, of all children, since something was armed or disarmed. */
unsigned inject_scope_seen(const char *name);

/* Nothing fails any more; or, after a pause, again as it was armed. Takes effect at once, also in a
 * child that is running. */
void inject_disarm(void);
void inject_pause(bool pause);

/* How often something has failed since it was armed. */
unsigned inject_fired(void);

/* "recv: ECONNRESET at socket_read tls/bio.c:29 < …", for people. */
void inject_describe(const struct inject_site *site, unsigned way, char text[INJECT_TEXT_BYTES]);

#endif
