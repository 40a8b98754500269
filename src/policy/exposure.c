#include "policy/exposure.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Mode bits of one of owner, group and others. */
enum { READ = 4, WRITE = 2, SEARCH = 1 };

static bool has_group(const struct exposure_who *who, gid_t gid)
{
    bool has = who->gid == gid;
    for (size_t i = 0; i < who->group_count && !has; i++)
        has = who->groups[i] == gid;
    return has;
}

static bool may(const struct exposure_who *who, const struct stat *info, unsigned bits)
{
    unsigned shift = 0;
    if (who->uid == 0)
        return true;
    if (info->st_uid == who->uid)
        shift = 6;
    else if (has_group(who, info->st_gid))
        shift = 3;
    return ((unsigned)info->st_mode >> shift & bits) == bits;
}

/* Like `may`, but true for the owner, who can change the mode. */
static bool may_or_owns(const struct exposure_who *who, const struct stat *info, unsigned bits)
{
    return may(who, info, bits) || info->st_uid == who->uid;
}

static bool is_read_only(const char *path)
{
    struct statvfs mount;
    return statvfs(path, &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0;
}

static bool can_make_in(const struct exposure_who *who, const char *folder, const struct stat *info)
{
    return may_or_owns(who, info, WRITE | SEARCH) && !is_read_only(folder);
}

/* Whether `who`, who can create files in the folder `info`, can also remove or replace its entry
 * `next` (NULL: there is no such entry). */
static bool can_replace(const struct exposure_who *who, const struct stat *info,
                        const struct stat *next)
{
    bool sticky = (info->st_mode & S_ISVTX) != 0 && who->uid != 0;
    return !sticky || info->st_uid == who->uid || next == NULL || next->st_uid == who->uid;
}

/* What `who` can do in the folders on the way to a path. */
struct way {
    bool closed;  /* some folder cannot be searched */
    bool changes; /* some folder's entry on the way can be replaced */
};

/* Examines each folder from the root to `path`, which has no links on the way. `path` is modified
 * and restored. *stop is set to the length of the path to the first folder in which `who` can
 * create files; unchanged if there is none. */
static struct way walk(char *path, const struct exposure_who *who, size_t *stop)
{
    struct way way = {.closed = false};
    bool stopped = false;
    for (char *slash = path; slash != NULL && !way.closed; slash = strchr(slash + 1, '/')) {
        struct stat info;
        struct stat next;
        char *end = strchr(slash + 1, '/');
        char *name = slash == path ? slash + 1 : slash; /* the root is "/" */
        const char kept = *name;
        if (end != NULL)
            *end = '\0';
        bool there = stat(path, &next) == 0;
        *name = '\0';
        way.closed = stat(path, &info) != 0 || !may(who, &info, SEARCH);
        bool makes = !way.closed && can_make_in(who, path, &info);
        if (makes && !stopped)
            *stop = strlen(path);
        *name = kept;
        if (end != NULL)
            *end = '/';
        stopped = stopped || makes;
        way.changes = way.changes || (makes && can_replace(who, &info, there ? &next : NULL));
    }
    return way;
}

void exposure_climb(char *folder, const struct exposure_who *who)
{
    size_t size = strlen(folder);
    (void)walk(folder, who, &size);
    folder[size] = '\0';
}

/* ---- one file -------------------------------------------------------------------------------- */

static enum afar_status fail_memory(struct afar_error *err)
{
    return afar_fail(err, AFAR_ENOMEM, "out of memory for the names of files");
}

/* Adds a text, unless `words` has it already. */
static enum afar_status add_once(struct words *words, const char *text, struct afar_error *err)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strcmp(words->at[i], text) == 0)
            return AFAR_OK;
    }
    return words_add(words, text, strlen(text), err);
}

static enum afar_status add_file(struct words *words, const char *what, const char *path,
                                 struct afar_error *err)
{
    char *text = NULL;
    if (asprintf(&text, "%s %s", what, path) < 0)
        return fail_memory(err);
    enum afar_status status = add_once(words, text, err);
    free(text);
    return status;
}

static enum afar_status add_folder_of(struct words *words, const char *path, struct afar_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == path ? 1 : (size_t)(slash - path);
    char *folder = strndup(path, size);
    if (folder == NULL)
        return fail_memory(err);
    enum afar_status status = add_once(words, folder, err);
    free(folder);
    return status;
}

/* `path` with the links in its folder resolved, but not the last name. False: the folder does not
 * exist, or the path is too long. */
static bool place_of(const char *path, char place[PATH_MAX])
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t size = slash == NULL ? 1 : (size_t)(name - path);
    if (size >= sizeof folder || strlen(name) >= PATH_MAX)
        return false;
    memcpy(folder, slash == NULL ? "." : path, size);
    folder[size] = '\0';
    if (realpath(folder, place) == NULL)
        return false;
    size_t used = strcmp(place, "/") == 0 ? 0 : strlen(place);
    if (used + 1 + strlen(name) >= PATH_MAX)
        return false;
    place[used] = '/';
    memcpy(place + used + 1, name, strlen(name) + 1);
    return true;
}

struct own_file {
    const char *what;
    const char *path; /* NULL: none */
    bool is_secret;   /* it must not be read either */
};

static enum afar_status look_at(struct exposure *exposure, const struct own_file *file,
                                const struct exposure_who *who, struct afar_error *err)
{
    char place[PATH_MAX];
    char real[PATH_MAX];
    struct stat info;
    if (file->path == NULL || !place_of(file->path, place))
        return AFAR_OK;
    size_t stop = 0;
    struct way way = walk(place, who, &stop);
    bool reads = false;
    bool changes = way.changes && !way.closed;
    bool there = realpath(place, real) != NULL && stat(real, &info) == 0;
    if (there) {
        way = walk(real, who, &stop);
        reads = file->is_secret && !way.closed && may_or_owns(who, &info, READ);
        changes = changes || (!way.closed && way.changes) ||
                  (!way.closed && may_or_owns(who, &info, WRITE) && !is_read_only(real));
    }
    enum afar_status status = AFAR_OK;
    if (reads)
        status = add_file(&exposure->reads, file->what, file->path, err);
    if (status == AFAR_OK && changes)
        status = add_file(&exposure->changes, file->what, file->path, err);
    if (status == AFAR_OK && (reads || changes))
        status = add_folder_of(&exposure->folders, place, err);
    if (status == AFAR_OK && (reads || changes) && there)
        status = add_folder_of(&exposure->folders, real, err);
    return status;
}

/* ---- all of them ----------------------------------------------------------------------------- */

enum afar_status exposure_find(struct exposure *exposure, const struct config *config,
                               const struct exposure_who *who, struct afar_error *err)
{
    const bool has_log = config->audit_log != NULL && strcmp(config->audit_log, "syslog") != 0;
    char *secret = NULL; /* represents the whole folder */
    if (config->state_directory != NULL &&
        asprintf(&secret, "%s/secret", config->state_directory) < 0)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a path");
    const struct own_file files[] = {
        {"state_directory", secret, true},
        {"tls_key", config->tls_key, true},
        {"audit_log", has_log ? config->audit_log : NULL, true},
        {"tls_cert", config->tls_cert, false},
        {"tls_client_ca", config->tls_client_ca, false},
        {"tls_crl", config->tls_crl, false},
    };
    enum afar_status status = AFAR_OK;
    *exposure = (struct exposure){0};
    for (size_t i = 0; i < sizeof files / sizeof files[0] && status == AFAR_OK; i++)
        status = look_at(exposure, &files[i], who, err);
    for (size_t i = 0; i < config->files.count && status == AFAR_OK; i++) {
        const struct own_file file = {"the configuration", config->files.at[i], false};
        status = look_at(exposure, &file, who, err);
    }
    free(secret);
    return status;
}

void exposure_close(struct exposure *exposure)
{
    words_close(&exposure->reads);
    words_close(&exposure->changes);
    words_close(&exposure->folders);
}
