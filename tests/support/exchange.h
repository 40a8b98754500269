/* A client that runs commands with a known outcome, without blocking (except when it connects). It
 * distinguishes a right outcome from an error and from a wrong one.
 *
 *     exchange_start(&exchange, &known, seed, most_commands);
 *     exchange_connect(&exchange, context, url);
 *     while (!exchange_step(&exchange))
 *         poll exchange_fd for exchange_events, exchange_timeout ms at most
 *     … exchange.end …
 *     exchange_close(&exchange);
 *
 * Owns:    the client.
 * Threads: one owner; struct known may be shared.
 * Blocks:  exchange_connect only.
 * Limits:  EXCHANGE_LINES_MAX lines, EXCHANGE_INPUT_MAX bytes of input. */
#ifndef SUPPORT_EXCHANGE_H
#define SUPPORT_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/afar.h>

#include "support/seeded.h"

enum { EXCHANGE_LINES_MAX = 1 << 16, EXCHANGE_INPUT_MAX = 1 << 19 };

/* What commands print and read. */
struct known {
    char *lines;      /* the output of seq 1 EXCHANGE_LINES_MAX */
    size_t *line_end; /* where the first n lines end */
    uint8_t *noise;   /* twice EXCHANGE_INPUT_MAX */
};

void known_make(struct known *known);
void known_free(struct known *known);

enum exchange_kind {
    EXCHANGE_OUTPUT,    /* lines on both streams, then an exit status */
    EXCHANGE_ECHO,      /* cat */
    EXCHANGE_STATUS,    /* an exit status and nothing else */
    EXCHANGE_SIGNAL,    /* lines; when they have come, a signal */
    EXCHANGE_NOT_FOUND, /* a program that does not exist */
    EXCHANGE_KINDS
};

struct exchange_command {
    enum exchange_kind kind;
    unsigned lines[2];
    size_t input_at; /* offset in the noise */
    size_t input_size;
    int code;
};

enum exchange_end {
    EXCHANGE_RUNS,
    EXCHANGE_RIGHT, /* each command's outcome came and was right */
    EXCHANGE_ERROR, /* see `err`; what had come before was right */
    EXCHANGE_WRONG  /* see `problem` */
};

struct exchange {
    const struct known *known;
    struct seeded seeded;
    struct afar_client *client;
    unsigned commands; /* further commands after this one */
    struct exchange_command command;
    const void *expected[2];
    size_t expected_size[2];
    size_t got[2];
    size_t taken_at_once; /* limit of bytes that one callback takes */
    bool took_less;
    size_t written;
    bool input_ended;
    bool signalled;
    enum exchange_end end;
    struct afar_error err;
    char problem[256];
};

/* Prepares 1 to `most_commands` commands of any kind, one after another, chosen by the seed. */
void exchange_start(struct exchange *exchange, const struct known *known, uint64_t seed,
                    unsigned most_commands);

/* Prepares this one command. */
void exchange_start_with(struct exchange *exchange, const struct known *known,
                         const struct exchange_command *command);

/* A failure ends the exchange with EXCHANGE_ERROR. */
void exchange_connect(struct exchange *exchange, struct afar_context *context, const char *url,
                      int64_t timeout_ms);

/* Does what it can without blocking. True: the exchange has ended. */
bool exchange_step(struct exchange *exchange);

int exchange_timeout(const struct exchange *exchange);

void exchange_close(struct exchange *exchange);

#endif
