/* Answers. */
#include <errno.h>
#include <string.h>

#include "files/internal.h"

void reply_begin(struct sftp_writer *writer, const struct request *request, enum sftp_type type,
                 size_t most_bytes)
{
    sftp_begin(writer, &request->files->out, most_bytes);
    sftp_put_u8(writer, (uint8_t)type);
    sftp_put_u32(writer, request->id);
}

void reply_end(struct sftp_writer *writer, const struct request *request)
{
    if (sftp_end(writer, NULL) != AFAR_OK)
        request->files->failed = true;
}

void reply_status(const struct request *request, enum sftp_status status, const char *text)
{
    struct sftp_writer writer;
    reply_begin(&writer, request, SFTP_TYPE_STATUS, FILES_STATUS_BYTES);
    sftp_put_u32(&writer, status);
    sftp_put_word(&writer, text);
    sftp_put_word(&writer, ""); /* the language */
    reply_end(&writer, request);
}

static enum sftp_status status_of(int failed)
{
    switch (failed) {
    case ENOENT:
        return SFTP_STATUS_NO_SUCH_FILE;
    case EACCES:
    case EPERM:
    case EROFS:
    case EXDEV:
        return SFTP_STATUS_PERMISSION_DENIED;
    case ENOSYS:
        return SFTP_STATUS_OP_UNSUPPORTED;
    default:
        return SFTP_STATUS_FAILURE;
    }
}

void reply_errno(const struct request *request, int failed)
{
    char space[128];
    if (failed == 0) {
        reply_status(request, SFTP_STATUS_OK, "");
        return;
    }
    const char *text = strerror_r(failed, space, sizeof space);
    if (failed == EXDEV && request->files->root_count > 0)
        text = "outside of what the rule allows";
    if (failed == EFBIG && request->files->limited)
        text = "larger than its rule allows (files_max)";
    reply_status(request, status_of(failed), text);
}

void reply_bad(const struct request *request)
{
    reply_status(request, SFTP_STATUS_BAD_MESSAGE, "a malformed request");
}

void attrs_of(const struct files *files, const struct stat *info, struct sftp_attrs *attrs)
{
    *attrs = (struct sftp_attrs){
        .flags = SFTP_ATTR_SIZE | SFTP_ATTR_OWNER | SFTP_ATTR_MODE | SFTP_ATTR_TIMES,
        .size = (uint64_t)info->st_size,
        .uid = info->st_uid,
        .gid = info->st_gid,
        .mode = info->st_mode,
        .atime = (uint32_t)info->st_atim.tv_sec,
        .mtime = (uint32_t)info->st_mtim.tv_sec,
        .has_ns = files->extended,
        .atime_ns = (uint32_t)info->st_atim.tv_nsec,
        .mtime_ns = (uint32_t)info->st_mtim.tv_nsec,
        .has_id = files->extended && S_ISDIR(info->st_mode) && info->st_ino != 0,
        .device = info->st_dev,
        .inode = info->st_ino,
    };
}

void reply_attrs(const struct request *request, const struct stat *info)
{
    struct sftp_writer writer;
    struct sftp_attrs attrs;
    attrs_of(request->files, info, &attrs);
    attrs.has_id = request->files->extended && info->st_ino != 0;
    reply_begin(&writer, request, SFTP_TYPE_ATTRS, FILES_STATUS_BYTES);
    sftp_put_attrs(&writer, &attrs);
    reply_end(&writer, request);
}

void reply_name(const struct request *request, const char *name)
{
    static const struct sftp_attrs none = {0};
    struct sftp_writer writer;
    reply_begin(&writer, request, SFTP_TYPE_NAME, FILES_NAME_BYTES);
    sftp_put_u32(&writer, 1);
    sftp_put_word(&writer, name);
    sftp_put_word(&writer, name);
    sftp_put_attrs(&writer, &none);
    reply_end(&writer, request);
}

void reply_handle(const struct request *request, const struct handle *handle)
{
    struct sftp_writer writer;
    reply_begin(&writer, request, SFTP_TYPE_HANDLE, FILES_STATUS_BYTES);
    sftp_put_u32(&writer, SFTP_HANDLE_BYTES);
    sftp_put_u64(&writer, handle->key);
    reply_end(&writer, request);
}
