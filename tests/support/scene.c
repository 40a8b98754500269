#include "support/scene.h"

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

void scene_open(struct scene *scene, const char *const *settings)
{
    scene_open_at(scene, "tcp://127.0.0.1:0", settings);
}

void scene_open_at(struct scene *scene, const char *url, const char *const *settings)
{
    const char *args[2 * SCENE_SETTINGS_MAX + 3] = {"--listen", url};
    size_t count = 2;
    for (; settings != NULL && *settings != NULL; settings++) {
        assert_true(count < 2 * SCENE_SETTINGS_MAX + 2);
        args[count++] = "--set";
        args[count++] = *settings;
    }
    *scene = (struct scene){.fd = -1};
    (void)snprintf(scene->temporary, sizeof scene->temporary, "/tmp/afar-scene-XXXXXX");
    assert_non_null(mkdtemp(scene->temporary));
    assert_int_equal(setenv("TMPDIR", scene->temporary, 1), 0);
    afard_start(&scene->server, args);
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

/* The words go into the payload, so that nothing in them needs to be escaped. */
void scene_exec(struct scene *scene, const char *script, const char *fields)
{
    char header[256];
    char payload[4096];
    int size = snprintf(payload, sizeof payload, "sh%c-c%c%s", '\0', '\0', script) + 1;
    assert_true(size > 0 && (size_t)size < sizeof payload);
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"exec\",\"v\":1,\"id\":1,%s\"argc\":3,\"size\":%d}", fields, size);
    scene->fd = raw_connect(afard_port(&scene->server, 0));
    raw_send_frame_with(scene->fd, header, payload, (size_t)size);
    char *started = raw_read_header(scene->fd, NULL);
    assert_non_null(started);
    const char *job = strstr(started, "\"job\":\"");
    if (job == NULL)
        fail_msg("not started: %s", started);
    else
        (void)snprintf(scene->job, sizeof scene->job, "%.32s", job + 7);
    free(started);
}

static void keep(struct scene *scene, const char *data, size_t size)
{
    size_t room = SCENE_OUTPUT_BYTES - scene->output_size;
    size = size < room ? size : room;
    memcpy(scene->output + scene->output_size, data, size);
    scene->output_size += size;
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

/* One frame. */
static void take(struct scene *scene)
{
    char answer[64];
    char *payload = NULL;
    char *header = raw_read_header(scene->fd, &payload);
    if (header == NULL)
        fail_msg("the server has closed; so far: %s", scene->output);
    if (is_type(header, "stdout") || is_type(header, "stderr")) {
        size_t size = (size_t)number_after(header, "\"size\":");
        scene->bytes[is_type(header, "stderr")] += size;
        keep(scene, payload, size);
        (void)snprintf(answer, sizeof answer, "{\"type\":\"ack\",\"id\":1,\"next\":%llu}",
                       (unsigned long long)number_after(header, "\"seq\":") + 1);
        raw_send_frame(scene->fd, answer);
    } else if (is_type(header, "exit")) {
        scene->receipt = header;
        header = NULL;
    } else if (!is_type(header, "ack") && !is_type(header, "closing")) {
        fail_msg("unexpected: %s", header);
    }
    free(header);
    free(payload);
}

void scene_expect(struct scene *scene, const char *text)
{
    while (strstr(scene->output, text) == NULL) {
        take(scene);
        if (scene->receipt != NULL && strstr(scene->output, text) == NULL)
            fail_msg("'%s' did not come: %s %s", text, scene->output, scene->receipt);
        if (scene->output_size == SCENE_OUTPUT_BYTES && strstr(scene->output, text) == NULL)
            fail_msg("'%s' is not in what is kept of the output", text);
    }
}

void scene_receipt(struct scene *scene, const char *text)
{
    while (scene->receipt == NULL)
        take(scene);
    if (strstr(scene->receipt, text) == NULL)
        fail_msg("no '%s' in %s", text, scene->receipt);
}

size_t scene_processes(const struct scene *scene)
{
    char variable[80];
    (void)snprintf(variable, sizeof variable, "AFAR_JOB=%s", scene->job);
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

static void hang_up(struct scene *scene)
{
    if (scene->fd >= 0)
        (void)close(scene->fd);
    scene->fd = -1;
}

static void expect_no_process(struct scene *scene)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    if (strpbrk(scene->output, "0123456789") != NULL)
        expect_processes_gone(scene->output);
    while (scene->job[0] != '\0' && scene_processes(scene) > 0) {
        if (clock_now_ms() > deadline_ms)
            fail_msg("%zu processes of the job are left", scene_processes(scene));
        (void)poll(NULL, 0, 5);
    }
}

void scene_expect_nothing_left(struct scene *scene)
{
    hang_up(scene);
    expect_no_process(scene);
    afard_expect_calm(&scene->server);
    assert_int_equal(files_in(scene->temporary), 0);
}

static void forget(struct scene *scene)
{
    assert_int_equal(rmdir(scene->temporary), 0); /* so it is empty */
    free(scene->receipt);
    scene->receipt = NULL;
}

void scene_close(struct scene *scene)
{
    scene_expect_nothing_left(scene);
    assert_int_equal(afard_stop(&scene->server), 0);
    forget(scene);
}

void scene_close_ended(struct scene *scene)
{
    hang_up(scene); /* who is still there is given time to read the last words */
    program_finish(&scene->server.program, NULL, 0);
    assert_int_equal(program_exit_status(&scene->server.program), 0);
    expect_no_process(scene);
    program_close(&scene->server.program);
    assert_int_equal(rmdir(scene->server.folder), 0);
    forget(scene);
}
