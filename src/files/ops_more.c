/* Absolute paths, home directories, limits, names of users. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/internal.h"

enum { IDS_MAX = 256 };

/* ---- paths ----------------------------------------------------------------------------------- */

/* Like realpath(3), but the last component need not exist: a client asks this before it creates a
 * file. Returns 0 or an errno. */
static int resolve(const char *path, char out[SFTP_PATH_MAX_BYTES])
{
    char parent[SFTP_PATH_MAX_BYTES];
    char resolved[PATH_MAX];
    if (!path_absolute(path, parent))
        return errno;
    /* First ask the kernel: the component before ".." may be a link. */
    if (realpath(path[0] == '\0' ? "." : path, resolved) != NULL) {
        (void)snprintf(out, SFTP_PATH_MAX_BYTES, "%s", resolved);
        return 0;
    }
    if (errno != ENOENT)
        return errno;
    char *slash = strrchr(parent, '/');
    char name[SFTP_PATH_MAX_BYTES];
    (void)snprintf(name, sizeof name, "%s", slash + 1);
    *slash = '\0';
    if (realpath(parent[0] == '\0' ? "/" : parent, resolved) == NULL)
        return errno;
    const char *between = strcmp(resolved, "/") == 0 ? "" : "/";
    int size = snprintf(out, SFTP_PATH_MAX_BYTES, "%s%s%s", resolved, between, name);
    return size < SFTP_PATH_MAX_BYTES ? 0 : ENAMETOOLONG;
}

/* Inside a fence only by the text: an answer must not reveal what is outside. */
static void answer_path(struct request *request, const char *path)
{
    char out[SFTP_PATH_MAX_BYTES];
    int failed = 0;
    if (request->files->root_count > 0)
        failed = path_absolute(path, out) ? 0 : errno;
    else
        failed = resolve(path, out);
    if (failed != 0)
        reply_errno(request, failed);
    else
        reply_name(request, out);
}

void op_realpath(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    if (path_read(request, path))
        answer_path(request, path);
}

/* The home directory of a user; "": the user of this process. Returns 0 or an errno. */
static int home_of(const struct files *files, const char *user, char out[SFTP_PATH_MAX_BYTES])
{
    if (user[0] == '\0') {
        (void)snprintf(out, SFTP_PATH_MAX_BYTES, "%s", files->home);
        return 0;
    }
    return users_home(files, user, out) ? 0 : ENOENT;
}

void op_home_directory(struct request *request)
{
    char user[SFTP_PATH_MAX_BYTES];
    char home[SFTP_PATH_MAX_BYTES];
    if (!path_read(request, user))
        return;
    int failed = home_of(request->files, user, home);
    if (failed != 0)
        reply_errno(request, failed);
    else
        reply_name(request, home);
}

void op_expand_path(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    char home[SFTP_PATH_MAX_BYTES];
    char whole[2 * SFTP_PATH_MAX_BYTES];
    if (!path_read(request, path))
        return;
    if (path[0] != '~') {
        answer_path(request, path);
        return;
    }
    size_t size = strcspn(path, "/");
    char user[SFTP_PATH_MAX_BYTES];
    memcpy(user, path + 1, size - 1);
    user[size - 1] = '\0';
    int failed = home_of(request->files, user, home);
    if (failed != 0) {
        reply_errno(request, failed);
        return;
    }
    int length = snprintf(whole, sizeof whole, "%s%s", home, path + size);
    if (length >= SFTP_PATH_MAX_BYTES)
        reply_errno(request, ENAMETOOLONG);
    else
        answer_path(request, whole);
}

/* ---- what we are ----------------------------------------------------------------------------- */

void op_limits(struct request *request)
{
    struct sftp_writer writer;
    sftp_begin(&writer, &request->files->out, FILES_STATUS_BYTES);
    sftp_put_u8(&writer, SFTP_TYPE_EXTENDED_REPLY);
    sftp_put_u32(&writer, request->id);
    sftp_put_u64(&writer, SFTP_PACKET_MAX_BYTES);
    sftp_put_u64(&writer, SFTP_DATA_MAX_BYTES);
    sftp_put_u64(&writer, SFTP_DATA_MAX_BYTES);
    sftp_put_u64(&writer, request->files->handles_max);
    if (sftp_end(&writer, NULL) != AFAR_OK)
        request->files->failed = true;
}

/* Reads numbers from a text and writes the text of their names. */
static void put_names(struct sftp_writer *writer, const struct files *files, struct sftp_text ids,
                      void (*find)(const struct files *, uint32_t, char[USERS_NAME_BYTES]))
{
    char name[USERS_NAME_BYTES];
    struct sftp_reader numbers;
    sftp_reader_init(&numbers, ids.bytes, ids.size);
    size_t mark = sftp_mark(writer);
    sftp_put_u32(writer, 0);
    while (sftp_reader_left(&numbers) >= 4) {
        find(files, sftp_read_u32(&numbers), name);
        sftp_put_word(writer, name);
    }
    sftp_patch_u32(writer, mark, (uint32_t)(sftp_mark(writer) - mark - 4));
}

void op_users_groups(struct request *request)
{
    struct sftp_writer writer;
    struct sftp_text users = sftp_read_text(&request->in);
    struct sftp_text groups = sftp_read_text(&request->in);
    if (request->in.failed || users.size > 4UL * IDS_MAX || groups.size > 4UL * IDS_MAX) {
        reply_bad(request);
        return;
    }
    sftp_begin(&writer, &request->files->out, 2UL * IDS_MAX * (4 + USERS_NAME_BYTES));
    sftp_put_u8(&writer, SFTP_TYPE_EXTENDED_REPLY);
    sftp_put_u32(&writer, request->id);
    put_names(&writer, request->files, users, users_user);
    put_names(&writer, request->files, groups, users_group);
    if (sftp_end(&writer, NULL) != AFAR_OK)
        request->files->failed = true;
}
