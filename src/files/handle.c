/* Open files and directories, by the handles that the client knows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "files/internal.h"

enum { ROOM_FIRST = 16, INDEX_BITS = 16 };

static void note_end(const struct files *files, const struct handle *handle, int failed)
{
    struct file_note note = {.op = handle->changes ? FILE_OP_WRITE : FILE_OP_READ,
                             .failed = failed,
                             .bytes = handle->changes ? handle->written_bytes : handle->read_bytes,
                             .path = handle->path};
    if (handle->fd >= 0 && (handle->changes || handle->readable))
        note_file(files, &note);
}

static int close_parts(const struct files *files, struct handle *handle)
{
    int failed = 0;
    struct stat info;
    bool is_file = handle->fd >= 0;
    if (handle->partial != NULL && fstat(handle->fd, &info) == 0)
        note_lock(files, FILE_OP_LET_GO, &info);
    /* If the disk or a quota is full, some file systems report it only here. */
    if (handle->dir != NULL && closedir(handle->dir) != 0)
        failed = errno;
    if (handle->fd >= 0 && close(handle->fd) != 0)
        failed = errno;
    failed = failed == EINTR ? 0 : failed; /* Linux has closed it nevertheless: close(2) */
    /* A partial file that was not committed has changed nothing under the target's name. */
    if (is_file)
        note_end(files, handle, failed == 0 && handle->partial != NULL ? ECANCELED : failed);
    digest_free(handle->digest);
    if (handle->partial != NULL && handle->partial->dir >= 0)
        (void)close(handle->partial->dir);
    free(handle->partial);
    free(handle->path);
    free(handle);
    return failed;
}

/* Finds a free index in the table. False: see errno. */
static bool find_place(struct files *files, size_t *place)
{
    if (files->handle_count >= files->handles_max) {
        errno = EMFILE;
        return false;
    }
    if (files->handle_count == files->handle_room) {
        size_t room = files->handle_room == 0 ? ROOM_FIRST : files->handle_room * 2;
        struct handle **grown = realloc(files->handles, room * sizeof(struct handle *));
        if (grown == NULL)
            return false;
        for (size_t i = files->handle_room; i < room; i++)
            grown[i] = NULL;
        files->handles = grown;
        files->handle_room = room;
    }
    for (*place = 0; files->handles[*place] != NULL; (*place)++)
        ;
    return true;
}

struct handle *handle_new(struct files *files, const char *path, int fd, DIR *dir)
{
    size_t place = 0;
    struct handle *made = calloc(1, sizeof *made);
    char *copy = strdup(path);
    uint64_t random = 0;
    if (made == NULL || copy == NULL || !find_place(files, &place) ||
        getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        int failed = errno;
        free(made);
        free(copy);
        if (fd >= 0)
            (void)close(fd);
        if (dir != NULL)
            (void)closedir(dir);
        errno = failed;
        return NULL;
    }
    made->key = random << INDEX_BITS | place;
    made->fd = fd;
    made->dir = dir;
    made->path = copy;
    files->handles[place] = made;
    files->handle_count++;
    return made;
}

static struct handle *find(const struct files *files, uint64_t key)
{
    size_t place = (size_t)(key & ((1U << INDEX_BITS) - 1));
    if (place >= files->handle_room || files->handles[place] == NULL ||
        files->handles[place]->key != key)
        return NULL;
    return files->handles[place];
}

struct handle *handle_read(struct request *request)
{
    struct sftp_text text = sftp_read_text(&request->in);
    struct sftp_reader inner;
    sftp_reader_init(&inner, text.bytes, text.size);
    uint64_t key = sftp_read_u64(&inner);
    if (request->in.failed) {
        reply_bad(request);
        return NULL;
    }
    struct handle *found =
        inner.failed || text.size != SFTP_HANDLE_BYTES ? NULL : find(request->files, key);
    if (found == NULL)
        reply_status(request, SFTP_STATUS_FAILURE, "no such handle is open");
    return found;
}

struct handle *handle_read_file(struct request *request)
{
    struct handle *handle = handle_read(request);
    if (handle != NULL && handle->fd < 0) {
        reply_status(request, SFTP_STATUS_FAILURE, "the handle is a directory's");
        return NULL;
    }
    return handle;
}

int handle_close(struct files *files, struct handle *handle)
{
    files->handles[handle->key & ((1U << INDEX_BITS) - 1)] = NULL;
    files->handle_count--;
    return close_parts(files, handle);
}

void handles_close(struct files *files)
{
    for (size_t i = 0; i < files->handle_room; i++) {
        if (files->handles[i] != NULL)
            (void)close_parts(files, files->handles[i]);
    }
    free(files->handles);
    files->handles = NULL;
    files->handle_room = files->handle_count = 0;
}
