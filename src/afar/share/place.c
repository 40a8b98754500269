#include "afar/share/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, KEY_MAX_BYTES = 64 * 1024, LOCK_ATTEMPTS = 8 };

/* ---- the folder ------------------------------------------------------------------------------ */

static bool is_ours(const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == geteuid() &&
           (found.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/* `make`: makes it, if it is missing. */
static bool use_folder(const char *path, bool make)
{
    if (make && mkdir(path, S_IRWXU) != 0 && errno != EEXIST)
        return false;
    return is_ours(path);
}

static bool find_folder(char path[SHARE_PATH_BYTES], bool make)
{
    const char *given = getenv("XDG_RUNTIME_DIR");
    if (given != NULL && given[0] == '/')
        return snprintf(path, SHARE_PATH_BYTES, "%s/afar", given) < SHARE_PATH_BYTES &&
               use_folder(path, make);
    (void)snprintf(path, SHARE_PATH_BYTES, "/run/user/%ju", (uintmax_t)geteuid());
    if (is_ours(path))
        (void)snprintf(path, SHARE_PATH_BYTES, "/run/user/%ju/afar", (uintmax_t)geteuid());
    else
        (void)snprintf(path, SHARE_PATH_BYTES, "/tmp/afar-%ju", (uintmax_t)geteuid());
    return use_folder(path, make);
}

/* Makes FOLDER/NAME, with room for an extension. */
static bool find_path(char path[SHARE_PATH_BYTES], const char *name, bool make)
{
    char folder[SHARE_PATH_BYTES];
    return find_folder(folder, make) &&
           snprintf(path, SHARE_PATH_BYTES - sizeof ".sock", "%s/%s", folder, name) <
               SHARE_PATH_BYTES - (int)sizeof ".sock";
}

static void add_end(char whole[SHARE_PATH_BYTES], const char *path, const char *end)
{
    (void)stpcpy(stpcpy(whole, path), end); /* find_path has left room for it */
}

/* ---- found ----------------------------------------------------------------------------------- */

uid_t share_peer(int fd, pid_t *pid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return (uid_t)-1;
    if (pid != NULL)
        *pid = peer.pid;
    return peer.uid;
}

static int dial(const char *path, pid_t *pid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    add_end(address.sun_path, path, ".sock");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* connect(2) does not wait; if the socket's queue is full, there is no share for us. */
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        share_peer(fd, pid) == geteuid())
        return fd;
    (void)close(fd);
    return -1;
}

static size_t read_key(const char *path, char text[KEY_MAX_BYTES])
{
    char whole[SHARE_PATH_BYTES];
    size_t size = 0;
    add_end(whole, path, ".key");
    int fd = open(whole, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    while (fd >= 0 && size < KEY_MAX_BYTES) {
        ssize_t got = read(fd, text + size, KEY_MAX_BYTES - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    if (fd >= 0)
        (void)close(fd);
    return size;
}

int share_place_dial(const struct share_key *key, pid_t *pid)
{
    char path[SHARE_PATH_BYTES];
    char text[KEY_MAX_BYTES];
    if (!find_path(path, key->name, false))
        return -1;
    int fd = dial(path, pid);
    if (fd < 0 || (read_key(path, text) == key->size && memcmp(text, key->text, key->size) == 0))
        return fd;
    (void)close(fd);
    return -1;
}

/* ---- held ------------------------------------------------------------------------------------ */

/* Takes the lock. -1: another process holds it. If the locked file's name was removed meanwhile,
 * tries again. */
static int lock(const char *path)
{
    char whole[SHARE_PATH_BYTES];
    add_end(whole, path, ".lock");
    for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        struct stat held;
        struct stat named;
        int fd = open(whole, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            (void)close(fd);
            return -1;
        }
        if (fstat(fd, &held) == 0 && stat(whole, &named) == 0 && held.st_ino == named.st_ino)
            return fd;
        (void)close(fd);
    }
    return -1;
}

bool share_place_is_usable(const struct share_key *key)
{
    char path[SHARE_PATH_BYTES];
    return find_path(path, key->name, true);
}

bool share_place_taken(const struct share_key *key)
{
    char path[SHARE_PATH_BYTES];
    if (!find_path(path, key->name, true))
        return true;
    int fd = lock(path);
    if (fd >= 0)
        (void)close(fd);
    return fd < 0;
}

/* By fcntl(2) too: others can ask it who holds the lock, without taking it. */
static bool tell_who(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &whole) == 0;
}

bool share_place_take(struct share_place *place, const struct share_key *key)
{
    *place = (struct share_place){.lock_fd = -1, .listen_fd = -1};
    if (find_path(place->path, key->name, true))
        place->lock_fd = lock(place->path);
    return place->lock_fd >= 0 && tell_who(place->lock_fd);
}

static pid_t who_holds(const char *path)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char file[SHARE_PATH_BYTES];
    add_end(file, path, ".lock");
    int fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    bool held = fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    (void)close(fd);
    return held && whole.l_pid > 0 ? whole.l_pid : 0;
}

pid_t share_place_holder(const struct share_key *key)
{
    char path[SHARE_PATH_BYTES];
    return find_path(path, key->name, false) ? who_holds(path) : 0;
}

static bool write_key(const char *path, const struct share_key *key)
{
    char whole[SHARE_PATH_BYTES];
    add_end(whole, path, ".key");
    (void)unlink(whole);
    int fd = open(whole, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return false;
    bool written = write(fd, key->text, key->size) == (ssize_t)key->size;
    return close(fd) == 0 && written;
}

/* Splits FOLDER/NAME.EXTENSION, and makes the path without the extension. */
static bool is_entry(char path[SHARE_PATH_BYTES], const char *folder, const char *entry,
                     const char *extension)
{
    const char *end = strrchr(entry, '.');
    return end != NULL && strcmp(end, extension) == 0 && end - entry < SHARE_NAME_BYTES &&
           snprintf(path, SHARE_PATH_BYTES, "%s/%.*s", folder, (int)(end - entry), entry) <
               SHARE_PATH_BYTES - (int)sizeof ".sock";
}

void share_place_each(void (*show)(void *user, const char *url, pid_t pid), void *user)
{
    char folder[SHARE_PATH_BYTES];
    char path[SHARE_PATH_BYTES];
    char text[KEY_MAX_BYTES];
    unsigned count = 0;
    struct dirent *entry = NULL;
    DIR *dir = find_folder(folder, false) ? opendir(folder) : NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL && count < SHARES_MAX) {
        pid_t pid = 0;
        if (!is_entry(path, folder, entry->d_name, ".lock"))
            continue;
        int fd = dial(path, &pid);
        size_t size = fd < 0 ? 0 : read_key(path, text);
        if (fd >= 0)
            (void)close(fd);
        char *line_end = memchr(text, '\n', size);
        if (line_end != NULL)
            *line_end = '\0';
        else
            pid = who_holds(path);
        if (pid == 0)
            continue;
        show(user, line_end != NULL ? text : NULL, pid);
        count++;
    }
    if (dir != NULL)
        (void)closedir(dir);
}

bool share_place_open(struct share_place *place, const struct share_key *key)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    add_end(address.sun_path, place->path, ".sock");
    (void)unlink(address.sun_path); /* left by a share that was killed: we hold the lock */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(S_IRWXG | S_IRWXO);
    bool opened = fd >= 0 && write_key(place->path, key) &&
                  bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
                  chmod(address.sun_path, S_IRUSR | S_IWUSR) == 0 && listen(fd, BACKLOG) == 0;
    (void)umask(before);
    if (!opened && fd >= 0)
        (void)close(fd);
    place->listen_fd = opened ? fd : -1;
    return opened;
}

void share_place_leave(struct share_place *place)
{
    static const char *const ends[] = {".sock", ".key", ".lock"};
    char whole[SHARE_PATH_BYTES];
    for (size_t i = 0; place->lock_fd >= 0 && i < sizeof ends / sizeof ends[0]; i++) {
        add_end(whole, place->path, ends[i]);
        (void)unlink(whole);
    }
    if (place->listen_fd >= 0)
        (void)close(place->listen_fd);
    if (place->lock_fd >= 0)
        (void)close(place->lock_fd);
    place->listen_fd = place->lock_fd = -1;
}
