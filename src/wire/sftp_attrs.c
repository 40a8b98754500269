#include "wire/sftp_attrs.h"

static const char ns_name[] = "ns";
static const char id_name[] = "id";

enum { NS_BYTES = 8, NS_MAX = 999999999, ID_BYTES = 16 };

static void read_id(struct sftp_reader *reader, struct sftp_attrs *attrs)
{
    attrs->device = sftp_read_u64(reader);
    attrs->inode = sftp_read_u64(reader);
    attrs->has_id = !reader->failed;
}

static void read_pair(struct sftp_reader *reader, struct sftp_attrs *attrs)
{
    struct sftp_text name = sftp_read_text(reader);
    struct sftp_text value = sftp_read_text(reader);
    struct sftp_reader inner;
    if (reader->failed)
        return;
    sftp_reader_init(&inner, value.bytes, value.size);
    if (sftp_text_is(&name, id_name)) {
        read_id(&inner, attrs);
        reader->failed = inner.failed;
    }
    if (!sftp_text_is(&name, ns_name))
        return;
    attrs->atime_ns = sftp_read_u32(&inner);
    attrs->mtime_ns = sftp_read_u32(&inner);
    attrs->has_ns = !inner.failed && attrs->atime_ns <= NS_MAX && attrs->mtime_ns <= NS_MAX;
    if (!attrs->has_ns)
        reader->failed = true;
}

void sftp_read_attrs(struct sftp_reader *reader, struct sftp_attrs *attrs)
{
    *attrs = (struct sftp_attrs){0};
    uint32_t flags = sftp_read_u32(reader);
    attrs->flags = flags & (SFTP_ATTR_SIZE | SFTP_ATTR_OWNER | SFTP_ATTR_MODE | SFTP_ATTR_TIMES);
    if ((flags & SFTP_ATTR_SIZE) != 0)
        attrs->size = sftp_read_u64(reader);
    if ((flags & SFTP_ATTR_OWNER) != 0) {
        attrs->uid = sftp_read_u32(reader);
        attrs->gid = sftp_read_u32(reader);
    }
    if ((flags & SFTP_ATTR_MODE) != 0)
        attrs->mode = sftp_read_u32(reader);
    if ((flags & SFTP_ATTR_TIMES) != 0) {
        attrs->atime = sftp_read_u32(reader);
        attrs->mtime = sftp_read_u32(reader);
    }
    if ((flags & SFTP_ATTR_EXTENDED) == 0)
        return;
    uint32_t pairs = sftp_read_u32(reader);
    if (pairs > SFTP_ATTR_PAIRS_MAX)
        reader->failed = true;
    for (uint32_t i = 0; i < pairs && !reader->failed; i++)
        read_pair(reader, attrs);
}

void sftp_put_attrs(struct sftp_writer *writer, const struct sftp_attrs *attrs)
{
    const uint32_t pairs = (attrs->has_ns ? 1U : 0U) + (attrs->has_id ? 1U : 0U);
    sftp_put_u32(writer, attrs->flags | (pairs > 0 ? SFTP_ATTR_EXTENDED : 0));
    if ((attrs->flags & SFTP_ATTR_SIZE) != 0)
        sftp_put_u64(writer, attrs->size);
    if ((attrs->flags & SFTP_ATTR_OWNER) != 0) {
        sftp_put_u32(writer, attrs->uid);
        sftp_put_u32(writer, attrs->gid);
    }
    if ((attrs->flags & SFTP_ATTR_MODE) != 0)
        sftp_put_u32(writer, attrs->mode);
    if ((attrs->flags & SFTP_ATTR_TIMES) != 0) {
        sftp_put_u32(writer, attrs->atime);
        sftp_put_u32(writer, attrs->mtime);
    }
    if (pairs > 0)
        sftp_put_u32(writer, pairs);
    if (attrs->has_ns) {
        sftp_put_word(writer, ns_name);
        sftp_put_u32(writer, NS_BYTES);
        sftp_put_u32(writer, attrs->atime_ns);
        sftp_put_u32(writer, attrs->mtime_ns);
    }
    if (attrs->has_id) {
        sftp_put_word(writer, id_name);
        sftp_put_u32(writer, ID_BYTES);
        sftp_put_u64(writer, attrs->device);
        sftp_put_u64(writer, attrs->inode);
    }
}
