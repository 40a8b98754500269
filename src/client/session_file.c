#include "client/session_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A file's name is the first half of a hash of its server and credentials. Its contents begin with
 * the mark: a hash of that hash and of the session that follows. If the file was moved, or is being
 * written right now, the mark does not match, and the session is not offered. A file that was not
 * written for STALE_S has expired. */
enum { NAME_CHARS = 32, HASH_CHARS = DIGEST_HEX_BYTES - 1, STALE_S = 24 * 3600 };

#define DRAFT_END "-XXXXXX"

static const char hex_digits[] = "0123456789abcdef";
static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* ---- what a session is good for -------------------------------------------------------------- */

static enum afar_status add_text(struct digest *digest, const char *text, struct afar_error *err)
{
    const char *shown = text != NULL ? text : "";
    return digest_update(digest, shown, strlen(shown) + 1, err);
}

/* Adds the file's path, inode, size and times: a file that was replaced counts as another. */
static enum afar_status add_file(struct digest *digest, const char *path, struct afar_error *err)
{
    char mark[160] = "";
    struct stat found;
    if (path != NULL && stat(path, &found) == 0)
        (void)snprintf(mark, sizeof mark, "%ju %ju %jd %jd.%ld %jd.%ld", (uintmax_t)found.st_dev,
                       (uintmax_t)found.st_ino, (intmax_t)found.st_size,
                       (intmax_t)found.st_mtim.tv_sec, found.st_mtim.tv_nsec,
                       (intmax_t)found.st_ctim.tv_sec, found.st_ctim.tv_nsec);
    enum afar_status status = add_text(digest, path, err);
    return status == AFAR_OK ? add_text(digest, mark, err) : status;
}

enum afar_status session_files_init(struct session_files *files,
                                    const struct afar_credentials *credentials,
                                    struct afar_error *err)
{
    const char *folder = credentials->session_folder;
    struct digest *digest = NULL;
    *files = (struct session_files){0};
    if (folder == NULL || folder[0] == '\0' ||
        ((credentials->trust != NULL || credentials->trust_alone != NULL) &&
         credentials->pin == NULL))
        return AFAR_OK;
    files->folder = strdup(folder);
    if (files->folder == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    enum afar_status status = digest_new(&digest, "sha256", err);
    if (status == AFAR_OK)
        status = add_file(digest, credentials->ca_file, err);
    if (status == AFAR_OK)
        status = add_file(digest, credentials->cert_file, err);
    if (status == AFAR_OK)
        status = add_file(digest, credentials->key_file, err);
    if (status == AFAR_OK)
        status = add_text(digest, credentials->pin, err);
    if (status == AFAR_OK)
        status = digest_finish(digest, files->credentials, err);
    digest_free(digest);
    if (status != AFAR_OK)
        session_files_close(files);
    return status;
}

void session_files_close(struct session_files *files)
{
    free(files->folder);
    *files = (struct session_files){0};
}

static bool hash_of(const struct session_files *files, const struct endpoint *endpoint,
                    char hash[DIGEST_HEX_BYTES])
{
    struct digest *digest = NULL;
    char url[ENDPOINT_URL_BYTES];
    endpoint_format(endpoint, url, sizeof url);
    bool good = digest_new(&digest, "sha256", NULL) == AFAR_OK &&
                add_text(digest, url, NULL) == AFAR_OK &&
                add_text(digest, files->credentials, NULL) == AFAR_OK &&
                digest_finish(digest, hash, NULL) == AFAR_OK;
    digest_free(digest);
    return good;
}

/* Computes the mark of a file that is for `hash` and holds the session `data`. */
static bool mark_of(const char *hash, const uint8_t *data, size_t size, char mark[DIGEST_HEX_BYTES])
{
    struct digest *digest = NULL;
    bool good = digest_new(&digest, "sha256", NULL) == AFAR_OK &&
                digest_update(digest, hash, HASH_CHARS, NULL) == AFAR_OK &&
                digest_update(digest, data, size, NULL) == AFAR_OK &&
                digest_finish(digest, mark, NULL) == AFAR_OK;
    digest_free(digest);
    return good;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A regular file that only this user may use. */
static bool is_private(int fd)
{
    struct stat found;
    return fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid() &&
           (found.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

static ssize_t read_whole(int fd, uint8_t *data, size_t size)
{
    size_t count = 0;
    for (;;) {
        ssize_t some = read(fd, data + count, size - count);
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return -1;
        count += (size_t)some;
        if (some == 0 || count == size)
            return (ssize_t)count;
    }
}

void session_files_load(const struct session_files *files, struct tls_context *tls,
                        const struct endpoint *endpoint)
{
    char hash[DIGEST_HEX_BYTES];
    char mark[DIGEST_HEX_BYTES];
    char *path = NULL;
    uint8_t data[SESSION_FILE_MAX_BYTES];
    ssize_t size = -1;
    if (files->folder == NULL || !hash_of(files, endpoint, hash) ||
        asprintf(&path, "%s/%.*s", files->folder, NAME_CHARS, hash) < 0)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && is_private(fd))
        size = read_whole(fd, data, sizeof data);
    if (size > HASH_CHARS && mark_of(hash, data + HASH_CHARS, (size_t)size - HASH_CHARS, mark) &&
        memcmp(data, mark, HASH_CHARS) == 0)
        (void)tls_context_import(tls, endpoint->host, data + HASH_CHARS, (size_t)size - HASH_CHARS,
                                 NULL);
    if (fd >= 0)
        (void)close(fd);
    free(path);
    explicit_bzero(data, sizeof data);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Makes the folder and its parents. */
static void make_folder(const char *folder)
{
    char *path = strdup(folder);
    for (char *at = path; at != NULL; *at = '/') {
        at = strchr(at + 1, '/');
        if (at == NULL)
            break;
        *at = '\0';
        (void)mkdir(path, 0700);
    }
    (void)mkdir(folder, 0700);
    free(path);
}

/* The name of a session, or of a draft that mkostemp(3) made from it. */
static bool is_our_name(const char *name)
{
    if (strspn(name, hex_digits) != NAME_CHARS)
        return false;
    const char *rest = name + NAME_CHARS;
    return rest[0] == '\0' || (rest[0] == '-' && strlen(rest) == sizeof DRAFT_END - 1 &&
                               strspn(rest + 1, letters) == strlen(rest + 1));
}

/* The folder may also be used by other programs, so a name alone proves nothing: a session is a
 * private file of ours that begins with a mark. A draft that was left behind may be empty or
 * shorter. */
static bool is_session(int folder, const char *name)
{
    char start[HASH_CHARS + 1] = "";
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t size = is_private(fd) ? read_whole(fd, (uint8_t *)start, HASH_CHARS) : -1;
    (void)close(fd);
    return size >= 0 && strspn(start, hex_digits) == (size_t)size &&
           (size == HASH_CHARS || name[NAME_CHARS] != '\0');
}

static bool is_stale_session(int folder, const char *name, time_t now)
{
    struct stat found;
    return is_our_name(name) && fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(found.st_mode) && found.st_mtime < now - STALE_S && is_session(folder, name);
}

/* Removes the sessions of servers that were not used for long. Called before a server gets its
 * first file. */
static void sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    time_t now = time(NULL);
    while (dir != NULL) {
        const struct dirent *entry = readdir(dir); // NOLINT(concurrency-mt-unsafe): not of one DIR
        if (entry == NULL)
            break;
        if (is_stale_session(dirfd(dir), entry->d_name, now))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir != NULL)
        (void)closedir(dir);
}

static bool write_whole(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t some = write(fd, at, size);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0)
            return false;
        at += some;
        size -= (size_t)some;
    }
    return true;
}

/* Overwrites the existing file, which is much faster than making a new one; if it is read
 * meanwhile, its mark does not match. False: there is no private file of ours, or writing
 * failed. */
static bool write_over(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool good = is_private(fd) && write_whole(fd, data, size) && ftruncate(fd, (off_t)size) == 0;
    (void)close(fd);
    return good;
}

static void write_new(const char *path, const uint8_t *data, size_t size)
{
    char *draft = NULL;
    if (asprintf(&draft, "%s" DRAFT_END, path) < 0)
        return;
    int fd = mkostemp(draft, O_CLOEXEC); /* mode 0600 */
    if (fd >= 0) {
        bool good = write_whole(fd, data, size);
        if (close(fd) != 0 || !good || rename(draft, path) != 0)
            (void)unlink(draft);
    }
    free(draft);
}

static void put_file(const char *folder, const char *hash, const uint8_t *data, size_t size)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%.*s", folder, NAME_CHARS, hash) < 0)
        return;
    if (!write_over(path, data, size)) {
        make_folder(folder);
        sweep(folder);
        write_new(path, data, size);
    }
    free(path);
}

bool session_files_save(const struct session_files *files, struct tls_context *tls,
                        const struct endpoint *endpoint)
{
    char hash[DIGEST_HEX_BYTES];
    char mark[DIGEST_HEX_BYTES];
    uint8_t whole[SESSION_FILE_MAX_BYTES];
    uint8_t *data = NULL;
    size_t size = 0;
    if (files->folder == NULL ||
        tls_context_export(tls, endpoint->host, &data, &size, NULL) != AFAR_OK || data == NULL)
        return false;
    if (size <= sizeof whole - HASH_CHARS && hash_of(files, endpoint, hash) &&
        mark_of(hash, data, size, mark)) {
        memcpy(whole, mark, HASH_CHARS);
        memcpy(whole + HASH_CHARS, data, size);
        put_file(files->folder, hash, whole, HASH_CHARS + size);
        explicit_bzero(whole, HASH_CHARS + size);
    }
    explicit_bzero(data, size);
    free(data);
    return true;
}

/* ---- for a connection ------------------------------------------------------------------------ */

struct session_keeper {
    struct session_files files;
    struct tls_context *tls; /* a counted reference */
    struct endpoint endpoint;
    bool tried;
};

struct session_keeper *session_keeper_new(const struct session_files *files,
                                          struct tls_context *tls, const struct endpoint *endpoint)
{
    struct session_keeper *keeper = NULL;
    if (files->folder == NULL)
        return NULL;
    keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL)
        return NULL;
    keeper->files = *files;
    keeper->files.folder = strdup(files->folder);
    keeper->endpoint = *endpoint;
    keeper->tls = tls;
    tls_context_keep(tls);
    return keeper;
}

void session_keeper_save(struct session_keeper *keeper)
{
    if (keeper != NULL && !keeper->tried)
        keeper->tried = session_files_save(&keeper->files, keeper->tls, &keeper->endpoint);
}

void session_keeper_close(struct session_keeper *keeper)
{
    if (keeper == NULL)
        return;
    session_keeper_save(keeper);
    session_files_close(&keeper->files);
    tls_context_free(keeper->tls);
    free(keeper);
}
