/* Names of users and groups. In another root directory they are read only from its own files: libc
 * would load a library from there to look up a name, and a client that may write there could run
 * its code in this process, which enforces the rule. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "files/internal.h"

enum { ENTRY_BYTES = 16384 };

/* The first entry of /etc/passwd with this number, or with this name. False: there is none. */
static bool find_in_file(uint32_t uid, const char *name, struct passwd *entry, char *space)
{
    struct passwd *found = NULL;
    FILE *file = fopen("/etc/passwd", "re");
    if (file == NULL)
        return false;
    while (fgetpwent_r(file, entry, space, ENTRY_BYTES, &found) == 0) {
        if (name != NULL ? strcmp(found->pw_name, name) == 0 : found->pw_uid == uid)
            break;
        found = NULL;
    }
    (void)fclose(file);
    return found != NULL;
}

static bool find_group_in_file(uint32_t gid, struct group *entry, char *space)
{
    struct group *found = NULL;
    FILE *file = fopen("/etc/group", "re");
    if (file == NULL)
        return false;
    while (fgetgrent_r(file, entry, space, ENTRY_BYTES, &found) == 0) {
        if (found->gr_gid == gid)
            break;
        found = NULL;
    }
    (void)fclose(file);
    return found != NULL;
}

/* False also if the text does not fit. */
static bool copy(char *out, size_t size, const char *text)
{
    int length = snprintf(out, size, "%s", text);
    if (length >= 0 && (size_t)length < size)
        return true;
    out[0] = '\0';
    return false;
}

void users_user(const struct files *files, uint32_t uid, char name[USERS_NAME_BYTES])
{
    char space[ENTRY_BYTES];
    struct passwd entry;
    struct passwd *found = NULL;
    bool known = files->own_root
                     ? find_in_file(uid, NULL, &entry, space)
                     : getpwuid_r(uid, &entry, space, sizeof space, &found) == 0 && found != NULL;
    (void)copy(name, USERS_NAME_BYTES, known ? entry.pw_name : "");
}

void users_group(const struct files *files, uint32_t gid, char name[USERS_NAME_BYTES])
{
    char space[ENTRY_BYTES];
    struct group entry;
    struct group *found = NULL;
    bool known = files->own_root
                     ? find_group_in_file(gid, &entry, space)
                     : getgrgid_r(gid, &entry, space, sizeof space, &found) == 0 && found != NULL;
    (void)copy(name, USERS_NAME_BYTES, known ? entry.gr_name : "");
}

bool users_home(const struct files *files, const char *user, char home[SFTP_PATH_MAX_BYTES])
{
    char space[ENTRY_BYTES];
    struct passwd entry;
    struct passwd *found = NULL;
    bool known = files->own_root
                     ? find_in_file(0, user, &entry, space)
                     : getpwnam_r(user, &entry, space, sizeof space, &found) == 0 && found != NULL;
    return known && copy(home, SFTP_PATH_MAX_BYTES, entry.pw_dir);
}
