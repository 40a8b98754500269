// The texts of a job's folder: what is written is read again, and nothing is written beyond its room.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keep/jobdir_text.h"

/* As long as a receipt can be: each character of its texts is written as six. */
static struct jobdir_end longest(void)
{
    struct jobdir_end end = {.seq = MESSAGE_INTEGER_MAX,
                             .ended_us = MESSAGE_INTEGER_MAX,
                             .next_attempt = MESSAGE_INTEGER_MAX,
                             .digest = true,
                             .receipt = {.outcome = AFAR_OUTCOME_SPAWN_FAILED, .code = 126}};
    memset(end.receipt.message, 1, sizeof end.receipt.message - 1);
    memset(end.holder, 'h', sizeof end.holder - 1);
    memset(end.recording.path, 'p', sizeof end.recording.path - 1);
    memset(end.recording.why, 'w', sizeof end.recording.why - 1);
    memset(end.recording.sha256, 'a', sizeof end.recording.sha256 - 1);
    return end;
}

static void the_longest_receipt(void **state)
{
    char text[JOBDIR_FILE_BYTES + 1];
    struct jobdir_end again;
    size_t size = 0;
    (void)state;
    const struct jobdir_end end = longest();
    assert_int_equal(jobdir_text_end(text, JOBDIR_FILE_BYTES, &end, &size, NULL), AFAR_OK);
    text[size] = '\0';
    assert_int_equal(jobdir_parse_end(text, size, &again, NULL), AFAR_OK);
    assert_int_equal(strlen(again.receipt.message), strlen(end.receipt.message));
    assert_string_equal(again.recording.path, end.recording.path);
    assert_string_equal(again.recording.why, end.recording.why);
    assert_string_equal(again.holder, end.holder);
}

static void too_little_room(void **state)
{
    char whole[JOBDIR_FILE_BYTES];
    size_t size = 0;
    (void)state;
    const struct jobdir_end end = longest();
    assert_int_equal(jobdir_text_end(whole, sizeof whole, &end, &size, NULL), AFAR_OK);
    for (size_t room = 1; room <= size; room++) {
        struct afar_error err;
        size_t used = 0;
        char *text = malloc(room); /* a sanitizer sees what is written behind it */
        assert_non_null(text);
        assert_int_equal(jobdir_text_end(text, room, &end, &used, &err), AFAR_ELIMIT);
        free(text);
    }
}

/* Whatever becomes of a request: if it is known which key it had, it is that. */
static void a_request_in_part(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        enum afar_status status;
        bool knows_key;
    } table[] = {{"", "", AFAR_OK, true},
                 {"afar-kept 1\n", "afar-kept 9\n", AFAR_EREFUSED, true},
                 {"afar-kept 1\n", "afar-kept 9\nnew\npty maybe\n", AFAR_EREFUSED, true},
                 {"afar-kept 1\n", "afar-kept x\n", AFAR_EPEER, false},
                 {"created_us 7\n", "created_us x\n", AFAR_EPEER, true},
                 {"end \n", "", AFAR_EPEER, true},
                 {"key 6b", "key 6", AFAR_EPEER, false},
                 {"key 6b\n", "", AFAR_OK, false},
                 {"owner me\n", "", AFAR_OK, false},
                 {"key 6b\n", "key 6b", AFAR_EPEER, false}};
    const struct jobdir_request whole = {.job = "ab",
                                         .owner = "me",
                                         .key = "k",
                                         .asked = "cd",
                                         .created_us = 7,
                                         .when_full = WHEN_FULL_CUT};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[JOBDIR_FILE_BYTES];
        char changed[JOBDIR_FILE_BYTES];
        struct jobdir_request got;
        assert_int_equal(jobdir_text_request(text, sizeof text, &whole, NULL), AFAR_OK);
        const char *at = strstr(text, table[i].from);
        assert_non_null(at);
        (void)snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, table[i].to,
                       at + strlen(table[i].from));
        assert_int_equal(jobdir_parse_request(changed, &got, NULL), table[i].status);
        assert_int_equal(got.knows_key, table[i].knows_key);
        if (!table[i].knows_key)
            continue;
        assert_string_equal(got.key, "k");
        assert_string_equal(got.owner, "me");
        assert_string_equal(got.asked, "cd");
        assert_string_equal(got.job, "ab");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_receipt),
        cmocka_unit_test(too_little_room),
        cmocka_unit_test(a_request_in_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
