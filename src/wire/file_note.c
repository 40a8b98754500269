#include "wire/file_note.h"

#include <string.h>

static const char *const names[FILE_OPS] = {"read",  "list",   "write", "mkdir",   "remove",
                                            "rmdir", "rename", "link",  "symlink", "attributes",
                                            "held",  "let go", "wanted"};

struct head {
    uint32_t size; /* of the whole note */
    uint16_t path_bytes;
    uint16_t to_bytes; /* both with their NUL */
    int32_t failed;
    uint16_t op;
    uint16_t has_hash;
    uint64_t bytes;
    struct file_key file;
};

bool file_op_is_lock(enum file_op op)
{
    return op >= FILE_OP_HELD;
}

const char *file_op_name(enum file_op op)
{
    return names[op];
}

size_t file_note_put(uint8_t out[FILE_NOTE_MAX_BYTES], const struct file_note *note)
{
    size_t path_bytes = strlen(note->path) + 1;
    size_t to_bytes = strlen(note->to) + 1;
    size_t hash_bytes = note->has_hash ? sizeof note->hash : 0;
    if (path_bytes > FILE_NOTE_PATH_BYTES || to_bytes > FILE_NOTE_PATH_BYTES)
        return 0;
    const struct head head = {
        .size = (uint32_t)(sizeof head + hash_bytes + path_bytes + to_bytes),
        .path_bytes = (uint16_t)path_bytes,
        .to_bytes = (uint16_t)to_bytes,
        .failed = note->failed,
        .op = (uint16_t)note->op,
        .has_hash = note->has_hash ? 1 : 0,
        .bytes = note->bytes,
        .file = note->file,
    };
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, note->hash, hash_bytes);
    memcpy(out + sizeof head + hash_bytes, note->path, path_bytes);
    memcpy(out + sizeof head + hash_bytes + path_bytes, note->to, to_bytes);
    return head.size;
}

/* True if the bytes are a string that ends with their only NUL. */
static bool is_text(const char *text, size_t bytes)
{
    return bytes > 0 && memchr(text, 0, bytes) == text + bytes - 1;
}

size_t file_note_take(const uint8_t *data, size_t size, struct file_note *note)
{
    struct head head;
    if (size < sizeof head)
        return 0;
    memcpy(&head, data, sizeof head);
    size_t hash_bytes = head.has_hash != 0 ? sizeof note->hash : 0;
    size_t texts = (size_t)head.path_bytes + head.to_bytes;
    if (head.size > FILE_NOTE_MAX_BYTES || head.size != sizeof head + hash_bytes + texts ||
        head.op >= FILE_OPS)
        return SIZE_MAX;
    if (size < head.size)
        return 0;
    const char *path = (const char *)data + sizeof head + hash_bytes;
    const char *to = path + head.path_bytes;
    if (!is_text(path, head.path_bytes) || !is_text(to, head.to_bytes))
        return SIZE_MAX;
    *note = (struct file_note){.op = (enum file_op)head.op,
                               .failed = head.failed,
                               .bytes = head.bytes,
                               .has_hash = head.has_hash != 0,
                               .path = path,
                               .to = to,
                               .file = head.file};
    memcpy(note->hash, data + sizeof head, hash_bytes);
    return head.size;
}
