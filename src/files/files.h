/* The file server: SFTP version 3 over two descriptors, in a process of its own that runs as whom
 * its rule says. It is what the subsystem "sftp" starts.
 *
 * Owns:    nothing that outlives the call.
 * Threads: one, which does nothing else.
 * Blocks:  until the client's input ends. File operations block; that is what the process is for.
 * Limits:  packets of SFTP_PACKET_MAX_BYTES; FILES_HANDLES_MAX open files; no request is read while
 *          FILES_ANSWERS_BYTES of answers wait. */
#ifndef FILES_FILES_H
#define FILES_FILES_H

#include <stdbool.h>
#include <stddef.h>

enum { FILES_HANDLES_MAX = 4096, FILES_ANSWERS_BYTES = 1 << 20, FILES_ROOTS_MAX = 64 };

/* A directory or file that a rule lists, and all below it. */
struct files_root {
    const char *path; /* absolute, without "." or ".."; borrowed */
    bool writable;
};

struct files_options {
    const char *home; /* for "~"; NULL: "/" */
    /* What may be reached at all; count 0: whatever the user may. */
    const struct files_root *roots;
    size_t root_count;
    bool own_root; /* in another root directory: names of users are read from its files only */
    /* Where records go (wire/file_note.h): of locks always, of what was changed, and of what was only
     * read and listed. -1: nowhere. */
    int note_fd;
    bool note_changes;
    bool note_all;
};

/* Serves until `in_fd` ends. Both descriptors are made non-blocking and stay the caller's. Returns
 * the process's exit status: 0: the client ended it between two packets; 1: a broken packet, no
 * memory, or a descriptor failed; a line on standard error says which. */
int files_serve(int in_fd, int out_fd, const struct files_options *options);

#endif
