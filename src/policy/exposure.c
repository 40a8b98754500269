#include "policy/exposure.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "policy/links.h"

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

struct own_file {
    const char *what;
    const char *path; /* NULL: none */
    bool is_secret;   /* it must not be read either */
};

/* A look at one file. */
struct look {
    const struct exposure_who *who;
    struct words folders; /* of the file, of its name if that is a link, and those that let `who`
                             replace another link */
    char last[PATH_MAX];  /* the file's place, or where it would be; "": its folder is not there */
    bool named;           /* its name was met */
    bool there;
    bool changes; /* a name on the way can be replaced */
};

/* Each link has a place that decides what the path means, and so has the file. (What folders have
 * is found on the way to these.) */
static enum afar_status look_at_step(void *user, const struct links_name *name,
                                     struct afar_error *err)
{
    struct look *look = user;
    char path[PATH_MAX];
    const bool is_link = name->info != NULL && S_ISLNK(name->info->st_mode);
    const bool is_end = name->is_last && !is_link;
    if (!is_link && !is_end)
        return AFAR_OK;
    (void)snprintf(path, sizeof path, "%s", name->place);
    size_t stop = 0;
    struct way way = walk(path, look->who, &stop);
    look->changes = look->changes || way.changes;
    if (is_end) {
        look->there = name->info != NULL;
        (void)snprintf(look->last, sizeof look->last, "%s", name->place);
    }
    const bool is_own = is_end || (name->is_last && !look->named);
    look->named = look->named || name->is_last;
    return is_own || way.changes ? add_folder_of(&look->folders, name->place, err) : AFAR_OK;
}

static enum afar_status judge(struct exposure *exposure, const struct own_file *file,
                              struct look *look, struct afar_error *err)
{
    struct stat info;
    size_t stop = 0;
    bool reads = false;
    bool changes = look->changes;
    enum afar_status status = AFAR_OK;
    if (look->there && stat(look->last, &info) == 0) {
        struct way way = walk(look->last, look->who, &stop);
        reads = file->is_secret && !way.closed && may_or_owns(look->who, &info, READ);
        changes = changes || (!way.closed && may_or_owns(look->who, &info, WRITE) &&
                              !is_read_only(look->last));
    }
    if (reads)
        status = add_file(&exposure->reads, file->what, file->path, err);
    if (status == AFAR_OK && changes)
        status = add_file(&exposure->changes, file->what, file->path, err);
    for (size_t i = 0; i < look->folders.count && status == AFAR_OK && (reads || changes); i++)
        status = add_once(&exposure->folders, look->folders.at[i], err);
    return status;
}

static enum afar_status look_at(struct exposure *exposure, const struct own_file *file,
                                const struct exposure_who *who, struct afar_error *err)
{
    struct look look = {.who = who};
    if (file->path == NULL)
        return AFAR_OK;
    enum afar_status status = links_follow(file->path, look_at_step, &look, err);
    /* A path that leads nowhere is reported by who opens it. */
    if (status == AFAR_OK && look.last[0] != '\0')
        status = judge(exposure, file, &look, err);
    else if (status != AFAR_ENOMEM)
        status = AFAR_OK;
    words_close(&look.folders);
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
