#include "policy/include.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/trusted.h"

enum { SHOWN_BYTES = 200 };

/* Checks the folder of `path`: a user who can add a file there can add a rule. *missing: the folder
 * does not exist; then AFAR_ESYSTEM. */
static enum afar_status check_folder(const char *path, bool *missing, struct afar_error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    if (folder == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a path");
    enum afar_status status = AFAR_OK;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *missing = fd < 0 && errno == ENOENT;
    if (fd < 0)
        status = afar_fail_errno(err, errno, "%.*s: cannot be read", SHOWN_BYTES, folder);
    else
        status = trusted_check(fd, folder, err);
    if (fd >= 0)
        (void)close(fd);
    free(folder);
    return status;
}

static enum afar_status read_files(struct config *config, const glob_t *found,
                                   struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    for (size_t i = 0; i < found->gl_pathc && status == AFAR_OK; i++) {
        bool missing = false;
        status = check_folder(found->gl_pathv[i], &missing, err);
        if (status == AFAR_OK)
            status = config_load_rules(config, found->gl_pathv[i], err);
    }
    return status;
}

/* Whether only the last name has wildcards: then the folder is known and must exist. */
static bool has_plain_folder(const char *pattern)
{
    const char *slash = strrchr(pattern, '/');
    const char *wild = strpbrk(pattern, "*?[\\");
    return slash == NULL || wild == NULL || wild > slash;
}

/* *wanted: set to true unless the pattern was skipped. */
static enum afar_status read_pattern(struct config *config, const char *pattern, bool preset,
                                     bool *wanted, struct afar_error *err)
{
    glob_t found = {0};
    bool missing = false;
    enum afar_status status = AFAR_OK;
    if (has_plain_folder(pattern))
        status = check_folder(pattern, &missing, err);
    if (missing && preset)
        return AFAR_OK;
    *wanted = true;
    if (status != AFAR_OK)
        return status;
    int failed = glob(pattern, GLOB_ERR, NULL, &found);
    if (failed == GLOB_NOMATCH && strpbrk(pattern, "*?[") != NULL)
        return AFAR_OK;
    if (failed == GLOB_NOMATCH)
        return afar_fail_errno(err, ENOENT, "%.*s: cannot be read", SHOWN_BYTES, pattern);
    if (failed == GLOB_NOSPACE)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for the files of include");
    if (failed != 0)
        return afar_fail_errno(err, errno, "%.*s: cannot be read", SHOWN_BYTES, pattern);
    if (found.gl_pathc > INCLUDE_FILES_MAX)
        status = afar_fail(err, AFAR_EINVAL, "%.*s: %zu files match, at most %d are allowed",
                           SHOWN_BYTES, pattern, found.gl_pathc, INCLUDE_FILES_MAX);
    else
        status = read_files(config, &found, err);
    globfree(&found);
    return status;
}

enum afar_status include_read(struct config *config, struct afar_error *err)
{
    const struct words *patterns = &config->include;
    bool wanted = false;
    for (size_t i = 0; i < patterns->count; i++) {
        enum afar_status status =
            read_pattern(config, patterns->at[i], i < config->include_preset, &wanted, err);
        if (status != AFAR_OK) {
            (void)afar_prefix(err, "include");
            return status;
        }
    }
    if (wanted && rules_count(config->rules) == 0)
        return afar_fail(err, AFAR_EINVAL,
                         "include: neither these files nor any other has a rule, and without rules "
                         "every client could run everything: add a section [allow NAME]");
    return AFAR_OK;
}
