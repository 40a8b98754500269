/* Our own requests that read: sorted directories, whole small files, and where a file has data. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/internal.h"

enum {
    LIST_ANSWER_BYTES = 262000,
    LIST_ENTRY_BYTES = 4 + 256 + SFTP_ATTRS_MAX_BYTES,
    LIST_NAMES_BYTES = 64 << 20, /* limit for the sorted names of one directory */
    GET_MAX_BYTES = SFTP_DATA_MAX_BYTES - 1024,
    RANGES_MAX = 1024
};

/* ---- names in order -------------------------------------------------------------------------- */

void listing_close(struct listing *listing)
{
    buffer_close(&listing->names);
    free(listing->at);
    free(listing->path);
    *listing = (struct listing){.at = NULL};
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Adds a name with its NUL. Returns 0 or an errno. */
static int add_name(struct listing *listing, const char *name)
{
    enum afar_status status = buffer_append(&listing->names, name, strlen(name) + 1, NULL);
    listing->count += status == AFAR_OK ? 1 : 0;
    return status == AFAR_OK ? 0 : status == AFAR_ELIMIT ? EOVERFLOW : ENOMEM;
}

/* Reads a directory in which only the entries that lead to roots are visible. */
static int read_above(const struct files *files, const char *absolute, struct listing *listing)
{
    char name[256];
    int failed = 0;
    for (size_t i = 0; failed == 0 && fence_entry(files, absolute, i, name) != NULL; i++)
        failed = add_name(listing, name);
    return failed;
}

static int read_names(int fd, struct listing *listing)
{
    int failed = 0;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        failed = errno;
        (void)close(fd);
        return failed;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL || failed != 0)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            failed = add_name(listing, entry->d_name);
    }
    failed = failed != 0 ? failed : errno;
    (void)closedir(dir);
    return failed;
}

static int sort_names(struct listing *listing)
{
    const char *name = (const char *)buffer_head(&listing->names);
    listing->at = malloc((listing->count + 1) * sizeof *listing->at);
    if (listing->at == NULL)
        return ENOMEM;
    for (size_t i = 0; i < listing->count; i++) {
        listing->at[i] = name;
        name += strlen(name) + 1;
    }
    if (listing->count > 0)
        qsort(listing->at, listing->count, sizeof *listing->at, compare_names);
    return 0;
}

static int open_listed(const struct files *files, const char *path)
{
    return path_open(files, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, false);
}

/* Reads the directory. Returns 0 or an errno. */
static int fill(const struct files *files, const char *path, struct listing *listing)
{
    char absolute[SFTP_PATH_MAX_BYTES];
    int failed = 0;
    listing_close(listing);
    buffer_init(&listing->names, LIST_NAMES_BYTES);
    listing->path = strdup(path);
    if (listing->path == NULL)
        return ENOMEM;
    listing->above =
        files->root_count > 0 && path_absolute(path, absolute) && fence_is_above(files, absolute);
    if (listing->above) {
        failed = read_above(files, absolute, listing);
    } else {
        int fd = open_listed(files, path);
        failed = fd < 0 ? errno : read_names(fd, listing);
    }
    return failed != 0 ? failed : sort_names(listing);
}

/* The index of the first name after `after`. */
static size_t find_after(const struct listing *listing, const char *after)
{
    size_t low = 0;
    size_t high = listing->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(listing->at[middle], after) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Leaves out entries that have disappeared meanwhile. */
static void put_listed(struct sftp_writer *writer, const struct files *files, int fd,
                       const char *name, uint32_t *count)
{
    char absolute[SFTP_PATH_MAX_BYTES];
    struct sftp_attrs attrs;
    struct stat info;
    int failed = 0;
    if (fd >= 0)
        failed = fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
    else if (path_absolute(files->listing.path, absolute))
        failed = path_stat_seen(files, absolute, name, &info);
    else
        failed = ENOENT;
    if (failed == ENOENT)
        return;
    if (failed != 0)
        info = (struct stat){.st_mode = 0};
    attrs_of(files, &info, &attrs);
    sftp_put_word(writer, name);
    sftp_put_attrs(writer, &attrs);
    (*count)++;
}

static void answer_list(struct request *request, const char *path, const char *after)
{
    struct files *files = request->files;
    struct listing *listing = &files->listing;
    struct sftp_writer writer;
    uint32_t count = 0;
    int fd = listing->above ? -1 : open_listed(files, path);
    if (fd < 0 && !listing->above) {
        reply_errno(request, errno);
        return;
    }
    reply_begin(&writer, request, SFTP_TYPE_EXTENDED_REPLY, LIST_ANSWER_BYTES);
    size_t mark = sftp_mark(&writer);
    sftp_put_u32(&writer, 0);
    size_t next = find_after(listing, after);
    for (; next < listing->count && sftp_mark(&writer) + LIST_ENTRY_BYTES + 1 < LIST_ANSWER_BYTES;
         next++)
        put_listed(&writer, files, fd, listing->at[next], &count);
    sftp_patch_u32(&writer, mark, count);
    sftp_put_u8(&writer, next < listing->count ? 1 : 0);
    reply_end(&writer, request);
    if (fd >= 0)
        (void)close(fd);
    if (next == listing->count)
        listing_close(listing);
}

void op_list(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    char after[SFTP_PATH_MAX_BYTES];
    struct listing *listing = &request->files->listing;
    if (!path_read(request, path) || !path_read(request, after))
        return;
    /* A request for the next part uses the names that were read for the first part. */
    bool goes_on = after[0] != '\0' && listing->path != NULL && strcmp(listing->path, path) == 0;
    int failed = goes_on ? 0 : fill(request->files, path, listing);
    if (!goes_on)
        note_op(request->files, FILE_OP_LIST, path, NULL, failed);
    if (failed == 0) {
        answer_list(request, path, after);
        return;
    }
    listing_close(listing);
    if (failed == EOVERFLOW)
        reply_status(request, SFTP_STATUS_FAILURE, "too many entries in one directory");
    else
        reply_errno(request, failed);
}

/* ---- whole files ----------------------------------------------------------------------------- */

/* Reads up to `size` bytes from the beginning. *eof: the file has no more. -1: see errno. */
static ssize_t read_start(int fd, uint8_t *data, size_t size, bool *eof)
{
    uint8_t one = 0;
    ssize_t got = read_all(fd, data, size, 0);
    *eof = got >= 0 && ((size_t)got < size || read_all(fd, &one, 1, (uint64_t)got) == 0);
    return got;
}

static void answer_get(struct request *request, int fd, size_t most, struct file_note *note)
{
    struct sftp_writer writer;
    struct sftp_attrs attrs;
    struct stat info;
    uint8_t hash[FILE_NOTE_HASH_BYTES];
    bool eof = false;
    if (fstat(fd, &info) != 0) {
        note->failed = errno;
        reply_errno(request, note->failed);
        return;
    }
    attrs_of(request->files, &info, &attrs);
    reply_begin(&writer, request, SFTP_TYPE_EXTENDED_REPLY,
                SFTP_ATTRS_MAX_BYTES + 20 + most + sizeof hash);
    sftp_put_attrs(&writer, &attrs);
    size_t mark = sftp_mark(&writer);
    sftp_put_u8(&writer, 0);
    sftp_put_u32(&writer, 0);
    size_t start = sftp_mark(&writer);
    uint8_t *room = sftp_put_room(&writer, most);
    ssize_t got = room == NULL ? 0 : read_start(fd, room, most, &eof);
    if (got < 0) {
        note->failed = errno;
        reply_errno(request, note->failed);
        return;
    }
    /* Without a hash the client still gets the file. */
    bool hashed = eof && hash_once(room, (size_t)got, hash);
    note->bytes = (uint64_t)got;
    sftp_rewind(&writer, mark);
    sftp_put_u8(&writer, eof ? 1 : 0);
    sftp_put_u32(&writer, (uint32_t)got);
    sftp_rewind(&writer, start + (size_t)got);
    sftp_put_text(&writer, hash, hashed ? sizeof hash : 0);
    reply_end(&writer, request);
}

void op_get(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct file_note note = {.op = FILE_OP_READ, .path = path};
    if (!path_read(request, path))
        return;
    size_t most = sftp_read_u32(&request->in);
    if (request->in.failed) {
        reply_bad(request);
        return;
    }
    int fd = open_file(request, path, O_RDONLY, 0);
    if (fd < 0) {
        note.failed = errno;
    } else {
        answer_get(request, fd, most < GET_MAX_BYTES ? most : GET_MAX_BYTES, &note);
        (void)close(fd);
    }
    note_file(request->files, &note);
}

/* ---- holes ----------------------------------------------------------------------------------- */

/* The next range of data at or after *from. False: there is none, or *failed is an errno. */
static bool next_range(int fd, off_t *from, off_t *end, off_t size, int *failed)
{
    *failed = 0;
    off_t start = lseek(fd, *from, SEEK_DATA);
    if (start < 0 && errno == EINVAL) { /* a file system without holes */
        *end = size;
        return *from < size;
    }
    if (start >= 0)
        *end = lseek(fd, start, SEEK_HOLE);
    if (start >= 0 && *end >= 0) {
        *from = start;
        return true;
    }
    *failed = errno == ENXIO ? 0 : errno; /* no more data */
    return false;
}

void op_ranges(struct request *request)
{
    struct sftp_writer writer;
    struct stat info;
    uint32_t count = 0;
    int failed = 0;
    off_t end = 0;
    const struct handle *handle = handle_read_file(request);
    if (handle == NULL)
        return;
    uint64_t asked = sftp_read_u64(&request->in);
    if (request->in.failed || asked > INT64_MAX) {
        reply_bad(request);
        return;
    }
    off_t from = (off_t)asked;
    if (fstat(handle->fd, &info) != 0) {
        reply_errno(request, errno);
        return;
    }
    reply_begin(&writer, request, SFTP_TYPE_EXTENDED_REPLY, 16 + 16UL * RANGES_MAX);
    size_t mark = sftp_mark(&writer);
    sftp_put_u32(&writer, 0);
    bool found = next_range(handle->fd, &from, &end, info.st_size, &failed);
    for (; found && count < RANGES_MAX; count++) {
        sftp_put_u64(&writer, (uint64_t)from);
        sftp_put_u64(&writer, (uint64_t)end);
        from = end;
        found = next_range(handle->fd, &from, &end, info.st_size, &failed);
    }
    if (failed != 0) {
        reply_errno(request, failed);
        return;
    }
    sftp_patch_u32(&writer, mark, count);
    sftp_put_u8(&writer, found ? 1 : 0);
    reply_end(&writer, request);
}
