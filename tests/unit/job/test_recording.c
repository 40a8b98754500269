/* The file of a recording where the disk, the memory or the kernel does not do what was asked: each
 * call fails at each of its occurrences. There are whole lines in it, the hash is the file's or there
 * is none, and nothing is left open or allocated. */
// wrap: malloc calloc realloc free open write pread ftruncate fdatasync unlink __pread_chk
// wrap: digest_update digest_finish
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/recording.h"
#include "support/folder.h"
#include "support/recorded.h"

enum call { ALLOCATION, OPEN, WRITE, PREAD, FTRUNCATE, FDATASYNC, UNLINK, UPDATE, FINISH, CALLS };
enum { SHORT = -1, NOTHING = -2, WAYS = 5, TEXT_BYTES = 65536, LINES = 3 };

static const struct {
    const char *name;
    int ways[WAYS]; /* errnos; SHORT: half of it; NOTHING: 0 bytes */
} calls[CALLS] = {
    [ALLOCATION] = {"an allocation", {ENOMEM}},
    [OPEN] = {"open", {EMFILE, ENFILE, ENOSPC, EIO}},
    [WRITE] = {"write", {ENOSPC, EIO, EINTR, SHORT, NOTHING}},
    [PREAD] = {"pread", {EIO, EINTR}},
    [FTRUNCATE] = {"ftruncate", {EIO}},
    [FDATASYNC] = {"fdatasync", {EIO, ENOSPC}},
    [UNLINK] = {"unlink", {EIO}},
    [UPDATE] = {"digest_update", {ENOMEM}},
    [FINISH] = {"digest_finish", {ENOMEM}},
};

static struct {
    bool on;
    enum call call;
    unsigned nth; /* 0: none */
    int way;
    enum call also; /* fails whenever it is made */
    bool half;      /* where a write is to fail: the one before it does a half */
    unsigned fired;
    unsigned seen[CALLS];
} fault;
static unsigned also_fired;
static long alive; /* allocations */

static int failure(enum call call)
{
    if (!fault.on)
        return 0;
    const unsigned seen = ++fault.seen[call];
    also_fired += call == fault.also;
    if (call == fault.also)
        return EIO;
    if (fault.nth == 0 || call != fault.call)
        return 0;
    if (fault.half && seen == fault.nth)
        return SHORT;
    if (seen != fault.nth + (fault.half ? 1 : 0))
        return 0;
    fault.fired++;
    return fault.way;
}

#define WRAPS(type, name, ...)       \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

static bool fails(enum call call)
{
    const int failed = failure(call);
    errno = failed > 0 ? failed : errno;
    return failed != 0;
}

static void *counted(void *memory)
{
    alive += memory != NULL && fault.on;
    return memory;
}

WRAPS(void *, malloc, size_t size);
void *__wrap_malloc(size_t size)
{
    return fails(ALLOCATION) ? NULL : counted(__real_malloc(size));
}

WRAPS(void *, calloc, size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return fails(ALLOCATION) ? NULL : counted(__real_calloc(count, size));
}

WRAPS(void *, realloc, void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    if (fails(ALLOCATION))
        return NULL;
    return old == NULL ? counted(__real_realloc(old, size)) : __real_realloc(old, size);
}

WRAPS(void, free, void *memory);
void __wrap_free(void *memory)
{
    alive -= memory != NULL && fault.on;
    __real_free(memory);
}

WRAPS(int, open, const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails(OPEN) ? -1 : __real_open(path, flags, mode);
}

WRAPS(ssize_t, write, int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    const int failed = failure(WRITE);
    if (failed == 0 || failed == SHORT)
        return __real_write(fd, data, failed == SHORT ? (size + 1) / 2 : size);
    if (failed == NOTHING)
        return 0;
    errno = failed;
    return -1;
}

WRAPS(ssize_t, pread, int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset)
{
    return fails(PREAD) ? -1 : __real_pread(fd, data, size, offset);
}

ssize_t __wrap___pread_chk(int fd, void *data, size_t size, off_t offset, size_t room);
ssize_t __wrap___pread_chk(int fd, void *data, size_t size, off_t offset, size_t room)
{
    assert_true(size <= room);
    return __wrap_pread(fd, data, size, offset);
}

WRAPS(int, ftruncate, int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
    return fails(FTRUNCATE) ? -1 : __real_ftruncate(fd, size);
}

WRAPS(int, fdatasync, int fd);
int __wrap_fdatasync(int fd)
{
    return fails(FDATASYNC) ? -1 : __real_fdatasync(fd);
}

WRAPS(int, unlink, const char *path);
int __wrap_unlink(const char *path)
{
    return fails(UNLINK) ? -1 : __real_unlink(path);
}

WRAPS(enum afar_status, digest_update, struct digest *digest, const void *data, size_t size,
      struct afar_error *err);
enum afar_status __wrap_digest_update(struct digest *digest, const void *data, size_t size,
                                      struct afar_error *err)
{
    return fails(UPDATE) ? AFAR_ENOMEM : __real_digest_update(digest, data, size, err);
}

WRAPS(enum afar_status, digest_finish, struct digest *digest, char hex[DIGEST_HEX_BYTES],
      struct afar_error *err);
enum afar_status __wrap_digest_finish(struct digest *digest, char hex[DIGEST_HEX_BYTES],
                                      struct afar_error *err)
{
    return fails(FINISH) ? AFAR_ENOMEM : __real_digest_finish(digest, hex, err);
}

/* ---- one recording --------------------------------------------------------------------------- */

static char folder[64];
static char text[TEXT_BYTES];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-recording-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

/* What a job does until it is told of a failure; and what it knows then. */
struct told {
    int failed;       /* of the lines, or of the end */
    unsigned written; /* lines that it was told of */
    bool made;
    bool reopened;
    bool refused; /* the keeper could not go on with it */
    uint64_t bytes;
    char path[RECORDING_PATH_BYTES];
    char sha256[DIGEST_HEX_BYTES];
};

static struct recording *go_on_elsewhere(struct recording *recording, struct told *told)
{
    struct afar_error err = {0};
    recording_free(recording);
    recording = recording_reopen(told->path, &err);
    told->refused = recording == NULL;
    if (told->refused)
        assert_true(err.message[0] != '\0');
    return recording;
}

static void record(struct told *told, bool reopens)
{
    static const struct cast_header header = {
        .rows = 24, .cols = 80, .time_s = 1, .term = "xterm", .job = "j"};
    struct afar_error err = {0};
    char line[256];
    *told = (struct told){.failed = 0};
    struct recording *recording = recording_make(folder, &header, &err);
    told->made = recording != NULL;
    if (!told->made) {
        assert_true(err.message[0] != '\0');
        return;
    }
    memcpy(told->path, recording->path, sizeof told->path);
    if (reopens)
        recording = go_on_elsewhere(recording, told);
    if (recording == NULL)
        return;
    for (unsigned i = 0; i < LINES && told->failed == 0; i++) {
        const int size = snprintf(line, sizeof line, "[%u.0, \"o\", \"%0*u\"]\n", i, 150, i);
        told->failed = recording_write(recording, line, (size_t)size);
        told->written += told->failed == 0;
    }
    const int failed = recording_finish(recording);
    told->failed = told->failed != 0 ? told->failed : failed;
    told->bytes = recording->bytes;
    memcpy(told->sha256, recording->sha256, sizeof told->sha256);
    recording_free(recording);
}

static void check_hash(const char *what, size_t size, const struct told *told)
{
    char hash[DIGEST_HEX_BYTES];
    recorded_hash(text, size, hash);
    if (size != told->bytes || strcmp(hash, told->sha256) != 0)
        fail_msg("%s: its hash is not that of its %zu bytes, but of %llu", what, size,
                 (unsigned long long)told->bytes);
}

static void check_file(const char *what, const struct told *told)
{
    unsigned lines = 0;
    const size_t size = recorded_read(told->path, text, sizeof text);
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    const bool whole = size > 0 && text[size - 1] == '\n' && lines == told->written + 1;
    if (!whole && told->sha256[0] != '\0')
        fail_msg("%s: %u lines, with a hash", what, lines);
    if (!whole && fault.also != FTRUNCATE)
        fail_msg("%s: %u lines, and not %u", what, lines, told->written + 1);
    if (told->sha256[0] != '\0')
        check_hash(what, size, told);
    else if (fault.fired == 0 || (told->failed == 0 && fault.call != FINISH))
        fail_msg("%s: it has no hash", what);
}

static void check(const char *what, const struct told *told)
{
    if (alive != 0)
        fail_msg("%s: %ld allocations are left", what, alive);
    const unsigned files = count_entries(folder);
    if (!told->made) {
        if (fault.fired == 0 || (files > 0 && fault.also != UNLINK))
            fail_msg("%s: it could not be made, and there are %u files", what, files);
        assert_int_equal(folder_remove(folder), 0);
        assert_int_equal(mkdir(folder, 0700), 0);
        return;
    }
    assert_int_equal(files, 1);
    const bool absorbed = fault.way == EINTR || fault.way == SHORT || fault.call == FINISH;
    if (told->failed == 0 && !told->refused && fault.fired > 0 && !absorbed)
        fail_msg("%s: nobody was told", what);
    if ((told->failed != 0 || told->refused) && (fault.fired == 0 || absorbed))
        fail_msg("%s: it fails with %d", what, told->failed);
    if (!told->refused)
        check_file(what, told);
    assert_int_equal(unlink(told->path), 0);
}

static void run(const char *what, bool reopens)
{
    struct told told;
    const unsigned open_before = count_entries("/proc/self/fd");
    memset(fault.seen, 0, sizeof fault.seen);
    fault.fired = 0;
    alive = 0;
    fault.on = true;
    record(&told, reopens);
    fault.on = false;
    assert_int_equal(count_entries("/proc/self/fd"), open_before);
    check(what, &told);
}

static const char *name_of(int way)
{
    return way == SHORT ? "short" : way == NOTHING ? "0 bytes" : strerrorname_np(way);
}

static unsigned each_way(enum call call, unsigned seen, bool reopens)
{
    unsigned cases = 0;
    for (unsigned i = 0; i < seen * WAYS * 2; i++) {
        char what[96];
        const bool half = i % 2 == 1;
        fault.call = call;
        fault.nth = i / 2 / WAYS + 1;
        fault.way = calls[call].ways[i / 2 % WAYS];
        fault.half = half;
        if (fault.way == 0 || (half && call != WRITE))
            continue;
        (void)snprintf(what, sizeof what, "%s %u: %s%s%s", calls[call].name, fault.nth,
                       half ? "half, then " : "", name_of(fault.way), reopens ? ", reopened" : "");
        run(what, reopens);
        if (fault.fired == 0)
            fail_msg("%s: in vain", what);
        cases++;
    }
    return cases;
}

static void each_call_fails_once(void **state)
{
    unsigned cases = 0;
    (void)state;
    for (int reopens = 0; reopens < 2; reopens++) {
        unsigned seen[CALLS];
        memset(&fault, 0, sizeof fault);
        fault.also = CALLS;
        run("none", reopens == 1);
        memcpy(seen, fault.seen, sizeof seen);
        assert_int_equal(seen[PREAD] > 0, reopens == 1);
        for (int call = 0; call < CALLS; call++)
            cases += each_way((enum call)call, seen[call], reopens == 1);
    }
    print_message("%u cases\n", cases);
    assert_true(cases > 60);
}

/* What is done about a failure fails, too: a file that cannot be cut has half of a line, and then no
 * hash; one that nothing has run for stays there where it cannot be removed. */
static void and_what_follows(void **state)
{
    static const struct {
        enum call call;
        enum call then;
    } pairs[] = {{WRITE, FTRUNCATE}, {UPDATE, FTRUNCATE}, {WRITE, UNLINK}, {ALLOCATION, UNLINK}};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        unsigned seen[CALLS];
        memset(&fault, 0, sizeof fault);
        fault.also = CALLS;
        run("none", false);
        memcpy(seen, fault.seen, sizeof seen);
        fault.also = pairs[i].then;
        assert_true(each_way(pairs[i].call, seen[pairs[i].call], false) > 0);
        assert_true(also_fired > 0);
        also_fired = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_fails_once),
        cmocka_unit_test(and_what_follows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
