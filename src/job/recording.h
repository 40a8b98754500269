/* The file of a recording: made by who lets the command in, written by who runs it.
 *
 * Owns:    the descriptor, and the hash of all that is in the file.
 * Threads: one at a time.
 * Blocks:  on the disk: not for an event loop.
 * Limits:  RECORDING_PATH_BYTES of name. */
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
    bool torn; /* there is more in the file than that, and it cannot be taken away */
    char path[RECORDING_PATH_BYTES];
    char sha256[DIGEST_HEX_BYTES]; /* "": it is not complete */
    char why[RECORDING_WHY_BYTES]; /* not all that was shown is in it; "": all of it is */
};

/* A new file of the folder, 0600, with the header in it. NULL: err says why. */
struct recording *recording_make(const char *folder, const struct cast_header *header,
                                 struct afar_error *err);

/* One that was made elsewhere, to go on at its end. */
struct recording *recording_reopen(const char *path, struct afar_error *err);

/* Lines at its end: all of them, or none. 0, or an errno. */
int recording_write(struct recording *recording, const void *data, size_t size);

/* It is complete, and on the disk. sha256 is set if it is that of the file. 0, or an errno. */
int recording_finish(struct recording *recording);

/* Nothing runs that it would be of: its file goes, too. */
void recording_discard(struct recording *recording);

/* NULL is fine. */
void recording_free(struct recording *recording);

#endif
