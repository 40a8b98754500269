/* The attributes of a file as SFTP version 3 writes them (draft-ietf-secsh-filexfer-02 §5).
 *
 * Owns nothing; plain values; never blocks. */
#ifndef WIRE_SFTP_ATTRS_H
#define WIRE_SFTP_ATTRS_H

#include "wire/sftp.h"

#define SFTP_ATTR_EXTENDED UINT32_C(0x80000000) /* too large for an enum constant */

enum {
    SFTP_ATTR_SIZE = 0x01,
    SFTP_ATTR_OWNER = 0x02,
    SFTP_ATTR_MODE = 0x04,
    SFTP_ATTR_TIMES = 0x08,
    SFTP_ATTRS_MAX_BYTES = 96, /* as sftp_put_attrs writes them */
    SFTP_ATTR_PAIRS_MAX = 16   /* extended pairs accepted; more are an error */
};

struct sftp_attrs {
    uint32_t flags; /* which of the following are set: SFTP_ATTR_… without EXTENDED */
    uint64_t size;
    uint32_t uid;
    uint32_t gid;
    uint32_t mode; /* type and permissions, as in st_mode */
    uint32_t atime;
    uint32_t mtime;
    bool has_ns; /* both nanosecond fields are set: our own extension "ns" */
    uint32_t atime_ns;
    uint32_t mtime_ns;
    bool has_id; /* both of these are set: our own extension "id" */
    uint64_t device;
    uint64_t inode;
};

/* Skips unknown extended pairs. Sets the reader's `failed` if the attributes are malformed. */
void sftp_read_attrs(struct sftp_reader *reader, struct sftp_attrs *attrs);
void sftp_put_attrs(struct sftp_writer *writer, const struct sftp_attrs *attrs);

#endif
