#include "bench/clock.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct race {
    const struct clock_contestant *contestant;
    int64_t end_us;
    atomic_ullong done;
};

static void *run_on(void *argument)
{
    struct race *race = argument;
    while (clock_now_us() < race->end_us) {
        (void)clock_contestant_run(race->contestant);
        (void)atomic_fetch_add(&race->done, 1);
    }
    return NULL;
}

static void by_threads(struct race *race, int count)
{
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    if (threads == NULL)
        clock_give_up("rate", "out of memory");
    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, run_on, race) != 0)
            clock_give_up("rate", "no thread");
    }
    for (int i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    free(threads);
}

/* All connections by one thread: many would only take the server's processors from it. */
static void by_connections(struct race *race, struct afar_client **clients, int count)
{
    struct pollfd *polled = calloc((size_t)count, sizeof *polled);
    struct afar_error err;
    if (polled == NULL)
        clock_give_up("rate", "out of memory");
    for (int i = 0; i < count; i++)
        clock_true_begin(clients[i]);
    while (clock_now_us() < race->end_us) {
        for (int i = 0; i < count; i++)
            polled[i] =
                (struct pollfd){.fd = afar_fd(clients[i]), .events = afar_events(clients[i])};
        if (poll(polled, (nfds_t)count, 100) < 0)
            continue;
        for (int i = 0; i < count; i++) {
            if (polled[i].revents == 0)
                continue;
            clock_check(afar_process(clients[i], &err), &err);
            const struct afar_receipt *receipt = afar_receipt(clients[i]);
            if (receipt == NULL)
                continue;
            if (afar_exit_status(receipt) != 0)
                clock_give_up("true", "did not end with status 0");
            (void)atomic_fetch_add(&race->done, 1);
            clock_true_begin(clients[i]);
        }
    }
    free(polled);
}

static struct afar_client **dial_all(const char *url, int count)
{
    struct afar_client **clients = calloc((size_t)count, sizeof *clients);
    if (clients == NULL)
        clock_give_up("rate", "out of memory");
    for (int i = 0; i < count; i++)
        clients[i] = clock_dial(url);
    return clients;
}

static void close_all(struct afar_client **clients, int count)
{
    for (int i = 0; i < count; i++)
        afar_close(clients[i]);
    free(clients);
}

void clock_rate(int seconds, int count, char **words)
{
    bool connected = strcmp(words[0], "connection") == 0 && words[1] != NULL;
    struct clock_contestant contestant = {0};
    struct afar_client **clients = NULL;
    if (connected)
        clients = dial_all(words[1], count);
    else
        contestant = clock_contestant_make("rate", words);
    int64_t begun_us = clock_now_us();
    struct race race = {.contestant = &contestant, .end_us = begun_us + (int64_t)seconds * 1000000};
    if (connected)
        by_connections(&race, clients, count);
    else
        by_threads(&race, count);
    double took_s = (double)(clock_now_us() - begun_us) / 1e6;
    (void)printf("rate %.1f\n", (double)atomic_load(&race.done) / took_s);
    if (connected)
        close_all(clients, count);
    free(contestant.environment);
}
