/* Directories. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "files/internal.h"

enum { LINE_BYTES = 512 };

/* True if only the entries that lead to roots are visible in the directory. */
static bool is_above(const struct files *files, const char *path)
{
    char absolute[SFTP_PATH_MAX_BYTES];
    return files->root_count > 0 && path_absolute(path, absolute) &&
           fence_is_above(files, absolute);
}

void op_opendir(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct files *files = request->files;
    DIR *dir = NULL;
    if (!path_read(request, path))
        return;
    if (!is_above(files, path)) {
        int fd = path_open(files, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, false);
        dir = fd < 0 ? NULL : fdopendir(fd);
        if (dir == NULL) {
            int failed = errno;
            if (fd >= 0)
                (void)close(fd);
            note_op(files, FILE_OP_LIST, path, NULL, failed);
            reply_errno(request, failed);
            return;
        }
    }
    struct handle *handle = handle_new(files, path, -1, dir);
    if (handle == NULL)
        reply_errno(request, errno);
    else
        reply_handle(request, handle);
    note_op(files, FILE_OP_LIST, path, NULL, handle == NULL ? errno : 0);
}

/* The next entry's name and attributes. False: no more entries, or *failed is an errno. Entries
 * that disappear before they are examined are left out. */
static bool next_entry(const struct files *files, struct handle *handle, char name[256],
                       struct stat *info, int *failed)
{
    char absolute[SFTP_PATH_MAX_BYTES];
    *failed = 0;
    while (handle->dir == NULL) {
        if (!path_absolute(handle->path, absolute) ||
            fence_entry(files, absolute, handle->entry++, name) == NULL)
            return false;
        if (path_stat_seen(files, absolute, name, info) == 0)
            return true;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(handle->dir);
        if (entry == NULL) {
            *failed = errno;
            return false;
        }
        memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
        if (fstatat(dirfd(handle->dir), name, info, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
        /* It exists, but we may not examine it. */
        if (errno != ENOENT) {
            *info = (struct stat){.st_mode = 0};
            return true;
        }
    }
}

static void put_entry(struct sftp_writer *writer, const struct files *files, const char *name,
                      const struct stat *info, int64_t now)
{
    char line[LINE_BYTES];
    struct sftp_attrs attrs;
    longname_format(info, name, now, line, sizeof line);
    attrs_of(files, info, &attrs);
    sftp_put_word(writer, name);
    sftp_put_word(writer, line);
    sftp_put_attrs(writer, &attrs);
}

/* The maximum size of one entry: two texts and attributes. */
enum { ENTRY_BYTES = 4 + 256 + 4 + LINE_BYTES + SFTP_ATTRS_MAX_BYTES };

void op_readdir(struct request *request)
{
    struct files *files = request->files;
    struct sftp_writer writer;
    struct stat info;
    char name[256];
    uint32_t count = 0;
    int failed = 0;
    struct handle *handle = handle_read(request);
    if (handle == NULL)
        return;
    if (handle->fd >= 0) {
        reply_status(request, SFTP_STATUS_FAILURE, "the handle is a file's");
        return;
    }
    int64_t now = (int64_t)time(NULL);
    sftp_begin(&writer, &files->out, FILES_DIR_BYTES);
    sftp_put_u8(&writer, SFTP_TYPE_NAME);
    sftp_put_u32(&writer, request->id);
    size_t mark = sftp_mark(&writer);
    sftp_put_u32(&writer, 0);
    while (sftp_mark(&writer) + ENTRY_BYTES < FILES_DIR_BYTES &&
           next_entry(files, handle, name, &info, &failed)) {
        put_entry(&writer, files, name, &info, now);
        count++;
    }
    if (count == 0) {
        if (failed != 0)
            reply_errno(request, failed);
        else
            reply_status(request, SFTP_STATUS_EOF, "no more entries");
        return;
    }
    sftp_patch_u32(&writer, mark, count);
    if (sftp_end(&writer, NULL) != AFAR_OK)
        files->failed = true;
}
