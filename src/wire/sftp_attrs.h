/* The attributes of a file as SFTP version 3 writes them (draft-ietf-secsh-filexfer-02 §5).
 *
 * Owns nothing; plain values; never blocks. */
#ifndef WIRE_SFTP_ATTRS_H
#define WIRE_SFTP_ATTRS_H

#include "wire/sftp.h"

#define SFTP_ATTR_EXTENDED UINT32_C(0x80000000) /* beyond what an enum constant may be */

enum {
    SFTP_ATTR_SIZE = 0x01,
    SFTP_ATTR_OWNER = 0x02,
    SFTP_ATTR_MODE = 0x04,
    SFTP_ATTR_TIMES = 0x08,
    SFTP_ATTRS_MAX_BYTES = 64, /* as sftp_put_attrs writes them */
    SFTP_ATTR_PAIRS_MAX = 16   /* extended pairs that are read; more are an error */
};

struct sftp_attrs {
    uint32_t flags; /* which of the following are there: SFTP_ATTR_… without EXTENDED */
    uint64_t size;
    uint32_t uid;
    uint32_t gid;
    uint32_t mode; /* type and permissions, as st_mode has them */
    uint32_t atime;
    uint32_t mtime;
    bool has_ns; /* the nanoseconds of both times are there: our own extension "ns" */
    uint32_t atime_ns;
    uint32_t mtime_ns;
};

/* Unknown extended pairs are skipped. The reader's `failed` says whether they were sound. */
void sftp_read_attrs(struct sftp_reader *reader, struct sftp_attrs *attrs);
void sftp_put_attrs(struct sftp_writer *writer, const struct sftp_attrs *attrs);

#endif
