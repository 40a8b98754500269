#include "afar/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "afar/report.h"

static bool complain(const char *what, const char *path)
{
    report("cannot %s '%s': %s", what, path, strerror(errno));
    return false;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(fd, data, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return false;
        data += wrote;
        size -= (size_t)wrote;
    }
    return true;
}

/* If the path is a link, replaces the file that it leads to: people keep such files in
 * repositories. */
static bool make_names(struct draft *draft, const char *path)
{
    draft->path = realpath(path, NULL);
    if (draft->path == NULL)
        draft->path = strdup(path);
    if (draft->path == NULL || asprintf(&draft->temporary, "%s.XXXXXX", draft->path) < 0) {
        draft->temporary = NULL;
        report("out of memory");
        return false;
    }
    return true;
}

bool draft_open(struct draft *draft, const char *path, const void *data, size_t size, mode_t mode)
{
    int fd = -1;
    *draft = (struct draft){0};
    if (!make_names(draft, path))
        goto failed;
    fd = mkostemp(draft->temporary, O_CLOEXEC); /* O_EXCL, 0600 */
    if (fd < 0) {
        (void)complain("write", draft->path);
        free(draft->temporary); /* no file was made */
        draft->temporary = NULL;
        goto failed;
    }
    bool written = fchmod(fd, mode) == 0 && write_all(fd, data, size) && fsync(fd) == 0;
    int why = errno;
    if (close(fd) != 0 && written) {
        why = errno;
        written = false;
    }
    if (written)
        return true;
    errno = why;
    (void)complain("write", draft->temporary);
failed:
    draft_close(draft);
    return false;
}

/* Makes the new name survive a power failure. Not every file system can do that. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    if (folder == NULL)
        return;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    free(folder);
}

bool draft_publish(struct draft *draft, bool replace)
{
    /* link(2) fails if the name exists; rename(2) would replace it. */
    int result =
        replace ? rename(draft->temporary, draft->path) : link(draft->temporary, draft->path);
    if (result != 0)
        return complain("write", draft->path);
    if (!replace)
        (void)unlink(draft->temporary);
    free(draft->temporary);
    draft->temporary = NULL;
    sync_folder(draft->path);
    return true;
}

void draft_close(struct draft *draft)
{
    if (draft->temporary != NULL)
        (void)unlink(draft->temporary);
    free(draft->temporary);
    free(draft->path);
    *draft = (struct draft){0};
}

/* Does not use umask(2), because it affects the whole process. */
static bool make_one(const char *path, bool for_all)
{
    if (mkdir(path, 0700) != 0)
        return errno == EEXIST;
    return !for_all || chmod(path, 0755) == 0;
}

bool draft_make_folder(const char *path, bool for_all)
{
    char *copy = strdup(path);
    if (copy == NULL) {
        report("out of memory");
        return false;
    }
    bool made = true;
    for (char *at = copy; made && *at != '\0'; at++) {
        at += strspn(at, "/");
        at += strcspn(at, "/");
        char after = *at;
        *at = '\0';
        if (copy[0] != '\0' && !make_one(copy, for_all))
            made = complain("make the folder", copy);
        *at = after;
        if (after == '\0')
            break;
    }
    free(copy);
    return made;
}
