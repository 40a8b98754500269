/* Copies files and trees between this machine and servers, over SFTP sessions that the caller
 * moves the bytes of.
 *
 *     copy_new ─ copy_add_source … ─ loop { copy_step; move bytes: requests_out … requests_take } ─
 *     copy_done ─ copy_free
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

/* What a file is, wherever it is. */
struct info {
    uint32_t mode; /* as st_mode has it */
    uint64_t size;
    uint32_t uid;
    uint32_t gid;
    uint32_t atime;
    uint32_t mtime;
    uint32_t atime_ns;
    uint32_t mtime_ns;
    uint64_t changed; /* here: ctime, in nanoseconds */
};

enum copy_outcome { COPY_COPIED, COPY_UNCHANGED, COPY_SKIPPED, COPY_FAILED };

struct copy_result {
    enum copy_outcome outcome;
    const char *source; /* paths, without the host */
    const char *target;
    const struct requests *from; /* NULL: here */
    const struct requests *to;
    bool is_folder; /* only where it failed */
    uint64_t size;
    uint64_t resumed_from;
    uint32_t mode;
    const uint8_t *hash;          /* 32 bytes; NULL: not known */
    const struct afar_error *err; /* of one that failed or was skipped; reason: ENOSPC, … */
};

/* What has happened so far. */
struct copy_counts {
    uint64_t known; /* files that were found */
    uint64_t outcomes[COPY_FAILED + 1];
    uint64_t bytes; /* moved */
    bool walked;    /* all are found */
};

struct folder;
struct copy_start;

struct copy {
    struct copy_options options;
    void (*on_result)(void *user, const struct copy_result *result);
    /* Takes output for a target "-" and returns how much; fewer than size: later. */
    size_t (*on_output)(void *user, const void *data, size_t size);
    void *user;
    struct copy_counts counts;
    /* ---- */
    struct list items;         /* under way */
    struct list walking;       /* folders with names in hand; the last one is the next */
    struct list unlisted;      /* folders whose list was not asked for; likewise */
    struct copy_start *starts; /* sources of the command line that were not begun */
    struct copy_start **starts_end;
    size_t folders;
    size_t lists;
    size_t batch_bytes;
    size_t large;
    bool stopped;
    int64_t budget; /* of --limit: bytes that may be moved now */
    int64_t budget_ms;
    struct item *reader; /* of standard input */
    struct item *writer; /* to standard output */
    struct buffer output;
};

void copy_init(struct copy *copy, const struct copy_options *options);
void copy_close(struct copy *copy);

/* One SOURCE. `from`, `to`: sessions, NULL where the end is here. `target` is the directory,
 * `target_name` what it is called there ("": the contents go into the directory itself). "-" as
 * path with `stream`: standard input or output. AFAR_ENOMEM, AFAR_ESYSTEM (the local directory). */
struct copy_route {
    struct requests *from;
    const char *source;
    bool source_stream;
    struct requests *to;
    const char *target;
    const char *target_name;
    bool target_stream;
    bool contents; /* only what is in the directory */
};
enum afar_status copy_add(struct copy *copy, const struct copy_route *route,
                          struct afar_error *err);

/* Does what can be done now. True: there is more that waits for nothing. */
bool copy_step(struct copy *copy);
bool copy_done(const struct copy *copy);
/* How long to wait at most before the next step, for --limit; -1: for bytes only. */
int copy_timeout_ms(const struct copy *copy);

/* Whether standard input is to be read; then this gives what was read, size 0: its end. */
bool copy_wants_input(const struct copy *copy);
void copy_input(struct copy *copy, const void *data, size_t size, int failed);
/* What waits for standard output: offers it again. True: nothing waits. */
bool copy_flush(struct copy *copy);

/* Begins nothing more and gives up what is under way; partial files that can be gone on with stay.
 * copy_step until copy_done. */
void copy_stop(struct copy *copy);

/* The file that is moved now, for progress. False: none is. */
struct copy_view {
    char name[256];
    uint64_t size;
    uint64_t moved;
    bool unsized;
};
bool copy_look(const struct copy *copy, struct copy_view *view);

#endif
