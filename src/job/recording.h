/* The file of a recording. The party that admits the command creates it, the one that runs the
 * command writes it.
 *
 * Owns:    the descriptor, and the hash of all that is in the file.
 * Threads: one at a time.
 * Blocks:  on the disk: not for an event loop.
 * Limits:  RECORDING_PATH_BYTES for the path. */
#ifndef JOB_RECORDING_H
#define JOB_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "job/cast.h"

enum { RECORDING_PATH_BYTES = 512, RECORDING_WHY_BYTES = 96 };

struct recording {
    int fd;
    struct digest *digest;
    uint64_t bytes;
    bool torn; /* the hash is not that of the file: it could not be truncated, or not be hashed */
    char path[RECORDING_PATH_BYTES];
    char sha256[DIGEST_HEX_BYTES]; /* "": not finished, or not known */
    char why[RECORDING_WHY_BYTES]; /* why a part of the output is missing; "": none is */
};

/* Creates a file in the folder, mode 0600, and writes the header. NULL: err says why. */
struct recording *recording_make(const char *folder, const struct cast_header *header,
                                 struct afar_error *err);

/* Opens an existing recording to append to it. NULL: err says why. */
struct recording *recording_reopen(const char *path, struct afar_error *err);

/* Appends lines. Returns 0; or an errno, and then only the first of them are there, whole. */
int recording_write(struct recording *recording, const void *data, size_t size);

/* Finishes the file and syncs it to the disk. sha256 is set if it matches the file. Returns 0 or an
 * errno. */
int recording_finish(struct recording *recording);

/* The command was not started: deletes the file and frees the recording. */
void recording_discard(struct recording *recording);

/* NULL is allowed. */
void recording_free(struct recording *recording);

#endif
