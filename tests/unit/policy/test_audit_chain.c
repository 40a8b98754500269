/* The chain of an audit log: that it goes on, and that whatever was done to it is found. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/audit_verify.h"
#include "support/seeded.h"

static char folder[64];
static char path[96];
static char other[96];

/* ---- helpers --------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/afar-audit-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/log", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
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

static void spill(const char *name, const char *data, size_t size)
{
    FILE *file = fopen(name, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
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

/* ---- the chain ------------------------------------------------------------------------------- */

static void goes_on_after_a_restart(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct audit *audit = open_log(true, false);
        write_event(audit, "start");
        write_event(audit, "end");
        audit_close(audit);
    }
    assert_verified(6);
}

static void goes_on_in_another_file(void **state)
{
    struct audit_verdict first;
    struct audit_verdict second;
    struct afar_error err;
    (void)state;
    struct audit *audit = open_log(true, true);
    write_event(audit, "a");
    write_event(audit, "b");
    assert_int_equal(audit_reopen(audit, &err), AFAR_OK); /* the same file */
    write_event(audit, "c");
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(audit_reopen(audit, &err), AFAR_OK);
    write_event(audit, "d");
    audit_close(audit);
    assert_int_equal(verify(other, &first, &err), AFAR_OK);
    assert_int_equal(first.lines, 3);
    assert_int_equal(verify(path, &second, &err), AFAR_OK);
    assert_int_equal(second.first_seq, 3);
    assert_string_equal(second.first_prev, first.last_hash);
}

static void another_chain_is_not_gone_on_with(void **state)
{
    struct afar_error err;
    (void)state;
    struct audit *audit = open_log(true, false);
    write_event(audit, "a");
    assert_int_equal(rename(path, other), 0);
    struct audit *stranger = open_log(true, false);
    write_event(stranger, "b");
    audit_close(stranger);
    assert_int_equal(audit_reopen(audit, &err), AFAR_EINVAL);
    assert_non_null(strstr(err.message, "is not this server's"));
    write_event(audit, "c"); /* into the old one */
    audit_close(audit);
    assert_verified(1);
    struct audit_verdict verdict;
    assert_int_equal(verify(other, &verdict, &err), AFAR_OK);
    assert_int_equal(verdict.lines, 2);
}

static void what_is_no_log_is_refused(void **state)
{
    struct audit *audit = NULL;
    struct afar_error err;
    struct audit_options options = {.path = path, .chain = true};
    (void)state;
    spill(path, "hello\n", 6);
    assert_int_equal(audit_open(&audit, &options, &err), AFAR_EINVAL);
    assert_non_null(strstr(err.message, "belongs to no chain"));
    spill(path, "{\"seq\":0", 8);
    assert_int_equal(audit_open(&audit, &options, &err), AFAR_EINVAL);
    assert_non_null(strstr(err.message, "incomplete"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(audit_open(&audit, &options, &err), AFAR_EINVAL);
    assert_non_null(strstr(err.message, "not a regular file"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(audit_open(&audit, &options, &err), AFAR_ESYSTEM);
    options.path = "/nowhere/log";
    assert_int_equal(audit_open(&audit, &options, &err), AFAR_ESYSTEM);
}

enum { LINES = 12 };

static char *make_log(size_t *size, char last_hash[AUDIT_HASH_BYTES])
{
    struct audit_verdict verdict;
    struct audit *audit = open_log(true, false);
    for (int i = 0; i < LINES; i++)
        write_event(audit, i % 2 == 0 ? "start" : "end");
    audit_close(audit);
    assert_int_equal(verify(path, &verdict, NULL), AFAR_OK);
    memcpy(last_hash, verdict.last_hash, AUDIT_HASH_BYTES);
    return slurp(path, size);
}

static void a_cut_is_found(void **state)
{
    size_t size = 0;
    char hash[AUDIT_HASH_BYTES];
    (void)state;
    char *data = make_log(&size, hash);
    for (size_t cut = 1; cut < size; cut++) {
        struct audit_verdict verdict;
        struct afar_error err;
        spill(other, data, cut);
        enum afar_status status = verify(other, &verdict, &err);
        assert_int_equal(status, data[cut - 1] == '\n' ? AFAR_OK : AFAR_EPEER);
        assert_int_equal(audit_verify(other, hash, &verdict, &err), AFAR_EPEER);
    }
    struct audit_verdict verdict;
    assert_int_equal(audit_verify(path, hash, &verdict, NULL), AFAR_OK);
    free(data);
}

static void not_a_chain(void **state)
{
    static const char line[] = "{\"time\":\"2026-11-27T07:08:58Z\",\"event\":\"start\"}\n";
    struct audit_verdict verdict;
    struct afar_error err;
    (void)state;
    spill(other, line, sizeof line - 1);
    assert_int_equal(verify(other, &verdict, &err), AFAR_EPEER);
    assert_non_null(strstr(err.message, "audit_chain"));
}

static void every_changed_byte_is_found(void **state)
{
    size_t size = 0;
    char hash[AUDIT_HASH_BYTES];
    (void)state;
    char *data = make_log(&size, hash);
    for (size_t at = 0; at < size; at++) {
        struct audit_verdict verdict;
        struct afar_error err;
        data[at] ^= 1;
        spill(other, data, size);
        if (verify(other, &verdict, &err) != AFAR_EPEER)
            fail_msg("byte %zu was changed, and nothing found", at);
        data[at] ^= 1;
    }
    free(data);
}

/* Writes the lines in this order. */
static void spill_lines(char *const *lines, const unsigned *order, size_t count)
{
    FILE *file = fopen(other, "we");
    assert_non_null(file);
    for (size_t i = 0; i < count; i++)
        assert_true(fprintf(file, "%s\n", lines[order[i]]) > 0);
    assert_int_equal(fclose(file), 0);
}

static void moved_and_missing_lines_are_found(void **state)
{
    struct seeded seeded = {.state = 99};
    char *lines[LINES];
    size_t size = 0;
    char hash[AUDIT_HASH_BYTES];
    (void)state;
    char *data = make_log(&size, hash);
    char *rest = data;
    for (int i = 0; i < LINES; i++)
        lines[i] = strtok_r(i == 0 ? data : NULL, "\n", &rest);
    for (unsigned round = 0; round < 600; round++) {
        unsigned order[LINES + 1];
        size_t count = LINES;
        struct audit_verdict verdict;
        struct afar_error err;
        for (unsigned i = 0; i < LINES; i++)
            order[i] = i;
        unsigned at = seeded_below(&seeded, LINES);
        unsigned to = seeded_below(&seeded, LINES);
        if (round % 3 == 0 && at != to) { /* two change places */
            order[at] = to;
            order[to] = at;
        } else if (round % 3 == 1 && at > 0 && at + 1 < LINES) { /* one is missing */
            memmove(order + at, order + at + 1, (LINES - at - 1) * sizeof order[0]);
            count--;
        } else if (round % 3 == 2) { /* one is there twice */
            memmove(order + at + 1, order + at, (LINES - at) * sizeof order[0]);
            count++;
        } else {
            continue;
        }
        spill_lines(lines, order, count);
        assert_int_equal(verify(other, &verdict, &err), AFAR_EPEER);
    }
    free(data);
}

/* ---- recordings ------------------------------------------------------------------------------ */

/* Whatever bytes the recording's path has. */
static void recordings_are_found(void **state)
{
    static char deep[700];
    static const char *const names[] = {"plain",
                                        "a \"b\" \\ c",
                                        "tab\tline\nbell\a\x7f",
                                        "\u200bsecret",
                                        "\U000E0041tag",
                                        "\xff\xfe not UTF-8",
                                        "\u4f60",
                                        deep};
    static const char hash[] = "3d96a458120e68868ccca6bad66be3fc8df4627a6b7372d69b98d3ba7688774d";
    (void)state;
    /* As many folders as that takes: deep/deep/… */
    for (size_t i = 0; i < sizeof deep - 1; i++)
        deep[i] = i % 70 == 69 ? '/' : 'd';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char recording[1024];
        struct audit_verdict verdict;
        struct afar_error err;
        (void)snprintf(recording, sizeof recording, "%s/%s", folder, names[i]);
        for (char *at = strchr(recording + strlen(folder) + 1, '/'); at != NULL;
             at = strchr(at + 1, '/')) {
            *at = '\0';
            assert_int_equal(mkdir(recording, 0700), 0);
            *at = '/';
        }
        spill(recording, "recorded", 8);
        const struct audit_record record = {
            .event = "end", .recording = recording, .record_bytes = 8, .record_sha256 = hash};
        struct audit *audit = open_log(true, false);
        assert_int_equal(audit_write(audit, &record, &err), AFAR_OK);
        audit_close(audit);
        if (verify(path, &verdict, &err) != AFAR_OK)
            fail_msg("%s: %s", names[i], err.message);
        assert_int_equal(verdict.recordings, 1);
        spill(recording, "recordeD", 8);
        assert_int_equal(verify(path, &verdict, &err), AFAR_EPEER);
        assert_non_null(strstr(err.message, "is not as it was written"));
        assert_int_equal(unlink(recording) | unlink(path), 0);
        for (char *at = strrchr(recording, '/'); at > recording + strlen(folder);
             at = strrchr(recording, '/')) {
            *at = '\0';
            assert_int_equal(rmdir(recording), 0);
        }
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(goes_on_after_a_restart),
        TEST(goes_on_in_another_file),
        TEST(another_chain_is_not_gone_on_with),
        TEST(what_is_no_log_is_refused),
        TEST(a_cut_is_found),
        TEST(not_a_chain),
        TEST(every_changed_byte_is_found),
        TEST(moved_and_missing_lines_are_found),
        TEST(recordings_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
