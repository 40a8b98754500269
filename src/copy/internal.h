/* What the files of this folder share: a copy, its folders and its items (files and links).
 *
 * Each end of a copy is here or on a server. What is done there is asked for by the functions of
 * `struct source` and `struct target`, and answered by calls of item_… and folder_…, at once where
 * the end is here, later where it is on a server. `err` is NULL where it went well. */
#ifndef COPY_INTERNAL_H
#define COPY_INTERNAL_H

#include <dirent.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/list.h"
#include "copy/copy.h"

enum {
    COPY_SMALL_BYTES = 65536,     /* copied in one request */
    COPY_PIECE_BYTES = 131072,    /* of a larger file */
    COPY_LARGE_MAX = 32,          /* larger files under way at once */
    COPY_RESUMED_BYTES = 1 << 20, /* only larger files leave partial ones to go on with */
    COPY_DEPTH_MAX = 128,
    COPY_FOLDERS_MAX = 512,        /* known and not done, unless nothing else is left to do */
    COPY_LISTS_MAX = 32,           /* asked for at once */
    COPY_UNLISTED_MAX = 64,        /* folders that wait for that */
    COPY_BATCH_BYTES = 4 << 20,    /* with so much of lists in hand no more is asked for */
    COPY_UNSIZED_BYTES = 64 << 20, /* as much is read of a file of size 0, as those of /proc */
    COPY_RANGES_MAX = 1024,
    COPY_NAME_MAX = 255,
    COPY_TAG_BYTES = 8,
    COPY_HASH_BYTES = 32
};

struct source;
struct target;

/* What a list says of a name. */
struct entry {
    char name[COPY_NAME_MAX + 1];
    struct info info;
    const char *wrong; /* why it cannot be copied; NULL */
};

enum next { NEXT_ENTRY, NEXT_WAIT, NEXT_END };

/* A directory of the source and its counterpart. The first one, without a parent, is what the names
 * of the command line are relative to. */
struct folder {
    struct copy *copy;
    struct folder *parent; /* held: users */
    struct list link;      /* in one of copy's lists */
    const struct source *source;
    const struct target *target;
    struct requests *from; /* NULL: here */
    struct requests *to;
    char *source_path; /* as text; "" of the first one */
    char *target_path;
    int source_fd; /* here: AT_FDCWD of the first one; -1: not open */
    int target_fd;
    DIR *reading; /* here */
    unsigned depth;
    unsigned users; /* items, folders and answers that need it */
    struct info info;
    bool made;    /* it was not there before */
    bool is_tree; /* it is in a tree that is copied, and not the command line's */
    bool failed;  /* what could not be begun; told already */
    bool finishing;
    bool has_links;  /* which are made last, … */
    bool links_now;  /* … and that is now */
    uint64_t *known; /* hashes of the names that the target had, in order; NULL: it was made */
    size_t known_count;
    /* The list of a server. */
    uint8_t *batch;
    struct sftp_reader batch_in;
    size_t batch_bytes;
    uint32_t batch_left;
    bool more;
    char after[COPY_NAME_MAX + 1];
};

enum item_state {
    ITEM_FINDING,   /* what it is */
    ITEM_COMPARING, /* with the target, for --update */
    ITEM_SMALL,     /* in one request */
    ITEM_LINK,
    ITEM_OPENING,
    ITEM_BEGINNING, /* the partial file */
    ITEM_PREFIX,    /* is what is there the beginning of this file? */
    ITEM_MOVING,
    ITEM_CHECKING, /* whether the source has changed meanwhile, and its hash */
    ITEM_COMMITTING
};

struct item {
    struct copy *copy;
    struct folder *folder; /* held */
    struct list link;      /* in copy->items */
    char *name;            /* at the source */
    char *target_name;
    struct info info;
    enum item_state state;
    unsigned under_way; /* calls that were not answered */
    bool large;
    bool followed; /* a link was, to find out what it is */
    bool counted;
    bool contents; /* DIR/. */
    bool failed;
    bool changed;
    bool emptied; /* in place: what was there is no more */
    bool again;   /* it was begun anew because the source had changed */
    struct afar_error err;
    int source_fd; /* here; -1 */
    int target_fd;
    bool source_open; /* on a server */
    bool target_open;
    uint8_t source_handle[SFTP_HANDLE_BYTES];
    uint8_t target_handle[SFTP_HANDLE_BYTES];
    char *partial;        /* here: its name beside target_name; NULL: none */
    bool unsized;         /* to be read to its end, whatever its size is */
    bool sparse;          /* here: it has holes */
    uint64_t begun_bytes; /* that the partial file had */
    uint64_t asked;       /* read or asked for up to here */
    uint64_t moved;
    uint64_t resumed;
    uint64_t prefix_at; /* hashed up to here */
    bool eof;
    bool rests;            /* others have their turn now */
    struct digest *digest; /* of the first `digested` bytes */
    uint64_t digested;
    uint8_t hash[COPY_HASH_BYTES]; /* of all, once has_hash */
    bool has_hash;
    uint8_t prefix[2][COPY_HASH_BYTES]; /* as the two ends, or one and we, have it */
    unsigned prefixes;
    uint8_t tag[COPY_TAG_BYTES];
    uint64_t (*ranges)[2]; /* of data; NULL: not asked for */
    size_t range_count;
    bool ranges_more;
};

struct source {
    enum next (*next)(struct folder *folder, struct entry *entry);
    void (*list)(struct folder *folder);   /* after NEXT_WAIT: folder_listed */
    void (*rewind)(struct folder *folder); /* next begins anew */
    bool (*enter)(struct folder *folder, const char *name, struct afar_error *err);
    void (*find)(struct item *item, bool follow); /* item_found, with item->info */
    void (*get)(struct item *item);               /* item_got */
    void (*open)(struct item *item);              /* item_opened, with item->info */
    /* item_read, item_hole; false: not before what was asked for has come. */
    bool (*read)(struct item *item, uint64_t offset, size_t size);
    void (*hash)(struct item *item, uint64_t size); /* item_prefix */
    void (*check)(struct item *item);               /* item_checked: is it as it was when opened? */
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
    void (*drop)(struct item *item, bool keep); /* closes; `keep` leaves the partial file */
};

extern const struct source local_source, remote_source, stream_source;
extern const struct target local_target, remote_target, stream_target;

/* ---- copy.c ---------------------------------------------------------------------------------- */

void copy_tell(struct copy *copy, const struct copy_result *result);
/* A name that cannot be copied. */
void copy_tell_wrong(struct folder *folder, const char *name, enum copy_outcome outcome,
                     const char *reason, const char *why);
bool copy_has_room(const struct copy *copy, const struct folder *folder);
void copy_pay(struct copy *copy, uint64_t bytes); /* of --limit */

/* Fills err with errno's name and text. */
const struct afar_error *copy_errno(struct afar_error *err, int number);
const struct afar_error *copy_error(struct afar_error *err, const char *reason, const char *text);

/* "folder/name"; false: it is too long. */
bool copy_join(char out[SFTP_PATH_MAX_BYTES], const char *folder, const char *name);
/* Why it may not be the name of something in a directory; NULL: it may. */
const char *copy_name_wrong(const void *name, size_t size);
void copy_partial_name(const char *name, const uint8_t tag[COPY_TAG_BYTES], char out[256]);

void info_of_stat(struct info *info, const struct stat *from);
void info_of_attrs(struct info *info, const struct sftp_attrs *from);
void info_to_attrs(const struct copy *copy, const struct info *info, struct sftp_attrs *attrs);

/* ---- remote.c -------------------------------------------------------------------------------- */

bool remote_is_expected(const struct requests_call *call, const struct requests_answer *answer);
const struct afar_error *remote_malformed(struct afar_error *err);
/* `done` of a request whose answer does not matter. */
void remote_ignore(const struct requests_call *call, struct requests_answer *answer);
/* The SHA-256 of a file's first `size` bytes, more than 0; and it in the answer, NULL: err. */
void remote_ask_hash(struct requests *requests, const uint8_t handle[SFTP_HANDLE_BYTES],
                     uint64_t size, const struct requests_call *call);
const uint8_t *remote_read_hash(const struct requests_call *call, struct requests_answer *answer,
                                struct afar_error *err);

/* ---- folder.c -------------------------------------------------------------------------------- */

struct folder *folder_new(struct copy *copy, struct folder *parent);
void folder_free(struct folder *folder);
void folder_release(struct folder *folder);
/* A directory `name` of the source, whose counterpart is `target_name`; "": the folder's itself. */
void folder_begin(struct folder *parent, const char *name, const char *target_name,
                  const struct info *info);
/* What becomes of links in it. */
enum copy_links folder_links(const struct folder *folder);
/* One step of the walk. False: there is nothing to begin now. */
bool folder_step(struct copy *copy);
void folder_ask_lists(struct copy *copy);
void folder_drop_starts(struct copy *copy);

void folder_listed(struct folder *folder, const struct afar_error *err);
void folder_made(struct folder *folder, bool made, const struct afar_error *err);
void folder_finished(struct folder *folder, const struct afar_error *err);

/* ---- item.c ---------------------------------------------------------------------------------- */

struct item *item_new(struct folder *folder, const char *name, const char *target_name);
/* What it is has to be found out; `follow` links. */
void item_find(struct item *item, bool follow);
/* It is known what it is: item->info. */
void item_begin(struct item *item);
/* The first failure is what is told. */
void item_fail(struct item *item, const struct afar_error *err);
/* Tells what became of it and frees it; not while an end still has a call of it. */
void item_end(struct item *item, enum copy_outcome outcome);

void item_found(struct item *item, const struct afar_error *err);
void item_compared(struct item *item, const struct info *there, const struct afar_error *err);
void item_got(struct item *item, const uint8_t *data, size_t size, bool eof,
              const struct afar_error *err);
void item_link_read(struct item *item, const char *text, const struct afar_error *err);
void item_committed(struct item *item, const struct afar_error *err);

/* ---- large.c --------------------------------------------------------------------------------- */

void large_start(struct item *item);
/* True: it goes on without waiting for an answer. */
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
