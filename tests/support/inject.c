#include "support/inject_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include "support/program.h"

enum {
    OWN_FRAMES = 3,   /* frames of the program itself, not those of libraries */
    FRAMES_SEEN = 40, /* limit of frames that are examined */
    ANY_SITE = 1,     /* keys that no site has: see key_of */
    IN_SCOPE = 2
};

struct shared {
    atomic_uint site_count;
    atomic_flag adding;
    struct inject_site sites[INJECT_SITES_MAX];
    atomic_uint seen[INJECT_SITES_MAX];

    atomic_bool paused;
    _Atomic uint64_t target; /* 0: nothing; ANY_SITE, IN_SCOPE: see target_call */
    atomic_uint target_call;
    atomic_int failure;
    atomic_uint first; /* the first matching call that fails; `last` is the last */
    atomic_uint last;
    atomic_uint met;
    atomic_uint fired;
    atomic_uint scoped[CALLS]; /* number of calls in the scope */

    atomic_uint openssl_nth;
    atomic_uint openssl_met;
    atomic_long allocated;
    atomic_long openssl_allocated;
};

static struct shared *shared;
static atomic_bool on;
static _Thread_local unsigned scopes; /* depth of inject_enter in this thread */

bool inject_new(void)
{
    void *made =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED)
        return false;
    shared = made;
    return inject_hook_openssl();
}

void inject_begin(void)
{
    atomic_store(&shared->allocated, 0);
    atomic_store(&shared->openssl_allocated, 0);
    inject_hook_cjson();
    atomic_store(&on, true);
}

long inject_end(void)
{
    atomic_store(&on, false);
    return atomic_load(&shared->allocated);
}

static bool is_on(void)
{
    return atomic_load(&on);
}

void inject_allocated(long count)
{
    if (is_on())
        (void)atomic_fetch_add(&shared->allocated, count);
}

void inject_openssl_allocated(long count)
{
    if (is_on())
        (void)atomic_fetch_add(&shared->openssl_allocated, count);
}

/* ---- where we are ---------------------------------------------------------------------------- */

/* From the linker: the limits of the program's code. */
extern const char __executable_start[];
extern const char etext[];

static bool is_own(uintptr_t address)
{
    return address >= (uintptr_t)__executable_start && address < (uintptr_t)etext;
}

struct walk {
    uintptr_t caller;
    struct inject_site *site;
    unsigned own;
    unsigned seen;
    bool began; /* the wrapper's own frames have been skipped */
};

static _Unwind_Reason_Code one_frame(struct _Unwind_Context *context, void *argument)
{
    struct walk *walk = argument;
    uintptr_t address = _Unwind_GetIP(context);
    walk->began = walk->began || address == walk->caller;
    if (++walk->seen > FRAMES_SEEN)
        return _URC_END_OF_STACK;
    if (!walk->began)
        return _URC_NO_REASON;
    walk->site->frames[walk->site->depth++] = address;
    walk->own += is_own(address);
    return walk->own < OWN_FRAMES && walk->site->depth < INJECT_FRAMES_MAX ? _URC_NO_REASON
                                                                           : _URC_END_OF_STACK;
}

/* FNV-1a over words. */
__attribute__((no_sanitize("address", "undefined", "thread"))) static uint64_t
key_of(const struct inject_site *site)
{
    uint64_t key = 14695981039346656037U + site->call;
    for (unsigned i = 0; i < site->depth; i++)
        key = (key ^ site->frames[i]) * 1099511628211U;
    return key | 4; /* never 0, ANY_SITE or IN_SCOPE */
}

__attribute__((no_sanitize("address", "undefined", "thread"))) static void
note(const struct inject_site *site)
{
    /* Threads and children of clone may get here; the locked part is short. */
    while (atomic_flag_test_and_set(&shared->adding))
        ;
    unsigned count = atomic_load(&shared->site_count);
    unsigned i = 0;
    while (i < count && shared->sites[i].key != site->key)
        i++;
    if (i == count && count < INJECT_SITES_MAX) {
        for (unsigned byte = 0; byte < sizeof *site; byte++) /* memcpy may be a sanitizer's */
            ((volatile char *)&shared->sites[count])[byte] = ((const volatile char *)site)[byte];
        atomic_store(&shared->site_count, count + 1);
    }
    if (i < INJECT_SITES_MAX)
        (void)atomic_fetch_add(&shared->seen[i], 1);
    atomic_flag_clear(&shared->adding);
}

/* Records the site, and decides whether the call fails. */
__attribute__((no_sanitize("address", "undefined", "thread"))) static int
failure_at(struct inject_site *site)
{
    site->key = key_of(site);
    note(site);
    uint64_t target = atomic_load(&shared->target);
    bool called = atomic_load(&shared->target_call) == site->call;
    bool hit = target == site->key || (target == ANY_SITE && called) ||
               (target == IN_SCOPE && called && scopes > 0);
    if (scopes > 0)
        (void)atomic_fetch_add(&shared->scoped[site->call], 1);
    if (!hit || atomic_load(&shared->paused))
        return 0;
    unsigned nth = atomic_fetch_add(&shared->met, 1) + 1;
    if (nth < atomic_load(&shared->first) || nth > atomic_load(&shared->last))
        return 0;
    (void)atomic_fetch_add(&shared->fired, 1);
    return atomic_load(&shared->failure);
}

int inject_failure(enum call call, const void *caller)
{
    if (!is_on())
        return 0;
    int saved_errno = errno;
    struct inject_site site = {.call = call};
    struct walk walk = {.caller = (uintptr_t)caller, .site = &site};
    (void)_Unwind_Backtrace(one_frame, &walk);
    if (site.depth == 0)
        site.frames[site.depth++] = (uintptr_t)caller;
    int failure = failure_at(&site);
    errno = saved_errno;
    return failure;
}

__attribute__((no_sanitize("address", "undefined", "thread"))) int
inject_failure_in_child(enum call call, const void *caller)
{
    if (!is_on())
        return 0;
    struct inject_site site;
    for (unsigned byte = 0; byte < sizeof site; byte++)
        ((volatile char *)&site)[byte] = 0;
    site.call = call;
    site.depth = 1;
    site.frames[0] = (uintptr_t)caller;
    return failure_at(&site);
}

bool inject_openssl_fails(void)
{
    if (!is_on() || atomic_load(&shared->paused))
        return false;
    unsigned met = atomic_fetch_add(&shared->openssl_met, 1) + 1;
    if (met != atomic_load(&shared->openssl_nth))
        return false;
    (void)atomic_fetch_add(&shared->fired, 1);
    return true;
}

/* ---- the parent's side ----------------------------------------------------------------------- */

unsigned inject_site_count(void)
{
    return atomic_load(&shared->site_count);
}

const struct inject_site *inject_site(unsigned index)
{
    return index < inject_site_count() ? &shared->sites[index] : NULL;
}

unsigned inject_seen(unsigned index)
{
    return atomic_load(&shared->seen[index]);
}

static unsigned call_named(const char *name)
{
    unsigned call = 0;
    while (call + 1 < CALLS && strcmp(inject_calls[call].name, name) != 0)
        call++;
    return call;
}

unsigned inject_calls_seen(const char *name)
{
    unsigned seen = 0;
    for (unsigned i = 0; i < inject_site_count(); i++) {
        if (strcmp(inject_calls[shared->sites[i].call].name, name) == 0)
            seen += inject_seen(i);
    }
    return seen;
}

unsigned inject_ways(const struct inject_site *site)
{
    unsigned count = 0;
    while (count < INJECT_WAYS_MAX && inject_calls[site->call].ways[count] != 0)
        count++;
    return count;
}

unsigned inject_scope_seen(const char *name)
{
    return atomic_load(&shared->scoped[call_named(name)]);
}

void inject_enter(void)
{
    scopes++;
}

void inject_leave(void)
{
    scopes--;
}

void inject_disarm(void)
{
    atomic_store(&shared->target, 0);
    atomic_store(&shared->openssl_nth, 0);
    for (unsigned call = 0; call < CALLS; call++)
        atomic_store(&shared->scoped[call], 0);
}

void inject_pause(bool pause)
{
    atomic_store(&shared->paused, pause);
}

static void arm(uint64_t target, int failure, unsigned first, unsigned last)
{
    inject_disarm();
    inject_pause(false);
    atomic_store(&shared->failure, failure);
    atomic_store(&shared->first, first);
    atomic_store(&shared->last, last);
    atomic_store(&shared->met, 0);
    atomic_store(&shared->fired, 0);
    atomic_store(&shared->target, target);
}

void inject_arm(const struct inject_site *site, unsigned way, unsigned nth)
{
    arm(site->key, inject_calls[site->call].ways[way], nth, nth);
}

void inject_arm_scope(const char *name, int failure, unsigned nth, unsigned times)
{
    atomic_store(&shared->target_call, call_named(name));
    arm(IN_SCOPE, failure, nth, nth + times - 1);
}

void inject_arm_call(const char *name, int failure, unsigned after, unsigned times)
{
    atomic_store(&shared->target_call, call_named(name));
    arm(ANY_SITE, failure, after + 1, after + times);
}

void inject_arm_openssl(unsigned nth)
{
    arm(0, 0, 0, 0);
    atomic_store(&shared->openssl_met, 0);
    atomic_store(&shared->openssl_nth, nth);
}

unsigned inject_openssl_count(void)
{
    return atomic_load(&shared->openssl_met);
}

long inject_openssl_alive(void)
{
    return atomic_load(&shared->openssl_allocated);
}

bool inject_openssl_armed(void)
{
    return atomic_load(&shared->openssl_nth) != 0;
}

unsigned inject_fired(void)
{
    return atomic_load(&shared->fired);
}

/* "function file.c:12", from addr2line(1), or the plain address. */
static void place(uintptr_t frame, char *text, size_t size)
{
    char self[256];
    char address[32];
    struct program reader;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    /* The return address is after the call, which may be the function's last instruction. */
    (void)snprintf(address, sizeof address, "%#lx",
                   (unsigned long)(frame - (uintptr_t)__executable_start - 1));
    const char *argv[] = {"addr2line", "-fsp", "-e", self, address, NULL};
    if (program_run(&reader, argv, NULL, 0) == 0)
        (void)snprintf(text, size, "%.*s", (int)strcspn(reader.stdout_data, "\n"),
                       reader.stdout_data);
    else
        (void)snprintf(text, size, "%s", address);
    program_close(&reader);
}

void inject_describe(const struct inject_site *site, unsigned way, char text[INJECT_TEXT_BYTES])
{
    const struct inject_call *call = &inject_calls[site->call];
    const char *failure = strerrorname_np(call->ways[way]);
    int used =
        snprintf(text, INJECT_TEXT_BYTES, "%s: %s", call->name, failure != NULL ? failure : "?");
    const char *before = " at ";
    for (unsigned i = 0; i < site->depth && used < INJECT_TEXT_BYTES; i++) {
        char where[160];
        if (!is_own(site->frames[i]))
            continue;
        place(site->frames[i], where, sizeof where);
        used += snprintf(text + used, INJECT_TEXT_BYTES - (size_t)used, "%s%s", before, where);
        before = " < ";
    }
}
