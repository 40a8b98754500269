/* What the file server tells of one operation, on its way to the audit log by a pipe: one end and
 * the other are the same program on the same machine.
 *
 * Owns:    nothing: a note's texts are borrowed.
 * Threads: plain values.
 * Blocks:  never; no system call in this layer.
 * Limits:  FILE_NOTE_MAX_BYTES. */
#ifndef WIRE_FILE_NOTE_H
#define WIRE_FILE_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FILE_NOTE_PATH_BYTES = 4096, /* of each of two paths, with its NUL */
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
    /* Not for the audit log, and always told: of partial files, by `file`. */
    FILE_OP_HELD,   /* it is locked now, … */
    FILE_OP_LET_GO, /* … and now no more */
    FILE_OP_WANTED, /* another session has it locked */
    FILE_OPS
};

/* Which file it is, whatever it is called. */
struct file_key {
    uint64_t device;
    uint64_t inode;
};

struct file_note {
    enum file_op op;
    int failed;     /* an errno; 0: it was done */
    uint64_t bytes; /* read or written */
    bool has_hash;
    uint8_t hash[FILE_NOTE_HASH_BYTES]; /* SHA-256 of the whole file as it is now */
    const char *path;                   /* absolute */
    const char *to;                     /* of a rename or link: the new one; "": none */
    struct file_key file;               /* of FILE_OP_HELD and those behind it */
};

/* Whether it is about locks and not for the audit log. */
bool file_op_is_lock(enum file_op op);

/* "write", "rename", … */
const char *file_op_name(enum file_op op);

/* Writes it to `out`. Returns how many bytes; 0: a path is too long. */
size_t file_note_put(uint8_t out[FILE_NOTE_MAX_BYTES], const struct file_note *note);

/* Takes one from the beginning of `data`; *note points into it. Returns how many bytes it was; 0:
 * it has not come whole; SIZE_MAX: it is none. */
size_t file_note_take(const uint8_t *data, size_t size, struct file_note *note);

#endif
