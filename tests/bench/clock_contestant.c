#include "bench/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* Ours, with the assignments in front of a program's words, which are skipped. */
static char **take_environment(char ***words)
{
    size_t ours = 0;
    size_t more = 0;
    while (environ[ours] != NULL)
        ours++;
    while ((*words)[more] != NULL && strchr((*words)[more], '=') != NULL)
        more++;
    char **environment = calloc(ours + more + 1, sizeof *environment);
    if (environment == NULL)
        clock_give_up("contestant", "out of memory");
    /* The first of a name is what getenv finds. */
    memcpy(environment, *words, more * sizeof *environment);
    memcpy(environment + more, environ, ours * sizeof *environment);
    *words += more;
    return environment;
}

/* CLOCK_SPAWN: it has no connection. */
static enum clock_kind connected_kind(const char *word)
{
    static const struct {
        const char *word;
        enum clock_kind kind;
    } known[] = {{"connection", CLOCK_CONNECTION},
                 {"terminal", CLOCK_TERMINAL},
                 {"started", CLOCK_STARTED},
                 {"kept", CLOCK_KEPT}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(word, known[i].word) == 0)
            return known[i].kind;
    }
    return CLOCK_SPAWN;
}

struct clock_contestant clock_contestant_make(const char *name, char **words)
{
    static const char empty[] = "empty=";
    static const char as[] = "as=";
    struct clock_contestant made = {.name = name, .kind = connected_kind(words[0])};
    if (made.kind != CLOCK_SPAWN && words[1] != NULL) {
        made.client = clock_dial(words[1]);
    } else if (strcmp(words[0], "program") == 0 && words[1] != NULL) {
        made.kind = CLOCK_PROGRAM;
        made.words = words + 1;
        if (strncmp(made.words[0], empty, sizeof empty - 1) == 0)
            made.empty = *made.words++ + sizeof empty - 1;
        if (strncmp(made.words[0], as, sizeof as - 1) == 0)
            made.as = *made.words++ + sizeof as - 1;
        made.environment = take_environment(&made.words);
        if (made.words[0] == NULL)
            clock_give_up(name, "no program");
    } else if (strcmp(words[0], "spawn") != 0)
        clock_give_up(name, "there is no such kind");
    return made;
}

static void empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return; /* it is made by whoever has something to put there */
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.' && unlinkat(dirfd(folder), entry->d_name, 0) != 0)
            clock_give_up(path, "cannot be emptied");
    }
    (void)closedir(folder);
}

static const char *const true_words[] = {"/bin/true", NULL};

static void run_on_terminal(struct afar_client *client)
{
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = true_words, .with_pty = true);
    const struct afar_callbacks callbacks = AFAR_CALLBACKS_INIT();
    struct afar_error err;
    clock_check(afar_start(client, &command, &callbacks, &err), &err);
    clock_true_end(client);
}

/* Until it runs: its end is waited for, and takes none of this time. */
static int64_t run_until_started(struct afar_client *client, bool kept)
{
    const struct afar_command command = AFAR_COMMAND_INIT(.argv = true_words, .keep = kept);
    char job[33];
    struct afar_error err;
    int64_t begun_us = clock_now_us();
    clock_begin(client, &command, job);
    int64_t took_us = clock_now_us() - begun_us;
    clock_true_end(client);
    if (kept)
        clock_check(afar_forget(client, job, CLOCK_PATIENCE_MS, &err), &err);
    return took_us;
}

static void run_program(const struct clock_contestant *contestant)
{
    if (contestant->as == NULL) {
        clock_program_wait(clock_program_start(contestant->words, contestant->environment, -1),
                           contestant->name);
        return;
    }
    char *words[CLOCK_WORDS_MAX + 1] = {strdup(contestant->as)};
    for (size_t i = 1; i < CLOCK_WORDS_MAX && contestant->words[i] != NULL; i++)
        words[i] = contestant->words[i];
    pid_t pid = clock_program_start_as(contestant->words[0], words, contestant->environment, -1);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    free(words[0]);
}

int64_t clock_contestant_run(const struct clock_contestant *contestant)
{
    if (contestant->empty != NULL)
        empty_folder(contestant->empty);
    int64_t begun_us = clock_now_us();
    switch (contestant->kind) {
    case CLOCK_SPAWN:
        clock_spawn();
        break;
    case CLOCK_CONNECTION:
        clock_true_begin(contestant->client);
        clock_true_end(contestant->client);
        break;
    case CLOCK_TERMINAL:
        run_on_terminal(contestant->client);
        break;
    case CLOCK_STARTED:
    case CLOCK_KEPT:
        return run_until_started(contestant->client, contestant->kind == CLOCK_KEPT);
    case CLOCK_PROGRAM:
        run_program(contestant);
        break;
    }
    return clock_now_us() - begun_us;
}
