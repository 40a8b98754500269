/* The file server: SFTP version 3 over two descriptors. It runs in a process of its own, as the
 * user that the rule names. The subsystem "sftp" starts it.
 *
 * Owns:    nothing that outlives the call.
 * Threads: one, which does nothing else.
 * Blocks:  until the client's input ends, and in file operations.
 * Limits:  packets of SFTP_PACKET_MAX_BYTES; FILES_HANDLES_MAX open files; no request is read while
 *          FILES_ANSWERS_BYTES of answers wait. */
#ifndef FILES_FILES_H
#define FILES_FILES_H

#include <stdbool.h>
#include <stddef.h>

enum { FILES_HANDLES_MAX = 4096, FILES_ANSWERS_BYTES = 1 << 20, FILES_ROOTS_MAX = 64 };

/* A directory or file that a rule lists; it includes all that is below it. */
struct files_root {
    const char *path; /* absolute, without "." or ".."; borrowed */
    bool writable;
};

struct files_options {
    const char *home; /* what "~" means; NULL: "/" */
    /* The only places that may be reached; count 0: all that the user may reach. */
    const struct files_root *roots;
    size_t root_count;
    bool own_root; /* chrooted: read names of users only from the root's own files */
    /* Where records go (wire/file_note.h): locks always; changes with note_changes; what is only
     * read or listed with note_all. -1: nowhere. */
    int note_fd;
    bool note_changes;
    bool note_all;
};

/* Serves until `in_fd` ends. Makes both descriptors non-blocking; they stay the caller's. Returns
 * the process's exit status. 0: the client ended the input between two packets. 1: a broken packet,
 * no memory, or a descriptor failed; a line on standard error says which. */
int files_serve(int in_fd, int out_fd, const struct files_options *options);

#endif
