/* The audit log of a real server: a line before each command, one after, and one for each refusal.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/digest.h"
#include "support/afard.h"
#include "support/program.h"

enum { TEXT_BYTES = 1 << 20, LINES_MAX = 64 };

struct fixture {
    struct afard afard;
    char folder[64];
    char file[96]; /* the configuration */
    char log[96];
    char url[128];
};

static void open_fixture(struct fixture *fixture, const char *more)
{
    *fixture = (struct fixture){.folder = "/tmp/afar-audited-XXXXXX"};
    assert_non_null(mkdtemp(fixture->folder));
    (void)snprintf(fixture->file, sizeof fixture->file, "%s/conf", fixture->folder);
    (void)snprintf(fixture->log, sizeof fixture->log, "%s/log", fixture->folder);
    (void)snprintf(fixture->url, sizeof fixture->url, "unix://%s/socket", fixture->folder);
    FILE *file = fopen(fixture->file, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "audit_log = %s\n%s", fixture->log, more) > 0);
    assert_int_equal(fclose(file), 0);
    const char *args[] = {"-c", fixture->file, "--listen", fixture->url, NULL};
    afard_start(&fixture->afard, args);
}

static void remove_file(const struct fixture *fixture, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    (void)unlink(path);
}

static void close_fixture(struct fixture *fixture)
{
    afard_expect_calm(&fixture->afard);
    assert_int_equal(afard_stop(&fixture->afard), 0);
    remove_file(fixture, "conf");
    remove_file(fixture, "log");
    remove_file(fixture, "log.1");
    assert_int_equal(rmdir(fixture->folder), 0);
}

#define WORDS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static int run(const struct fixture *fixture, const char *const *words)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "run", "-n", fixture->url, "--"};
    size_t used = 5;
    struct program program;
    for (; *words != NULL; words++)
        argv[used++] = *words;
    int status = program_run(&program, argv, NULL, 0);
    program_close(&program);
    return status;
}

/* All lines of the log, read as JSON. */
struct lines {
    cJSON *at[LINES_MAX];
    size_t count;
};

static void read_lines(struct lines *lines, const char *path)
{
    static char text[TEXT_BYTES];
    char *rest = NULL;
    FILE *file = fopen(path, "re");
    *lines = (struct lines){.count = 0};
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    assert_int_equal(fclose(file), 0);
    text[size] = '\0';
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && lines->count < LINES_MAX;
         line = strtok_r(NULL, "\n", &rest)) {
        lines->at[lines->count] = cJSON_Parse(line);
        assert_non_null(lines->at[lines->count++]);
    }
}

static void free_lines(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        cJSON_Delete(lines->at[i]);
}

/* The end of a command is written after its client has heard of it. */
static void wait_for_lines(struct lines *lines, const struct fixture *fixture, size_t count)
{
    int64_t until_ms = clock_now_ms() + test_deadline_ms();
    read_lines(lines, fixture->log);
    while (lines->count < count && clock_now_ms() < until_ms) {
        free_lines(lines);
        (void)usleep(1000);
        read_lines(lines, fixture->log);
    }
    assert_int_equal(lines->count, count);
}

static void assert_text(const cJSON *line, const char *key, const char *expected)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, key);
    if (!cJSON_IsString(item) || strcmp(item->valuestring, expected) != 0) {
        char *text = cJSON_PrintUnformatted(line);
        print_error("%s is not '%s' in %s\n", key, expected, text);
        cJSON_free(text);
        fail();
    }
}

static bool has(const cJSON *line, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(line, key) != NULL;
}

static double number(const cJSON *line, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

#define RULES "[allow x]\nclient = any\ncommand = /bin/sh **\ncommand = /bin/nothing\n"

static void test_a_command(void **state)
{
    struct fixture fixture;
    struct lines lines;
    (void)state;
    open_fixture(&fixture, "audit_chain = yes\n" RULES);
    assert_int_equal(run(&fixture, WORDS("sh", "-c", "echo abc; exit 3")), 3);
    wait_for_lines(&lines, &fixture, 2);
    const cJSON *start = lines.at[0];
    const cJSON *end = lines.at[1];
    assert_text(start, "event", "start");
    assert_text(start, "decision", "allowed");
    assert_text(start, "rule", "x");
    assert_text(start, "address", "unix");
    assert_true(has(start, "identity") && has(start, "user") && !has(start, "pid"));
    assert_text(end, "event", "end");
    assert_text(end, "outcome", "exited");
    assert_true(number(end, "code") == 3 && number(end, "stdout_bytes") == 4);
    assert_true(number(end, "pid") > 1 && has(end, "run_us"));
    assert_text(end, "job", cJSON_GetObjectItem(start, "job")->valuestring);
    assert_true(number(start, "connection") == number(end, "connection"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(start, "argv")), 3);
    free_lines(&lines);
    struct program program;
    assert_int_equal(program_run(&program, WORDS("afard", "--verify-audit", fixture.log), NULL, 0),
                     0);
    assert_non_null(strstr(program.stdout_data, "2 lines, seq 0 to 1"));
    program_close(&program);
    close_fixture(&fixture);
}

static void test_refusals(void **state)
{
    struct fixture fixture;
    struct lines lines;
    (void)state;
    open_fixture(&fixture, "argv_bytes = 100\n" RULES);
    assert_int_equal(run(&fixture, WORDS("cat")), 125);
    assert_int_equal(run(&fixture, WORDS("sh", "-c",
                                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")),
                     125);
    wait_for_lines(&lines, &fixture, 2);
    assert_text(lines.at[0], "event", "denied");
    assert_text(lines.at[0], "decision", "denied");
    assert_non_null(strstr(cJSON_GetObjectItem(lines.at[0], "reason")->valuestring, "'cat'"));
    assert_true(has(lines.at[0], "argv"));
    assert_text(lines.at[1], "event", "refused");
    free_lines(&lines);
    close_fixture(&fixture);
}

static void assert_hash(const cJSON *line, const char *const *words)
{
    struct digest *digest = NULL;
    char hex[DIGEST_HEX_BYTES];
    assert_int_equal(digest_new(&digest, "sha256", NULL), AFAR_OK);
    for (; *words != NULL; words++)
        assert_int_equal(digest_update(digest, *words, strlen(*words) + 1, NULL), AFAR_OK);
    assert_int_equal(digest_finish(digest, hex, NULL), AFAR_OK);
    digest_free(digest);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(line, "argv_cut")));
    assert_text(line, "argv_sha256", hex);
}

/* The words of a command and their sizes, around AUDIT_ARGV_BYTES of policy/audit.h. */
enum { WORD_MAX = 120000, ARGV_BYTES = 16384 };
static const size_t word_sizes[] = {1, 2000, 16200, 16340, 16384, 17000, 60000, WORD_MAX};
enum { WORD_SIZES = sizeof word_sizes / sizeof word_sizes[0] };

static void fill_word(char word[WORD_MAX + 1], size_t size)
{
    memset(word, 'w', size);
    word[size] = '\0';
}

static size_t size_of(const char *const *words)
{
    size_t size = 0;
    for (; *words != NULL; words++)
        size += strlen(*words) + 1;
    return size;
}

/* Of all sizes: the command says what it has got, and the line says the same. */
static void test_what_it_says_is_what_ran(void **state)
{
    static char word[WORD_MAX + 1];
    static char script[] = "sha256sum </proc/$$/cmdline; pwd";
    struct fixture fixture;
    struct lines lines;
    struct program program;
    (void)state;
    open_fixture(&fixture, "");
    for (size_t i = 0; i < WORD_SIZES; i++) {
        fill_word(word, word_sizes[i]);
        const char *argv[] = {"afar", "run",  "-n", fixture.url, "--", "sh",
                              "-c",   script, "sh", word,        NULL};
        assert_int_equal(program_run(&program, argv, NULL, 0), 0);
        wait_for_lines(&lines, &fixture, 2);
        const cJSON *line = lines.at[0];
        assert_text(line, "event", "start");
        assert_int_equal(has(line, "argv_cut"), size_of(argv + 5) > ARGV_BYTES);
        if (has(line, "argv_cut")) {
            assert_hash(line, argv + 5);
            assert_memory_equal(program.stdout_data,
                                cJSON_GetObjectItem(line, "argv_sha256")->valuestring, 64);
        } else {
            assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(line, "argv")), 5);
            assert_string_equal(
                cJSON_GetArrayItem(cJSON_GetObjectItem(line, "argv"), 4)->valuestring, word);
        }
        free_lines(&lines);
        program_close(&program);
        assert_int_equal(truncate(fixture.log, 0), 0);
    }
    close_fixture(&fixture);
}

/* Of one that was turned away too all words count, whatever is kept of them. */
static void test_what_was_denied(void **state)
{
    static char word[WORD_MAX + 1];
    struct fixture fixture;
    struct lines lines;
    (void)state;
    open_fixture(&fixture, RULES);
    for (size_t i = 0; i < WORD_SIZES; i++) {
        fill_word(word, word_sizes[i]);
        const char *const words[] = {"cat", word, "and", "more", NULL};
        assert_int_equal(run(&fixture, words), 125);
        wait_for_lines(&lines, &fixture, 1);
        const cJSON *line = lines.at[0];
        assert_text(line, "event", "denied");
        assert_int_equal(has(line, "argv_cut"), size_of(words) > ARGV_BYTES);
        if (has(line, "argv_cut"))
            assert_hash(line, words);
        else
            assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(line, "argv")), 4);
        free_lines(&lines);
        assert_int_equal(truncate(fixture.log, 0), 0);
    }
    close_fixture(&fixture);
}

/* A long name hides no other, and a long directory is not another one. */
static void test_long_names(void **state)
{
    enum { DEPTH = 13, NAME = 250, LONG = 3000 };
    char directory[DEPTH * (NAME + 1) + 128];
    char variable[LONG + 8];
    struct fixture fixture;
    struct lines lines;
    struct program program;
    (void)state;
    open_fixture(&fixture, "");
    memset(variable, 'N', LONG);
    (void)snprintf(variable + LONG, sizeof variable - LONG, "=hush");
    (void)snprintf(directory, sizeof directory, "%s", fixture.folder);
    for (int i = 0; i < DEPTH; i++) {
        size_t used = strlen(directory);
        directory[used] = '/';
        memset(directory + used + 1, 'd', NAME);
        directory[used + 1 + NAME] = '\0';
        assert_int_equal(mkdir(directory, 0755), 0);
    }
    const char *argv[] = {"afar",  "run",    "-n",    "-w",          directory,
                          "--env", variable, "--env", "LD_PRELOAD=", fixture.url,
                          "--",    "sh",     "-c",    "pwd",         NULL};
    assert_int_equal(program_run(&program, argv, NULL, 0), 0);
    wait_for_lines(&lines, &fixture, 2);
    assert_text(lines.at[0], "cwd", directory);
    assert_memory_equal(program.stdout_data, directory, strlen(directory));
    const cJSON *env = cJSON_GetObjectItem(lines.at[0], "env");
    assert_int_equal(strlen(cJSON_GetArrayItem(env, 0)->valuestring), LONG);
    assert_string_equal(cJSON_GetArrayItem(env, 1)->valuestring, "LD_PRELOAD");
    free_lines(&lines);
    program_close(&program);
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(rmdir(directory), 0);
        *strrchr(directory, '/') = '\0';
    }
    close_fixture(&fixture);
}

/* One that could not be spawned has begun, and ended. */
static void test_not_spawned(void **state)
{
    struct fixture fixture;
    struct lines lines;
    (void)state;
    open_fixture(&fixture, "");
    assert_int_equal(run(&fixture, WORDS("/nonexistent")), 127);
    wait_for_lines(&lines, &fixture, 2);
    assert_text(lines.at[0], "event", "start");
    assert_false(has(lines.at[0], "rule"));
    assert_text(lines.at[1], "outcome", "spawn_failed");
    free_lines(&lines);
    close_fixture(&fixture);
}

static void test_rotated(void **state)
{
    struct fixture fixture;
    struct lines lines;
    char moved[128];
    (void)state;
    open_fixture(&fixture, "audit_chain = yes\n");
    assert_int_equal(run(&fixture, WORDS("true")), 0);
    wait_for_lines(&lines, &fixture, 2);
    free_lines(&lines);
    (void)snprintf(moved, sizeof moved, "%s.1", fixture.log);
    assert_int_equal(rename(fixture.log, moved), 0);
    assert_int_equal(kill(fixture.afard.program.pid, SIGHUP), 0);
    afard_expect_log(&fixture.afard, "reloaded");
    assert_int_equal(run(&fixture, WORDS("false")), 1);
    wait_for_lines(&lines, &fixture, 2);
    assert_true(number(lines.at[0], "seq") == 2);
    free_lines(&lines);
    close_fixture(&fixture);
}

static void limit_files(const struct fixture *fixture, rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    assert_int_equal(prlimit(fixture->afard.program.pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

/* No line, no command. */
static void test_required(void **state)
{
    struct fixture fixture;
    struct lines lines;
    char mark[128];
    (void)state;
    open_fixture(&fixture, "");
    (void)snprintf(mark, sizeof mark, "%s/mark", fixture.folder);
    limit_files(&fixture, 50);
    assert_int_equal(run(&fixture, WORDS("touch", mark)), 125);
    assert_int_equal(access(mark, F_OK), -1);
    afard_expect_log(&fixture.afard, "audit: a line (start) is lost");
    afard_expect_log(&fixture.afard, "audit: a line (refused) is lost");
    limit_files(&fixture, RLIM_INFINITY);
    assert_int_equal(run(&fixture, WORDS("true")), 0);
    wait_for_lines(&lines, &fixture, 2);
    assert_true(number(lines.at[0], "lost") == 2);
    free_lines(&lines);
    close_fixture(&fixture);
}

static void test_counted(void **state)
{
    struct fixture fixture;
    (void)state;
    open_fixture(&fixture, "audit = counted\n");
    limit_files(&fixture, 50);
    assert_int_equal(run(&fixture, WORDS("true")), 0);
    afard_expect_log(&fixture.afard, "audit: a line (start) is lost");
    afard_expect_log(&fixture.afard, "audit: a line (end) is lost");
    close_fixture(&fixture);
}

/* A stranger at a TLS port. */
static void test_handshake(void **state)
{
    struct afard afard;
    struct program program;
    struct lines lines;
    char log[] = "/tmp/afar-audited-XXXXXX";
    char setting[64];
    (void)state;
    int fd = mkstemp(log);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    (void)snprintf(setting, sizeof setting, "audit_log=%s", log);
    afard_start_tls(&afard, WORDS("--listen", "tls://127.0.0.1:0", "--set", setting));
    assert_int_equal(unsetenv("AFAR_CERT") | unsetenv("AFAR_KEY"), 0);
    assert_int_equal(setenv("HOME", "/nonexistent", 1), 0);
    assert_int_equal(program_run(&program, WORDS("afar", "ping", afard.url[0]), NULL, 0), 125);
    program_close(&program);
    assert_int_equal(afard_stop(&afard), 0);
    read_lines(&lines, log);
    assert_int_equal(lines.count, 1);
    assert_text(lines.at[0], "event", "handshake_failed");
    assert_true(has(lines.at[0], "reason"));
    free_lines(&lines);
    assert_int_equal(unlink(log), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_command),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_what_it_says_is_what_ran),
        cmocka_unit_test(test_what_was_denied),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_not_spawned),
        cmocka_unit_test(test_rotated),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
