/* Shared by the files of this folder: a copy, its folders and its items (files and links).
 *
 * Each end of a copy is here or on a server. The functions of `struct source` and `struct target`
 * start an operation there; its result comes as a call of an item_… or folder_… function: before
 * the function returns if the end is here, usually later if it is on a server. `err` NULL:
 * success. */
#ifndef COPY_INTERNAL_H
#define COPY_INTERNAL_H

#include <dirent.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/list.h"
#include "base/partial.h"
#include "copy/copy.h"

enum {
    COPY_SMALL_BYTES = 65536,  /* up to this, a file is copied in one request */
    COPY_PIECE_BYTES = 131072, /* one read of a larger file */
    COPY_LARGE_MAX = 32,       /* larger files under way at the same time */
    COPY_RESUMED_BYTES = PARTIAL_RESUMED_BYTES,
    COPY_DEPTH_MAX = 128,
    COPY_FOLDERS_MAX = 512,        /* open folders, unless nothing else is left to do */
    COPY_LISTS_MAX = 32,           /* lists asked for at the same time */
    COPY_UNLISTED_MAX = 64,        /* folders that wait for their list */
    COPY_BATCH_BYTES = 4 << 20,    /* with so many bytes of lists stored, ask for no more */
    COPY_UNSIZED_BYTES = 64 << 20, /* limit for files whose size is 0, as in /proc */
    COPY_RANGES_MAX = 1024,
    COPY_NAME_MAX = 255,
    COPY_TAG_BYTES = PARTIAL_TAG_BYTES,
    COPY_HASH_BYTES = 32
};

struct source;
struct target;

/* One entry of a directory. */
struct entry {
    char name[COPY_NAME_MAX + 1];
    struct info info;
    const char *wrong; /* why it cannot be copied; NULL: it can */
};

enum next { NEXT_ENTRY, NEXT_WAIT, NEXT_END };

/* A directory of the source and its counterpart. A command-line source is relative to one without a
 * parent. */
struct folder {
    struct copy *copy;
    struct folder *parent; /* counted in its users */
    struct list link;      /* in one of copy's lists */
    const struct source *source;
    const struct target *target;
    struct requests *from; /* NULL: here */
    struct requests *to;
    char *source_path; /* "" without a parent */
    char *target_path;
    int source_fd; /* here: AT_FDCWD without a parent; -1: not open */
    int target_fd;
    DIR *reading; /* here */
    unsigned depth;
    unsigned users; /* the walk, items, folders and answers that need it */
    struct info info;
    bool made;    /* the target directory was made by this copy */
    bool fresh;   /* it was, or will be: so nothing of another copy is in it */
    bool waits;   /* its contents wait until the target directory is there */
    bool is_tree; /* inside a tree that is copied, not named by the command line */
    bool failed;  /* already reported */
    bool finishing;
    bool has_links;  /* it has links, which are made last */
    bool links_now;  /* the second walk, for links, has begun */
    uint64_t *known; /* sorted hashes of names that the target had; NULL: not read */
    size_t known_count;
    /* A server's list. */
    uint8_t *batch;
    struct sftp_reader batch_in;
    size_t batch_bytes;
    uint32_t batch_left;
    bool more;
    char after[COPY_NAME_MAX + 1];
};

enum item_state {
    ITEM_FINDING,   /* look at its type */
    ITEM_COMPARING, /* compare it with the target, for --update */
    ITEM_SMALL,     /* copy it in one request */
    ITEM_LINK,
    ITEM_OPENING,
    ITEM_BEGINNING, /* open the partial file */
    ITEM_PREFIX,    /* compare the partial file with the source's beginning */
    ITEM_MOVING,
    ITEM_CHECKING, /* check if the source has changed; get its hash */
    ITEM_COMMITTING
};

struct item {
    struct copy *copy;
    struct folder *folder; /* counted in its users */
    struct list link;      /* in copy->items */
    char *name;            /* in the source */
    char *target_name;
    struct info info;
    enum item_state state;
    unsigned under_way; /* operations without a result yet */
    bool large;
    bool followed; /* links were followed to find its type */
    bool counted;
    bool contents;    /* DIR/. */
    bool must_folder; /* DIR/ */
    bool taken;       /* by an earlier source */
    bool failed;
    bool changed;
    bool emptied; /* the target's old contents may be gone (in place) */
    bool again;   /* the second try, because the source had changed */
    struct afar_error err;
    int source_fd; /* here; -1: not open */
    int target_fd;
    bool target_is_new; /* here, in place: the file did not exist */
    bool source_open;   /* on a server */
    bool target_open;
    uint8_t source_handle[SFTP_HANDLE_BYTES];
    uint8_t target_handle[SFTP_HANDLE_BYTES];
    char *partial;        /* here: the partial file's name; NULL: none */
    bool unsized;         /* read to the end, whatever its size says */
    bool sparse;          /* here: it has holes */
    uint64_t begun_bytes; /* that the partial file had */
    uint64_t asked;       /* read or requested up to here */
    uint64_t moved;
    uint64_t resumed;
    uint64_t prefix_at; /* the prefix is hashed up to here */
    bool eof;
    bool rests;            /* let other items have a turn */
    struct digest *digest; /* of the first `digested` bytes */
    uint64_t digested;
    uint8_t hash[COPY_HASH_BYTES]; /* of the complete file, if has_hash */
    bool has_hash;
    uint8_t prefix[2][COPY_HASH_BYTES]; /* from the two ends */
    unsigned prefixes;
    uint8_t tag[COPY_TAG_BYTES];
    uint64_t (*ranges)[2]; /* parts with data; NULL: unknown */
    size_t range_count;
    bool ranges_more;
};

struct source {
    enum next (*next)(struct folder *folder, struct entry *entry);
    void (*list)(struct folder *folder);   /* after NEXT_WAIT; result: folder_listed */
    void (*rewind)(struct folder *folder); /* next starts from the beginning again */
    bool (*enter)(struct folder *folder, const char *name, struct afar_error *err);
    void (*find)(struct item *item, bool follow); /* item_found, with item->info */
    void (*get)(struct item *item);               /* item_got */
    void (*open)(struct item *item);              /* item_opened, with item->info */
    /* item_read or item_hole. False: nothing was begun; wait for earlier reads. */
    bool (*read)(struct item *item, uint64_t offset, size_t size);
    void (*hash)(struct item *item, uint64_t size); /* item_prefix */
    void (*check)(struct item *item);               /* item_checked: changed since it was opened? */
    void (*read_link)(struct item *item);
    void (*close)(struct item *item);
};

struct target {
    void (*make)(struct folder *folder, const char *name);            /* folder_made */
    void (*find)(struct item *item);                                  /* item_compared */
    void (*put)(struct item *item, const uint8_t *data, size_t size); /* item_committed */
    void (*begin)(struct item *item);                                 /* item_begun */
    void (*hash)(struct item *item, uint64_t size);                   /* item_prefix */
    void (*empty)(struct item *item);                                 /* item_written */
    void (*write)(struct item *item, uint64_t offset, const uint8_t *data, size_t size);
    void (*commit)(struct item *item);
    void (*put_link)(struct item *item, const char *text); /* item_committed */
    void (*finish)(struct folder *folder);                 /* folder_finished */
    void (*drop)(struct item *item, bool keep); /* closes it; `keep`: the partial file stays */
};

extern const struct source local_source, remote_source, stream_source;
extern const struct target local_target, remote_target, stream_target;

/* ---- copy.c ---------------------------------------------------------------------------------- */

void copy_tell(struct copy *copy, const struct copy_result *result);
/* Reports a name that is not copied; "": the folder itself. */
void copy_tell_wrong(struct folder *folder, const char *name, enum copy_outcome outcome,
                     const char *reason, const char *why);
bool copy_has_room(const struct copy *copy, const struct folder *folder);
void copy_pay(struct copy *copy, uint64_t bytes); /* for --limit */

/* Fills err with the errno's name as reason and its text; copy_error: with the given ones. Both
 * return err. */
const struct afar_error *copy_errno(struct afar_error *err, int number);
const struct afar_error *copy_error(struct afar_error *err, const char *reason, const char *text);
/* The target is no file: `kind` is such as "is a device". Returns err. */
const struct afar_error *copy_taken(struct afar_error *err, const char *kind);

/* Makes "folder/name". False: too long. */
bool copy_join(char out[SFTP_PATH_MAX_BYTES], const char *folder, const char *name);
/* Why it must not be used as a name in a directory; NULL: it may. */
const char *copy_name_wrong(const void *name, size_t size);

void info_of_stat(struct info *info, const struct stat *from);
void info_of_attrs(struct info *info, const struct sftp_attrs *from);
void info_to_attrs(const struct copy *copy, const struct info *info, struct sftp_attrs *attrs);

/* ---- remote.c -------------------------------------------------------------------------------- */

bool remote_is_expected(const struct requests_call *call, const struct requests_answer *answer);
const struct afar_error *remote_malformed(struct afar_error *err);
/* A `done` for requests whose answer does not matter. */
void remote_ignore(const struct requests_call *call, struct requests_answer *answer);
/* Asks for the SHA-256 of a file's first `size` (at least 1) bytes; and reads it from the answer,
 * NULL: see err. */
void remote_ask_hash(struct requests *requests, const uint8_t handle[SFTP_HANDLE_BYTES],
                     uint64_t size, const struct requests_call *call);
const uint8_t *remote_read_hash(const struct requests_call *call, struct requests_answer *answer,
                                struct afar_error *err);

/* ---- folder.c -------------------------------------------------------------------------------- */

struct folder *folder_new(struct copy *copy, struct folder *parent);
void folder_free(struct folder *folder);
void folder_release(struct folder *folder);
/* Begins the directory `name` of the source. `target_name` is its counterpart; "": the parent's own
 * target directory. */
void folder_begin(struct folder *parent, const char *name, const char *target_name,
                  const struct info *info);
/* How links in it are copied: --links, or its default. Never COPY_LINKS_DEFAULT. */
enum copy_links folder_links(const struct folder *folder);
/* One step of the walk. False: nothing can be begun now. */
bool folder_step(struct copy *copy);
void folder_ask_lists(struct copy *copy);
void folder_drop_starts(struct copy *copy);

void folder_listed(struct folder *folder, const struct afar_error *err);
void folder_made(struct folder *folder, bool made, const struct afar_error *err);
void folder_finished(struct folder *folder, const struct afar_error *err);

/* ---- item.c ---------------------------------------------------------------------------------- */

struct item *item_new(struct folder *folder, const char *name, const char *target_name);
/* Looks up the item's type; with `follow`, that of a link's target. */
void item_find(struct item *item, bool follow);
/* Begins to copy it: item->info is known. */
void item_begin(struct item *item);
/* Notes a failure; only the first one is reported. */
void item_fail(struct item *item, const struct afar_error *err);
/* Reports the outcome and frees the item. Not while an operation of it is under way. */
void item_end(struct item *item, enum copy_outcome outcome);

void item_found(struct item *item, const struct afar_error *err);
void item_compared(struct item *item, const struct info *there, const struct afar_error *err);
void item_got(struct item *item, const uint8_t *data, size_t size, bool eof,
              const struct afar_error *err);
void item_link_read(struct item *item, const char *text, const struct afar_error *err);
void item_committed(struct item *item, const struct afar_error *err);

/* ---- large.c --------------------------------------------------------------------------------- */

void large_start(struct item *item);
/* True: it can go on without waiting for an answer. */
bool large_step(struct item *item);
void large_stop(struct item *item);

void item_opened(struct item *item, const struct afar_error *err);
void item_begun(struct item *item, uint64_t size, const struct afar_error *err);
void item_prefix(struct item *item, const uint8_t *hash, const struct afar_error *err);
void item_read(struct item *item, uint64_t offset, const uint8_t *data, size_t size,
               const struct afar_error *err);
void item_hole(struct item *item, uint64_t size);
void item_written(struct item *item, const struct afar_error *err);
void item_checked(struct item *item, bool changed, const uint8_t *hash,
                  const struct afar_error *err);

#endif
