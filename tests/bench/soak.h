/* What the soak's scenarios share: `make soak` measures a real afard on loopback, prints one line
 * per figure with its bound, and fails where a bound is broken.
 *
 * Owns:    a struct soak_server owns its process; it ends with this program, whatever happens.
 * Threads: one, unless said.
 * Blocks:  until SOAK_PATIENCE_MS at most; what takes longer ends the program with a line that says
 *          what.
 * Limits:  the open-files limit, which soak_descriptors raises and checks. */
#ifndef BENCH_SOAK_H
#define BENCH_SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include <afar/afar.h>

#include "support/test_certs.h"

enum { SOAK_PATIENCE_MS = 60000, SOAK_URLS_MAX = 2, SOAK_ARGS_MAX = 40 };

struct soak {
    bool is_short; /* for CI: smaller counts */
    struct test_certs certs;
    unsigned figures;
    unsigned failed;
};

/* ---- soak.c ---------------------------------------------------------------------------------- */

/* One figure, to be at most (at least) the bound. */
void soak_at_most(struct soak *soak, const char *name, double measured, double bound,
                  const char *unit);
void soak_at_least(struct soak *soak, const char *name, double measured, double bound,
                   const char *unit);

/* For the reader only. */
void soak_note(const char *name, double measured, const char *unit);

/* The scenario cannot go on: prints a line and ends the program. */
_Noreturn void soak_give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- soak_server.c --------------------------------------------------------------------------- */

struct soak_server {
    pid_t pid;
    char url[SOAK_URLS_MAX][256]; /* in the order of --listen */
};

/* afard with these certificates and arguments (NULL-terminated). */
void soak_server_start(struct soak_server *server, const struct soak *soak,
                       const char *const *args);
/* TERM, and the end, which must be a clean one. */
void soak_server_stop(struct soak_server *server);

uint16_t soak_port(const char *url);

/* Kilobytes of its own (proportional set size), and of processor time since its start. */
double soak_pss_kib(pid_t pid);
double soak_cpu_ms(pid_t pid);
unsigned soak_children(pid_t pid);

/* Makes room for `count` descriptors here. */
void soak_descriptors(unsigned count);

/* ---- soak_client.c --------------------------------------------------------------------------- */

/* A socket, connected to 127.0.0.1, from that address (NULL: any); all reads and writes on it end
 * the program after SOAK_PATIENCE_MS. `receive_bytes` 0: the system's buffer. */
int soak_connect(uint16_t port, const char *from, int receive_bytes);

/* A mutual-TLS connection; the handshake is complete on both sides when the first reply is. */
SSL_CTX *soak_tls_context(const struct soak *soak);
SSL *soak_tls_connect(SSL_CTX *context, uint16_t port);
/* Sends a ping and reads its pong. False: the connection is gone. */
bool soak_tls_ping(SSL *ssl);
void soak_tls_close(SSL *ssl);

struct afar_context *soak_context(const struct soak *soak);
struct afar_client *soak_client(struct afar_context *context, const char *url);
/* Runs `true`; microseconds that it took. */
double soak_true_us(struct afar_client *client);

/* ---- soak_samples.c -------------------------------------------------------------------------- */

struct soak_samples {
    double *at;
    size_t count;
    size_t capacity;
};
void soak_samples_add(struct soak_samples *samples, double value);
/* The value below which that part of them lies: 0.5 is the median. Sorts them. */
double soak_quantile(struct soak_samples *samples, double part);
void soak_samples_free(struct soak_samples *samples);

double soak_now_us(void);
void soak_sleep_ms(unsigned ms);

/* ---- the scenarios, each in a file of its name ----------------------------------------------- */

void soak_idle(struct soak *soak);
void soak_sleeps(struct soak *soak);
void soak_cycles(struct soak *soak);
void soak_handshakes(struct soak *soak);
void soak_slow(struct soak *soak);

#endif
