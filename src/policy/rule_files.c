#include "policy/rule_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/path.h"

enum { SHOWN_BYTES = 80 };

bool rule_path_is_plain(const char *path)
{
    size_t size = strlen(path);
    if (path[0] != '/')
        return false;
    if (size == 1)
        return true;
    return strstr(path, "//") == NULL && strstr(path, "/./") == NULL &&
           strstr(path, "/../") == NULL && path[size - 1] != '/' &&
           strcmp(path + size - 2, "/.") != 0 && (size < 3 || strcmp(path + size - 3, "/..") != 0);
}

/* "~" or "~/…" stands for the home. */
static bool is_in_home(const char *path)
{
    return path[0] == '~' && (path[1] == '\0' || path[1] == '/');
}

static enum afar_status check_path(const char *path, struct afar_error *err)
{
    const char *whole = is_in_home(path) ? path + 1 : path;
    if (whole[0] == '\0' || rule_path_is_plain(whole))
        return AFAR_OK;
    return afar_fail(err, AFAR_EINVAL,
                     "'%.*s': an absolute path without //, . and .. was expected, or ~ for the "
                     "user's home",
                     SHOWN_BYTES, path);
}

static enum afar_status add_root(struct words *roots, char kind, const char *path,
                                 struct afar_error *err)
{
    if (roots->count == RULE_ROOTS_MAX)
        return afar_fail(err, AFAR_EINVAL, "there can be at most %d paths", RULE_ROOTS_MAX);
    size_t size = strlen(path);
    char *root = malloc(size + 2);
    if (root == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a rule");
    root[0] = kind;
    memcpy(root + 1, path, size + 1);
    enum afar_status status = words_add(roots, root, size + 1, err);
    free(root);
    return status;
}

enum afar_status rule_files_set(struct rule *rule, const char *value, struct afar_error *err)
{
    struct words words = {0};
    enum afar_status status = template_split(&words, value, err);
    const char *kind = status == AFAR_OK && words.count > 0 ? words.at[0] : "";
    if (status == AFAR_OK &&
        (words.count < 2 || (strcmp(kind, "read") != 0 && strcmp(kind, "write") != 0)))
        status = afar_fail(err, AFAR_EINVAL, "read PATH… or write PATH… was expected");
    for (size_t i = 1; i < words.count && status == AFAR_OK; i++) {
        status = check_path(words.at[i], err);
        if (status == AFAR_OK)
            status = add_root(&rule->roots, kind[0], words.at[i], err);
    }
    words_close(&words);
    return status;
}

const char *rule_files_home(const struct rule *rule, const struct user *self)
{
    if (rule != NULL && rule->user.name != NULL)
        return rule->user.home;
    const char *home = getenv("HOME");
    if ((home == NULL || !rule_path_is_plain(home)) && self != NULL)
        home = self->home;
    return home != NULL && rule_path_is_plain(home) ? home : NULL;
}

/* Expands "~" or "~/x". The caller frees the result. NULL: out of memory. */
static char *in_home(const char *home, const char *path)
{
    size_t size = strcmp(home, "/") == 0 && path[1] != '\0' ? 0 : strlen(home);
    size_t rest = strlen(path + 1);
    char *whole = malloc(size + rest + 1);
    if (whole == NULL)
        return NULL;
    memcpy(whole, home, size);
    memcpy(whole + size, path + 1, rest + 1);
    return whole;
}

enum afar_status rule_files_roots(const struct rule *rule, const struct user *self,
                                  struct words *roots, struct afar_error *err)
{
    const char *home = rule_files_home(rule, self);
    enum afar_status status = AFAR_OK;
    for (size_t i = 0; rule != NULL && i < rule->roots.count && status == AFAR_OK; i++) {
        const char *root = rule->roots.at[i];
        if (!is_in_home(root + 1)) {
            status = add_root(roots, root[0], root + 1, err);
            continue;
        }
        if (home == NULL)
            return afar_fail(err, AFAR_EINVAL,
                             "files: %.*s: it is not known where the user's home is", SHOWN_BYTES,
                             root + 1);
        char *whole = in_home(home, root + 1);
        status = whole != NULL ? add_root(roots, root[0], whole, err)
                               : afar_fail(err, AFAR_ENOMEM, "out of memory for a rule");
        free(whole);
    }
    return status;
}

const char *rule_files_find(const struct words *roots, const char *path)
{
    const char *found = NULL;
    for (size_t i = 0; i < roots->count; i++) {
        const char *root = roots->at[i];
        if (path_is_within(path, root + 1) && (found == NULL || strlen(root) > strlen(found)))
            found = root;
    }
    return found;
}

/* Rejects a read path in a write path: the client could rename a directory on the way to it, or
 * make a link to it, and so write to it by another path. */
static enum afar_status check_nested(const struct words *roots, struct afar_error *err)
{
    for (size_t i = 0; i < roots->count; i++) {
        for (size_t j = 0; j < roots->count; j++) {
            const char *inner = roots->at[i];
            const char *outer = roots->at[j];
            if (inner[0] == 'r' && outer[0] == 'w' && path_is_within(inner + 1, outer + 1))
                return afar_fail(err, AFAR_EINVAL,
                                 "files = read %.*s lies in files = write %.*s, where it could be "
                                 "renamed and so be written: move one of them elsewhere",
                                 SHOWN_BYTES, inner + 1, SHOWN_BYTES, outer + 1);
        }
    }
    return AFAR_OK;
}

enum afar_status rule_files_check(const struct rule *rule, struct afar_error *err)
{
    struct words roots = {0};
    bool may = (rule->may & POLICY_FILES) != 0;
    if (!may && (rule->roots.count > 0 || rule->files_max.set))
        return afar_fail(err, AFAR_EINVAL,
                         "%s says something of files, and the rule does not allow them: add files "
                         "to may, as in may = run files",
                         rule->roots.count > 0 ? "files" : "files_max");
    if (may && (rule->force.count > 0 || rule->wrapper.count > 0))
        return afar_fail(err, AFAR_EINVAL,
                         "%s and may = files cannot stand in one rule: the server serves files "
                         "itself, and what is run instead or around would not hold for them; make "
                         "a rule of its own for files",
                         rule->force.count > 0 ? "force" : "wrapper");
    enum afar_status status = rule_files_roots(rule, NULL, &roots, err);
    if (status == AFAR_OK)
        status = check_nested(&roots, err);
    words_close(&roots);
    return status;
}
