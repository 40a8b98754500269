/* Keeps what a client reaches below the roots of its rule. The kernel resolves each path from the
 * root's descriptor and refuses to leave it: openat2(2), RESOLVE_BENEATH. No path is checked first
 * and used later. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files/internal.h"

enum { TRIES_MAX = 32 }; /* for EAGAIN: a rename happened meanwhile, openat2(2) */

/* True if `path` is the root or below it. *rest: the part after the root, "" for the root
 * itself. */
static bool is_below(const char *root, const char *path, const char **rest)
{
    size_t size = strlen(root);
    if (size == 1) { /* "/" */
        *rest = path + 1;
        return true;
    }
    if (strncmp(root, path, size) != 0 || (path[size] != '/' && path[size] != '\0'))
        return false;
    *rest = path + size + (path[size] == '/' ? 1 : 0);
    return true;
}

/* The longest root that contains the path. It alone decides: a root that is only read stays so
 * inside a writable one. NULL: none. */
static const struct files_root *root_of(const struct files *files, const char *path,
                                        const char **rest)
{
    const struct files_root *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < files->root_count; i++) {
        const struct files_root *root = &files->roots[i];
        const char *left = NULL;
        size_t size = strlen(root->path);
        if (!is_below(root->path, path, &left) || (found != NULL && size <= longest))
            continue;
        found = root;
        longest = size;
        *rest = left;
    }
    return found;
}

static int open_beneath(int dir, const char *rest, int flags, mode_t mode)
{
    const struct open_how how = {.flags = (unsigned)flags,
                                 .mode = (flags & O_CREAT) != 0 ? mode : 0,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    for (int tries = 0;; tries++) {
        int fd = (int)syscall(SYS_openat2, dir, rest, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN || tries == TRIES_MAX)
            return fd;
    }
}

/* Opens the root by its own path: it may be a file, and then nothing is below it. */
static int open_root_itself(const struct files_root *root, int flags, mode_t mode)
{
    struct stat info;
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
        errno = lstat(root->path, &info) == 0 ? EEXIST : errno;
        return -1;
    }
    return open(root->path, flags & ~O_CREAT, mode);
}

int fence_open(const struct files *files, const char *path, int flags, mode_t mode, bool writes)
{
    const char *rest = "";
    const struct files_root *root = root_of(files, path, &rest);
    if (root == NULL || (writes && !root->writable)) {
        errno = root == NULL ? EXDEV : EACCES;
        return -1;
    }
    if (*rest == '\0')
        return open_root_itself(root, flags, mode);
    int dir = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    int fd = open_beneath(dir, rest, flags, mode);
    int failed = errno;
    (void)close(dir);
    errno = failed;
    return fd;
}

bool fence_place(const struct files *files, const char *path, struct place *place)
{
    char parent[SFTP_PATH_MAX_BYTES];
    const char *rest = "";
    const struct files_root *root = root_of(files, path, &rest);
    /* The client must not rename or remove a root itself. */
    if (root == NULL || !root->writable || *rest == '\0') {
        errno = root == NULL ? EXDEV : EACCES;
        return false;
    }
    const char *slash = strrchr(path, '/');
    size_t size = slash == path ? 1 : (size_t)(slash - path);
    memcpy(parent, path, size);
    parent[size] = '\0';
    place->dir = fence_open(files, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, true);
    if (place->dir < 0)
        return false;
    path_copy(place->name, slash + 1);
    return true;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Counts in the file system, not in the path, because a component of the path may be a link. */
size_t fence_depth(const struct files *files, const char *path, int dir)
{
    const char *rest = "";
    struct stat top;
    struct stat here;
    struct stat before = {0};
    const struct files_root *root = root_of(files, path, &rest);
    if (root == NULL || stat(root->path, &top) != 0)
        return 0;
    size_t depth = 0;
    int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    while (fd >= 0 && fstat(fd, &here) == 0 && !same_file(&here, &before)) {
        if (same_file(&here, &top)) {
            (void)close(fd);
            return depth;
        }
        int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        (void)close(fd);
        fd = up;
        before = here;
        depth++;
    }
    if (fd >= 0)
        (void)close(fd);
    return 0;
}

bool fence_is_above(const struct files *files, const char *path)
{
    const char *rest = NULL;
    if (root_of(files, path, &rest) != NULL)
        return false;
    for (size_t i = 0; i < files->root_count; i++) {
        if (is_below(path, files->roots[i].path, &rest))
            return true;
    }
    return false;
}

/* The next component of the root's path after `path`; false: the root is not below `path`. */
static bool next_component(const struct files_root *root, const char *path, char name[256])
{
    const char *rest = NULL;
    if (!is_below(path, root->path, &rest) || *rest == '\0')
        return false;
    size_t size = strcspn(rest, "/");
    if (size >= 256)
        return false;
    memcpy(name, rest, size);
    name[size] = '\0';
    return true;
}

const char *fence_entry(const struct files *files, const char *path, size_t at, char name[256])
{
    size_t seen = 0;
    for (size_t i = 0; i < files->root_count; i++) {
        char other[256];
        bool known = false;
        if (!next_component(&files->roots[i], path, name))
            continue;
        for (size_t j = 0; j < i && !known; j++)
            known = next_component(&files->roots[j], path, other) && strcmp(name, other) == 0;
        if (!known && seen++ == at)
            return name;
    }
    return NULL;
}
