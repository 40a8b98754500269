/* The keeper: the process that a kept command belongs to.
 *
 *     companion of the server ── keep_start: folder, order, posix_spawn of /proc/self/exe as
 *                                "afard-keep" ──▶ keeper_main ─ fork ─▶ the keeper
 *
 * It is the server's own program under another name, and speaks PROTOCOL.md at the socket of its
 * folder: attach (several readers), stdin, ack, signal, close, kill, detach. It ends some time after
 * its job, when the receipt is on the disk; later readers are served by keep_read, which starts one
 * that only reads the folder.
 *
 * It is nobody's child for long: the server's end is not its own. Its command ends with it.
 *
 * Owns:    the folder's lock, as long as it lives.
 * Threads: keep_start and keep_read: any. keeper_main is a program.
 * Blocks:  on the file system, and until the new process says that it is there.
 * Limits:  KEEPER_READERS_MAX readers of output and KEEPER_CONNECTIONS_MAX connections at a time. */
#ifndef KEEP_KEEPER_H
#define KEEP_KEEPER_H

#include "keep/jobdir.h"
#include "keep/order.h"

#define KEEPER_NAME "afard-keep"

enum {
    KEEPER_READERS_MAX = 16,    /* beyond: `busy` */
    KEEPER_CONNECTIONS_MAX = 64 /* also those that wait for the end; beyond: closed */
};

/* `fence_fd`: of fence_take, for the command; 0: none. On failure no folder and no process is left.
 * AFAR_ESYSTEM, AFAR_ENOMEM, AFAR_ELIMIT. */
enum afar_status keep_start(int jobs_fd, struct jobdir_request *request,
                            const struct keep_order *order, int fence_fd, struct afar_error *err);

/* Has somebody serve what is in the folder, whose job has ended. */
enum afar_status keep_read(int folder_fd, struct afar_error *err);

/* The program. */
int keeper_main(int argc, char **argv);

#endif
