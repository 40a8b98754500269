#include "bench/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { RESUME_MS = 600000 };

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Before the command's words: what it is to be. */
static struct afar_command read_command(char **words)
{
    struct afar_command command = AFAR_COMMAND_INIT();
    for (; words[0] != NULL && words[0][0] == '-'; words++) {
        if (strcmp(words[0], "--keep") == 0)
            command.keep = true;
        else if (strcmp(words[0], "--resume") == 0)
            command.resume_ms = RESUME_MS;
        else
            clock_give_up(words[0], "is neither --keep nor --resume");
    }
    command.argv = (const char *const *)words;
    return command;
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
    const struct afar_command command = read_command(words);
    char job[33];
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
    if (command.argv[0] != NULL && next_line()) {
        for (int i = 0; i < count; i++)
            clock_begin(clients[i], &command,
                        job); /* an answer still to come would be work later */
        say("running");
    }
    while (next_line())
        continue;
    for (int i = 0; i < count; i++)
        afar_close(clients[i]);
    free(clients);
}
