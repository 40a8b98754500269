#include "bench/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

struct clock_contestant clock_contestant_make(const char *name, char **words)
{
    static const char empty[] = "empty=";
    struct clock_contestant made = {.name = name, .kind = CLOCK_SPAWN};
    if (strcmp(words[0], "connection") == 0 && words[1] != NULL) {
        made.kind = CLOCK_CONNECTION;
        made.client = clock_dial(words[1]);
    } else if (strcmp(words[0], "program") == 0 && words[1] != NULL) {
        made.kind = CLOCK_PROGRAM;
        made.words = words + 1;
        if (strncmp(made.words[0], empty, sizeof empty - 1) == 0)
            made.empty = *made.words++ + sizeof empty - 1;
        made.environment = take_environment(&made.words);
        if (made.words[0] == NULL)
            clock_give_up(name, "no program");
    } else if (strcmp(words[0], "spawn") != 0)
        clock_give_up(name, "its kind is none of spawn, connection and program");
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

static void run_on_connection(struct afar_client *client)
{
    struct afar_error err;
    clock_true_begin(client);
    clock_check(afar_wait(client, CLOCK_PATIENCE_MS, &err), &err);
    if (afar_exit_status(afar_receipt(client)) != 0)
        clock_give_up("true", "did not end with status 0");
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
        run_on_connection(contestant->client);
        break;
    case CLOCK_PROGRAM:
        clock_program_wait(clock_program_start(contestant->words, contestant->environment, -1),
                           contestant->name);
        break;
    }
    return clock_now_us() - begun_us;
}
