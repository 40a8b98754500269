#include "bench/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void note_started(void *user, const char *job)
{
    (void)job;
    *(bool *)user = true;
}

/* Until it runs: an answer that is still to come would be work for the server later. */
static void begin(struct afar_client *client, char **words)
{
    bool started = false;
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = (const char *const *)words);
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_started = note_started, .user = &started);
    struct afar_error err;
    clock_check(afar_start(client, &command, &callbacks, &err), &err);
    clock_check(afar_process(client, &err), &err);
    while (!started) {
        struct pollfd one = {.fd = afar_fd(client), .events = afar_events(client)};
        if (poll(&one, 1, CLOCK_PATIENCE_MS) == 0)
            clock_give_up("hold", "a command does not start");
        clock_check(afar_process(client, &err), &err);
    }
}

static void say(const char *word)
{
    (void)puts(word);
    (void)fflush(stdout);
}

static bool next_line(void)
{
    char line[64];
    return fgets(line, sizeof line, stdin) != NULL;
}

void clock_hold(const char *url, int count, char **words)
{
    struct afar_error err;
    struct afar_pong pong = AFAR_PONG_INIT();
    raise_descriptors();
    struct afar_client **clients = calloc((size_t)count, sizeof *clients);
    if (clients == NULL)
        clock_give_up("hold", "out of memory");
    for (int i = 0; i < count; i++) {
        clients[i] = clock_dial(url);
        afar_set_heartbeat(clients[i], 0, 0);
        clock_check(afar_ping(clients[i], CLOCK_PATIENCE_MS, &pong, &err), &err);
    }
    say("held");
    if (words[0] != NULL && next_line()) {
        for (int i = 0; i < count; i++)
            begin(clients[i], words);
        say("running");
    }
    while (next_line())
        continue;
    for (int i = 0; i < count; i++)
        afar_close(clients[i]);
    free(clients);
}
