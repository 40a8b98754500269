/* What a line of the audit log says of a request is what was asked for, or marked as cut with the
 * hash of the whole: tried with requests of all sizes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "policy/audit.h"
#include "support/seeded.h"

enum { WORDS_MAX = 5000, ROUNDS = 400 };

/* ---- requests -------------------------------------------------------------------------------- */

static struct seeded seeded = {.state = 13};

/* Pieces that want to be escaped, or not to be cut in two. */
static const char *const pieces[] = {"a",
                                     "\"",
                                     "\\",
                                     "\n",
                                     "\x1b",
                                     "\xc3\xa4",
                                     "\xe2\x80\xae",
                                     "\xe2\x80\xa8",
                                     "\xf0\x9f\x98\x80",
                                     "\xc2\x85"};
enum { PIECES = sizeof pieces / sizeof pieces[0] };

/* Of so many bytes, or a few fewer; with `broken` it has bytes that are not UTF-8. */
static char *make_word(size_t size, bool broken)
{
    char *word = malloc(size + 1);
    size_t used = 0;
    assert_non_null(word);
    while (used < size) {
        const char *piece =
            pieces[seeded_below(&seeded, 4) == 0 ? seeded_below(&seeded, PIECES) : 0];
        if (used + strlen(piece) > size)
            break;
        memcpy(word + used, piece, strlen(piece));
        used += strlen(piece);
    }
    if (broken && used > 0)
        word[seeded_below(&seeded, (unsigned)used)] = '\xff';
    word[used] = '\0';
    return word;
}

/* `total` bytes in up to `count` words, each counted with its NUL. */
static char **make_words(size_t total, size_t count, bool broken)
{
    char **words = calloc(WORDS_MAX + 1, sizeof *words);
    assert_non_null(words);
    for (size_t i = 0; i < count && total > 0; i++) {
        size_t size = i + 1 == count ? total - 1 : seeded_below(&seeded, (unsigned)total);
        words[i] = make_word(size, broken && seeded_below(&seeded, 3) == 0);
        total -= strlen(words[i]) + 1 < total ? strlen(words[i]) + 1 : total;
    }
    return words;
}

/* Makes variables of them: what is behind the name is nobody's business. */
static void give_values(char **words)
{
    for (; *words != NULL; words++) {
        char *entry = NULL;
        assert_true(asprintf(&entry, "%s=hush%s", *words, *words) >= 0);
        free(*words);
        *words = entry;
    }
}

static void free_words(char **words)
{
    for (size_t i = 0; words[i] != NULL; i++)
        free(words[i]);
    free(words);
}

/* Most around the limit, where there is most to do wrong. */
static size_t some_size(size_t limit)
{
    switch (seeded_below(&seeded, 4)) {
    case 0:
        return limit - 4 + seeded_below(&seeded, 9);
    case 1:
        return limit + seeded_below(&seeded, (unsigned)limit * 3);
    default:
        return 1 + seeded_below(&seeded, (unsigned)limit);
    }
}

/* ---- what the line says ---------------------------------------------------------------------- */

static cJSON *render(const struct audit_record *record)
{
    struct buffer body;
    struct afar_error err;
    buffer_init(&body, AUDIT_LINE_BYTES - 512);
    assert_int_equal(buffer_append(&body, "{\"x\":0", 6, NULL), AFAR_OK);
    if (audit_render(&body, record, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    assert_int_equal(buffer_append(&body, "}", 2, NULL), AFAR_OK);
    const char *text = (const char *)buffer_head(&body);
    for (const char *at = text; *at != '\0'; at++)
        assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
    assert_true(utf8_valid(text, strlen(text)));
    assert_null(strstr(text, "hush"));
    for (size_t i = 0; i < PIECES; i++) { /* nothing that a terminal or a reader could obey */
        if (i == 4 || i == 6 || i == 7 || i == 9)
            assert_null(strstr(text, pieces[i]));
    }
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    buffer_close(&body);
    return json;
}

static const cJSON *find(const cJSON *json, const char *key, const char *suffix)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s%s", key, suffix);
    return cJSON_GetObjectItemCaseSensitive(json, name);
}

/* The bytes of what stands there, from hex if need be. */
static size_t bytes_of(const cJSON *item, bool is_hex, char *out)
{
    const char *text = item->valuestring;
    size_t size = is_hex ? strlen(text) / 2 : strlen(text);
    if (!is_hex)
        memcpy(out, text, size);
    for (size_t i = 0; is_hex && i < size; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out[i] = (char)byte;
    }
    return size;
}

static void assert_hash(const cJSON *json, const char *key, const void *data, size_t size)
{
    struct digest *digest = NULL;
    char hex[DIGEST_HEX_BYTES];
    assert_int_equal(digest_new(&digest, "sha256", NULL), AFAR_OK);
    assert_int_equal(digest_update(digest, data, size, NULL), AFAR_OK);
    assert_int_equal(digest_finish(digest, hex, NULL), AFAR_OK);
    digest_free(digest);
    assert_true(cJSON_IsTrue(find(json, key, "_cut")));
    assert_non_null(find(json, key, "_sha256"));
    assert_string_equal(find(json, key, "_sha256")->valuestring, hex);
}

/* The words in a row, each with its NUL; of each what is before `end`. */
static char *join(char *const *words, char end, size_t *size)
{
    size_t room = 1;
    for (char *const *word = words; *word != NULL; word++)
        room += strlen(*word) + 1;
    char *whole = calloc(1, room);
    assert_non_null(whole);
    *size = 0;
    for (char *const *word = words; *word != NULL; word++) {
        size_t length = strlen(*word);
        const char *at = end == '\0' ? NULL : strchr(*word, end);
        length = at == NULL ? length : (size_t)(at - *word);
        memcpy(whole + *size, *word, length);
        *size += length + 1;
    }
    return whole;
}

/* What is shown is the beginning of the words; all of them, or it says that it is not. True: cut.
 */
static bool check_words(const cJSON *json, const char *key, char *const *words, char end,
                        size_t limit)
{
    size_t size = 0;
    char *whole = join(words, end, &size);
    bool is_hex = find(json, key, "_hex") != NULL;
    const cJSON *list = is_hex ? find(json, key, "_hex") : find(json, key, "");
    assert_non_null(list);
    char *shown = malloc(size + 1);
    size_t used = 0;
    assert_non_null(shown);
    for (const cJSON *item = list->child; item != NULL; item = item->next) {
        used += bytes_of(item, is_hex, shown + used);
        shown[used++] = '\0';
    }
    bool is_cut = find(json, key, "_cut") != NULL;
    if (is_cut) {
        assert_true(used < size || memcmp(shown, whole, size) != 0);
        /* But for the last NUL, which may be in the middle of a word. */
        assert_true(used == 0 || memcmp(shown, whole, used - 1) == 0);
        assert_true(used <= limit && size > limit && used + 4 > limit);
        assert_hash(json, key, whole, size);
    } else {
        assert_int_equal(used, size);
        assert_memory_equal(shown, whole, size);
    }
    free(shown);
    free(whole);
    return is_cut;
}

static bool check_text(const cJSON *json, const char *key, const char *text, size_t limit)
{
    bool is_hex = find(json, key, "_hex") != NULL;
    const cJSON *item = is_hex ? find(json, key, "_hex") : find(json, key, "");
    size_t size = strlen(text);
    assert_non_null(item);
    char *shown = malloc(size + 1);
    assert_non_null(shown);
    size_t used = bytes_of(item, is_hex, shown);
    bool is_cut = find(json, key, "_cut") != NULL;
    assert_int_equal(is_cut, used < size);
    assert_memory_equal(shown, text, used);
    if (is_cut)
        assert_hash(json, key, text, size);
    assert_true(used <= limit && (!is_cut || used + 4 > limit));
    free(shown);
    return is_cut;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void requests_of_all_sizes(void **state)
{
    unsigned cuts[4] = {0};
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        bool broken = round % 5 == 0;
        size_t count = 1 + seeded_below(&seeded, round % 7 == 0 ? WORDS_MAX : 6);
        char **argv = make_words(some_size(AUDIT_ARGV_BYTES), count, broken);
        char **env = make_words(some_size(AUDIT_ENV_BYTES), count, broken);
        char **names = make_words(some_size(AUDIT_NAMES_BYTES), count % 200 + 1, false);
        give_values(env);
        char *cwd = make_word(some_size(AUDIT_CWD_BYTES), broken);
        const struct audit_record record = {
            .event = "start", .argv = argv, .env = env, .names = names, .cwd = cwd};
        cJSON *json = render(&record);
        cuts[0] += check_words(json, "argv", argv, '\0', AUDIT_ARGV_BYTES);
        cuts[1] += check_words(json, "env", env, '=', AUDIT_ENV_BYTES);
        cuts[2] += check_words(json, "names", names, '\0', AUDIT_NAMES_BYTES);
        cuts[3] += check_text(json, "cwd", cwd, AUDIT_CWD_BYTES);
        cJSON_Delete(json);
        free_words(argv);
        free_words(env);
        free_words(names);
        free(cwd);
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(cuts[i], ROUNDS / 8, ROUNDS - ROUNDS / 8);
}

/* The largest line there can be fits. */
static void the_worst_that_can_be_sent(void **state)
{
    enum { HUGE = 1 << 20 };
    char *argv[] = {make_word(1, false), malloc(HUGE), NULL};
    char *env[] = {malloc(HUGE), NULL};
    char *names[] = {malloc(HUGE), NULL};
    char *texts = malloc(HUGE);
    (void)state;
    memset(argv[1], 1, HUGE);
    memset(env[0], 2, HUGE);
    memset(names[0], 3, HUGE);
    memset(texts, 4, HUGE);
    argv[1][HUGE - 1] = env[0][HUGE - 1] = names[0][HUGE - 1] = texts[HUGE - 1] = '\0';
    struct afar_receipt receipt = {.outcome = AFAR_OUTCOME_EXITED};
    memset(receipt.message, 5, sizeof receipt.message - 1);
    const struct audit_record record = {.event = "denied",
                                        .job = texts,
                                        .identity = texts,
                                        .owner = texts,
                                        .names = names,
                                        .address = texts,
                                        .rule = texts,
                                        .decision = "denied",
                                        .reason = texts,
                                        .argv = argv,
                                        .env = env,
                                        .cwd = texts,
                                        .user = texts,
                                        .receipt = &receipt};
    cJSON_Delete(render(&record));
    free(argv[0]);
    free(argv[1]);
    free(env[0]);
    free(names[0]);
    free(texts);
}

static void who_it_is(void **state)
{
    char *names[] = {"uri:spiffe://a/b", "cn:ann", "pin:sha256:00ff", NULL};
    char *only_pin[] = {"pin:sha256:00ff", NULL};
    struct audit_record record = {.event = "start", .owner = "sha256:1234", .names = names};
    (void)state;
    cJSON *json = render(&record);
    assert_string_equal(find(json, "owner", "")->valuestring, "sha256:1234");
    assert_string_equal(find(json, "pin", "")->valuestring, "sha256:00ff");
    assert_int_equal(cJSON_GetArraySize(find(json, "names", "")), 2);
    assert_string_equal(find(json, "names", "")->child->next->valuestring, "cn:ann");
    cJSON_Delete(json);
    record.names = only_pin;
    json = render(&record);
    assert_null(find(json, "names", ""));
    assert_string_equal(find(json, "pin", "")->valuestring, "sha256:00ff");
    cJSON_Delete(json);
}

static void limits_and_what_was_left(void **state)
{
    struct afar_receipt receipt = {
        .outcome = AFAR_OUTCOME_TIMED_OUT,
        .limit = {.name = "timeout", .ms = 300, .by = AFAR_BY_RULE},
        .killed_by = AFAR_KILLED_BY_REQUEST,
        .ended = {.count = 3},
        .held_by = {.count = 2},
    };
    const struct audit_record record = {.event = "end", .receipt = &receipt};
    (void)state;
    cJSON *json = render(&record);
    assert_string_equal(find(json, "limit", "")->valuestring, "timeout");
    assert_string_equal(find(json, "limit", "_by")->valuestring, "rule");
    assert_int_equal(find(json, "limit", "_ms")->valueint, 300);
    assert_null(find(json, "limit", "_bytes"));
    assert_string_equal(find(json, "killed_by", "")->valuestring, "request");
    assert_int_equal(find(json, "ended", "")->valueint, 3);
    assert_int_equal(find(json, "held_by", "")->valueint, 2);
    assert_null(find(json, "max_rss_bytes", "")); /* not known */
    cJSON_Delete(json);
}

static void which_processes_were_left(void **state)
{
    static pid_t pids[AUDIT_PIDS_MAX + 1];
    struct audit_record record = {.event = "left", .pids = pids, .pid_count = 2};
    (void)state;
    for (size_t i = 0; i < sizeof pids / sizeof pids[0]; i++)
        pids[i] = (pid_t)(4194304 - i);
    cJSON *json = render(&record);
    assert_int_equal(find(json, "left", "")->valueint, 2);
    assert_int_equal(cJSON_GetArraySize(find(json, "pids", "")), 2);
    assert_int_equal(cJSON_GetArrayItem(find(json, "pids", ""), 1)->valueint, 4194303);
    cJSON_Delete(json);
    record.pid_count = AUDIT_PIDS_MAX + 1;
    json = render(&record);
    assert_int_equal(find(json, "left", "")->valueint, AUDIT_PIDS_MAX + 1);
    assert_int_equal(cJSON_GetArraySize(find(json, "pids", "")), AUDIT_PIDS_MAX);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_all_sizes),
        cmocka_unit_test(the_worst_that_can_be_sent),
        cmocka_unit_test(who_it_is),
        cmocka_unit_test(limits_and_what_was_left),
        cmocka_unit_test(which_processes_were_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
