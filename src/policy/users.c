#include "policy/users.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

enum { SHOWN_BYTES = 60, ENTRY_BYTES = 4096, ENTRY_MAX_BYTES = 1 << 20, GROUPS_MAX = 65536 };

/* (uid_t)-1 means "do not change" to setresuid(2). */
#define ID_MAX UINT64_C(4294967294)

/* ---- entries --------------------------------------------------------------------------------- */

/* An entry and the memory that its strings lie in. */
struct entry {
    struct passwd user;
    struct group group;
    char *space; /* owned */
};

/* Looks an entry up, with `size` bytes of entry->space. *found: whether there is such an entry.
 * Returns 0 or an errno. */
typedef int look_up(struct entry *entry, const char *name, size_t size, bool *found);

static int look_up_user(struct entry *entry, const char *name, size_t size, bool *found)
{
    struct passwd *result = NULL;
    int failed = getpwnam_r(name, &entry->user, entry->space, size, &result);
    *found = result != NULL;
    return failed;
}

static int look_up_group(struct entry *entry, const char *name, size_t size, bool *found)
{
    struct group *result = NULL;
    /* clang's analyser reports a leak of the space here; the caller frees it. */
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
    int failed = getgrnam_r(name, &entry->group, entry->space, size, &result);
    *found = result != NULL;
    return failed;
}

static int look_up_number(struct entry *entry, const char *name, size_t size, bool *found)
{
    struct passwd *result = NULL;
    uint64_t uid = 0;
    (void)number_parse(name, 0, ID_MAX, &uid, NULL);
    int failed = getpwuid_r((uid_t)uid, &entry->user, entry->space, size, &result);
    *found = result != NULL;
    return failed;
}

/* Looks an entry up, with as much space as it needs. The caller frees entry->space, also on
 * failure. */
static enum afar_status find(struct entry *entry, look_up *look, const char *what, const char *name,
                             bool *found, struct afar_error *err)
{
    int failed = ERANGE;
    *found = false;
    for (size_t size = ENTRY_BYTES; failed == ERANGE && size <= ENTRY_MAX_BYTES; size *= 4) {
        char *longer = realloc(entry->space, size);
        if (longer == NULL)
            return afar_fail(err, AFAR_ENOMEM, "out of memory for a %s", what);
        entry->space = longer;
        do
            failed = look(entry, name, size, found);
        while (failed == EINTR);
    }
    /* These errors also mean "not found" (getpwnam_r(3), NOTES). */
    if (failed == ENOENT || failed == ESRCH || failed == EBADF || failed == EPERM)
        failed = 0;
    if (failed != 0)
        return afar_fail_errno(err, failed, "cannot look up the %s '%.*s'", what, SHOWN_BYTES,
                               name);
    return AFAR_OK;
}

static enum afar_status fail_unknown(const char *what, const char *name, struct afar_error *err)
{
    return afar_fail(err, AFAR_EINVAL, "there is no %s '%.*s' here", what, SHOWN_BYTES, name);
}

static bool is_number(const char *name, uint64_t *number)
{
    return number_parse(name, 0, ID_MAX, number, NULL) == AFAR_OK;
}

/* ---- users ----------------------------------------------------------------------------------- */

static enum afar_status take_groups(struct user *user, const char *name, struct afar_error *err)
{
    int count = 0;
    (void)getgrouplist(name, user->gid, NULL, &count);
    /* A group may be added between the two calls. */
    for (int room = count + 1; room <= GROUPS_MAX; room = count + 1) {
        gid_t *longer = realloc(user->groups, (size_t)room * sizeof *longer);
        if (longer == NULL)
            return afar_fail(err, AFAR_ENOMEM, "out of memory for groups");
        user->groups = longer;
        count = room;
        if (getgrouplist(name, user->gid, user->groups, &count) >= 0) {
            user->group_count = (size_t)count;
            return AFAR_OK;
        }
    }
    return afar_fail(err, AFAR_ELIMIT, "the user '%.*s' is in too many groups", SHOWN_BYTES, name);
}

static enum afar_status take_entry(struct user *user, const struct passwd *entry,
                                   struct afar_error *err)
{
    user->uid = entry->pw_uid;
    user->gid = entry->pw_gid;
    user->home = strdup(entry->pw_dir);
    user->shell = strdup(entry->pw_shell[0] != '\0' ? entry->pw_shell : "/bin/sh");
    if (user->home == NULL || user->shell == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a user");
    return take_groups(user, entry->pw_name, err);
}

enum afar_status users_find(struct user *user, const char *name, struct afar_error *err)
{
    struct entry entry = {.space = NULL};
    uint64_t number = 0;
    bool found = false;
    bool numeric = is_number(name, &number);
    *user = (struct user){.name = strdup(name)};
    enum afar_status status =
        user->name == NULL
            ? afar_fail(err, AFAR_ENOMEM, "out of memory for a user")
            : find(&entry, numeric ? look_up_number : look_up_user, "user", name, &found, err);
    if (status == AFAR_OK && found) {
        status = take_entry(user, &entry.user, err);
    } else if (status == AFAR_OK && numeric) {
        user->uid = (uid_t)number;
        user->gid = (gid_t)number;
    } else if (status == AFAR_OK) {
        status = fail_unknown("user", name, err);
    }
    free(entry.space);
    if (status != AFAR_OK)
        user_close(user);
    return status;
}

void user_close(struct user *user)
{
    free(user->name);
    free(user->groups);
    free(user->home);
    free(user->shell);
    *user = (struct user){0};
}

static bool copy_text(char **to, const char *from)
{
    *to = from != NULL ? strdup(from) : NULL;
    return (*to != NULL) == (from != NULL);
}

enum afar_status user_copy(struct user *to, const struct user *from, struct afar_error *err)
{
    const size_t bytes = from->group_count * sizeof *from->groups;
    *to = (struct user){.uid = from->uid, .gid = from->gid};
    bool copied = copy_text(&to->name, from->name);
    copied = copy_text(&to->home, from->home) && copied;
    copied = copy_text(&to->shell, from->shell) && copied;
    if (bytes > 0) {
        to->groups = malloc(bytes);
        copied = to->groups != NULL && copied;
    }
    if (!copied) {
        user_close(to);
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a user");
    }
    if (bytes > 0)
        memcpy(to->groups, from->groups, bytes);
    to->group_count = from->group_count;
    return AFAR_OK;
}

enum afar_status users_find_id(const char *name, unsigned *uid, struct afar_error *err)
{
    struct entry entry = {.space = NULL};
    uint64_t number = 0;
    bool found = is_number(name, &number);
    enum afar_status status = AFAR_OK;
    if (!found) {
        status = find(&entry, look_up_user, "user", name, &found, err);
        if (status == AFAR_OK && !found)
            status = fail_unknown("user", name, err);
        number = found ? entry.user.pw_uid : 0;
    }
    free(entry.space);
    *uid = (unsigned)number;
    return status;
}

enum afar_status users_find_group_id(const char *name, unsigned *gid, struct afar_error *err)
{
    struct entry entry = {.space = NULL};
    uint64_t number = 0;
    bool found = is_number(name, &number);
    enum afar_status status = AFAR_OK;
    if (!found) {
        status = find(&entry, look_up_group, "group", name, &found, err);
        if (status == AFAR_OK && !found)
            status = fail_unknown("group", name, err);
        number = found ? entry.group.gr_gid : 0;
    }
    free(entry.space);
    *gid = (unsigned)number;
    return status;
}
