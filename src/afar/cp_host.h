/* A server that `afar cp` copies from or to: its connection, and the SFTP session on it.
 *
 * Owns:    both (cp_host_close).
 * Threads: one.
 * Blocks:  cp_host_open, until connected; cp_host_end, until the receipt is there or a time has
 *          passed; the rest never.
 * Limits:  CP_HELD_BYTES are held back for another server; what is not taken stays with libafar. */
#ifndef AFAR_CP_HOST_H
#define AFAR_CP_HOST_H

#include "afar/remote.h"
#include "copy/copy.h"

enum { CP_HELD_BYTES = 8 << 20 };

struct cp_host {
    char *name;             /* as the user wrote it */
    struct options options; /* with it */
    struct remote remote;
    struct requests requests;
    struct afar_command command;
    bool opened;
    bool blocked; /* the server has not read what it got before */
    bool ended;   /* nothing more comes; status says how it ended */
    int status;
    bool told_away;
    int stop_fd;                   /* attempts to come back end when it can be read; 0: none */
    const struct copy *copy;       /* whose output, if it waits, makes us wait */
    const struct cp_host *next_to; /* a server that is slower than this one; NULL */
};

/* False: it has been said why. The struct must stay where it is. */
bool cp_host_open(struct cp_host *host, const struct options *options, const char *name);
void cp_host_close(struct cp_host *host);

/* Moves bytes both ways, as far as they go without waiting. */
void cp_host_move(struct cp_host *host);

/* Whether there is something to do without waiting. */
bool cp_host_has_more(const struct cp_host *host);

/* No more requests: waits for the receipt. Returns the exit status: 0, 124 or 125; what there is to
 * say has been said. */
int cp_host_end(struct cp_host *host, int64_t timeout_ms);

#endif
