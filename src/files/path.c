/* Opens a client's path. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files/internal.h"

bool path_read(struct request *request, char path[SFTP_PATH_MAX_BYTES])
{
    struct sftp_text text = sftp_read_text(&request->in);
    if (request->in.failed) {
        reply_bad(request);
        return false;
    }
    if (text.size >= SFTP_PATH_MAX_BYTES) {
        reply_errno(request, ENAMETOOLONG);
        return false;
    }
    /* With a NUL inside, C would use a different path from the one that was sent. */
    if (memchr(text.bytes, 0, text.size) != NULL) {
        reply_bad(request);
        return false;
    }
    memcpy(path, text.bytes, text.size);
    path[text.size] = '\0';
    return true;
}

void path_copy(char out[SFTP_PATH_MAX_BYTES], const char *path)
{
    size_t size = strnlen(path, SFTP_PATH_MAX_BYTES - 1);
    memcpy(out, path, size);
    out[size] = '\0';
}

/* Appends a component; for ".." removes the last one. False: too long. */
static bool add_component(char *out, size_t *used, const char *component, size_t size)
{
    if (size == 0 || (size == 1 && component[0] == '.'))
        return true;
    if (size == 2 && component[0] == '.' && component[1] == '.') {
        while (*used > 0 && out[*used - 1] != '/')
            (*used)--;
        if (*used > 0)
            (*used)--;
        return true;
    }
    if (*used + 1 + size >= SFTP_PATH_MAX_BYTES) {
        errno = ENAMETOOLONG;
        return false;
    }
    out[(*used)++] = '/';
    memcpy(out + *used, component, size);
    *used += size;
    return true;
}

static bool add_path(char *out, size_t *used, const char *path)
{
    while (*path != '\0') {
        size_t size = strcspn(path, "/");
        if (!add_component(out, used, path, size))
            return false;
        path += size + (path[size] == '/' ? 1 : 0);
    }
    return true;
}

bool path_absolute(const char *path, char out[SFTP_PATH_MAX_BYTES])
{
    char here[SFTP_PATH_MAX_BYTES];
    size_t used = 0;
    if (path[0] != '/' && (getcwd(here, sizeof here) == NULL || !add_path(out, &used, here)))
        return false;
    if (!add_path(out, &used, path))
        return false;
    if (used == 0)
        out[used++] = '/';
    out[used] = '\0';
    return true;
}

int path_open(const struct files *files, const char *path, int flags, mode_t mode, bool writes)
{
    char absolute[SFTP_PATH_MAX_BYTES];
    if (files->root_count == 0)
        return open(path, flags | O_CLOEXEC, mode);
    if (!path_absolute(path, absolute))
        return -1;
    return fence_open(files, absolute, flags | O_CLOEXEC, mode, writes);
}

bool path_place(const struct files *files, const char *path, struct place *place)
{
    char absolute[SFTP_PATH_MAX_BYTES];
    if (files->root_count == 0) {
        place->dir = AT_FDCWD;
        path_copy(place->name, path);
        return true;
    }
    return path_absolute(path, absolute) && fence_place(files, absolute, place);
}

void place_close(struct place *place)
{
    if (place->dir >= 0)
        (void)close(place->dir);
    place->dir = -1;
}

/* A directory in which only the entries that lead to roots are visible. */
static void stat_above(struct stat *info)
{
    *info = (struct stat){.st_mode = S_IFDIR | 0555, .st_nlink = 2};
}

int path_stat(const struct files *files, const char *path, bool follow, struct stat *info)
{
    char absolute[SFTP_PATH_MAX_BYTES];
    if (files->root_count == 0)
        return fstatat(AT_FDCWD, path, info, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
    if (!path_absolute(path, absolute))
        return errno;
    if (fence_is_above(files, absolute)) {
        stat_above(info);
        return 0;
    }
    int fd = fence_open(files, absolute, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW), 0, false);
    if (fd < 0)
        return errno;
    int failed = fstatat(fd, "", info, AT_EMPTY_PATH) == 0 ? 0 : errno;
    (void)close(fd);
    return failed;
}

int path_stat_seen(const struct files *files, const char *folder, const char *name,
                   struct stat *info)
{
    char path[SFTP_PATH_MAX_BYTES + 256];
    (void)snprintf(path, sizeof path, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name);
    return path_stat(files, path, true, info);
}
