/* For both ends: names, attributes, errors. */
#include <stdio.h>
#include <string.h>

#include "copy/internal.h"

const struct afar_error *copy_error(struct afar_error *err, const char *reason, const char *text)
{
    (void)afar_fail(err, AFAR_ESYSTEM, "%s", text);
    (void)snprintf(err->reason, sizeof err->reason, "%s", reason);
    return err;
}

const struct afar_error *copy_taken(struct afar_error *err, const char *kind)
{
    char text[128];
    (void)snprintf(text, sizeof text, "the target %s; nothing was written", kind);
    return copy_error(err, "EINVAL", text);
}

const struct afar_error *copy_errno(struct afar_error *err, int number)
{
    const char *name = strerrorname_np(number);
    const char *text = strerrordesc_np(number);
    return copy_error(err, name != NULL ? name : "EIO", text != NULL ? text : "unknown error");
}

bool copy_join(char out[SFTP_PATH_MAX_BYTES], const char *folder, const char *name)
{
    size_t size = strlen(folder);
    const char *between = size == 0 || name[0] == '\0' || folder[size - 1] == '/' ? "" : "/";
    int used = snprintf(out, SFTP_PATH_MAX_BYTES, "%s%s%s", folder, between, name);
    return used >= 0 && used < SFTP_PATH_MAX_BYTES;
}

const char *copy_name_wrong(const void *name, size_t size)
{
    const char *bytes = name;
    if (size == 0)
        return "the server told a name of no bytes";
    if (size > COPY_NAME_MAX)
        return "the server told a name of more than 255 bytes";
    if (memchr(bytes, '\0', size) != NULL || memchr(bytes, '/', size) != NULL)
        return "the server told a name with '/' or NUL in it";
    if (bytes[0] == '.' && (size == 1 || (size == 2 && bytes[1] == '.')))
        return "the server told '.' or '..' as a name";
    return NULL;
}

void info_of_stat(struct info *info, const struct stat *from)
{
    *info = (struct info){
        .mode = from->st_mode,
        .size = (uint64_t)from->st_size,
        .uid = from->st_uid,
        .gid = from->st_gid,
        .atime = (uint32_t)from->st_atim.tv_sec,
        .mtime = (uint32_t)from->st_mtim.tv_sec,
        .atime_ns = (uint32_t)from->st_atim.tv_nsec,
        .mtime_ns = (uint32_t)from->st_mtim.tv_nsec,
        .device = from->st_dev,
        .inode = from->st_ino,
        .changed = (uint64_t)from->st_ctim.tv_sec * 1000000000 + (uint64_t)from->st_ctim.tv_nsec,
    };
}

void info_of_attrs(struct info *info, const struct sftp_attrs *from)
{
    *info = (struct info){.mode = from->mode,
                          .size = from->size,
                          .uid = from->uid,
                          .gid = from->gid,
                          .atime = from->atime,
                          .mtime = from->mtime,
                          .atime_ns = from->has_ns ? from->atime_ns : 0,
                          .mtime_ns = from->has_ns ? from->mtime_ns : 0,
                          .device = from->device,
                          .inode = from->has_id ? from->inode : 0};
}

void info_to_attrs(const struct copy *copy, const struct info *info, struct sftp_attrs *attrs)
{
    *attrs = (struct sftp_attrs){.flags = SFTP_ATTR_MODE | SFTP_ATTR_TIMES,
                                 .mode = info->mode & 0777,
                                 .atime = info->atime,
                                 .mtime = info->mtime,
                                 .has_ns = true,
                                 .atime_ns = info->atime_ns,
                                 .mtime_ns = info->mtime_ns};
    if (copy->options.owner) {
        attrs->flags |= SFTP_ATTR_OWNER;
        attrs->uid = info->uid;
        attrs->gid = info->gid;
    }
}
