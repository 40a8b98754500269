/* A note from the file server about one file operation, sent over a pipe to the writer of the audit
 * log. Both ends are the same program on the same machine, so the format is the machine's own.
 *
 * Owns:    nothing: the texts of a note are borrowed.
 * Threads: plain values.
 * Blocks:  never; no system call in this layer.
 * Limits:  FILE_NOTE_MAX_BYTES. */
#ifndef WIRE_FILE_NOTE_H
#define WIRE_FILE_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FILE_NOTE_PATH_BYTES = 4096, /* of each of the two paths, with its NUL */
    FILE_NOTE_HASH_BYTES = 32,
    FILE_NOTE_MAX_BYTES = 48 + FILE_NOTE_HASH_BYTES + 2 * FILE_NOTE_PATH_BYTES
};

enum file_op {
    FILE_OP_READ,
    FILE_OP_LIST,
    FILE_OP_WRITE,
    FILE_OP_MKDIR,
    FILE_OP_REMOVE,
    FILE_OP_RMDIR,
    FILE_OP_RENAME,
    FILE_OP_LINK,
    FILE_OP_SYMLINK,
    FILE_OP_ATTRIBUTES,
    /* Not for the audit log; sent for every partial file, which `file` identifies. */
    FILE_OP_HELD,   /* this process has locked the file */
    FILE_OP_LET_GO, /* this process has released the lock */
    FILE_OP_WANTED, /* the lock is wanted, but another process holds it */
    FILE_OPS
};

/* Identifies a file independently of its name. */
struct file_key {
    uint64_t device;
    uint64_t inode;
};

struct file_note {
    enum file_op op;
    int failed;     /* an errno; 0: success */
    uint64_t bytes; /* read or written */
    bool has_hash;
    uint8_t hash[FILE_NOTE_HASH_BYTES]; /* SHA-256 of the whole file as it is now */
    const char *path;                   /* absolute */
    const char *to;                     /* the new path of a rename or link; otherwise "" */
    struct file_key file;               /* for FILE_OP_HELD, FILE_OP_LET_GO and FILE_OP_WANTED */
};

/* True for the operations about locks, which are not for the audit log. */
bool file_op_is_lock(enum file_op op);

/* "write", "rename", … */
const char *file_op_name(enum file_op op);

/* Writes the note to `out`. Returns its size; 0: a path is too long. */
size_t file_note_put(uint8_t out[FILE_NOTE_MAX_BYTES], const struct file_note *note);

/* Reads one note from the start of `data`; *note points into `data`. Returns the size of the note;
 * 0: the note is not complete yet; SIZE_MAX: the bytes are not a note. */
size_t file_note_take(const uint8_t *data, size_t size, struct file_note *note);

#endif
