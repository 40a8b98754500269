#include "support/single_command.h"

#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/process_wait.h"
#include "support/raw.h"

void single_command_open(struct single_command *single, const char *const *settings)
{
    single_command_open_at(single, "tcp://127.0.0.1:0", settings);
}

void single_command_open_at(struct single_command *single, const char *url,
                            const char *const *settings)
{
    const char *args[2 * SINGLE_COMMAND_SETTINGS_MAX + 3] = {"--listen", url};
    size_t count = 2;
    for (; settings != NULL && *settings != NULL; settings++) {
        assert_true(count < 2 * SINGLE_COMMAND_SETTINGS_MAX + 2);
        args[count++] = "--set";
        args[count++] = *settings;
    }
    *single = (struct single_command){.fd = -1};
    (void)snprintf(single->temporary, sizeof single->temporary, "/tmp/afar-single-XXXXXX");
    assert_non_null(mkdtemp(single->temporary));
    assert_int_equal(setenv("TMPDIR", single->temporary, 1), 0);
    afard_start(&single->server, args);
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

/* The words are in the payload, so that none of them needs escaping. */
void single_command_exec(struct single_command *single, const char *script, const char *fields)
{
    char header[256];
    char payload[4096];
    int size = snprintf(payload, sizeof payload, "sh%c-c%c%s", '\0', '\0', script) + 1;
    assert_true(size > 0 && (size_t)size < sizeof payload);
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exec\",\"v\":1,\"id\":1,%s\"argc\":3,\"size\":%d}", fields, size);
    single->fd = raw_connect(afard_port(&single->server, 0));
    raw_send_frame_with(single->fd, header, payload, (size_t)size);
    char *started = raw_read_header(single->fd, NULL);
    assert_non_null(started);
    const char *job = strstr(started, "\"job\":\"");
    if (job == NULL)
        fail_msg("not started: %s", started);
    else
        (void)snprintf(single->job, sizeof single->job, "%.32s", job + 7);
    free(started);
}

static void keep(struct single_command *single, const char *data, size_t size)
{
    size_t room = SINGLE_COMMAND_OUTPUT_BYTES - single->output_size;
    size = size < room ? size : room;
    memcpy(single->output + single->output_size, data, size);
    single->output_size += size;
}

static uint64_t number_after(const char *header, const char *name)
{
    const char *at = strstr(header, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static bool is_type(const char *header, const char *type)
{
    char text[64];
    (void)snprintf(text, sizeof text, "\"type\":\"%s\"", type);
    return strstr(header, text) != NULL;
}

/* Reads one frame. */
static void take(struct single_command *single)
{
    char answer[64];
    char *payload = NULL;
    char *header = raw_read_header(single->fd, &payload);
    if (header == NULL)
        fail_msg("the server has closed; so far: %s", single->output);
    if (is_type(header, "stdout") || is_type(header, "stderr")) {
        size_t size = (size_t)number_after(header, "\"size\":");
        single->bytes[is_type(header, "stderr")] += size;
        keep(single, payload, size);
        (void)snprintf(answer, sizeof answer, "{\"type\":\"ack\",\"id\":1,\"next\":%llu}",
                       (unsigned long long)number_after(header, "\"seq\":") + 1);
        raw_send_frame(single->fd, answer);
    } else if (is_type(header, "exit")) {
        single->receipt = header;
        header = NULL;
    } else if (!is_type(header, "ack") && !is_type(header, "closing")) {
        fail_msg("unexpected: %s", header);
    }
    free(header);
    free(payload);
}

void single_command_expect(struct single_command *single, const char *text)
{
    while (strstr(single->output, text) == NULL) {
        take(single);
        if (single->receipt != NULL && strstr(single->output, text) == NULL)
            fail_msg("'%s' did not come: %s %s", text, single->output, single->receipt);
        if (single->output_size == SINGLE_COMMAND_OUTPUT_BYTES &&
            strstr(single->output, text) == NULL)
            fail_msg("'%s' is not in what is kept of the output", text);
    }
}

void single_command_receipt(struct single_command *single, const char *text)
{
    while (single->receipt == NULL)
        take(single);
    if (strstr(single->receipt, text) == NULL)
        fail_msg("no '%s' in %s", text, single->receipt);
}

size_t single_command_processes(const struct single_command *single)
{
    char variable[80];
    (void)snprintf(variable, sizeof variable, "AFAR_JOB=%s", single->job);
    return processes_with(variable);
}

static size_t files_in(const char *path)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(folder);
    return count;
}

static void hang_up(struct single_command *single)
{
    if (single->fd >= 0)
        (void)close(single->fd);
    single->fd = -1;
}

static void expect_no_process(struct single_command *single)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    if (strpbrk(single->output, "0123456789") != NULL)
        expect_processes_gone(single->output);
    while (single->job[0] != '\0' && single_command_processes(single) > 0) {
        if (clock_now_ms() > deadline_ms)
            fail_msg("%zu processes of the job are left", single_command_processes(single));
        (void)poll(NULL, 0, 5);
    }
}

void single_command_expect_nothing_left(struct single_command *single)
{
    hang_up(single);
    expect_no_process(single);
    afard_expect_calm(&single->server);
    assert_int_equal(files_in(single->temporary), 0);
}

static void forget(struct single_command *single)
{
    assert_int_equal(rmdir(single->temporary), 0); /* fails unless it is empty */
    free(single->receipt);
    single->receipt = NULL;
}

void single_command_close(struct single_command *single)
{
    single_command_expect_nothing_left(single);
    assert_int_equal(afard_stop(&single->server), 0);
    forget(single);
}

void single_command_close_ended(struct single_command *single)
{
    hang_up(single); /* a client still connected gets time to read the last messages */
    program_finish(&single->server.program, NULL, 0);
    assert_int_equal(program_exit_status(&single->server.program), 0);
    expect_no_process(single);
    program_close(&single->server.program);
    assert_int_equal(rmdir(single->server.folder), 0);
    forget(single);
}
