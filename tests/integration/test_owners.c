/* Whose jobs are whose, among clients whose first name is the same: one who has renewed its
 * certificate, and one who is somebody else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <afar/afar.h>
#include <cjson/cJSON.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/test_certs.h"

enum { TEXT_BYTES = 65536 };

static struct test_certs certs;
static struct afard server;
static char config[TEST_CERT_PATH_BYTES];
static char audit[TEST_CERT_PATH_BYTES];

static int set_up(void **state)
{
    (void)state;
    if (!test_certs_make(&certs))
        return -1;
    (void)snprintf(config, sizeof config, "%s/afard.conf", certs.folder);
    (void)snprintf(audit, sizeof audit, "%s/audit", certs.folder);
    FILE *file = fopen(config, "we");
    assert_non_null(file);
    (void)fprintf(file,
                  "tls_cert = %s\ntls_key = %s\ntls_client_ca = %s\naudit_log = %s\n"
                  "max_jobs_per_identity = 1\n[allow all]\nclient = uri:spiffe://afar/build\n"
                  "command = **\n",
                  certs.cert[TEST_SERVER], certs.key[TEST_SERVER], certs.cert[TEST_CA], audit);
    assert_int_equal(fclose(file), 0);
    const char *args[] = {"-c", config, "--listen", "tls://127.0.0.1:0", NULL};
    afard_start(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(afard_stop(&server), 0);
    (void)unlink(config);
    (void)unlink(audit);
    test_certs_remove(&certs);
    return 0;
}

/* `afar run` as this client. */
static void start(struct program *program, enum test_cert who, const char *script)
{
    const char *argv[] = {"afar",
                          "run",
                          "-n",
                          "--ca",
                          certs.cert[TEST_CA],
                          "--cert",
                          certs.cert[who],
                          "--key",
                          certs.key[who],
                          server.url[0],
                          "--",
                          "sh",
                          "-c",
                          script,
                          NULL};
    const char *environment[] = {"AFAR_SESSIONS=", NULL};
    program_start(program, argv, environment);
}

static int run(enum test_cert who, const char *script, const char *expected)
{
    struct program program;
    start(&program, who, script);
    program_finish(&program, NULL, 0);
    int status = program_exit_status(&program);
    if (strstr(program.stderr_data, expected) == NULL)
        fail_msg("no '%s' in: %s", expected, program.stderr_data);
    program_close(&program);
    return status;
}

static enum afar_status kill_job(enum test_cert who, const char *job, struct afar_error *err)
{
    struct afar_credentials credentials = AFAR_CREDENTIALS_INIT();
    struct afar_context *context = NULL;
    struct afar_client *client = NULL;
    credentials.ca_file = certs.cert[TEST_CA];
    credentials.cert_file = certs.cert[who];
    credentials.key_file = certs.key[who];
    if (afar_context_new(&context, &credentials, err) != AFAR_OK ||
        afar_connect(&client, context, server.url[0], test_deadline_ms(), err) != AFAR_OK)
        fail_msg("%s", err->message);
    enum afar_status status = afar_kill(client, job, "KILL", test_deadline_ms(), err);
    afar_close(client);
    afar_context_free(context);
    return status;
}

/* The last line of an event, read as JSON. */
static cJSON *last_line(const char *event)
{
    static char text[TEXT_BYTES];
    char *rest = NULL;
    cJSON *found = NULL;
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (found == NULL && clock_now_ms() < deadline_ms) {
        FILE *file = fopen(audit, "re");
        assert_non_null(file);
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        assert_int_equal(fclose(file), 0);
        for (char *line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest)) {
            cJSON *json = cJSON_Parse(line);
            bool is_it = strcmp(cJSON_GetObjectItem(json, "event")->valuestring, event) == 0;
            cJSON_Delete(is_it ? found : json);
            found = is_it ? json : found;
        }
        if (found == NULL)
            (void)usleep(1000);
    }
    assert_non_null(found);
    return found;
}

static const char *text_of(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!cJSON_IsString(item))
        fail_msg("no %s", key);
    return item->valuestring;
}

static void whose_job_it_is(void **state)
{
    struct program first;
    struct afar_error err;
    char job[64];
    (void)state;
    start(&first, TEST_CLIENT_URI, "echo $AFAR_JOB; exec sleep 1000");
    program_expect(&first, 1, "\n");
    (void)snprintf(job, sizeof job, "%.32s", first.stdout_data);
    cJSON *started = last_line("start");
    assert_string_equal(text_of(started, "job"), job);

    /* Somebody else has places of its own, and does not see the job. */
    assert_int_equal(run(TEST_CLIENT_TWIN, "exit 4", ""), 4);
    assert_int_equal(kill_job(TEST_CLIENT_TWIN, job, &err), AFAR_EREFUSED);
    assert_string_equal(err.reason, "not_found");
    cJSON *other = last_line("end");
    assert_string_equal(text_of(other, "identity"), text_of(started, "identity"));
    assert_string_not_equal(text_of(other, "owner"), text_of(started, "owner"));
    assert_string_not_equal(text_of(other, "pin"), text_of(started, "pin"));
    const cJSON *names = cJSON_GetObjectItem(other, "names");
    assert_int_equal(cJSON_GetArraySize(names), 2);
    assert_string_equal(cJSON_GetArrayItem(names, 0)->valuestring, "uri:spiffe://afar/build");
    assert_string_equal(cJSON_GetArrayItem(names, 1)->valuestring, "cn:twin");
    cJSON_Delete(other);

    /* The same one with a new certificate has not. */
    assert_int_equal(run(TEST_CLIENT_RENEWED, "exit 0", "max_jobs_per_identity"), 125);
    cJSON *refused = last_line("refused");
    assert_string_equal(text_of(refused, "owner"), text_of(started, "owner"));
    assert_string_not_equal(text_of(refused, "pin"), text_of(started, "pin"));
    cJSON_Delete(refused);
    if (kill_job(TEST_CLIENT_RENEWED, job, &err) != AFAR_OK)
        fail_msg("%s", err.message);
    cJSON *killed = last_line("kill");
    assert_string_equal(text_of(killed, "owner"), text_of(started, "owner"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(killed, "names")), 4);
    cJSON_Delete(killed);
    program_finish(&first, NULL, 0);
    assert_non_null(strstr(first.stderr_data, "killed by another request"));
    program_close(&first);
    cJSON_Delete(started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whose_job_it_is),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
