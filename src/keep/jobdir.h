/* The folder of a kept job, under the server's state_directory: jobs/ID.
 *
 *     request      what is known of it since before it began
 *     token        what who connects to the socket must show
 *     lock         held by flock(2) as long as the keeper lives
 *     sock         the keeper's door
 *     begun        empty: the keeper was about to start the command
 *     out.000001 … its output: spool.h
 *     receipt      how it ended (receipt.new: room for it, taken in the beginning)
 *
 * Whether the job runs is told by the lock alone, which whoever makes the folder takes before it has
 * its name: no pid is trusted.
 *
 * Owns:    what its functions give out is the caller's.
 * Threads: any.
 * Blocks:  on the file system: not for a server's event loop.
 * Limits:  JOBDIR_FILE_BYTES of request and receipt. */
#ifndef KEEP_JOBDIR_H
#define KEEP_JOBDIR_H

#include <stdbool.h>
#include <stdint.h>

#include <afar/receipt.h>

#include "base/digest.h"
#include "base/error.h"
#include "net/transport.h"
#include "wire/message.h"

enum {
    JOBDIR_VERSION = 1,
    JOBDIR_FILE_BYTES = 8192,
    JOBDIR_TOKEN_BYTES = 65, /* 256 random bits in hex and a NUL */
    JOBDIR_BOOT_BYTES = 40,
    JOBDIR_RULE_BYTES = 40,
    JOBDIR_PATH_BYTES = 512,
    JOBDIR_WHY_BYTES = 96
};

/* The file `request`. Never the environment: it may hold secrets. */
struct jobdir_request {
    char job[MESSAGE_JOB_ID_BYTES];
    char owner[IDENTITY_OWNER_BYTES];
    char identity[IDENTITY_NAME_BYTES];
    char holder[MESSAGE_HOLDER_BYTES]; /* of the exec */
    char key[MESSAGE_KEY_BYTES];       /* "": none */
    char asked[DIGEST_HEX_BYTES]; /* what was asked for, as a hash that nobody can guess back */
    char command[MESSAGE_COMMAND_BYTES];
    char boot[JOBDIR_BOOT_BYTES]; /* of the machine */
    char rule[JOBDIR_RULE_BYTES]; /* "": none */
    uint64_t created_us;          /* by the wall clock */
    uint64_t window_bytes;
    uint64_t resume_ms;
    uint64_t spool_bytes;
    enum when_full when_full;
    bool digest;
    bool pty; /* it is on a terminal */
};

/* Of what its terminal has shown. */
struct jobdir_recording {
    char path[JOBDIR_PATH_BYTES];  /* "": there is none, or nothing is known of it */
    char sha256[DIGEST_HEX_BYTES]; /* as in job/recording.h, and … */
    char why[JOBDIR_WHY_BYTES];    /* … likewise */
    uint64_t bytes;
};

/* The file `receipt`. */
struct jobdir_end {
    struct afar_receipt receipt;
    uint64_t seq;      /* of the receipt: one more than the last of the output */
    uint64_t ended_us; /* by the wall clock */
    bool digest;
    char holder[MESSAGE_HOLDER_BYTES]; /* the last */
    uint64_t next_attempt;
    struct jobdir_recording recording;
};

struct jobdir_made {
    int folder_fd; /* each -1 where there is none */
    int lock_fd;
    int listener_fd;
};

/* Makes the folder, with its lock held, its socket listening, and request->boot filled in; it stands
 * on the disk when this returns. On failure there is none. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status jobdir_make(int jobs_fd, struct jobdir_request *request, struct jobdir_made *made,
                             struct afar_error *err);
void jobdir_made_close(struct jobdir_made *made);

/* Opens one that is there. AFAR_EREFUSED: it is not ours (a link, another owner, open to others). */
enum afar_status jobdir_open(int jobs_fd, const char *name, int *fd, struct afar_error *err);

/* Removes it with all that is in it; what could not be removed stays, and is no job any more. */
enum afar_status jobdir_remove(int jobs_fd, const char *name, struct afar_error *err);

/* Its output: how many bytes the files have, or removes them. The rest stays. */
uint64_t jobdir_output_bytes(int fd);
void jobdir_remove_output(int fd);

/* AFAR_EREFUSED: of a later version. AFAR_EPEER: damaged. AFAR_ESYSTEM. */
enum afar_status jobdir_read_request(int fd, struct jobdir_request *request,
                                     struct afar_error *err);
enum afar_status jobdir_read_token(int fd, char token[JOBDIR_TOKEN_BYTES], struct afar_error *err);

/* AFAR_OK: *lock_fd has it now, and no keeper lives. AFAR_EAGAIN: one does. AFAR_ESYSTEM. */
enum afar_status jobdir_lock(int fd, int *lock_fd, struct afar_error *err);

/* `begun`: puts it there; or whether it is. */
enum afar_status jobdir_begin(int fd, struct afar_error *err);
bool jobdir_has_begun(int fd);

/* Whole on the disk when this returns, or not there. AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status jobdir_write_end(int fd, const struct jobdir_end *end, struct afar_error *err);

/* AFAR_EAGAIN: there is none yet. AFAR_EPEER: damaged. AFAR_ESYSTEM. */
enum afar_status jobdir_read_end(int fd, struct jobdir_end *end, struct afar_error *err);

/* A new socket in the place of the old. */
enum afar_status jobdir_listen(int fd, int *listener_fd, struct afar_error *err);

/* Non-blocking, and it never waits. AFAR_ECLOSED: nobody listens there. */
enum afar_status jobdir_connect(int fd, int *socket_fd, struct afar_error *err);

/* Of the wall clock. */
uint64_t jobdir_now_us(void);

/* This boot of the machine's; "" where it is not known. */
void jobdir_boot(char boot[JOBDIR_BOOT_BYTES]);

#endif
