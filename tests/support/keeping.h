/* A real server with a state_directory, and shell lines as kept commands.
 *
 *     struct keeping keeping;
 *     keeping_open(&keeping, NULL);
 *     keeping_detach(&keeping, "sleep 1; exit 7", job);
 *     keeping_kill(&keeping);       by SIGKILL
 *     keeping_start(&keeping);      with the same folder
 *     keeping_close(&keeping);
 *
 * Owns:    the server, and a folder under /tmp with its socket and its state, until keeping_close.
 * Threads: one owner.
 * Blocks:  as afard.h and program.h.
 * Limits:  none. A failure fails the test. */
#ifndef SUPPORT_KEEPING_H
#define SUPPORT_KEEPING_H

#include "support/afard.h"

#define KEEPING_WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

enum { KEEPING_JOB_BYTES = 33 };

struct keeping {
    char folder[64];
    char url[96];
    char state_key[96];
    const char *const *options; /* kept; NULL: none */
    struct afard server;
    bool runs;
};

/* Makes the folder and starts the server. `options`: of afard, NULL-terminated. */
void keeping_open(struct keeping *keeping, const char *const *options);
void keeping_close(struct keeping *keeping);

void keeping_start(struct keeping *keeping);
void keeping_kill(struct keeping *keeping);
/* Sends TERM; returns the exit status. */
int keeping_stop(struct keeping *keeping);

/* Runs `afar ARGS` and returns its exit status. *client has the output and must be closed; NULL:
 * not wanted. */
int keeping_afar(struct program *client, const char *const *args);

/* Runs `afar run -d` with a shell line. */
void keeping_detach(const struct keeping *keeping, const char *line, char job[KEEPING_JOB_BYTES]);

/* The number that the job prints first, for example by `echo $PPID`. */
pid_t keeping_number(const struct keeping *keeping, const char *job);

#endif
