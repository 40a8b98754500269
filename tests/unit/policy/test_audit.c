/* The audit log: what its lines say, that no client can forge one, that its chain finds every
 * change, and that a full disk leaves no half line. */
// wrap: write fdatasync ftruncate syslog __syslog_chk
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "policy/audit_verify.h"

static char folder[64];
static char path[96];
static char other[96];

/* ---- a disk that fails ----------------------------------------------------------------------- */

static atomic_long room_bytes; /* how much the disk takes; below 0: anything */
static atomic_int sync_errno;
static atomic_bool truncate_fails;
static atomic_uint syncs;

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    long room = atomic_load(&room_bytes);
    if (room < 0 || fd <= 2)
        return __real_write(fd, data, size);
    if (room == 0) {
        errno = ENOSPC;
        return -1;
    }
    size_t part = size < (size_t)room ? size : (size_t)room;
    (void)atomic_fetch_sub(&room_bytes, (long)part);
    return __real_write(fd, data, part);
}

static atomic_bool writes_meanwhile; /* another thread adds a line during the next fdatasync(2) */
static pthread_t meanwhile;
static void *add_late(void *audit);
static struct audit *added_to;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    int failed = atomic_load(&sync_errno);
    if (atomic_exchange(&writes_meanwhile, false)) {
        assert_int_equal(pthread_create(&meanwhile, NULL, add_late, added_to), 0);
        (void)usleep(100000); /* it has the time for that */
    }
    (void)atomic_fetch_add(&syncs, 1);
    if (failed == 0)
        return __real_fdatasync(fd);
    errno = failed;
    return -1;
}

int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
    if (!atomic_load(&truncate_fails))
        return __real_ftruncate(fd, size);
    errno = EIO;
    return -1;
}

/* ---- syslog that is heard -------------------------------------------------------------------- */

static char said[4096];

void __wrap_syslog(int priority, const char *format, ...);
void __wrap_syslog(int priority, const char *format, ...)
{
    va_list arguments;
    assert_int_equal(priority, LOG_AUTHPRIV | LOG_NOTICE);
    va_start(arguments, format);
    (void)vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
}

void __wrap___syslog_chk(int priority, int flag, const char *format, ...);
void __wrap___syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list arguments;
    (void)flag;
    assert_int_equal(priority, LOG_AUTHPRIV | LOG_NOTICE);
    va_start(arguments, format);
    (void)vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
}

/* ---- helpers --------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-audit-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/log", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
    atomic_store(&room_bytes, -1);
    atomic_store(&sync_errno, 0);
    atomic_store(&truncate_fails, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(other);
    return rmdir(folder);
}

static struct audit *open_log(bool chain, bool sync)
{
    struct audit *audit = NULL;
    struct afar_error err;
    const struct audit_options options = {.path = path, .chain = chain, .sync = sync};
    if (audit_open(&audit, &options, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    return audit;
}

static void write_event(struct audit *audit, const char *event)
{
    struct afar_error err;
    const struct audit_record record = {.event = event};
    if (audit_write(audit, &record, &err) != AFAR_OK)
        fail_msg("%s", err.message);
}

static char *slurp(const char *name, size_t *size)
{
    FILE *file = fopen(name, "re");
    assert_non_null(file);
    char *data = malloc(1 << 20);
    assert_non_null(data);
    *size = fread(data, 1, (1 << 20) - 1, file);
    data[*size] = '\0';
    assert_int_equal(fclose(file), 0);
    return data;
}

static enum afar_status verify(const char *name, struct audit_verdict *verdict,
                               struct afar_error *err)
{
    return audit_verify(name, NULL, verdict, err);
}

static void assert_verified(uint64_t lines)
{
    struct audit_verdict verdict;
    struct afar_error err;
    if (verify(path, &verdict, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(verdict.lines, lines);
}

/* The one line of the log, read as JSON. */
static cJSON *only_line(void)
{
    size_t size = 0;
    char *data = slurp(path, &size);
    assert_true(size > 0 && data[size - 1] == '\n');
    assert_ptr_equal(strchr(data, '\n'), data + size - 1);
    for (size_t i = 0; i + 1 < size; i++)
        assert_true((unsigned char)data[i] >= 0x20 && data[i] != 0x7f);
    cJSON *json = cJSON_Parse(data);
    assert_non_null(json);
    free(data);
    return json;
}

static const char *text_of(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    assert_true(cJSON_IsString(item));
    return item->valuestring;
}

static double number_of(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

/* ---- what a line says ------------------------------------------------------------------------ */

static void every_field(void **state)
{
    char *argv[] = {"git", "fetch", "a b", "", NULL};
    char *env[] = {"LANG=C", "TOKEN=hush", NULL};
    const struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED,
                                         .code = 7,
                                         .stdin_bytes = 1,
                                         .stdout_bytes = 2,
                                         .stderr_bytes = 3,
                                         .user_us = 4,
                                         .system_us = 5,
                                         .max_rss_bytes = 6,
                                         .run_us = 8};
    const struct audit_record record = {.event = "end",
                                        .connection = 12,
                                        .job = "0011",
                                        .identity = "cn:ann",
                                        .address = "127.0.0.1:5",
                                        .rule = "ci",
                                        .decision = "allowed",
                                        .reason = "because",
                                        .argv = argv,
                                        .env = env,
                                        .cwd = "/srv",
                                        .user = "builder",
                                        .pid = 99,
                                        .receipt = &receipt};
    static const struct {
        const char *key;
        const char *value;
    } texts[] = {{"event", "end"},           {"job", "0011"}, {"identity", "cn:ann"},
                 {"address", "127.0.0.1:5"}, {"rule", "ci"},  {"decision", "allowed"},
                 {"reason", "because"},      {"cwd", "/srv"}, {"user", "builder"},
                 {"outcome", "exited"}};
    static const struct {
        const char *key;
        double value;
    } numbers[] = {{"connection", 12},   {"pid", 99},         {"code", 7},    {"stdin_bytes", 1},
                   {"stdout_bytes", 2},  {"stderr_bytes", 3}, {"user_us", 4}, {"system_us", 5},
                   {"max_rss_bytes", 6}, {"run_us", 8}};
    (void)state;
    struct audit *audit = open_log(false, true);
    assert_int_equal(audit_write(audit, &record, NULL), AFAR_OK);
    audit_close(audit);
    cJSON *json = only_line();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_string_equal(text_of(json, texts[i].key), texts[i].value);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_true(number_of(json, numbers[i].key) == numbers[i].value);
    assert_string_equal(json->child->string, "time");
    assert_int_equal(strlen(text_of(json, "time")), strlen("2026-11-23T12:00:00.123456Z"));
    const cJSON *words = cJSON_GetObjectItemCaseSensitive(json, "argv");
    assert_int_equal(cJSON_GetArraySize(words), 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(cJSON_GetArrayItem(words, i)->valuestring, argv[i]);
    const cJSON *names = cJSON_GetObjectItemCaseSensitive(json, "env");
    assert_int_equal(cJSON_GetArraySize(names), 2);
    assert_string_equal(cJSON_GetArrayItem(names, 1)->valuestring, "TOKEN");
    char *all = cJSON_PrintUnformatted(json);
    assert_null(strstr(all, "hush"));
    cJSON_free(all);
    cJSON_Delete(json);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

/* Whatever a client sends stays within its string. */
static void nobody_forges_a_line(void **state)
{
    char *argv[] = {"a\n{\"event\":\"start\"}\n",
                    "\"],\"rule\":\"admin",
                    "\\",
                    "\x1b[2J\x07\x7f",
                    "\xc2\x85\xe2\x80\xa8 end",
                    NULL};
    const struct audit_record record = {
        .event = "denied", .argv = argv, .identity = "cn:\"\n", .cwd = "/\r\n", .rule = "ci"};
    (void)state;
    struct audit *audit = open_log(true, false);
    assert_int_equal(audit_write(audit, &record, NULL), AFAR_OK);
    audit_close(audit);
    cJSON *json = only_line();
    const cJSON *words = cJSON_GetObjectItemCaseSensitive(json, "argv");
    for (int i = 0; argv[i] != NULL; i++)
        assert_string_equal(cJSON_GetArrayItem(words, i)->valuestring, argv[i]);
    assert_string_equal(text_of(json, "rule"), "ci");
    assert_string_equal(text_of(json, "identity"), "cn:\"\n");
    cJSON_Delete(json);
    size_t size = 0;
    char *data = slurp(path, &size);
    assert_null(strstr(data, "\xe2\x80\xa8"));
    assert_null(strstr(data, "\xc2\x85"));
    free(data);
    assert_verified(1);
}

static void bytes_that_are_no_text(void **state)
{
    char *argv[] = {"\xff\xfe", "x", NULL};
    const struct audit_record record = {.event = "start", .argv = argv, .cwd = "/\xff"};
    (void)state;
    struct audit *audit = open_log(false, false);
    assert_int_equal(audit_write(audit, &record, NULL), AFAR_OK);
    audit_close(audit);
    cJSON *json = only_line();
    const cJSON *words = cJSON_GetObjectItemCaseSensitive(json, "argv_hex");
    assert_string_equal(cJSON_GetArrayItem(words, 0)->valuestring, "fffe");
    assert_string_equal(cJSON_GetArrayItem(words, 1)->valuestring, "78");
    cJSON_Delete(json);
}

static void a_long_command_is_cut(void **state)
{
    static char longest[1 << 20];
    char *argv[] = {"x", longest, "y", NULL};
    const struct audit_record record = {.event = "start", .argv = argv};
    (void)state;
    memset(longest, '\n', sizeof longest - 1);
    struct audit *audit = open_log(true, false);
    assert_int_equal(audit_write(audit, &record, NULL), AFAR_OK);
    write_event(audit, "end");
    audit_close(audit);
    size_t size = 0;
    char *data = slurp(path, &size);
    assert_true(size < AUDIT_LINE_BYTES);
    assert_non_null(strstr(data, "\"argv_cut\":true,\"argv_sha256\":\""));
    free(data);
    assert_verified(2);
}

/* ---- many at once ---------------------------------------------------------------------------- */

enum { THREADS = 8, EACH = 200 };

static void *write_many(void *argument)
{
    struct audit *audit = argument;
    const struct audit_record record = {.event = "start", .job = "x"};
    for (int i = 0; i < EACH; i++) {
        if (audit_write(audit, &record, NULL) != AFAR_OK)
            return audit;
        if (i % 50 == 0 && audit_reopen(audit, NULL) != AFAR_OK)
            return audit;
    }
    return NULL;
}

static void many_threads_write(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    struct audit *audit = open_log(true, true);
    atomic_store(&syncs, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, audit), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result = audit;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    audit_close(audit);
    assert_verified((uint64_t)THREADS * EACH);
    print_message("%d lines, brought to the disk in %u turns\n", THREADS * EACH,
                  atomic_load(&syncs));
    assert_true(atomic_load(&syncs) <= THREADS * EACH + THREADS * EACH / 50);
}

/* ---- a disk that fails ----------------------------------------------------------------------- */

static void a_full_disk_leaves_no_half_line(void **state)
{
    const struct audit_record record = {.event = "start", .job = "0123456789"};
    struct afar_error err;
    (void)state;
    struct audit *audit = open_log(true, false);
    write_event(audit, "a");
    for (long room = 0; room < 100; room += 9) {
        atomic_store(&room_bytes, room);
        assert_int_equal(audit_write(audit, &record, &err), AFAR_ESYSTEM);
        assert_int_equal(err.sys_errno, ENOSPC);
        assert_non_null(strstr(err.message, "cannot be written"));
        audit_lost(audit);
    }
    atomic_store(&room_bytes, -1);
    assert_verified(1);
    write_event(audit, "b");
    audit_close(audit);
    assert_verified(2);
    size_t size = 0;
    char *data = slurp(path, &size);
    assert_non_null(strstr(data, "\"lost\":12,"));
    free(data);
}

static void one_that_cannot_be_undone_is_ended(void **state)
{
    const struct audit_record record = {.event = "start"};
    struct audit_verdict verdict;
    struct afar_error err;
    (void)state;
    struct audit *audit = open_log(true, false);
    write_event(audit, "a");
    atomic_store(&room_bytes, 20);
    atomic_store(&truncate_fails, true);
    assert_int_equal(audit_write(audit, &record, NULL), AFAR_ESYSTEM);
    atomic_store(&room_bytes, -1);
    atomic_store(&truncate_fails, false);
    audit_close(audit);
    assert_int_equal(verify(path, &verdict, &err), AFAR_EPEER);
    assert_non_null(strstr(err.message, ":2: "));
}

static void what_the_disk_did_not_keep(void **state)
{
    const struct audit_record record = {.event = "start"};
    struct afar_error err;
    (void)state;
    struct audit *audit = open_log(true, true);
    write_event(audit, "a");
    atomic_store(&sync_errno, EIO);
    assert_int_equal(audit_write(audit, &record, &err), AFAR_ESYSTEM);
    assert_int_equal(err.sys_errno, EIO);
    atomic_store(&sync_errno, 0);
    write_event(audit, "b");
    audit_close(audit);
    assert_verified(3); /* it may be there all the same */
}

/* What need not wait goes with the next that must. */
static void a_lazy_line_does_not_wait(void **state)
{
    const struct audit_record record = {.event = "end", .lazy = true};
    (void)state;
    struct audit *audit = open_log(true, true);
    atomic_store(&syncs, 0);
    assert_int_equal(audit_write(audit, &record, NULL), AFAR_OK);
    assert_int_equal(audit_write(audit, &record, NULL), AFAR_OK);
    assert_int_equal(atomic_load(&syncs), 0);
    write_event(audit, "start");
    assert_int_equal(atomic_load(&syncs), 1);
    audit_close(audit);
    assert_verified(3);
}

static void *add_late(void *audit)
{
    write_event(audit, "late");
    return NULL;
}

/* Nothing is added to the old file while its last lines are brought to the disk: it would be brought
 * there in vain, as its writer would sync the new file. */
static void nothing_comes_between_two_files(void **state)
{
    const struct audit_record record = {.event = "end", .lazy = true};
    (void)state;
    size_t size = 0;
    struct audit *audit = open_log(true, true);
    assert_int_equal(audit_write(audit, &record, NULL), AFAR_OK);
    assert_int_equal(rename(path, other), 0);
    added_to = audit;
    atomic_store(&writes_meanwhile, true);
    assert_int_equal(audit_reopen(audit, NULL), AFAR_OK);
    assert_false(atomic_load(&writes_meanwhile));
    assert_int_equal(pthread_join(meanwhile, NULL), 0);
    audit_close(audit);
    char *first = slurp(other, &size);
    char *second = slurp(path, &size);
    assert_null(strstr(first, "late"));
    assert_non_null(strstr(second, "late"));
    free(first);
    free(second);
}

/* ---- syslog ---------------------------------------------------------------------------------- */

static void one_message_for_each_line(void **state)
{
    struct audit *audit = NULL;
    struct afar_error err;
    const struct audit_options options = {.path = "syslog", .sync = true};
    const struct audit_record record = {.event = "start", .identity = "100%n"};
    (void)state;
    said[0] = '\0';
    assert_int_equal(audit_open(&audit, &options, &err), AFAR_OK);
    assert_int_equal(audit_write(audit, &record, &err), AFAR_OK);
    assert_int_equal(audit_reopen(audit, &err), AFAR_OK);
    audit_close(audit);
    cJSON *json = cJSON_Parse(said);
    assert_non_null(json);
    assert_string_equal(text_of(json, "event"), "start");
    assert_string_equal(text_of(json, "identity"), "100%n");
    cJSON_Delete(json);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_field),
        TEST(nobody_forges_a_line),
        TEST(bytes_that_are_no_text),
        TEST(a_long_command_is_cut),
        TEST(a_lazy_line_does_not_wait),
        TEST(nothing_comes_between_two_files),
        TEST(one_message_for_each_line),
        TEST(many_threads_write),
        TEST(a_full_disk_leaves_no_half_line),
        TEST(one_that_cannot_be_undone_is_ended),
        TEST(what_the_disk_did_not_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
