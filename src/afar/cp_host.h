/* A server that `afar cp` copies from or to: its connection, and the SFTP session on it.
 *
 * Owns:    both (cp_host_close).
 * Threads: one.
 * Blocks:  cp_host_open, until connected; cp_host_end, until the receipt has come or its time has
 *          passed; the rest never.
 * Limits:  takes no output while CP_HELD_BYTES wait for another server; libafar keeps it. */
#ifndef AFAR_CP_HOST_H
#define AFAR_CP_HOST_H

#include "afar/remote.h"
#include "copy/copy.h"

enum { CP_HELD_BYTES = 8 << 20 };

struct cp_host {
    char *name;             /* as the user wrote it */
    struct options options; /* with `name` as the host */
    struct remote remote;
    struct requests requests;
    struct afar_command command;
    bool opened;
    bool blocked; /* the server takes no more requests now */
    bool ended;   /* nothing more comes; `status` is its exit status */
    int status;
    bool told_away;
    int stop_fd;                   /* stops a reconnect when it can be read; 0: none */
    const struct copy *copy;       /* while its output waits, we take nothing */
    const struct cp_host *next_to; /* the target server, which may be slower; NULL: none */
};

/* Connects and starts the file server. False: the reason was reported. cp_host_close in any case.
 * The struct must not be moved. */
bool cp_host_open(struct cp_host *host, const struct options *options, const char *name);
void cp_host_close(struct cp_host *host);

/* Nothing more is sent or taken; `status` is the host's exit status. */
void cp_host_give_up(struct cp_host *host, int status);

/* Moves bytes in both directions, as far as possible without waiting. Reconnects if that is due. */
void cp_host_move(struct cp_host *host);

/* True if cp_host_move can send more without waiting. */
bool cp_host_has_more(const struct cp_host *host);

/* Sends the last requests and waits for the receipt. Returns the exit status, 0, 124 or 125; the
 * reason was reported. */
int cp_host_end(struct cp_host *host, int64_t timeout_ms);

#endif
