/* Copies files and trees between this machine and servers over SFTP sessions. The caller moves the
 * sessions' bytes.
 *
 *     copy_init ─ copy_add … ─ loop { copy_step; move bytes: requests.out, requests_take } ─
 *     copy_done ─ copy_close
 *
 * Owns:    descriptors, partial files and memory of what is under way.
 * Threads: one owner.
 * Blocks:  on the local file system only.
 * Limits:  memory does not grow with the size of files or trees: see the enum in internal.h. */
#ifndef COPY_COPY_H
#define COPY_COPY_H

#include "base/list.h"
#include "copy/requests.h"

enum copy_links {
    COPY_LINKS_DEFAULT,
    COPY_LINKS_SAFE,
    COPY_LINKS_ALL,
    COPY_LINKS_FOLLOW,
    COPY_LINKS_SKIP
};

struct copy_options {
    bool recursive;
    bool update;
    enum copy_links links;
    bool owner;
    bool in_place;
    bool fsync;
    bool no_verify;
    bool no_resume;
    uint64_t limit; /* bytes a second; 0: none */
};

/* A file's attributes, here or on a server. */
struct info {
    uint32_t mode; /* as in st_mode */
    uint64_t size;
    uint32_t uid;
    uint32_t gid;
    uint32_t atime;
    uint32_t mtime;
    uint32_t atime_ns;
    uint32_t mtime_ns;
    uint64_t changed; /* ctime in nanoseconds; 0: on a server */
    uint64_t device;  /* this and the next say which directory it is; inode 0: not known */
    uint64_t inode;
};

enum copy_outcome { COPY_COPIED, COPY_UNCHANGED, COPY_SKIPPED, COPY_FAILED };

struct copy_result {
    enum copy_outcome outcome;
    const char *source; /* paths, without the host */
    const char *target;
    const struct requests *from; /* NULL: here */
    const struct requests *to;
    bool is_folder;  /* only set for a failure */
    bool is_damaged; /* in place: what the target held is lost */
    uint64_t size;
    uint64_t resumed_from;
    uint32_t mode;
    const uint8_t *hash;          /* 32 bytes; NULL: not known */
    const struct afar_error *err; /* if failed or skipped; reason: ENOSPC, … */
};

/* Totals so far. */
struct copy_counts {
    uint64_t known; /* files found */
    uint64_t outcomes[COPY_FAILED + 1];
    uint64_t bytes; /* moved */
    bool walked;    /* all files are found */
};

struct folder;
struct copy_start;

struct copy {
    struct copy_options options;
    void (*on_result)(void *user, const struct copy_result *result);
    /* Takes output for a target "-" and returns how much it took; the rest waits for copy_flush. */
    size_t (*on_output)(void *user, const void *data, size_t size);
    void *user;
    struct copy_counts counts;
    /* ---- */
    struct list items;         /* under way */
    struct list walking;       /* folders whose names are known; the last one is next */
    struct list unlisted;      /* folders that wait for a list; the last one is next */
    struct copy_start *starts; /* command-line sources not begun yet */
    struct copy_start **starts_end;
    size_t folders;
    size_t lists;
    size_t batch_bytes;
    size_t large;
    bool stopped;
    int64_t budget; /* for --limit: bytes that may be moved now; below 0: a debt */
    int64_t budget_ms;
    struct item *reader; /* waits for standard input; NULL: none */
    struct item *writer;
    struct buffer output;
};

void copy_init(struct copy *copy, const struct copy_options *options);
void copy_close(struct copy *copy);

/* One SOURCE of the command line. `from`, `to`: sessions; NULL: that end is here. `target` is the
 * directory and `target_name` the name in it ("": the contents go into the directory itself). With
 * source_stream or target_stream that end is standard input or output. Strings are copied.
 * AFAR_ENOMEM; AFAR_ESYSTEM: the local directory cannot be opened. */
struct copy_route {
    struct requests *from;
    const char *source;
    bool source_stream;
    struct requests *to;
    const char *target;
    const char *target_name;
    bool target_stream;
    bool contents; /* copy only what is in the directory (DIR/.) */
    bool folder;   /* it must be a directory, perhaps by a link (DIR/) */
    bool taken;    /* an earlier route has this name: only a directory may be put there too */
};
enum afar_status copy_add(struct copy *copy, const struct copy_route *route,
                          struct afar_error *err);

/* Does what can be done now. True: more can be done without waiting. */
bool copy_step(struct copy *copy);
bool copy_done(const struct copy *copy);
/* How long to wait before the next step because of --limit, in milliseconds; -1: no limit. */
int copy_timeout_ms(const struct copy *copy);

/* True if standard input is to be read. Pass what was read to copy_input: size 0 is the end;
 * `failed` is an errno or 0. */
bool copy_wants_input(const struct copy *copy);
void copy_input(struct copy *copy, const void *data, size_t size, int failed);
/* Offers waiting output to on_output again. True: none is left. */
bool copy_flush(struct copy *copy);

/* Begins nothing more and gives up what is under way; partial files that can be resumed stay. Then
 * copy_step until copy_done. */
void copy_stop(struct copy *copy);

/* The file that is being copied, for a progress line. False: none. */
struct copy_view {
    char name[256];
    uint64_t size;
    uint64_t moved;
    bool unsized;
};
bool copy_look(const struct copy *copy, struct copy_view *view);

#endif
