#include "afar/cp_glob.h"

#include <stdlib.h>
#include <string.h>

#include "afar/report.h"

static bool is_pattern(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (strchr("*?[", text[i]) != NULL && text[i] != '\0')
            return true;
    }
    return false;
}

static bool add(struct cp_glob *glob, const char *folder, const char *name, size_t size)
{
    char path[SFTP_PATH_MAX_BYTES];
    size_t used = strlen(folder);
    bool slash = used > 0 && folder[used - 1] != '/';
    if (glob->count == CP_GLOB_MAX || used + size + 2 > sizeof path) {
        report("cp: the pattern matches too many names, or too long ones");
        return false;
    }
    memcpy(path, folder, used);
    if (slash)
        path[used++] = '/';
    memcpy(path + used, name, size);
    path[used + size] = '\0';
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

/* Adds the matching names of one directory. A directory that cannot be listed matches nothing. */
static bool match(struct cp_glob *next, struct cp_run *run, struct cp_host *host,
                  const char *folder, const char *pattern)
{
    struct query query;
    query_list(&query, &host->requests, folder[0] == '\0' ? "." : folder, pattern);
    bool good = cp_run_wait(run, &query);
    for (size_t i = 0; good && i < query.count; i++)
        good = add(next, folder, query.names[i], strlen(query.names[i]));
    query_close(&query);
    return good;
}

/* Adds one more component to each path so far. */
static bool extend(struct cp_glob *glob, struct cp_run *run, struct cp_host *host, const char *part,
                   size_t size)
{
    struct cp_glob next = {0};
    char pattern[256];
    bool good = size < sizeof pattern;
    bool matches = is_pattern(part, size);
    if (good) {
        memcpy(pattern, part, size);
        pattern[size] = '\0';
    }
    for (size_t i = 0; good && i < glob->count; i++)
        good = matches ? match(&next, run, host, glob->paths[i], pattern)
                       : add(&next, glob->paths[i], part, size);
    cp_glob_close(glob);
    *glob = next;
    return good;
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
    if (!add(glob, path[0] == '/' ? "/" : "", "", 0))
        return false;
    for (const char *at = path; *at != '\0';) {
        size_t size = strcspn(at, "/");
        if (size > 0 && !extend(glob, run, host, at, size)) {
            cp_glob_close(glob);
            return false;
        }
        at += size + strspn(at + size, "/");
    }
    return true;
}
