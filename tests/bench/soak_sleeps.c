/* Thousands of commands that run at once, ended in four ways: every receipt must say which. */
#include "bench/soak.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLEEPS = 3000, SHORT_SLEEPS = 300, DESCRIPTORS_BESIDES = 64 };

enum way { BY_END_OF_INPUT, BY_SIGNAL_TERM, BY_SIGNAL_KILL, BY_KILL, WAYS };

struct sleeper {
    struct afar_client *client;
    enum way way;
    char job[128];
};

static void on_started(void *user, const char *job)
{
    struct sleeper *sleeper = user;
    (void)snprintf(sleeper->job, sizeof sleeper->job, "%s", job);
}

static void begin(struct sleeper *sleeper)
{
    const bool reads = sleeper->way == BY_END_OF_INPUT;
    const char *const sleeps[] = {"sleep", "1000", NULL};
    const char *const waits[] = {"cat", NULL};
    const struct afar_command command =
        AFAR_COMMAND_INIT(.argv = reads ? waits : sleeps, .with_stdin = reads);
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_started = on_started, .user = sleeper);
    struct afar_error err;
    if (afar_start(sleeper->client, &command, &callbacks, &err) != AFAR_OK)
        soak_give_up("%s", err.message);
}

static void wait_started(struct sleeper *sleeper)
{
    struct afar_error err;
    enum afar_status status = AFAR_OK;
    while (status == AFAR_OK && sleeper->job[0] == '\0') {
        struct pollfd waiting = {.fd = afar_fd(sleeper->client),
                                 .events = afar_events(sleeper->client)};
        if (poll(&waiting, 1, SOAK_PATIENCE_MS) != 1)
            soak_give_up("a command does not start");
        status = afar_process(sleeper->client, &err);
    }
    if (status != AFAR_OK)
        soak_give_up("%s", err.message);
}

static void end(const struct sleeper *sleeper, struct afar_client *other)
{
    struct afar_error err;
    enum afar_status status = AFAR_OK;
    if (sleeper->way == BY_END_OF_INPUT)
        status = afar_close_stdin(sleeper->client, &err);
    else if (sleeper->way == BY_SIGNAL_TERM)
        status = afar_signal(sleeper->client, "TERM", &err);
    else if (sleeper->way == BY_SIGNAL_KILL)
        status = afar_signal(sleeper->client, "KILL", &err);
    else if (sleeper->way == BY_KILL)
        status = afar_kill(other, sleeper->job, "INT", SOAK_PATIENCE_MS, &err);
    if (status != AFAR_OK)
        soak_give_up("%s", err.message);
}

static bool receipt_is_right(const struct sleeper *sleeper)
{
    static const char *const signals[WAYS] = {"", "TERM", "KILL", "INT"};
    const struct afar_receipt *receipt = NULL;
    struct afar_error err;
    if (afar_wait(sleeper->client, SOAK_PATIENCE_MS, &err) != AFAR_OK)
        soak_give_up("%s", err.message);
    receipt = afar_receipt(sleeper->client);
    if (sleeper->way == BY_END_OF_INPUT)
        return receipt->outcome == AFAR_OUTCOME_EXITED && receipt->code == 0;
    return receipt->outcome ==
               (sleeper->way == BY_KILL ? AFAR_OUTCOME_KILLED : AFAR_OUTCOME_SIGNALED) &&
           strcmp(receipt->signal, signals[sleeper->way]) == 0;
}

void soak_sleeps(struct soak *soak)
{
    static const char *const args[] = {
        "--listen", "tcp://127.0.0.1:0",       "--set", "max_connections_per_address=0",
        "--set",    "max_jobs_per_identity=0", "--set", "max_jobs=4096",
        NULL};
    unsigned count = soak->is_short ? SHORT_SLEEPS : SLEEPS;
    struct soak_server server;
    soak_descriptors(count + DESCRIPTORS_BESIDES);
    struct sleeper *sleepers = calloc(count, sizeof *sleepers);
    if (sleepers == NULL)
        soak_give_up("out of memory");
    soak_server_start(&server, soak, args);
    struct afar_context *context = soak_context(soak);
    struct afar_client *other = soak_client(context, server.url[0]);

    double before_kib = soak_pss_kib(server.pid);
    double begin_us = soak_now_us();
    for (unsigned i = 0; i < count; i++) {
        sleepers[i].way = (enum way)(i % WAYS);
        sleepers[i].client = soak_client(context, server.url[0]);
        begin(&sleepers[i]);
    }
    for (unsigned i = 0; i < count; i++)
        wait_started(&sleepers[i]);
    soak_note("sleeps: begun in one second", count / ((soak_now_us() - begin_us) / 1e6), "");
    soak_at_least(soak, "sleeps: running at once", soak_children(server.pid), count, "");
    soak_note("sleeps: server memory per job, connection included",
              (soak_pss_kib(server.pid) - before_kib) / count, "KiB");
    soak_note("sleeps: latency of true beside them", soak_true_us(other), "us");
    for (unsigned i = 0; i < count; i++)
        end(&sleepers[i], other);
    unsigned right = 0;
    for (unsigned i = 0; i < count; i++)
        right += receipt_is_right(&sleepers[i]);
    soak_at_least(soak, "sleeps: right receipts", right, count, "");
    soak_at_most(soak, "sleeps: processes left", soak_children(server.pid), 0, "");

    for (unsigned i = 0; i < count; i++)
        afar_close(sleepers[i].client);
    afar_close(other);
    afar_context_free(context);
    soak_server_stop(&server);
    free(sleepers);
}
