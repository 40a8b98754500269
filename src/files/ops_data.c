/* Open, read, write, close. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "files/internal.h"

/* ---- opening --------------------------------------------------------------------------------- */

/* False: neither read nor write. */
static bool open_flags(uint32_t asked, int *flags)
{
    bool reads = (asked & SFTP_OPEN_READ) != 0;
    bool writes = (asked & (SFTP_OPEN_WRITE | SFTP_OPEN_APPEND)) != 0;
    if (!reads && !writes)
        return false;
    *flags = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
    if ((asked & SFTP_OPEN_APPEND) != 0)
        *flags |= O_APPEND;
    if (writes && (asked & SFTP_OPEN_CREAT) != 0)
        *flags |= O_CREAT;
    if (writes && (asked & SFTP_OPEN_TRUNC) != 0)
        *flags |= O_TRUNC;
    if (writes && (asked & SFTP_OPEN_EXCL) != 0)
        *flags |= O_EXCL;
    return true;
}

const char *strange_kind(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return NULL;
    case S_IFDIR:
        return "is a directory";
    case S_IFIFO:
        return "is a fifo";
    case S_IFSOCK:
        return "is a socket";
    default:
        return "is a device";
    }
}

/* O_TRUNC waits until the file is known to be regular: on a device its effect is undefined. */
int open_file(struct request *request, const char *path, int flags, mode_t mode)
{
    struct stat info;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    int fd =
        path_open(request->files, path, (flags & ~O_TRUNC) | O_NOCTTY | O_NONBLOCK, mode, writes);
    int failed = 0;
    if (fd < 0 || fstat(fd, &info) != 0) {
        failed = errno;
        const char *kind = NULL;
        if (failed == ENXIO && path_stat(request->files, path, true, &info) == 0)
            kind = strange_kind(info.st_mode); /* a socket, or a FIFO without a reader */
        if (kind != NULL)
            reply_status(request, SFTP_STATUS_FAILURE, kind);
        else
            reply_errno(request, failed);
    } else if (strange_kind(info.st_mode) != NULL) {
        failed = EINVAL;
        reply_status(request, SFTP_STATUS_FAILURE, strange_kind(info.st_mode));
    } else if ((flags & O_TRUNC) != 0 && ftruncate(fd, 0) != 0) {
        failed = errno;
        reply_errno(request, failed);
    }
    if (failed != 0 && fd >= 0)
        (void)close(fd);
    errno = failed;
    return failed == 0 ? fd : -1;
}

void op_open(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct sftp_attrs attrs;
    int flags = 0;
    if (!path_read(request, path))
        return;
    uint32_t asked = sftp_read_u32(&request->in);
    sftp_read_attrs(&request->in, &attrs);
    if (request->in.failed || !open_flags(asked, &flags)) {
        reply_bad(request);
        return;
    }
    int fd = open_file(request, path, flags, attrs_mode(request->files, &attrs, 0666));
    if (fd < 0) {
        note_op(request->files, (flags & O_ACCMODE) == O_RDONLY ? FILE_OP_READ : FILE_OP_WRITE,
                path, NULL, errno);
        return;
    }
    struct handle *handle = handle_new(request->files, path, fd, NULL);
    if (handle == NULL) {
        reply_errno(request, errno);
        return;
    }
    handle->readable = (flags & O_ACCMODE) != O_WRONLY;
    handle->writable = (flags & O_ACCMODE) != O_RDONLY;
    handle->append = (flags & O_APPEND) != 0;
    if (request->files->extended && !handle->writable)
        hash_begin(handle);
    handle->changes = (flags & (O_CREAT | O_TRUNC)) != 0;
    reply_handle(request, handle);
}

void op_close(struct request *request)
{
    struct handle *handle = handle_read(request);
    if (handle != NULL)
        reply_errno(request, handle_close(request->files, handle));
}

/* ---- reading and writing --------------------------------------------------------------------- */

ssize_t read_all(int fd, uint8_t *data, size_t size, uint64_t offset)
{
    size_t used = 0;
    while (used < size) {
        ssize_t got = pread(fd, data + used, size - used, (off_t)(offset + used));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && used == 0)
            return -1;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

void op_read(struct request *request)
{
    struct sftp_writer writer;
    struct handle *handle = handle_read_file(request);
    if (handle == NULL)
        return;
    uint64_t offset = sftp_read_u64(&request->in);
    size_t size = sftp_read_u32(&request->in);
    if (request->in.failed || offset > INT64_MAX - SFTP_DATA_MAX_BYTES) {
        reply_bad(request);
        return;
    }
    if (size > SFTP_DATA_MAX_BYTES)
        size = SFTP_DATA_MAX_BYTES;
    sftp_begin(&writer, &request->files->out, 16 + size);
    sftp_put_u8(&writer, SFTP_TYPE_DATA);
    sftp_put_u32(&writer, request->id);
    size_t mark = sftp_mark(&writer);
    sftp_put_u32(&writer, 0);
    size_t start = sftp_mark(&writer);
    uint8_t *room = sftp_put_room(&writer, size);
    if (room == NULL) {
        request->files->failed = true;
        return;
    }
    ssize_t got = read_all(handle->fd, room, size, offset);
    if (got < 0) {
        reply_errno(request, errno);
        return;
    }
    if (got == 0 && size > 0) {
        reply_status(request, SFTP_STATUS_EOF, "end of file");
        return;
    }
    handle->read_bytes += (uint64_t)got;
    hash_passed(handle, room, (size_t)got, offset);
    sftp_rewind(&writer, start + (size_t)got);
    sftp_patch_u32(&writer, mark, (uint32_t)got);
    if (sftp_end(&writer, NULL) != AFAR_OK)
        request->files->failed = true;
}

int write_all(const struct handle *handle, const uint8_t *data, size_t size, uint64_t offset,
              size_t *written)
{
    *written = 0;
    while (*written < size) {
        const uint8_t *at = data + *written;
        size_t left = size - *written;
        ssize_t put = handle->append ? write(handle->fd, at, left)
                                     : pwrite(handle->fd, at, left, (off_t)(offset + *written));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        *written += (size_t)put;
    }
    return 0;
}

/* True if a client appends but gives an offset below the end: it would expect to overwrite data
 * there. */
static bool contradicts_append(const struct handle *handle, uint64_t offset)
{
    struct stat info;
    return handle->append && fstat(handle->fd, &info) == 0 && offset < (uint64_t)info.st_size;
}

void op_write(struct request *request)
{
    struct handle *handle = handle_read_file(request);
    if (handle == NULL)
        return;
    uint64_t offset = sftp_read_u64(&request->in);
    struct sftp_text data = sftp_read_text(&request->in);
    if (request->in.failed || offset > INT64_MAX - SFTP_PACKET_MAX_BYTES) {
        reply_bad(request);
        return;
    }
    if (contradicts_append(handle, offset)) {
        reply_status(request, SFTP_STATUS_FAILURE,
                     "opened to append, and the offset is before the end of the file");
        return;
    }
    size_t written = 0;
    hash_changed(handle, handle->append ? 0 : offset);
    int failed = write_all(handle, data.bytes, data.size, offset, &written);
    hash_passed(handle, data.bytes, written, offset);
    handle->written_bytes += written;
    handle->changes = true;
    reply_errno(request, failed);
}

void op_fsync(struct request *request)
{
    struct handle *handle = handle_read_file(request);
    if (handle != NULL)
        reply_errno(request, fsync(handle->fd) == 0 ? 0 : errno);
}

/* ---- from file to file ----------------------------------------------------------------------- */

enum { COPY_PIECE_BYTES = 65536 };

/* Copies if the kernel cannot. Returns 0 or an errno; *copied: 0 at the end of the file. */
static int copy_piece(int from, int to, uint64_t from_at, uint64_t to_at, size_t most,
                      size_t *copied)
{
    uint8_t piece[COPY_PIECE_BYTES];
    const struct handle target = {.fd = to};
    ssize_t got = read_all(from, piece, most < sizeof piece ? most : sizeof piece, from_at);
    *copied = 0;
    if (got <= 0)
        return got == 0 ? 0 : errno;
    int failed = write_all(&target, piece, (size_t)got, to_at, copied);
    return failed;
}

static int copy_data(const struct handle *from, struct handle *to, uint64_t from_at, uint64_t to_at,
                     uint64_t length)
{
    bool to_end = length == 0;
    bool by_hand = false;
    while (to_end || length > 0) {
        size_t most = to_end || length > INT32_MAX ? INT32_MAX : (size_t)length;
        off_t in = (off_t)from_at;
        off_t out = (off_t)to_at;
        size_t copied = 0;
        int failed = 0;
        ssize_t done = by_hand ? -1 : copy_file_range(from->fd, &in, to->fd, &out, most, 0);
        if (done >= 0) {
            copied = (size_t)done;
        } else if (!by_hand && errno == EINTR) {
            continue;
        } else {
            by_hand = true;
            failed = copy_piece(from->fd, to->fd, from_at, to_at, most, &copied);
        }
        if (copied > 0) { /* also if the rest of the piece could not be written */
            hash_changed(to, to_at);
            to->written_bytes += copied;
            to->changes = true;
        }
        if (failed != 0 || copied == 0)
            return failed;
        from_at += copied;
        to_at += copied;
        length -= to_end ? 0 : copied;
    }
    return 0;
}

/* Copied onto itself up to its end, a file would grow without end. */
static bool is_same_file(const struct handle *from, const struct handle *to)
{
    struct stat a;
    struct stat b;
    return from == to || fstat(from->fd, &a) != 0 || fstat(to->fd, &b) != 0 ||
           (a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

void op_copy_data(struct request *request)
{
    struct handle *from = handle_read_file(request);
    if (from == NULL)
        return;
    uint64_t from_at = sftp_read_u64(&request->in);
    uint64_t length = sftp_read_u64(&request->in);
    struct handle *to = handle_read_file(request);
    if (to == NULL)
        return;
    uint64_t to_at = sftp_read_u64(&request->in);
    if (request->in.failed || from_at > INT64_MAX || to_at > INT64_MAX || length > INT64_MAX) {
        reply_bad(request);
        return;
    }
    if (is_same_file(from, to)) {
        reply_status(request, SFTP_STATUS_FAILURE, "source and target are one file");
        return;
    }
    reply_errno(request, copy_data(from, to, from_at, to_at, length));
}
