#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

#define HOLDER "0123456789abcdef"

static struct message decoded;

static void decode(const char *json)
{
    assert_int_equal(message_decode(&decoded, (const uint8_t *)json, strlen(json), NULL), AFAR_OK);
}

/* `fields` in the place of the %s of `whole`. */
static void decode_with(const char *whole, const char *fields)
{
    char json[2048];
    const char *at = strstr(whole, "%s");
    assert_non_null(at);
    (void)snprintf(json, sizeof json, "%.*s%s%s", (int)(at - whole), whole, fields, at + 2);
    decode(json);
}

static void assert_bad(const char *whole, const char *fields, const char *problem)
{
    decode_with(whole, fields);
    if (decoded.type != MESSAGE_BAD || strstr(decoded.problem.message, problem) == NULL)
        fail_msg("%s: '%s' lacks '%s'", fields, decoded.problem.message, problem);
    message_close(&decoded);
}

static void assert_good(const char *whole, const char *fields, enum message_type type)
{
    decode_with(whole, fields);
    if (decoded.type != type)
        fail_msg("%s: '%s'", fields, decoded.problem.message);
}

/* Each of the values, which blanks separate, is refused. */
static void assert_values_bad(const char *whole, const char *key, const char *wrong)
{
    char values[512];
    char *rest = NULL;
    (void)snprintf(values, sizeof values, "%s", wrong);
    for (char *value = strtok_r(values, " ", &rest); value != NULL;
         value = strtok_r(NULL, " ", &rest)) {
        char field[600];
        (void)snprintf(field, sizeof field, ",\"%s\":%s", key, value);
        assert_bad(whole, field, key);
    }
}

#define INTEGERS "-1 1.5 \"0\" null true [] {} 9007199254740992"
#define BOOLS "1 0 \"true\" null []"

static void test_attach(void **state)
{
    (void)state;
    static const char resume[] =
        "{\"type\":\"attach\",\"id\":1,\"holder\":\"" HOLDER "\",\"attempt\":3%s}";
    assert_good(resume, "", MESSAGE_ATTACH);
    const struct message_attach *attach = &decoded.attach;
    assert_string_equal(decoded.job, "");
    assert_string_equal(attach->holder, HOLDER);
    assert_true(attach->attempt == 3 && !attach->resume && !attach->has_next && !attach->watch);
    assert_true(attach->output && attach->follow && attach->window_max == 0);

    assert_good(resume,
                ",\"job\":\"ab\",\"resume\":true,\"next\":7,\"ack\":7,\"next_bytes\":{},\"window_"
                "max\":262144",
                MESSAGE_ATTACH);
    assert_string_equal(decoded.job, "ab");
    assert_true(attach->resume && attach->has_next && attach->next == 7 && attach->ack == 7);
    assert_true(attach->window_max == MESSAGE_WINDOW_MIN_BYTES);
    assert_good(resume, ",\"watch\":true,\"output\":false,\"follow\":false", MESSAGE_ATTACH);
    assert_true(attach->watch && !attach->output && !attach->follow);

    assert_good(resume, ",\"next\":7,\"ack\":6,\"next_bytes\":{\"stdout\":8,\"stderr\":9}",
                MESSAGE_ATTACH);
    assert_true(attach->has_next_bytes && attach->next_bytes[STREAM_STDOUT] == 8);
    assert_true(attach->next_bytes[STREAM_STDERR] == 9);
    assert_bad(resume, ",\"next_bytes\":{}", "\"next_bytes\" needs");
    assert_bad(resume, ",\"next\":7,\"ack\":6,\"next_bytes\":7", "next_bytes");
    assert_bad(resume, ",\"next\":7,\"ack\":6,\"next_bytes\":{\"stderr\":-1}", "stderr");
    assert_bad(resume, ",\"resume\":true", "\"resume\" needs");
    assert_bad(resume, ",\"resume\":true,\"next\":1,\"ack\":1", "\"resume\" needs");
    assert_bad(resume, ",\"next\":1", "go together");
    assert_bad(resume, ",\"ack\":1", "go together");
    assert_bad(resume, ",\"next\":1,\"ack\":2", "beyond");
    assert_bad(resume, ",\"watch\":true,\"resume\":true,\"next\":1,\"ack\":1,\"next_bytes\":{}",
               "\"watch\"");
    assert_bad(resume, ",\"output\":false", "are for \"watch\"");
    assert_bad(resume, ",\"follow\":false", "are for \"watch\"");
    assert_values_bad(resume, "job", "1 null \"012345678901234567890123456789012\"");
    assert_values_bad(resume, "resume", BOOLS);
    assert_values_bad(resume, "watch", BOOLS);
    assert_values_bad(resume, "output", BOOLS);
    assert_values_bad(resume, "follow", BOOLS);
    assert_values_bad(resume, "window_max", INTEGERS " 262143 0");
    assert_good(resume, ",\"since_ms\":0", MESSAGE_ATTACH);
    assert_true(attach->has_since && attach->since_ms == 0 && !attach->has_next);
    assert_good(resume, ",\"watch\":true,\"since_ms\":5000", MESSAGE_ATTACH);
    assert_true(attach->has_since && attach->since_ms == 5000);
    assert_values_bad(resume, "since_ms", INTEGERS);
    assert_bad(resume, ",\"since_ms\":1,\"next\":1,\"ack\":1", "does not go with");
    assert_bad(resume, ",\"since_ms\":1,\"resume\":true", "does not go with");
    assert_values_bad("{\"type\":\"attach\",\"id\":1,\"holder\":\"" HOLDER
                      "\",\"attempt\":3,\"ack\":0%s}",
                      "next", INTEGERS);
    assert_values_bad("{\"type\":\"attach\",\"id\":1,\"holder\":\"" HOLDER
                      "\",\"attempt\":3,\"next\":0%s}",
                      "ack", INTEGERS);
    assert_bad("{\"type\":\"attach\",\"id\":1,\"holder\":\"" HOLDER "\",\"attempt\":3%s}",
               ",\"pty\":true", "pty");
    assert_bad("{\"type\":\"attach\",\"id\":1,\"holder\":\"" HOLDER "\",\"attempt\":3%s}",
               ",\"pty\":{\"rows\":65536}", "pty.rows");
    assert_bad("{\"type\":\"attach\",\"id\":1,\"holder\":\"" HOLDER "\",\"attempt\":3%s}",
               ",\"tail\":-1", "tail");
    assert_bad("{\"type\":\"attach\",\"id\":1,\"holder\":\"" HOLDER "\",\"attempt\":3%s}",
               ",\"watch\":true,\"pty\":{}", "watch");
    assert_values_bad("{\"type\":\"attach\",\"id\":1,\"attempt\":3%s}", "holder",
                      "1 null \"123456789012345\" \"" HOLDER HOLDER HOLDER HOLDER "x\"");
    assert_bad("{\"type\":\"attach\",\"id\":1%s}", ",\"attempt\":3", "holder");
    assert_values_bad("{\"type\":\"attach\",\"id\":1,\"holder\":\"" HOLDER "\"%s}", "attempt",
                      INTEGERS);
    assert_bad("{\"type\":\"attach\",\"id\":1%s}", ",\"holder\":\"" HOLDER "\"", "attempt");
}

static void test_holders(void **state)
{
    (void)state;
    assert_true(message_is_holder(HOLDER));
    assert_true(message_is_holder(HOLDER HOLDER HOLDER HOLDER));
    assert_false(message_is_holder(HOLDER HOLDER HOLDER HOLDER "x"));
    assert_false(message_is_holder("0123456789abcde"));
    assert_false(message_is_holder("0123456789abcde "));
    assert_false(message_is_holder("0123456789abcde\x7f"));
    assert_false(message_is_holder("0123456789abcde\xe9"));
    assert_false(message_is_holder(""));
}

static void test_started(void **state)
{
    (void)state;
    static const char started[] = "{\"type\":\"started\",\"id\":1,\"job\":\"x\",\"window\":1%s}";
    assert_good(started, "", MESSAGE_STARTED);
    assert_true(decoded.resume_ms == 0 && !decoded.kept);
    assert_string_equal(decoded.server, "");
    assert_good(started, ",\"resume_ms\":60000,\"kept\":true,\"server\":\"s1\"", MESSAGE_STARTED);
    assert_true(decoded.resume_ms == 60000 && decoded.kept);
    assert_string_equal(decoded.server, "s1");
    assert_values_bad(started, "resume_ms", INTEGERS);
    assert_values_bad(started, "kept", BOOLS);
    assert_values_bad(started, "server", "1 null [] \"" HOLDER HOLDER HOLDER HOLDER "x\"");
}

static void test_attached(void **state)
{
    (void)state;
    static const char bare[] =
        "{\"type\":\"attached\",\"id\":1,\"job\":\"x\",\"window\":8,\"state\":\"running\","
        "\"first\":2,\"end\":5%s}";
    static const char least[] =
        "{\"type\":\"attached\",\"id\":1,\"job\":\"x\",\"window\":8,\"state\":\"running\","
        "\"first\":2,\"end\":5,\"first_bytes\":{}%s}";
    assert_good(least, "", MESSAGE_ATTACHED);
    const struct message_attached *attached = &decoded.attached;
    assert_true(attached->state == MESSAGE_JOB_RUNNING && attached->first == 2);
    assert_true(attached->end == 5 && decoded.window == 8 && !attached->stdin_eof);
    assert_true(attached->stdin_received == 0 && attached->stdin_taken == 0);
    assert_good(
        bare,
        ",\"first_bytes\":{\"stdout\":6,\"stderr\":7},\"stdin\":9,\"taken\":9,"
        "\"stdin_eof\":true,\"window_max\":262144,\"credit\":10,\"resume_ms\":11,\"kept\":true",
        MESSAGE_ATTACHED);
    assert_true(attached->first_bytes[STREAM_STDOUT] == 6);
    assert_true(attached->first_bytes[STREAM_STDERR] == 7);
    assert_true(attached->stdin_received == 9 && attached->stdin_taken == 9);
    assert_true(attached->stdin_eof && attached->window_max == 262144);
    assert_true(decoded.credit == 10 && decoded.resume_ms == 11 && decoded.kept);

    assert_bad(least, ",\"stdin\":1,\"taken\":2", "\"taken\" beyond");
    assert_values_bad(least, "stdin", INTEGERS);
    assert_values_bad(least, "taken", INTEGERS);
    assert_values_bad(least, "credit", INTEGERS);
    assert_values_bad(least, "stdin_eof", BOOLS);
    assert_values_bad(least, "window_max", INTEGERS);
    assert_bad(bare, "", "first_bytes");
    assert_values_bad(bare, "first_bytes", "1 null [] \"x\"");
    assert_bad(bare, ",\"first_bytes\":{\"stdout\":-1}", "stdout");
    assert_bad(bare, ",\"first_bytes\":{\"stderr\":-1}", "stderr");

    static const char others[] =
        "{\"type\":\"attached\",\"id\":1,\"job\":\"x\",\"window\":8,\"first_bytes\":{}%s}";
    assert_bad(others, ",\"state\":\"running\",\"first\":2", "end");
    assert_bad(others, ",\"state\":\"running\",\"end\":2", "first");
    assert_bad(others, ",\"first\":2,\"end\":2", "state");
    assert_bad(others, ",\"state\":\"Running\",\"first\":2,\"end\":2", "not known");
    assert_bad(others, ",\"state\":1,\"first\":2,\"end\":2", "state");
    assert_bad(others, ",\"state\":\"running\",\"first\":3,\"end\":2", "\"first\" is beyond");
    assert_bad("{\"type\":\"attached\",\"id\":1,\"window\":8%s}",
               ",\"state\":\"ended\",\"first\":2,\"end\":2", "job");
    for (int s = 0; s <= MESSAGE_JOB_UNREADABLE; s++) {
        char fields[128];
        (void)snprintf(fields, sizeof fields, ",\"state\":\"%s\",\"first\":2,\"end\":2",
                       message_job_state_name((enum message_job_state)s));
        assert_good(others, fields, MESSAGE_ATTACHED);
        assert_int_equal(attached->state, s);
    }
}

static void test_cut(void **state)
{
    (void)state;
    static const char cut[] = "{\"type\":\"cut\",\"id\":1%s}";
    assert_good(cut, ",\"seq\":3,\"next\":4", MESSAGE_CUT);
    assert_true(decoded.seq == 3 && decoded.cut.next == 4);
    assert_true(decoded.cut.lost[0] == 0 && decoded.cut.lost[1] == 0);
    assert_good(cut, ",\"seq\":3,\"next\":9,\"stdout\":1,\"stderr\":2", MESSAGE_CUT);
    assert_true(decoded.cut.lost[STREAM_STDOUT] == 1 && decoded.cut.lost[STREAM_STDERR] == 2);
    assert_bad(cut, ",\"seq\":3", "next");
    assert_bad(cut, ",\"next\":3", "seq");
    assert_bad(cut, ",\"seq\":3,\"next\":3", "beyond");
    static const char whole[] = "{\"type\":\"cut\",\"id\":1,\"seq\":3,\"next\":4%s}";
    assert_values_bad(whole, "stdout", INTEGERS);
    assert_values_bad(whole, "stderr", INTEGERS);
}

static void test_jobs(void **state)
{
    (void)state;
    static const char jobs[] = "{\"type\":\"jobs\",\"id\":1%s}";
    assert_good(jobs, "", MESSAGE_JOBS);
    assert_true(decoded.jobs == NULL && !decoded.all);
    assert_good(jobs, ",\"after\":\"ab\",\"all\":true", MESSAGE_JOBS);
    assert_string_equal(decoded.job, "ab");
    assert_true(decoded.all);
    assert_values_bad(jobs, "after", "1 null []");
    assert_values_bad(jobs, "all", BOOLS);
    assert_values_bad(jobs, "jobs", "1 null {} true \"x\" [1] [null] [[]]");

    assert_good(jobs, ",\"jobs\":[]", MESSAGE_JOBS);
    assert_true(decoded.jobs != NULL && decoded.jobs->count == 0 && !decoded.jobs->more);
    message_close(&decoded);
    assert_good(
        jobs,
        ",\"more\":true,\"jobs\":[{\"job\":\"a\",\"state\":\"queued\"},{\"job\":\"b\",\"state\":"
        "\"ended\",\"kept\":true,\"attached\":true,\"key\":\"k\",\"owner\":\"o\",\"command\":\"ls"
        "\\n\",\"age_ms\":1,\"ended_ms\":2,\"stdout\":3,\"stderr\":4,\"outcome\":\"signaled\","
        "\"signal\":\"INT\"},{\"job\":\"c\",\"state\":\"ended\",\"outcome\":\"exited\",\"code\":"
        "255}"
        "]",
        MESSAGE_JOBS);
    const struct message_jobs *list = decoded.jobs;
    assert_true(list->count == 3 && list->more);
    assert_string_equal(list->job[0].job, "a");
    assert_true(list->job[0].state == MESSAGE_JOB_QUEUED && !list->job[0].has_outcome);
    assert_true(list->job[0].code == -1);
    const struct message_job *second = &list->job[1];
    assert_true(second->kept && second->attached && second->age_ms == 1 && second->ended_ms == 2);
    assert_true(second->bytes[0] == 3 && second->bytes[1] == 4);
    assert_true(second->has_outcome && second->outcome == AFAR_OUTCOME_SIGNALED);
    assert_string_equal(second->command, "ls?");
    assert_string_equal(second->key, "k");
    assert_string_equal(second->owner, "o");
    assert_string_equal(second->signal, "INT");
    assert_int_equal(list->job[2].code, 255);
    message_close(&decoded);
    assert_null(decoded.jobs);
    assert_values_bad("{\"type\":\"jobs\",\"id\":1,\"jobs\":[]%s}", "more", BOOLS);
}

static void test_jobs_entries(void **state)
{
    (void)state;
    const struct {
        const char *key;
        const char *wrong;
    } fields[] = {
        {"kept", BOOLS},           {"attached", BOOLS},
        {"key", "1 null []"},      {"owner", "1 null []"},
        {"command", "1 null []"},  {"age_ms", INTEGERS},
        {"ended_ms", INTEGERS},    {"stdout", INTEGERS},
        {"stderr", INTEGERS},      {"outcome", "1 null \"Exited\" \"\""},
        {"code", INTEGERS " 256"}, {"signal", "1 null \"1234567890123456\""},
    };
    static const char entry[] =
        "{\"type\":\"jobs\",\"id\":1,\"jobs\":[{\"job\":\"a\",\"state\":\"running\"%s}]}";
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        assert_values_bad(entry, fields[i].key, fields[i].wrong);
    assert_bad(entry, ",\"code\":0,\"signal\":\"KILL\"", "exclude each other");
    assert_bad("{\"type\":\"jobs\",\"id\":1,\"jobs\":[{%s}]}", "\"job\":\"a\"", "state");
    assert_bad("{\"type\":\"jobs\",\"id\":1,\"jobs\":[{%s}]}", "\"state\":\"running\"", "job");

    enum { SPACE = 64 * MESSAGE_JOBS_MAX };
    char *json = malloc(SPACE);
    assert_non_null(json);
    for (size_t count = MESSAGE_JOBS_MAX; count <= MESSAGE_JOBS_MAX + 1; count++) {
        size_t used = (size_t)snprintf(json, SPACE, "{\"type\":\"jobs\",\"id\":1,\"jobs\":[");
        for (size_t i = 0; i < count; i++)
            used += (size_t)snprintf(json + used, SPACE - used,
                                     "%s{\"job\":\"a\",\"state\":\"running\"}", i > 0 ? "," : "");
        (void)snprintf(json + used, SPACE - used, "]}");
        decode(json);
        assert_int_equal(decoded.type, count > MESSAGE_JOBS_MAX ? MESSAGE_BAD : MESSAGE_JOBS);
        message_close(&decoded);
    }
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attach),       cmocka_unit_test(test_holders),
        cmocka_unit_test(test_started),      cmocka_unit_test(test_attached),
        cmocka_unit_test(test_cut),          cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_jobs_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
