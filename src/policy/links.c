#include "policy/links.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN_BYTES = 200 };

struct way {
    const char *path;      /* for messages */
    char folder[PATH_MAX]; /* where we are, without links */
    char place[PATH_MAX];  /* the next name there */
    char rest[PATH_MAX];   /* what is still to be followed */
    unsigned links;
};

static enum afar_status fail_long(const struct way *way, struct afar_error *err)
{
    return afar_fail(err, AFAR_EINVAL, "%.*s…: the path is too long", SHOWN_BYTES, way->path);
}

static enum afar_status begin(struct way *way, struct afar_error *err)
{
    const bool relative = way->path[0] != '/';
    char here[PATH_MAX] = "";
    if (relative && getcwd(here, sizeof here) == NULL)
        return afar_fail_errno(err, errno, "the working directory");
    const int size =
        snprintf(way->rest, sizeof way->rest, "%s%s%s", here, relative ? "/" : "", way->path);
    memcpy(way->folder, "/", 2);
    return size < 0 || (size_t)size >= sizeof way->rest ? fail_long(way, err) : AFAR_OK;
}

/* Takes the first name from the rest. False: there is none. */
static bool take_name(struct way *way, char name[NAME_MAX + 1], bool *is_long)
{
    const char *at = way->rest + strspn(way->rest, "/");
    const size_t size = strcspn(at, "/");
    *is_long = size > NAME_MAX;
    if (size == 0 || *is_long)
        return false;
    memcpy(name, at, size);
    name[size] = '\0';
    memmove(way->rest, at + size, strlen(at + size) + 1);
    return true;
}

static void go_up(struct way *way)
{
    char *slash = strrchr(way->folder, '/');
    slash[slash == way->folder ? 1 : 0] = '\0';
}

/* Puts the target of the link before the rest. */
static enum afar_status take_link(struct way *way, struct afar_error *err)
{
    char target[PATH_MAX];
    char rest[PATH_MAX];
    const ssize_t size = readlink(way->place, target, sizeof target - 1);
    if (size <= 0)
        return afar_fail_errno(err, size < 0 ? errno : ENOENT, "%.*s", SHOWN_BYTES, way->place);
    target[size] = '\0';
    if (++way->links > LINKS_MAX)
        return afar_fail(err, AFAR_EINVAL, "%.*s: too many links", SHOWN_BYTES, way->path);
    const int whole = snprintf(rest, sizeof rest, "%s/%s", target, way->rest);
    if (whole < 0 || (size_t)whole >= sizeof rest)
        return fail_long(way, err);
    memcpy(way->rest, rest, (size_t)whole + 1);
    if (target[0] == '/')
        memcpy(way->folder, "/", 2);
    return AFAR_OK;
}

/* One name. *there: it exists, so there may be more. */
static enum afar_status step(struct way *way, const char *name, links_visit *visit, void *user,
                             bool *there, struct afar_error *err)
{
    struct stat info;
    if (strcmp(name, ".") == 0)
        return AFAR_OK;
    if (strcmp(name, "..") == 0) {
        go_up(way);
        return AFAR_OK;
    }
    const int size = snprintf(way->place, sizeof way->place, "%s%s%s", way->folder,
                              strcmp(way->folder, "/") == 0 ? "" : "/", name);
    if (size < 0 || (size_t)size >= sizeof way->place)
        return fail_long(way, err);
    *there = lstat(way->place, &info) == 0;
    if (!*there && errno != ENOENT && errno != ENOTDIR)
        return afar_fail_errno(err, errno, "%.*s", SHOWN_BYTES, way->place);
    const struct links_name next = {.folder = way->folder,
                                    .place = way->place,
                                    .info = *there ? &info : NULL,
                                    .is_last = way->rest[strspn(way->rest, "/")] == '\0'};
    enum afar_status status = visit(user, &next, err);
    if (status != AFAR_OK || !*there)
        return status;
    if (S_ISLNK(info.st_mode))
        return take_link(way, err);
    memcpy(way->folder, way->place, (size_t)size + 1);
    return AFAR_OK;
}

enum afar_status links_follow(const char *path, links_visit *visit, void *user,
                              struct afar_error *err)
{
    struct way way = {.path = path};
    char name[NAME_MAX + 1];
    bool there = true;
    bool is_long = false;
    enum afar_status status = begin(&way, err);
    while (status == AFAR_OK && there && take_name(&way, name, &is_long))
        status = step(&way, name, visit, user, &there, err);
    return status == AFAR_OK && is_long ? fail_long(&way, err) : status;
}
