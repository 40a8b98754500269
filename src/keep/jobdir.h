/* The folder of a kept job, under the server's state_directory: jobs/ID.
 *
 *     request      the facts about the job, written before it begins
 *     token        the secret that a client of the socket must send first
 *     lock         locked with flock(2) as long as the keeper lives
 *     sock         the keeper's socket
 *     begun        empty: the keeper was about to start the command
 *     out.000001 … the output: spool.h
 *     receipt      how the job ended (receipt.new: reserves the space from the beginning)
 *     read         locked with flock(2) by a keeper that serves an ended job
 *
 * Only the lock tells whether the job runs: no pid is trusted. It is locked before the folder gets
 * its name.
 *
 * Owns:    descriptors that its functions return are the caller's.
 * Threads: any.
 * Blocks:  on the file system: not for a server's event loop.
 * Limits:  JOBDIR_FILE_BYTES for request and receipt. */
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

/* The file `request`. It never contains the environment, which may hold secrets. */
struct jobdir_request {
    char job[MESSAGE_JOB_ID_BYTES];
    char owner[IDENTITY_OWNER_BYTES];
    char identity[IDENTITY_NAME_BYTES];
    char holder[MESSAGE_HOLDER_BYTES]; /* of the exec request */
    char key[MESSAGE_KEY_BYTES];       /* "": none */
    bool knows_key; /* when read: owner and key are what the file says, also on failure */
    char asked[DIGEST_HEX_BYTES]; /* the request's hash, keyed so that guessing cannot reverse it */
    char command[MESSAGE_COMMAND_BYTES];
    char boot[JOBDIR_BOOT_BYTES]; /* the machine's boot id */
    char rule[JOBDIR_RULE_BYTES]; /* "": none */
    uint64_t created_us;          /* wall clock */
    uint64_t window_bytes;
    uint64_t resume_ms;
    uint64_t spool_bytes;
    enum when_full when_full;
    bool digest;
    bool pty; /* it is on a terminal */
};

/* The recording of what its terminal has shown. */
struct jobdir_recording {
    char path[JOBDIR_PATH_BYTES];  /* "": there is none, or it is unknown */
    char sha256[DIGEST_HEX_BYTES]; /* as in job/recording.h */
    char why[JOBDIR_WHY_BYTES];    /* as in job/recording.h */
    uint64_t bytes;
};

/* The file `receipt`. */
struct jobdir_end {
    struct afar_receipt receipt;
    uint64_t seq;      /* the receipt's: one more than the last frame of output */
    uint64_t ended_us; /* wall clock */
    bool digest;
    char holder[MESSAGE_HOLDER_BYTES]; /* the last one; "": not known */
    uint64_t next_attempt;
    struct jobdir_recording recording;
};

struct jobdir_made {
    int folder_fd; /* all -1 if not open */
    int lock_fd;
    int listener_fd;
};

/* Makes the folder, with its lock held and its socket listening, and fills in request->boot. When
 * this returns the folder is on the disk; on failure it does not exist. AFAR_ESYSTEM, AFAR_ENOMEM;
 * AFAR_ELIMIT: the request is too long. jobdir_made_close closes the descriptors. */
enum afar_status jobdir_make(int jobs_fd, struct jobdir_request *request, struct jobdir_made *made,
                             struct afar_error *err);
void jobdir_made_close(struct jobdir_made *made);

/* Opens an existing folder. AFAR_EREFUSED: it has another owner, or is open to others.
 * AFAR_ESYSTEM: it cannot be opened, or is a link. */
enum afar_status jobdir_open(int jobs_fd, const char *name, int *fd, struct afar_error *err);

/* Removes the folder with all that is in it. If some of it cannot be removed, the rest is hidden
 * under a name that is not a job's. AFAR_ESYSTEM. */
enum afar_status jobdir_remove(int jobs_fd, const char *name, struct afar_error *err);

/* jobdir_output_bytes: the size of all files of the output. jobdir_remove_output: removes these
 * files only. */
uint64_t jobdir_output_bytes(int fd);
void jobdir_remove_output(int fd);

/* AFAR_EREFUSED: written by a later version. AFAR_EPEER: missing or damaged. AFAR_ESYSTEM. On
 * failure *request has what could be read, so that its key stays taken; the rest is empty. */
enum afar_status jobdir_read_request(int fd, struct jobdir_request *request,
                                     struct afar_error *err);
enum afar_status jobdir_read_token(int fd, char token[JOBDIR_TOKEN_BYTES], struct afar_error *err);

/* AFAR_OK: *lock_fd holds the lock, and no keeper lives. AFAR_EAGAIN: a keeper lives.
 * AFAR_ESYSTEM. */
enum afar_status jobdir_lock(int fd, int *lock_fd, struct afar_error *err);

/* jobdir_begin makes the file `begun`; AFAR_ESYSTEM. jobdir_has_begun: true if the file exists, or
 * if that cannot be known. */
enum afar_status jobdir_begin(int fd, struct afar_error *err);
bool jobdir_has_begun(int fd);

/* Writes the receipt. AFAR_OK: all of it is on the disk. On failure no partial receipt exists.
 * AFAR_ESYSTEM, AFAR_ENOMEM, AFAR_ELIMIT. */
enum afar_status jobdir_write_end(int fd, const struct jobdir_end *end, struct afar_error *err);

/* AFAR_EAGAIN: there is no receipt yet. AFAR_EPEER: damaged. AFAR_ESYSTEM. */
enum afar_status jobdir_read_end(int fd, struct jobdir_end *end, struct afar_error *err);

/* Listens on a new socket, which replaces the old one. AFAR_ESYSTEM. */
enum afar_status jobdir_listen(int fd, int *listener_fd, struct afar_error *err);

/* Connects a non-blocking socket without waiting. AFAR_ECLOSED: no process listens there.
 * AFAR_ESYSTEM, also if the queue of connections is full. */
enum afar_status jobdir_connect(int fd, int *socket_fd, struct afar_error *err);

/* The wall clock. */
uint64_t jobdir_now_us(void);

/* The id of this boot of the machine; "" if it is not known. */
void jobdir_boot(char boot[JOBDIR_BOOT_BYTES]);

#endif
