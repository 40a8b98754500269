/* A thousand attackers, each from an address of its own, hold handshakes half-open; honest clients
 * must hardly notice.
 *
 * Two servers again, one of them attacked, asked in turn: see soak_idle.c. */
#include "bench/soak.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ATTACKERS = 1000, HONEST = 1500, SHORT_HONEST = 400, DESCRIPTORS_BESIDES = 64 };

/* The first bytes of a ClientHello of 512. */
static const unsigned char half_hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01,
                                           0x00, 0x01, 0xFC, 0x03, 0x03, 0x2A};

static void attack(int *fds, uint16_t port)
{
    for (unsigned i = 0; i < ATTACKERS; i++) {
        char from[32];
        (void)snprintf(from, sizeof from, "127.1.%u.%u", i / 250, i % 250 + 1);
        fds[i] = soak_connect(port, from, 0);
        if (send(fds[i], half_hello, sizeof half_hello, MSG_NOSIGNAL) != (ssize_t)sizeof half_hello)
            soak_give_up("an attacker cannot send");
    }
}

/* Those that the server has not shown the door. */
static unsigned count_held(const int *fds)
{
    unsigned held = 0;
    for (unsigned i = 0; i < ATTACKERS; i++) {
        char byte = 0;
        held += recv(fds[i], &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
    }
    return held;
}

/* A full handshake, a request and its answer. */
static double honest_us(SSL_CTX *context, uint16_t port)
{
    double begin_us = soak_now_us();
    SSL *ssl = soak_tls_connect(context, port);
    if (!soak_tls_ping(ssl))
        soak_give_up("no answer under attack");
    double took_us = soak_now_us() - begin_us;
    soak_tls_close(ssl);
    return took_us;
}

void soak_handshakes(struct soak *soak)
{
    static const char *const args[] = {"--listen", "tls://127.0.0.1:0", "--set",
                                       "handshake_timeout_ms=600000", NULL};
    unsigned count = soak->is_short ? SHORT_HONEST : HONEST;
    struct soak_server servers[2];
    struct soak_samples samples[2] = {{0}};
    soak_descriptors(ATTACKERS + DESCRIPTORS_BESIDES);
    int *fds = calloc(ATTACKERS, sizeof *fds);
    SSL_CTX *context = soak_tls_context(soak);
    if (fds == NULL)
        soak_give_up("out of memory");
    for (unsigned side = 0; side < 2; side++)
        soak_server_start(&servers[side], soak, args);

    double before_kib = soak_pss_kib(servers[1].pid);
    attack(fds, soak_port(servers[1].url[0]));
    for (unsigned i = 0; i < count; i++) {
        for (unsigned side = 0; side < 2; side++)
            soak_samples_add(&samples[side], honest_us(context, soak_port(servers[side].url[0])));
    }
    double p99_us[2];
    for (unsigned side = 0; side < 2; side++)
        p99_us[side] = soak_quantile(&samples[side], 0.99);
    soak_at_least(soak, "handshakes: held half-open all the while", count_held(fds), ATTACKERS, "");
    soak_note("handshakes: server memory for each of them",
              (soak_pss_kib(servers[1].pid) - before_kib) / ATTACKERS, "KiB");
    soak_note("handshakes: p99 of an honest client, no attack", p99_us[0], "us");
    soak_note("handshakes: p99 of an honest client, attacked", p99_us[1], "us");
    soak_at_most(soak, "handshakes: p99 attacked and not", p99_us[1] / p99_us[0], 2, "times");

    for (unsigned i = 0; i < ATTACKERS; i++)
        (void)close(fds[i]);
    for (unsigned side = 0; side < 2; side++) {
        soak_samples_free(&samples[side]);
        soak_server_stop(&servers[side]);
    }
    SSL_CTX_free(context);
    free(fds);
}
