#include "afar/cp_plan.h"

#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "afar/cp_glob.h"
#include "afar/cp_name.h"
#include "afar/report.h"

struct plan {
    struct cp_run *run;
    struct cp_name target;
    bool must_folder;                 /* the target must be a directory */
    char folder[SFTP_PATH_MAX_BYTES]; /* the target directory, or the one that the target is in */
    bool has_stream;                  /* "-" is in use */
    bool has_name;
    char name[SFTP_PATH_MAX_BYTES]; /* its name there; without has_name: the source's */
    void *names;                    /* tsearch(3): owned names that files get in the folder */
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int out_of_memory(void)
{
    report("out of memory");
    return STATUS_FAILED;
}

/* True if the name is a directory's, as it ends in a slash. */
static bool ends_in_slash(const char *path)
{
    size_t size = strlen(path);
    return size > 1 && path[size - 1] == '/';
}

/* Removes slashes at the end, except of "/" itself. */
static void trim(char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        path[--size] = '\0';
}

/* The last component; "" for "/". */
static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* True if the contents of a directory are meant: 'DIR/.', '.', '..', '/'. */
static bool is_contents(const char *path)
{
    const char *base = base_of(path);
    return strcmp(base, ".") == 0 || strcmp(base, "..") == 0 || base[0] == '\0';
}

/* Expands "~" or "~user" at the beginning of a path on a host. Only that is looked up: the rest may
 * be a pattern, and need not exist. Returns 0, or an exit status. */
static int expand(struct cp_run *run, struct cp_host *host, struct cp_name *name)
{
    struct query query;
    char home[SFTP_PATH_MAX_BYTES];
    char whole[2 * SFTP_PATH_MAX_BYTES];
    size_t size = strcspn(name->path, "/");
    if (name->path[0] != '~')
        return 0;
    (void)snprintf(home, sizeof home, "%.*s", (int)size, name->path);
    query_expand(&query, &host->requests, home);
    if (!cp_run_wait(run, &query))
        return host->ended ? host->status : STATUS_FAILED;
    int used = snprintf(whole, sizeof whole, "%s%s", query.path, name->path + size);
    if (query.failed || used >= SFTP_PATH_MAX_BYTES) {
        report("%s:%s: %s", name->host, name->path,
               query.failed ? query.err.message : strerror(ENAMETOOLONG));
        return 1;
    }
    return cp_name_set_path(name, whole) ? 0 : out_of_memory();
}

/* ---- the target ------------------------------------------------------------------------------ */

enum found { FOUND_NOTHING, FOUND_FOLDER, FOUND_OTHER, FOUND_ERROR };

static enum found look(struct plan *plan, const char *path)
{
    struct query query;
    struct stat info;
    if (plan->run->target == NULL) {
        if (stat(path, &info) == 0)
            return S_ISDIR(info.st_mode) ? FOUND_FOLDER : FOUND_OTHER;
        if (errno == ENOENT)
            return FOUND_NOTHING;
        report("%s: %s", path, strerror(errno));
        return FOUND_ERROR;
    }
    query_stat(&query, &plan->run->target->requests, path, true);
    if (!cp_run_wait(plan->run, &query))
        return FOUND_ERROR;
    if (!query.failed)
        return S_ISDIR(query.info.mode) ? FOUND_FOLDER : FOUND_OTHER;
    if (strcmp(query.err.reason, "ENOENT") == 0)
        return FOUND_NOTHING;
    report("%s:%s: %s", plan->target.host, path, query.err.message);
    return FOUND_ERROR;
}

/* False: the reason was reported. A directory that exists is no failure. */
static bool make_one(struct plan *plan, const char *path)
{
    struct query query;
    if (plan->run->target == NULL) {
        if (mkdir(path, 0777) == 0 || errno == EEXIST)
            return true;
        report("%s: %s", path, strerror(errno));
        return false;
    }
    query_mkdir(&query, &plan->run->target->requests, path);
    if (!cp_run_wait(plan->run, &query))
        return false;
    return true; /* need_folder checks in the end whether it exists */
}

static bool make_all(struct plan *plan, const char *path)
{
    char part[SFTP_PATH_MAX_BYTES];
    if (strlen(path) >= sizeof part) {
        report("%s: %s", path, strerror(ENAMETOOLONG));
        return false;
    }
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        (void)snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (!make_one(plan, part))
            return false;
    }
    return true;
}

static int no_directory(const struct plan *plan, const char *path)
{
    const char *host = plan->target.host;
    report("no such directory: %s%s%s; --mkdir makes it", host != NULL ? host : "",
           host != NULL ? ":" : "", path);
    return 1;
}

static int use_folder(struct plan *plan)
{
    (void)snprintf(plan->folder, sizeof plan->folder, "%s", plan->target.path);
    trim(plan->folder);
    return 0;
}

/* The target must be a directory: makes it if allowed. Returns 0, or an exit status. */
static int need_folder(struct plan *plan, const char *path, enum found found)
{
    const struct cp_host *host = plan->run->target;
    switch (found) {
    case FOUND_FOLDER:
        return 0;
    case FOUND_OTHER:
        report("%s: %s", path, strerror(ENOTDIR));
        return 1;
    case FOUND_ERROR:
        return host != NULL && host->ended ? host->status : 1;
    case FOUND_NOTHING:
        break;
    }
    if (!plan->run->options->mkdir)
        return no_directory(plan, path);
    if (!make_all(plan, path))
        return 1;
    return look(plan, path) == FOUND_FOLDER ? 0 : no_directory(plan, path);
}

/* If the local target is a link, replace the file that it leads to, not the link. False: out of
 * memory. */
static bool follow_target(struct plan *plan)
{
    char real[PATH_MAX];
    if (plan->run->target != NULL || realpath(plan->target.path, real) == NULL)
        return true;
    char *path = strdup(real);
    if (path == NULL)
        return false;
    free(plan->target.path);
    plan->target.path = path;
    return true;
}

/* The target is not an existing directory: splits it into directory and name. */
static int split_target(struct plan *plan, bool is_there)
{
    if (is_there && !follow_target(plan))
        return out_of_memory();
    trim(plan->target.path);
    const char *base = base_of(plan->target.path);
    int size = (int)(base - plan->target.path);
    (void)snprintf(plan->folder, sizeof plan->folder, "%.*s", size > 0 ? size : 1,
                   size > 0 ? plan->target.path : ".");
    (void)snprintf(plan->name, sizeof plan->name, "%s", base);
    plan->has_name = true;
    trim(plan->folder);
    return is_there ? 0 : need_folder(plan, plan->folder, look(plan, plan->folder));
}

static int place_target(struct plan *plan)
{
    size_t size = strlen(plan->target.path);
    if (size == 0 || size >= sizeof plan->folder) {
        report("'%s': %s", plan->target.path, strerror(size == 0 ? ENOENT : ENAMETOOLONG));
        return 1;
    }
    bool slash = plan->target.path[size - 1] == '/';
    enum found found = look(plan, plan->target.path);
    if (found != FOUND_FOLDER && found != FOUND_ERROR && !slash && !plan->must_folder)
        return split_target(plan, found == FOUND_OTHER);
    trim(plan->target.path);
    int status = need_folder(plan, plan->target.path, found);
    return status == 0 ? use_folder(plan) : status;
}

/* ---- the sources ----------------------------------------------------------------------------- */

/* True if two paths on the target's host lead to one file or directory. An older server does not
 * tell. */
static bool is_one_there(struct cp_run *run, const char *path, const char *other)
{
    struct query queries[2];
    query_stat(&queries[0], &run->target->requests, path, true);
    query_stat(&queries[1], &run->target->requests, other, true);
    /* Both are waited for: they are on our stack. */
    bool answered = cp_run_wait(run, &queries[0]);
    answered = cp_run_wait(run, &queries[1]) && answered;
    if (!answered || queries[0].failed || queries[1].failed)
        return false;
    const struct info *one = &queries[0].info;
    const struct info *two = &queries[1].info;
    return one->inode != 0 && one->inode == two->inode && one->device == two->device;
}

/* True if source and target are one file or directory. Copied as usual, a file would only replace
 * itself; in place it would be emptied first, by whatever path it is reached. */
static bool is_same_file(const struct plan *plan, const struct cp_name *source, const char *target)
{
    char path[2 * SFTP_PATH_MAX_BYTES];
    (void)snprintf(path, sizeof path, "%s%s%s", plan->folder, target[0] != '\0' ? "/" : "", target);
    if (source->host == NULL || plan->target.host == NULL ||
        strcmp(source->host, plan->target.host) != 0)
        return false;
    if (strcmp(source->path, path) == 0 || strcmp(source->path, plan->target.path) == 0)
        return true;
    return plan->run->options->in_place && strlen(path) < SFTP_PATH_MAX_BYTES &&
           is_one_there(plan->run, source->path, path);
}

/* True if the source is a directory that the target is in: there would be no end. */
static bool is_around_target(const struct plan *plan, const struct cp_name *source)
{
    const size_t size = strlen(source->path);
    return source->host != NULL && plan->target.host != NULL &&
           strcmp(source->host, plan->target.host) == 0 && plan->run->options->recursive &&
           strncmp(plan->target.path, source->path, size) == 0 && plan->target.path[size] == '/';
}

/* True if an earlier source gets this name, which would be lost. Only of directories are the
 * contents put together; whether this is one is not known yet. */
static bool is_taken(struct plan *plan, const char *name)
{
    if (plan->has_name || plan->target.is_stream)
        return false;
    char *own = strdup(name);
    char *const *found = own != NULL ? tsearch(own, &plan->names, compare_names) : NULL;
    const bool taken = found != NULL && *found != own;
    if (found == NULL || taken)
        free(own);
    return taken;
}

/* Tells of a source that cannot be copied; the others are. */
static int leave_out(struct plan *plan, const struct cp_name *source, const char *name,
                     const char *why)
{
    struct cp_run *run = plan->run;
    char target[2 * SFTP_PATH_MAX_BYTES];
    struct afar_error err = {.code = AFAR_EINVAL, .reason = "EINVAL"};
    (void)snprintf(err.message, sizeof err.message, "%s", why);
    (void)snprintf(target, sizeof target, "%s/%s", plan->folder, name);
    const struct copy_result result = {
        .outcome = COPY_FAILED, .source = source->path, .target = target, .err = &err};
    run->copy.counts.known++;
    run->copy.counts.outcomes[COPY_FAILED]++;
    cp_tell_result(&run->tell, &result, source->host, plan->target.host);
    return 0;
}

static int add_one(struct plan *plan, struct cp_host *host, const struct cp_name *source)
{
    struct afar_error err;
    struct cp_run *run = plan->run;
    char *path = strdup(source->path);
    if (path == NULL)
        return out_of_memory();
    trim(path);
    bool contents = !source->is_stream && is_contents(path);
    const char *base = source->is_stream ? "" : base_of(path);
    const char *name = plan->has_name ? plan->name : base;
    int status = 0;
    bool again = plan->has_stream && (source->is_stream || plan->target.is_stream);
    plan->has_stream = plan->has_stream || source->is_stream || plan->target.is_stream;
    struct copy_route route = {.from = host != NULL ? &host->requests : NULL,
                               .source = path,
                               .source_stream = source->is_stream,
                               .to = run->target != NULL ? &run->target->requests : NULL,
                               .target = plan->folder,
                               .target_name = name,
                               .target_stream = plan->target.is_stream,
                               /* With a name, "DIR/." is copied to a new directory of that name. */
                               .contents = contents && !plan->has_name,
                               .folder = ends_in_slash(source->path)};
    if (again) {
        report("cp: '-' can be only one source, and the target of only one");
        status = STATUS_FAILED;
    } else if (source->is_stream && !plan->has_name && !plan->target.is_stream) {
        report("cp: standard input needs a file's name as target, and '%s' is a directory",
               plan->target.path);
        status = 1;
    } else if (!plan->target.is_stream && is_same_file(plan, source, contents ? "" : name)) {
        status = leave_out(plan, source, name, "source and target are the same file");
    } else if (is_around_target(plan, source)) {
        status = leave_out(plan, source, name, "cannot copy a directory into itself");
    } else {
        route.taken = !contents && is_taken(plan, name);
        if (copy_add(&run->copy, &route, &err) != AFAR_OK) {
            report("%s", err.message);
            status = err.code == AFAR_ENOMEM ? STATUS_FAILED : 1;
        }
    }
    free(path);
    return status;
}

/* Adds each path that a pattern matches, or the path itself. */
static int add_source(struct plan *plan, struct cp_name *source)
{
    struct cp_host *host = NULL;
    struct cp_glob glob = {0};
    if (source->host != NULL) {
        host = cp_run_host(plan->run, source->host);
        if (host == NULL)
            return STATUS_FAILED;
        int failed = expand(plan->run, host, source);
        if (failed != 0)
            return failed;
        if (!cp_glob(&glob, plan->run, host, source->path))
            return host->ended ? host->status : STATUS_FAILED;
    }
    int status = glob.count == 0 ? add_one(plan, host, source) : 0;
    for (size_t i = 0; i < glob.count && status == 0; i++) {
        const struct cp_name one = {.host = source->host, .path = glob.paths[i]};
        status = add_one(plan, host, &one);
    }
    cp_glob_close(&glob);
    return status;
}

static int plan_all(struct plan *plan, char *const *words, size_t sources)
{
    struct cp_run *run = plan->run;
    int status = 0;
    bool has_host = plan->target.host != NULL;
    for (size_t i = 0; i < sources; i++) {
        struct cp_name name;
        if (!cp_name_parse(&name, words[i])) {
            cp_name_close(&name);
            return out_of_memory();
        }
        has_host = has_host || name.host != NULL;
        plan->must_folder = plan->must_folder || sources > 1;
        cp_name_close(&name);
    }
    if (!has_host) {
        report("cp: neither the sources nor the target are on a host: HOST:PATH is one; a file "
               "here whose name has a ':' is written ./a:b");
        return STATUS_FAILED;
    }
    if (plan->target.host != NULL) {
        run->target = cp_run_host(run, plan->target.host);
        if (run->target == NULL)
            return STATUS_FAILED;
        status = expand(run, run->target, &plan->target);
    }
    run->to_output = plan->target.is_stream;
    if (run->to_output && run->options->json) {
        report("cp: --json writes to standard output, where '-' puts the file");
        return STATUS_FAILED;
    }
    if (status == 0 && !plan->target.is_stream)
        status = place_target(plan);
    for (size_t i = 0; i < sources && status == 0; i++) {
        struct cp_name name;
        status = cp_name_parse(&name, words[i]) ? add_source(plan, &name) : out_of_memory();
        cp_name_close(&name);
    }
    return status;
}

int cp_plan(struct cp_run *run, char *const *words)
{
    struct plan plan = {.run = run};
    size_t count = 0;
    while (words[count] != NULL)
        count++;
    int status = cp_name_parse(&plan.target, words[count - 1]) ? plan_all(&plan, words, count - 1)
                                                               : out_of_memory();
    tdestroy(plan.names, free);
    cp_name_close(&plan.target);
    return status;
}
