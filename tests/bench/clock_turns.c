#include "bench/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_BYTES = 4096 };

struct entry {
    char line[LINE_BYTES];
    char *words[CLOCK_WORDS_MAX + 1];
    struct clock_contestant contestant;
};

static int read_all(struct entry *entries, const char *path)
{
    int count = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        clock_give_up(path, "cannot be read");
    while (count < CLOCK_CONTESTANTS_MAX && fgets(entries[count].line, LINE_BYTES, file) != NULL) {
        struct entry *entry = &entries[count++];
        char *rest = entry->line;
        rest[strcspn(rest, "\n")] = '\0';
        for (int i = 0; i < CLOCK_WORDS_MAX && rest != NULL; i++)
            entry->words[i] = strsep(&rest, "\t");
        if (rest != NULL || entry->words[1] == NULL)
            clock_give_up(entry->line, "too many words, or too few");
        entry->contestant = clock_contestant_make(entry->words[0], entry->words + 1);
    }
    (void)fclose(file);
    return count;
}

/* Another order in each round, the same in each run: who comes after whom makes a difference. */
static void shuffle(int *order, int count, uint32_t *state)
{
    for (int i = count - 1; i > 0; i--) {
        *state =
            *state * 1664525U + 1013904223U; /* Knuth's generator, as Numerical Recipes has it */
        int other = (int)((*state >> 8) % (uint32_t)(i + 1));
        int kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

static void wait_until(int64_t at_us)
{
    int64_t left_us = at_us - clock_now_us();
    while (left_us > 0) {
        (void)usleep((useconds_t)left_us);
        left_us = at_us - clock_now_us();
    }
}

void clock_turns(int rounds, const char *path, int pace_ms)
{
    static struct entry entries[CLOCK_CONTESTANTS_MAX];
    int order[CLOCK_CONTESTANTS_MAX];
    uint32_t state = 1;
    struct rusage before;
    struct rusage after;
    int count = read_all(entries, path);
    for (int i = 0; i < count; i++) {
        order[i] = i;
        (void)clock_contestant_run(&entries[i].contestant); /* caches, and sessions to resume */
    }
    (void)getrusage(RUSAGE_SELF, &before);
    const int64_t begun_us = clock_now_us();
    for (int round = 0; round < rounds; round++) {
        wait_until(begun_us + (int64_t)round * pace_ms * 1000);
        shuffle(order, count, &state);
        for (int i = 0; i < count; i++) {
            const struct clock_contestant *contestant = &entries[order[i]].contestant;
            (void)printf("%s %lld\n", contestant->name,
                         (long long)clock_contestant_run(contestant));
        }
    }
    (void)getrusage(RUSAGE_SELF, &after);
    (void)printf("(switches) %ld\n",
                 after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw);
    for (int i = 0; i < count; i++) {
        afar_close(entries[i].contestant.client);
        free(entries[i].contestant.environment);
    }
}
