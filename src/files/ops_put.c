/* Our own requests that write: a file appears complete, with its attributes, or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/partial.h"
#include "files/internal.h"

enum {
    PUT_NEW_ONLY = 1,
    PUT_FSYNC = 2,
    PUT_IN_PLACE = 4,
    PUT_KEEP_MODE = 8, /* a file that is replaced keeps its mode */
    PUT_UMASK = 16,    /* the mode is what the client would make; the umask here holds too */
    PUT_DATA_BYTES = 65536,
    TAG_BYTES = PARTIAL_TAG_BYTES,
    LINKS_MAX = 8,
    LOCK_TRIES_MAX = 8,
    LOCK_POLL_MS = 10 /* a killed process releases its lock within a few of these */
};

struct put {
    struct place place;
    uint32_t flags;
    struct sftp_attrs attrs;
    struct sftp_text hash; /* 32 bytes, or empty */
};

/* Without a fence `name` is a whole path: opens its directory. False: see errno. */
static bool enter_directory(struct place *place)
{
    char parent[SFTP_PATH_MAX_BYTES];
    if (place->dir != AT_FDCWD)
        return true;
    char *slash = strrchr(place->name, '/');
    path_copy(parent, slash == NULL ? "." : slash == place->name ? "/" : place->name);
    if (slash != NULL && slash != place->name)
        parent[slash - place->name] = '\0';
    if (slash != NULL)
        memmove(place->name, slash + 1, strlen(slash + 1) + 1);
    const char *name = place->name;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        errno = EISDIR;
        return false;
    }
    place->dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return place->dir >= 0;
}

/* If the path is a link, the file that it points to is replaced. The fence limits each step, so a
 * link can at most cause a refusal. False: see errno. */
static bool follow_links(const struct files *files, char path[SFTP_PATH_MAX_BYTES],
                         struct place *place)
{
    char target[SFTP_PATH_MAX_BYTES];
    for (int links = 0; links < LINKS_MAX; links++) {
        if (!path_place(files, path, place) || !enter_directory(place))
            return false;
        ssize_t size = readlinkat(place->dir, place->name, target, sizeof target - 1);
        if (size < 0) {
            path_copy(place->path, path);
            return true;
        }
        place_close(place);
        target[size] = '\0';
        const char *slash = strrchr(path, '/');
        size_t kept = target[0] == '/' || slash == NULL ? 0 : (size_t)(slash - path) + 1;
        if (kept + (size_t)size >= SFTP_PATH_MAX_BYTES) {
            errno = ENAMETOOLONG;
            return false;
        }
        memcpy(path + kept, target, (size_t)size + 1);
    }
    errno = ELOOP;
    return false;
}

/* Reads attributes and hash. False: malformed. */
static bool read_put(struct request *request, struct put *put)
{
    sftp_read_attrs(&request->in, &put->attrs);
    put->hash = sftp_read_text(&request->in);
    return !request->in.failed && (put->hash.size == 0 || put->hash.size == FILE_NOTE_HASH_BYTES);
}

/* The file's mode: as requested, else the replaced file's, else the default for new files. */
static void choose_mode(struct put *put)
{
    struct stat info;
    bool asked = (put->attrs.flags & SFTP_ATTR_MODE) != 0;
    put->attrs.mode = asked ? put->attrs.mode & 0777 : 0666;
    if (!asked || (put->flags & PUT_UMASK) != 0) {
        mode_t mask = umask(0);
        (void)umask(mask);
        put->attrs.mode &= ~mask;
    }
    if (asked && (put->flags & PUT_KEEP_MODE) == 0)
        return;
    if (fstatat(put->place.dir, put->place.name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(info.st_mode))
        put->attrs.mode = info.st_mode & 0777;
    put->attrs.flags |= SFTP_ATTR_MODE;
}

/* Why no file may take this name, in words: what has it is neither a file nor a link, and would be
 * lost, such as a device. NULL: one may. */
static const char *taken_by(const struct place *place)
{
    struct stat info;
    if (fstatat(place->dir, place->name, &info, AT_SYMLINK_NOFOLLOW) != 0 || S_ISLNK(info.st_mode))
        return NULL;
    return strange_kind(info.st_mode);
}

/* Applies the attributes, and renames the file. Returns 0 or an errno. */
static int finish(const struct files *files, int fd, const char *partial, struct put *put)
{
    const struct place from = {.dir = put->place.dir};
    choose_mode(put);
    put->attrs.flags &= ~(uint32_t)SFTP_ATTR_SIZE;
    int failed = attrs_apply(files, fd, &put->attrs);
    if (failed == 0 && (put->flags & PUT_FSYNC) != 0 && fsync(fd) != 0)
        failed = errno;
    if (failed != 0)
        return failed;
    if ((put->flags & PUT_NEW_ONLY) != 0)
        failed = rename_at(from.dir, partial, put->place.dir, put->place.name, true);
    else
        failed = rename_at(from.dir, partial, put->place.dir, put->place.name, false);
    if (failed == 0 && (put->flags & PUT_FSYNC) != 0 && put->place.dir >= 0)
        (void)fsync(put->place.dir); /* fails on O_PATH; then the name reaches the disk later */
    return failed;
}

/* ---- put: in one request --------------------------------------------------------------------- */

static bool is_sound(const struct sftp_text *data, const struct sftp_text *hash, int *failed)
{
    uint8_t made[FILE_NOTE_HASH_BYTES];
    *failed = 0;
    if (hash->size == 0)
        return true;
    if (!hash_once(data->bytes, data->size, made))
        *failed = ENOMEM;
    return *failed == 0 && memcmp(made, hash->bytes, hash->size) == 0;
}

static int write_whole(const struct files *files, struct put *put, const struct sftp_text *data)
{
    char partial[256];
    uint8_t tag[TAG_BYTES];
    size_t written = 0;
    if (getrandom(tag, sizeof tag, 0) != (ssize_t)sizeof tag)
        return errno;
    partial_name(put->place.name, tag, partial);
    int fd =
        openat(put->place.dir, partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    const struct handle target = {.fd = fd};
    int failed = write_all(&target, data->bytes, data->size, 0, &written);
    if (failed == 0)
        failed = finish(files, fd, partial, put);
    if (close(fd) != 0 && errno != EINTR && failed == 0)
        failed = errno;
    if (failed != 0)
        (void)unlinkat(put->place.dir, partial, 0);
    return failed;
}

static int write_in_place(struct request *request, struct put *put, const struct sftp_text *data,
                          bool *answered)
{
    size_t written = 0;
    struct stat info;
    bool fresh = path_stat(request->files, put->place.path, true, &info) != 0;
    int flags = O_WRONLY | O_CREAT | O_TRUNC | ((put->flags & PUT_NEW_ONLY) != 0 ? O_EXCL : 0);
    int fd = open_file(request, put->place.path, flags, 0666);
    *answered = fd < 0;
    if (fd < 0)
        return errno;
    const struct handle target = {.fd = fd};
    put->attrs.flags &= ~(uint32_t)SFTP_ATTR_SIZE;
    if ((put->flags & PUT_KEEP_MODE) != 0 && !fresh)
        put->attrs.flags &= ~(uint32_t)SFTP_ATTR_MODE;
    int failed = write_all(&target, data->bytes, data->size, 0, &written);
    if (failed == 0)
        failed = attrs_apply(request->files, fd, &put->attrs);
    if (failed == 0 && (put->flags & PUT_FSYNC) != 0 && fsync(fd) != 0)
        failed = errno;
    if (close(fd) != 0 && errno != EINTR && failed == 0)
        failed = errno;
    return failed;
}

static const char other_hash[] = "the data was damaged on the way: its SHA-256 differs";

void op_put(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct put put = {.place = {.dir = -1}};
    struct file_note note = {.op = FILE_OP_WRITE, .path = path};
    bool answered = false;
    int failed = 0;
    if (!path_read(request, path))
        return;
    put.flags = sftp_read_u32(&request->in);
    bool sound = read_put(request, &put);
    struct sftp_text data = sftp_read_text(&request->in);
    if (!sound || request->in.failed || data.size > PUT_DATA_BYTES) {
        reply_bad(request);
        return;
    }
    if (!is_sound(&data, &put.hash, &failed)) {
        if (failed != 0)
            reply_errno(request, failed);
        else
            reply_status(request, SFTP_STATUS_FAILURE, other_hash);
        return;
    }
    const char *taken = NULL;
    if (!follow_links(request->files, path, &put.place))
        failed = errno;
    else if ((taken = taken_by(&put.place)) != NULL)
        failed = EINVAL;
    else if ((put.flags & PUT_IN_PLACE) != 0)
        failed = write_in_place(request, &put, &data, &answered);
    else
        failed = write_whole(request->files, &put, &data);
    place_close(&put.place);
    note.failed = failed;
    note.bytes = failed == 0 ? data.size : 0;
    note.has_hash = failed == 0 && put.hash.size > 0;
    if (note.has_hash)
        memcpy(note.hash, put.hash.bytes, sizeof note.hash);
    note_file(request->files, &note);
    if (taken != NULL)
        reply_status(request, SFTP_STATUS_FAILURE, taken);
    else if (!answered)
        reply_errno(request, failed);
}

/* ---- partial and commit ---------------------------------------------------------------------- */

/* The lock may belong to a file server whose client is gone; afard ends that one when it is told.
 * Returns 0 or an errno; EWOULDBLOCK: the lock is still held. */
static int lock_partial(struct files *files, int fd, const struct stat *info)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK || files->note_fd < 0 || files->lock_wait_ms <= 0)
        return errno;
    note_lock(files, FILE_OP_WANTED, info);
    while (files->lock_wait_ms > 0) {
        (void)poll(NULL, 0, LOCK_POLL_MS);
        files->lock_wait_ms -= LOCK_POLL_MS;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
    }
    return EWOULDBLOCK;
}

/* Opens and locks the partial file. Tries again if the file was renamed or removed before it was
 * locked. -1: see errno; EWOULDBLOCK: another file server has it. */
static int open_partial(struct files *files, int dir, const char *name)
{
    for (int tries = 0; tries < LOCK_TRIES_MAX; tries++) {
        struct stat mine;
        struct stat there;
        int fd = openat(dir, name,
                        O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
        if (fd < 0)
            return -1;
        int failed = fstat(fd, &mine) != 0                         ? errno
                     : !S_ISREG(mine.st_mode) || mine.st_nlink > 1 ? EEXIST
                                                                   : lock_partial(files, fd, &mine);
        if (failed == 0 && fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
            there.st_ino == mine.st_ino && there.st_dev == mine.st_dev) {
            note_lock(files, FILE_OP_HELD, &mine);
            return fd;
        }
        (void)close(fd);
        if (failed != 0) {
            errno = failed;
            return -1;
        }
    }
    errno = EBUSY;
    return -1;
}

static void answer_partial(struct request *request, struct handle *handle)
{
    struct sftp_writer writer;
    struct stat info;
    if (fstat(handle->fd, &info) != 0) {
        reply_errno(request, errno);
        return;
    }
    reply_begin(&writer, request, SFTP_TYPE_EXTENDED_REPLY, FILES_STATUS_BYTES);
    sftp_put_u32(&writer, SFTP_HANDLE_BYTES);
    sftp_put_u64(&writer, handle->key);
    sftp_put_u64(&writer, (uint64_t)info.st_size);
    reply_end(&writer, request);
}

/* Opens the partial file in the directory of `path`. -1: see *taken, or else errno; the caller
 * closes partial->dir. */
static int begin_partial(struct files *files, char path[SFTP_PATH_MAX_BYTES],
                         const uint8_t tag[TAG_BYTES], struct partial *partial, const char **taken)
{
    struct place place = {.dir = -1};
    partial->dir = -1;
    if (!follow_links(files, path, &place))
        return -1;
    partial->dir = place.dir;
    size_t size = strlen(place.name);
    if (size >= sizeof partial->target) {
        errno = ENAMETOOLONG;
        return -1;
    }
    *taken = taken_by(&place);
    if (*taken != NULL) {
        errno = EINVAL;
        return -1;
    }
    memcpy(partial->target, place.name, size + 1);
    partial_name(place.name, tag, partial->name);
    return open_partial(files, place.dir, partial->name);
}

void op_partial(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct handle *handle = NULL;
    if (!path_read(request, path))
        return;
    struct sftp_text tag = sftp_read_text(&request->in);
    if (request->in.failed || tag.size != TAG_BYTES) {
        reply_bad(request);
        return;
    }
    struct partial *partial = calloc(1, sizeof *partial);
    const char *taken = NULL;
    int fd = partial == NULL ? -1 : begin_partial(request->files, path, tag.bytes, partial, &taken);
    if (fd >= 0)
        handle = handle_new(request->files, path, fd, NULL);
    if (handle == NULL) {
        int failed = partial == NULL ? ENOMEM : errno;
        if (partial != NULL && partial->dir >= 0)
            (void)close(partial->dir);
        free(partial);
        if (taken != NULL || failed == EWOULDBLOCK)
            reply_status(request, SFTP_STATUS_FAILURE,
                         taken != NULL ? taken : "another copy is under way");
        else
            reply_errno(request, failed);
        return;
    }
    handle->partial = partial;
    handle->readable = handle->writable = true;
    hash_begin(handle);
    answer_partial(request, handle);
}

/* Returns 0 or an errno; EBADMSG: the hash differs. */
static int commit(const struct files *files, struct handle *handle, uint64_t size, struct put *put,
                  struct file_note *note)
{
    struct partial *partial = handle->partial;
    hash_changed(handle, size);
    if (ftruncate(handle->fd, (off_t)size) != 0)
        return errno;
    if (put->hash.size > 0) {
        int failed = hash_to(handle, size, note->hash);
        if (failed != 0)
            return failed;
        if (memcmp(note->hash, put->hash.bytes, put->hash.size) != 0)
            return EBADMSG;
        note->has_hash = true;
    }
    put->place.dir = partial->dir;
    path_copy(put->place.name, partial->target);
    return finish(files, handle->fd, partial->name, put);
}

struct sweep {
    const struct files *files;
    const char *path; /* of the file */
};

static void note_swept(void *user, const char *partial)
{
    const struct sweep *sweep = user;
    char path[SFTP_PATH_MAX_BYTES + PARTIAL_NAME_BYTES];
    const char *slash = strrchr(sweep->path, '/');
    const size_t size = slash == NULL ? 0 : (size_t)(slash - sweep->path) + 1;
    (void)snprintf(path, sizeof path, "%.*s%s", (int)size, sweep->path, partial);
    if (strlen(path) < SFTP_PATH_MAX_BYTES)
        note_op(sweep->files, FILE_OP_REMOVE, path, NULL, 0);
}

/* The file is whole: removes what copies of earlier versions of it have left, which would else stay
 * for ever. */
static void sweep(const struct files *files, const struct handle *handle, uint64_t size)
{
    struct sweep about = {.files = files, .path = handle->path};
    if (size > PARTIAL_RESUMED_BYTES)
        partial_sweep(handle->partial->dir, handle->partial->target, time(NULL), note_swept,
                      &about);
}

void op_commit(struct request *request)
{
    struct put put = {.place = {.dir = -1}};
    struct handle *handle = handle_read_file(request);
    if (handle == NULL)
        return;
    put.flags = sftp_read_u32(&request->in);
    uint64_t size = sftp_read_u64(&request->in);
    if (!read_put(request, &put) || size > INT64_MAX) {
        reply_bad(request);
        return;
    }
    if (handle->partial == NULL) {
        reply_status(request, SFTP_STATUS_FAILURE, "the handle is not of a partial file");
        return;
    }
    struct file_note note = {.op = FILE_OP_WRITE, .bytes = size, .path = handle->path};
    note.failed = commit(request->files, handle, size, &put, &note);
    note.has_hash = note.has_hash && note.failed == 0;
    note_file(request->files, &note);
    if (note.failed == EBADMSG) {
        reply_status(request, SFTP_STATUS_FAILURE, other_hash);
        return;
    }
    if (note.failed == 0) { /* the write was noted already */
        sweep(request->files, handle, size);
        handle->changes = handle->readable = false;
        note.failed = handle_close(request->files, handle);
    }
    reply_errno(request, note.failed);
}
