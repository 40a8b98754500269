/* Connect, run, close, over and over: what the server holds must not grow with it. */
#include "bench/soak.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    CYCLES = 20000,
    SHORT_CYCLES = 3000,
    SETTLED = 2000, /* by then everything that is kept for the next client is there */
    SHORT_SETTLED = 1000,
    THREADS = 4,
    TLS_EVERY = 10,       /* the others are plain TCP */
    GROWTH_MAX_KIB = 1024 /* 57 bytes a cycle: less than anything that could leak */
};

struct cyclist {
    pthread_t thread;
    const struct soak_server *server;
    struct afar_context *context;
    atomic_uint *left;    /* shared */
    atomic_uint *resumed; /* shared */
};

static bool take_one(atomic_uint *left, unsigned *number)
{
    unsigned now = atomic_load(left);
    do {
        if (now == 0)
            return false;
    } while (!atomic_compare_exchange_weak(left, &now, now - 1));
    *number = now;
    return true;
}

static void *ride(void *argument)
{
    const struct cyclist *cyclist = argument;
    unsigned number = 0;
    while (take_one(cyclist->left, &number)) {
        bool tls = number % TLS_EVERY == 0;
        struct afar_client *client = soak_client(cyclist->context, cyclist->server->url[tls]);
        (void)soak_true_us(client);
        if (tls && afar_resumed(client))
            (void)atomic_fetch_add(cyclist->resumed, 1);
        afar_close(client);
    }
    return NULL;
}

static void ride_all(const struct soak_server *server, struct afar_context *context, unsigned count,
                     atomic_uint *resumed)
{
    struct cyclist cyclists[THREADS];
    atomic_uint left;
    atomic_init(&left, count);
    for (unsigned i = 0; i < THREADS; i++) {
        cyclists[i] = (struct cyclist){
            .server = server, .context = context, .left = &left, .resumed = resumed};
        if (pthread_create(&cyclists[i].thread, NULL, ride, &cyclists[i]) != 0)
            soak_give_up("cannot start a thread");
    }
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(cyclists[i].thread, NULL);
}

void soak_cycles(struct soak *soak)
{
    static const char *const args[] = {"--listen", "tcp://127.0.0.1:0",
                                       "--listen", "tls://127.0.0.1:0",
                                       "--set",    "max_connections_per_address=0",
                                       NULL};
    unsigned count = soak->is_short ? SHORT_CYCLES : CYCLES;
    unsigned settled = soak->is_short ? SHORT_SETTLED : SETTLED;
    atomic_uint resumed;
    struct soak_server server;
    atomic_init(&resumed, 0);
    soak_server_start(&server, soak, args);
    struct afar_context *context = soak_context(soak);

    double begin_us = soak_now_us();
    ride_all(&server, context, settled, &resumed);
    double before_kib = soak_pss_kib(server.pid);
    ride_all(&server, context, count - settled, &resumed);
    soak_note("cycles: connect, run and close", count, "");
    soak_note("cycles: in one second", count / ((soak_now_us() - begin_us) / 1e6), "");
    soak_note("cycles: TLS sessions resumed", atomic_load(&resumed), "");
    soak_note("cycles: server memory after the first ones", before_kib, "KiB");
    soak_at_most(soak, "cycles: growth of the server's memory since then",
                 soak_pss_kib(server.pid) - before_kib, GROWTH_MAX_KIB, "KiB");
    soak_at_most(soak, "cycles: processes left", soak_children(server.pid), 0, "");

    afar_context_free(context);
    soak_server_stop(&server);
}
