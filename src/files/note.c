/* Records of operations, for the audit log. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "files/internal.h"

static bool is_wanted(const struct files *files, enum file_op op)
{
    bool reads = op == FILE_OP_READ || op == FILE_OP_LIST;
    if (files->note_fd < 0 || file_op_is_lock(op))
        return files->note_fd >= 0;
    return reads ? files->note_all : files->note_changes;
}

/* Blocks while the pipe is full: the client is not answered before its operation is recorded. If
 * the reader is gone (EPIPE), notes are lost. */
static void send_note(const struct files *files, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = write(files->note_fd, data, size);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return;
        data += sent;
        size -= (size_t)sent;
    }
}

void note_file(const struct files *files, const struct file_note *note)
{
    uint8_t out[FILE_NOTE_MAX_BYTES];
    char path[SFTP_PATH_MAX_BYTES];
    char to[SFTP_PATH_MAX_BYTES];
    struct file_note whole = *note;
    if (!is_wanted(files, note->op))
        return;
    if (path_absolute(note->path, path))
        whole.path = path;
    if (note->to == NULL)
        whole.to = "";
    else if (path_absolute(note->to, to))
        whole.to = to;
    send_note(files, out, file_note_put(out, &whole));
}

void note_lock(const struct files *files, enum file_op op, const struct stat *info)
{
    const struct file_note note = {
        .op = op, .path = "/", .file = {.device = info->st_dev, .inode = info->st_ino}};
    note_file(files, &note);
}

void note_op(const struct files *files, enum file_op op, const char *path, const char *to,
             int failed)
{
    int kept = errno;
    const struct file_note note = {.op = op, .failed = failed, .path = path, .to = to};
    note_file(files, &note);
    errno = kept;
}
