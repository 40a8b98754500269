/* The keeper: the process that owns a kept command.
 *
 *     companion of the server ── keep_start: folder, order, posix_spawn as
 *                                "afard-keep" ──▶ keeper_main ─ fork ─▶ the keeper
 *
 * It is the server's own program under another name, or the smaller one of exec/own_program.h. It
 * speaks PROTOCOL.md on the socket of its folder: attach (several readers), stdin, ack, signal,
 * resize, close, kill, detach, jobs, ping. It ends some time after its job, when the receipt is on
 * the disk. For later readers keep_read starts a keeper that only reads the folder.
 *
 * The keeper soon has no parent but init, so it survives the server. If the keeper dies, the kernel
 * kills its command (PR_SET_PDEATHSIG).
 *
 * Owns:    the folder's lock, as long as it lives.
 * Threads: keep_start and keep_read: any. keeper_main is a program.
 * Blocks:  on the file system, and until the new process reports that it serves.
 * Limits:  KEEPER_READERS_MAX readers of output and KEEPER_CONNECTIONS_MAX connections at a
 *          time. */
#ifndef KEEP_KEEPER_H
#define KEEP_KEEPER_H

#include "keep/jobdir.h"
#include "keep/order.h"

#define KEEPER_NAME "afard-keep"

enum {
    KEEPER_READERS_MAX = 16,    /* more get `busy` */
    KEEPER_CONNECTIONS_MAX = 64 /* including those that wait for the end; more are closed */
};

/* Makes the folder and starts a keeper. `fence_fd`: from fence_take, for the command; 0: none.
 * `program_fd`: its program, from own_program_open; 0: this one, as also if that cannot be executed.
 * On failure neither folder nor process is left. AFAR_ESYSTEM, AFAR_ENOMEM, AFAR_ELIMIT. */
enum afar_status keep_start(int jobs_fd, struct jobdir_request *request,
                            const struct keep_order *order, int fence_fd, int program_fd,
                            struct afar_error *err);

/* Starts a keeper that serves the folder of a job that has ended; does nothing if one serves it
 * already. AFAR_ESYSTEM. */
enum afar_status keep_read(int folder_fd, int program_fd, struct afar_error *err);

/* The main function of the keeper. */
int keeper_main(int argc, char **argv);

#endif
