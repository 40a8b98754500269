/* A real server with a state_directory, and shell lines that it keeps.
 *
 *     struct keeping keeping;
 *     keeping_open(&keeping, NULL);
 *     keeping_detach(&keeping, "sleep 1; exit 7", job);
 *     keeping_kill(&keeping);       by SIGKILL
 *     keeping_start(&keeping);      on the same folder
 *     keeping_close(&keeping);
 *
 * Owns:    the server, and a folder under /tmp with its socket and its state, until keeping_close.
 * Threads: one owner.
 * Blocks:  as afard.h and program.h say.
 * Limits:  none. What does not work fails the test. */
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

/* Makes the folder and starts the server; `options`: of afard, NULL-terminated. */
void keeping_open(struct keeping *keeping, const char *const *options);
void keeping_close(struct keeping *keeping);

void keeping_start(struct keeping *keeping);
void keeping_kill(struct keeping *keeping);
/* By TERM; its status. */
int keeping_stop(struct keeping *keeping);

/* `afar ARGS`: its exit status. What it has written is in *client, which is to be closed; NULL: of
 * no interest. */
int keeping_afar(struct program *client, const char *const *args);

/* `afar run -d` of a shell line. */
void keeping_detach(const struct keeping *keeping, const char *line, char job[KEEPING_JOB_BYTES]);

/* The number that the job writes first, as with `echo $PPID`. */
pid_t keeping_number(const struct keeping *keeping, const char *job);

#endif
