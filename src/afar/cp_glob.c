#include "afar/cp_glob.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "afar/report.h"

enum { AT_ONCE = 32 }; /* questions under way; each has 5 KiB */

static bool is_pattern(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (strchr("*?[", text[i]) != NULL && text[i] != '\0')
            return true;
    }
    return false;
}

/* Adds "folder/name"; without a name, the folder itself. */
static bool add(struct cp_glob *glob, const char *folder, const char *name)
{
    char path[SFTP_PATH_MAX_BYTES];
    const size_t size = strlen(folder);
    const char *between = size == 0 || folder[size - 1] == '/' || name[0] == '\0' ? "" : "/";
    int used = snprintf(path, sizeof path, "%s%s%s", folder, between, name);
    if (glob->count == CP_GLOB_MAX || used < 0 || (size_t)used >= sizeof path) {
        report("cp: the pattern matches too many names, or too long ones");
        return false;
    }
    char **more = reallocarray(glob->paths, glob->count + 1, sizeof *more);
    if (more != NULL)
        glob->paths = more;
    if (more == NULL || (more[glob->count] = strdup(path)) == NULL) {
        report("out of memory");
        return false;
    }
    glob->count++;
    return true;
}

void cp_glob_close(struct cp_glob *glob)
{
    for (size_t i = 0; i < glob->count; i++)
        free(glob->paths[i]);
    free(glob->paths);
    *glob = (struct cp_glob){.paths = NULL};
}

/* ---- one question about each path ------------------------------------------------------------ */

/* What is to be known of each path. */
struct question {
    const char *pattern; /* which names in it match; NULL: is it there? */
    bool folder;         /* is it a directory, perhaps by a link? */
};

static void ask(const struct question *question, struct query *query, struct cp_host *host,
                const char *path)
{
    if (question->pattern != NULL)
        query_list(query, &host->requests, path[0] == '\0' ? "." : path, question->pattern);
    else
        query_stat(query, &host->requests, path, question->folder);
}

/* Adds what the answer says. A directory that cannot be listed matches nothing. */
static bool take(struct cp_glob *next, const struct question *question, const struct query *query,
                 const char *path)
{
    bool good = true;
    next->listed += query->listed;
    if ((query->failed && strcmp(query->err.reason, "E2BIG") == 0) ||
        next->listed > QUERY_LISTED_MAX) {
        report("cp: the pattern matches too many names, or has too many to look at");
        return false;
    }
    for (size_t i = 0; good && i < query->count; i++)
        good = add(next, path, query->names[i]);
    if (question->pattern != NULL || query->failed)
        return good;
    return !question->folder           ? add(next, path, "")
           : S_ISDIR(query->info.mode) ? add(next, path, "/")
                                       : true;
}

/* Asks about some paths at once, so that a far server costs one round trip for all of them. Waits
 * for every answer, even after a failure: the queries are the caller's. */
static bool ask_some(struct cp_glob *next, struct cp_run *run, struct cp_host *host,
                     struct query *queries, char *const *paths, size_t count,
                     const struct question *question)
{
    bool good = true;
    for (size_t i = 0; i < count; i++)
        ask(question, &queries[i], host, paths[i]);
    for (size_t i = 0; i < count; i++) {
        good = cp_run_wait(run, &queries[i]) && good;
        good = good && take(next, question, &queries[i], paths[i]);
        query_close(&queries[i]);
    }
    return good;
}

/* Replaces the paths by what the answers give. */
static bool ask_all(struct cp_glob *glob, struct cp_run *run, struct cp_host *host,
                    const struct question *question)
{
    struct cp_glob next = {.listed = glob->listed};
    struct query *queries = calloc(AT_ONCE, sizeof *queries);
    bool good = queries != NULL;
    if (!good)
        report("out of memory");
    for (size_t i = 0; good && i < glob->count; i += AT_ONCE) {
        size_t count = glob->count - i < AT_ONCE ? glob->count - i : AT_ONCE;
        good = ask_some(&next, run, host, queries, glob->paths + i, count, question);
    }
    free(queries);
    cp_glob_close(glob);
    *glob = next;
    return good;
}

/* ---- the path, part by part ------------------------------------------------------------------ */

/* Adds one more component to each path so far. */
static bool extend(struct cp_glob *glob, struct cp_run *run, struct cp_host *host, const char *part,
                   size_t size)
{
    char text[SFTP_PATH_MAX_BYTES];
    struct cp_glob next = {.listed = glob->listed};
    const struct question question = {.pattern = text};
    bool good = true;
    (void)snprintf(text, sizeof text, "%.*s", (int)size, part);
    if (is_pattern(part, size))
        return ask_all(glob, run, host, &question);
    for (size_t i = 0; good && i < glob->count; i++)
        good = add(&next, glob->paths[i], text);
    cp_glob_close(glob);
    *glob = next;
    return good;
}

/* Nothing has shown yet if what comes behind the last pattern exists; with a slash at the end it
 * must be a directory. */
static bool leave_existing(struct cp_glob *glob, struct cp_run *run, struct cp_host *host,
                           const char *path)
{
    const size_t size = strlen(path);
    const char *slash = strrchr(path, '/');
    const struct question question = {.folder = size > 0 && path[size - 1] == '/'};
    if (!question.folder && (slash == NULL || is_pattern(slash, strlen(slash))))
        return true;
    return ask_all(glob, run, host, &question);
}

static bool expand(struct cp_glob *glob, struct cp_run *run, struct cp_host *host, const char *path)
{
    if (!add(glob, path[0] == '/' ? "/" : "", ""))
        return false;
    for (const char *at = path; *at != '\0';) {
        size_t size = strcspn(at, "/");
        if (size > 0 && !extend(glob, run, host, at, size))
            return false;
        at += size + strspn(at + size, "/");
    }
    return leave_existing(glob, run, host, path);
}

bool cp_glob(struct cp_glob *glob, struct cp_run *run, struct cp_host *host, const char *path)
{
    struct query query;
    if (!is_pattern(path, strlen(path)))
        return true;
    query_stat(&query, &host->requests, path, false);
    if (!cp_run_wait(run, &query))
        return false;
    if (!query.failed)
        return true;
    if (expand(glob, run, host, path))
        return true;
    cp_glob_close(glob);
    return false;
}
