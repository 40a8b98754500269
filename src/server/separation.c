#include "server/separation.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/path.h"
#include "policy/exposure.h"

enum { OWN_GROUPS_MAX = 1024, NAMED_MAX = 3, LIST_BYTES = 260, WHY_BYTES = 320, SHOWN_BYTES = 100 };

/* A kind of commands: same user and groups, and all fenced or none. */
struct kind {
    struct exposure_who who;
    const char *user; /* NULL: the server's own */
    bool fenced;      /* if there is a fence */
    const char *rule; /* the first one; NULL: there are no rules */
    size_t rules;
};

struct kinds {
    struct kind at[SEPARATION_KINDS_MAX];
    size_t count;
    gid_t own_groups[OWN_GROUPS_MAX];
    size_t own_group_count;
};

/* ---- whom commands run as -------------------------------------------------------------------- */

bool separation_fences(const struct rule *rule)
{
    return rule == NULL || (!rule_switches(rule) && rule->wrapper.count == 0 && !rule->unconfined);
}

static bool same_who(const struct exposure_who *a, const struct exposure_who *b)
{
    return a->uid == b->uid && a->gid == b->gid && a->group_count == b->group_count &&
           (a->group_count == 0 ||
            memcmp(a->groups, b->groups, a->group_count * sizeof *a->groups) == 0);
}

static void add_kind(struct kinds *kinds, const struct rule *rule)
{
    const bool switches = rule != NULL && rule->user.name != NULL;
    struct kind kind = {
        .who = {.uid = geteuid(),
                .gid = getegid(),
                .groups = kinds->own_groups,
                .group_count = kinds->own_group_count},
        .fenced = separation_fences(rule),
        .rule = rule != NULL ? rule->name : NULL,
        .rules = 1,
    };
    if (switches) {
        kind.user = rule->user.name;
        kind.who = (struct exposure_who){.uid = rule->user.uid,
                                         .gid = rule->user.gid,
                                         .groups = rule->user.groups,
                                         .group_count = rule->user.group_count};
    }
    if (rule != NULL && rule->group_set)
        kind.who.gid = rule->group;
    for (size_t i = 0; i < kinds->count; i++) {
        struct kind *known = &kinds->at[i];
        if (same_who(&known->who, &kind.who) && known->fenced == kind.fenced) {
            known->rules++;
            return;
        }
    }
    if (kinds->count < SEPARATION_KINDS_MAX)
        kinds->at[kinds->count++] = kind;
}

static void find_kinds(struct kinds *kinds, const struct config *config)
{
    kinds->count = 0;
    int groups = getgroups(OWN_GROUPS_MAX, kinds->own_groups);
    kinds->own_group_count = groups > 0 ? (size_t)groups : 0;
    if (rules_count(config->rules) == 0)
        add_kind(kinds, rules_otherwise(config->rules));
    for (size_t i = 0; i < rules_count(config->rules); i++) {
        const struct rule *rule = rules_at(config->rules, i);
        /* A rule for files only is limited to its roots, if it lists any. */
        bool wide = (rule->may & POLICY_RUN) != 0 ||
                    ((rule->may & POLICY_FILES) != 0 && rule->roots.count == 0);
        /* A user other than root cannot leave another root directory (chroot). */
        if (wide && (rule->chroot == NULL || rule->user.uid == 0))
            add_kind(kinds, rule);
    }
}

/* ---- the fence ------------------------------------------------------------------------------- */

/* Folders that must stay usable for commands behind the fence. */
static enum afar_status find_needed(struct words *needed, const struct config *config,
                                    struct afar_error *err)
{
    char here[PATH_MAX] = "/";
    const char *paths[] = {getcwd(here, sizeof here), getenv("HOME"), getenv("TMPDIR"), "/tmp"};
    enum afar_status status = AFAR_OK;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0] && status == AFAR_OK; i++) {
        char real[PATH_MAX];
        if (paths[i] != NULL && realpath(paths[i], real) != NULL)
            status = words_add(needed, real, strlen(real), err);
    }
    for (size_t i = 0; i < rules_count(config->rules) && status == AFAR_OK; i++) {
        const struct rule *rule = rules_at(config->rules, i);
        char real[PATH_MAX];
        if (rule->cwd != NULL && separation_fences(rule) && realpath(rule->cwd, real) != NULL)
            status = words_add(needed, real, strlen(real), err);
    }
    return status;
}

/* Whether all folders on the way to this one are on read-only file systems. */
static bool has_fixed_way(const char *folder)
{
    char path[PATH_MAX];
    bool fixed = true;
    for (const char *slash = strchr(folder, '/'); slash != NULL && fixed;
         slash = strchr(slash + 1, '/')) {
        struct statvfs mount;
        size_t size = slash == folder ? 1 : (size_t)(slash - folder);
        memcpy(path, folder, size);
        path[size] = '\0';
        fixed = statvfs(path, &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0;
    }
    return fixed;
}

/* Sets `why` if a fence around this folder would take something from commands. */
static void judge(const char *folder, const struct words *needed, const struct config *config,
                  char why[WHY_BYTES])
{
    for (size_t i = 0; i < needed->count; i++) {
        if (path_is_within(needed->at[i], folder)) {
            (void)snprintf(why, WHY_BYTES,
                           "a fence around %.*s would close %.*s to them: put these files "
                           "into a folder of their own, in one that only root can write to",
                           SHOWN_BYTES, folder, SHOWN_BYTES, needed->at[i]);
            return;
        }
    }
    if (config->confine == CONFINE_AUTO &&
        (prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL) != 1 || !has_fixed_way(folder)))
        (void)snprintf(why, WHY_BYTES,
                       "confine = yes keeps them away; afard.conf(5) says at which cost");
}

static bool is_closed(const struct separation *separation, const char *folder)
{
    for (size_t i = 0; i < separation->closed.count; i++) {
        if (path_is_within(folder, separation->closed.at[i]))
            return true;
    }
    return false;
}

/* Finds the folders to fence (separation->closed); or why there can be no fence. */
static enum afar_status find_folders(struct separation *separation, const struct config *config,
                                     const struct exposure_who *who, char why[WHY_BYTES],
                                     struct afar_error *err)
{
    struct exposure exposure;
    struct words needed = {0};
    enum afar_status status = exposure_find(&exposure, config, who, err);
    if (status == AFAR_OK)
        status = find_needed(&needed, config, err);
    for (size_t i = 0; i < exposure.folders.count && status == AFAR_OK && why[0] == '\0'; i++) {
        char *folder = exposure.folders.at[i];
        exposure_climb(folder, who);
        judge(folder, &needed, config, why);
        if (why[0] == '\0' && !is_closed(separation, folder))
            status = words_add(&separation->closed, folder, strlen(folder), err);
    }
    exposure_close(&exposure);
    words_close(&needed);
    return status;
}

static const struct kind *find_own(const struct kinds *kinds)
{
    for (size_t i = 0; i < kinds->count; i++) {
        if (kinds->at[i].user == NULL && kinds->at[i].fenced)
            return &kinds->at[i];
    }
    return NULL;
}

/* `why` becomes "" if there is a fence, or none is needed. */
static enum afar_status make_fence(struct separation *separation, const struct config *config,
                                   const struct kinds *kinds, char why[WHY_BYTES],
                                   struct afar_error *err)
{
    /* If cgroups are delegated to this user, commands could leave the cgroup of their rule. */
    static char cgroups[] = "/sys/fs/cgroup";
    struct stat info;
    char *const readable[] = {cgroups, NULL};
    enum afar_status status = AFAR_OK;
    const struct kind *own = find_own(kinds);
    why[0] = '\0';
    if (own == NULL)
        return AFAR_OK;
    if (own->who.uid == 0)
        (void)snprintf(why, WHY_BYTES, "set user = NAME in [server] of afard.conf(5)");
    else if (config->confine == CONFINE_NO)
        (void)snprintf(why, WHY_BYTES, "confine = no is set");
    else if (fence_abi() < FENCE_ABI_MIN)
        (void)snprintf(
            why, WHY_BYTES,
            "Landlock (Linux 6.2 or later) could keep them away, but is not available here");
    else
        status = find_folders(separation, config, &own->who, why, err);
    if (status == AFAR_OK && why[0] == '\0' && separation->closed.count > 0) {
        status = fence_new(&separation->fence, separation->closed.at,
                           stat(cgroups, &info) == 0 ? readable : NULL, err);
        if (status == AFAR_ELIMIT || status == AFAR_ESYSTEM) {
            (void)snprintf(why, WHY_BYTES, "a fence could not be made: %.200s",
                           err != NULL ? err->message : "");
            status = AFAR_OK;
        }
    }
    if (separation->fence == NULL)
        words_close(&separation->closed);
    if (status == AFAR_OK && why[0] != '\0' && config->confine == CONFINE_YES)
        status = afar_fail(err, AFAR_EINVAL, "confine = yes is not possible: %s", why);
    return status;
}

/* ---- warnings -------------------------------------------------------------------------------- */

/* "a, b and 3 more" */
static void list(const struct words *words, char text[LIST_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < words->count && i < NAMED_MAX; i++)
        used += (size_t)snprintf(text + used, LIST_BYTES - used, "%s%.*s", i == 0 ? "" : ", ",
                                 LIST_BYTES / NAMED_MAX - 12, words->at[i]);
    if (words->count > NAMED_MAX)
        (void)snprintf(text + used, LIST_BYTES - used, " and %zu more", words->count - NAMED_MAX);
}

static void name_kind(const struct kind *kind, char text[LIST_BYTES])
{
    char whose[SHOWN_BYTES] = "";
    if (kind->rule != NULL && kind->rules == 1)
        (void)snprintf(whose, sizeof whose, " of rule '%.40s'", kind->rule);
    else if (kind->rule != NULL)
        (void)snprintf(whose, sizeof whose, " of rule '%.40s' and %zu more", kind->rule,
                       kind->rules - 1);
    if (kind->user != NULL)
        (void)snprintf(text, LIST_BYTES, "commands%s run as %.60s (uid %u), who", whose, kind->user,
                       (unsigned)kind->who.uid);
    else
        (void)snprintf(text, LIST_BYTES, "commands%s run as uid %u, as this server does, and",
                       whose, (unsigned)kind->who.uid);
}

/* What to do about a kind that can reach something. `why`: why there is no fence. */
static const char *advise(const struct kind *kind, const char *why)
{
    if (kind->user != NULL)
        return kind->who.uid == 0 ? "give them a user that is not root"
                                  : "let these files and their folders belong to root alone";
    if (kind->who.uid != 0 && why[0] == '\0')
        return "they are not behind the fence, because of wrapper or confine = no in the rule";
    return why;
}

static enum afar_status warn_of(struct separation *separation, const struct kind *kind,
                                const struct exposure *exposure, const char *why,
                                struct afar_error *err)
{
    char who[LIST_BYTES];
    char reads[LIST_BYTES];
    char changes[LIST_BYTES];
    char *text = NULL;
    const char *both = exposure->reads.count > 0 && exposure->changes.count > 0 ? ", and " : "";
    if (exposure->reads.count == 0 && exposure->changes.count == 0)
        return AFAR_OK;
    name_kind(kind, who);
    list(&exposure->reads, reads);
    list(&exposure->changes, changes);
    int size = asprintf(&text, "%s can %s%s%s%s%s: %s", who, reads[0] != '\0' ? "read " : "", reads,
                        both, changes[0] != '\0' ? "change " : "", changes, advise(kind, why));
    if (size < 0)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a warning");
    enum afar_status status = words_add(&separation->warnings, text, (size_t)size, err);
    free(text);
    return status;
}

enum afar_status separation_make(struct separation *separation, const struct config *config,
                                 struct afar_error *err)
{
    char why[WHY_BYTES];
    *separation = (struct separation){.fence = NULL};
    struct kinds *kinds = malloc(sizeof *kinds);
    if (kinds == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a fence");
    find_kinds(kinds, config);
    enum afar_status status = make_fence(separation, config, kinds, why, err);
    for (size_t i = 0; i < kinds->count && status == AFAR_OK; i++) {
        const struct kind *kind = &kinds->at[i];
        struct exposure exposure;
        if (kind->fenced && kind->user == NULL && separation->fence != NULL)
            continue;
        status = exposure_find(&exposure, config, &kind->who, err);
        if (status == AFAR_OK)
            status = warn_of(separation, kind, &exposure, why, err);
        exposure_close(&exposure);
    }
    free(kinds);
    return status;
}

void separation_close(struct separation *separation)
{
    fence_free(separation->fence);
    words_close(&separation->closed);
    words_close(&separation->warnings);
    separation->fence = NULL;
}
