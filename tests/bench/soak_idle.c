/* Idle mutual-TLS connections: what one costs in memory and in time, and what others feel of them.
 *
 * Two servers, one of which has the connections: the latency of `true` is measured on both in turn,
 * so that whatever else the machine does strikes both alike. */
#include "bench/soak.h"

#include <stdlib.h>

enum {
    CONNECTIONS = 10000,
    SHORT_CONNECTIONS = 1000,
    WARM_UP = 20, /* connections, closed again: what the first ones cost is not theirs alone */
    COMMANDS = 400,
    IDLE_MS = 10000,
    SHORT_IDLE_MS = 3000,
    DESCRIPTORS_BESIDES = 64
};

static const char *const args[] = {
    "--listen", "tls://127.0.0.1:0",     "--set", "max_connections_per_address=0",
    "--set",    "max_connections=16384", NULL};

static void measure_latency(struct soak *soak, const struct soak_server *with,
                            const struct soak_server *without, const char *name)
{
    struct afar_context *context = soak_context(soak);
    struct afar_client *clients[2] = {soak_client(context, without->url[0]),
                                      soak_client(context, with->url[0])};
    struct soak_samples samples[2] = {{0}};
    for (unsigned i = 0; i < COMMANDS; i++) {
        for (unsigned side = 0; side < 2; side++)
            soak_samples_add(&samples[side], soak_true_us(clients[side]));
    }
    double without_us = soak_quantile(&samples[0], 0.5);
    double with_us = soak_quantile(&samples[1], 0.5);
    soak_note("idle: median latency of true without them", without_us, "us");
    soak_note("idle: median latency of true with them", with_us, "us");
    soak_at_most(soak, name, with_us / without_us, 1.2, "times");
    for (unsigned side = 0; side < 2; side++) {
        soak_samples_free(&samples[side]);
        afar_close(clients[side]);
    }
    afar_context_free(context);
}

static void open_all(SSL **ssl, SSL_CTX *context, uint16_t port, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        ssl[i] = soak_tls_connect(context, port);
        if (!soak_tls_ping(ssl[i]))
            soak_give_up("connection %u does not answer", i);
    }
}

static void close_all(SSL **ssl, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        soak_tls_close(ssl[i]);
}

void soak_idle(struct soak *soak)
{
    unsigned count = soak->is_short ? SHORT_CONNECTIONS : CONNECTIONS;
    unsigned idle_ms = soak->is_short ? SHORT_IDLE_MS : IDLE_MS;
    struct soak_server with;
    struct soak_server without;
    soak_descriptors(count + DESCRIPTORS_BESIDES);
    SSL **ssl = calloc(count, sizeof(SSL *));
    SSL_CTX *context = soak_tls_context(soak);
    if (ssl == NULL)
        soak_give_up("out of memory");
    soak_server_start(&with, soak, args);
    soak_server_start(&without, soak, args);
    uint16_t port = soak_port(with.url[0]);

    open_all(ssl, context, port, WARM_UP);
    close_all(ssl, WARM_UP);
    double before_kib = soak_pss_kib(with.pid);
    double begin_us = soak_now_us();
    open_all(ssl, context, port, count);
    soak_note("idle: mutual-TLS connections", count, "");
    soak_note("idle: opened in one second, one after another",
              count / ((soak_now_us() - begin_us) / 1e6), "");
    soak_at_most(soak, "idle: server memory per connection",
                 (soak_pss_kib(with.pid) - before_kib) / count, 24, "KiB");
    double cpu_ms = soak_cpu_ms(with.pid);
    soak_sleep_ms(idle_ms);
    /* A clock tick is 10 ms. */
    soak_at_most(soak, "idle: processor time while nothing happens", soak_cpu_ms(with.pid) - cpu_ms,
                 20, "ms");
    measure_latency(soak, &with, &without, "idle: latency of true with and without them");
    unsigned alive = 0;
    for (unsigned i = 0; i < count; i++)
        alive += soak_tls_ping(ssl[i]);
    soak_at_least(soak, "idle: connections that answer in the end", alive, count, "");

    close_all(ssl, count);
    soak_server_stop(&with);
    soak_server_stop(&without);
    SSL_CTX_free(context);
    free(ssl);
}
