/* Files and links: their type, their outcome; and small files, which are copied in one step. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/internal.h"

struct item *item_new(struct folder *folder, const char *name, const char *target_name)
{
    struct item *item = calloc(1, sizeof *item);
    if (item == NULL)
        return NULL;
    item->copy = folder->copy;
    item->folder = folder;
    item->name = strdup(name);
    item->target_name = strdup(target_name);
    item->source_fd = item->target_fd = -1;
    list_init(&item->link);
    if (item->name == NULL || item->target_name == NULL) {
        free(item->name);
        free(item->target_name);
        free(item);
        return NULL;
    }
    folder->users++;
    return item;
}

static void item_free(struct item *item)
{
    struct folder *folder = item->folder;
    list_remove(&item->link);
    item->copy->large -= item->large ? 1 : 0;
    digest_free(item->digest);
    free(item->ranges);
    free(item->partial);
    free(item->name);
    free(item->target_name);
    free(item);
    folder_release(folder);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void count(struct item *item)
{
    item->copy->counts.known += item->counted ? 0 : 1;
    item->counted = true;
}

static bool is_damaged(const struct item *item, enum copy_outcome outcome)
{
    return outcome == COPY_FAILED && item->copy->options.in_place && item->emptied;
}

static void tell(struct item *item, enum copy_outcome outcome)
{
    char source[SFTP_PATH_MAX_BYTES];
    char target[SFTP_PATH_MAX_BYTES];
    count(item);
    (void)copy_join(source, item->folder->source_path, item->name);
    (void)copy_join(target, item->folder->target_path, item->target_name);
    const struct copy_result result = {
        .outcome = outcome,
        .source = source,
        .target = target,
        .from = item->folder->from,
        .to = item->folder->to,
        .is_damaged = is_damaged(item, outcome),
        .size = outcome == COPY_COPIED && S_ISREG(item->info.mode) ? item->moved : item->info.size,
        .resumed_from = item->resumed,
        .mode = item->info.mode & 0777,
        .hash = item->has_hash ? item->hash : NULL,
        .err = outcome == COPY_FAILED || outcome == COPY_SKIPPED ? &item->err : NULL,
    };
    copy_tell(item->copy, &result);
}

static void add_words(struct item *item, const char *words)
{
    size_t used = strlen(item->err.message);
    (void)snprintf(item->err.message + used, sizeof item->err.message - used, "%s", words);
}

/* True if perhaps only the directory cannot be written. */
static bool is_kept_out(const struct item *item)
{
    bool at_target = item->state == ITEM_BEGINNING || (item->state == ITEM_SMALL && item->emptied);
    bool refused =
        strcmp(item->err.reason, "EACCES") == 0 || strcmp(item->err.reason, "EPERM") == 0;
    return at_target && refused && !item->copy->options.in_place && !item->copy->options.owner;
}

void item_end(struct item *item, enum copy_outcome outcome)
{
    if (is_damaged(item, outcome))
        add_words(item, "; what was there is damaged");
    if (outcome == COPY_FAILED && is_kept_out(item))
        add_words(item, "; --in-place needs no right to write the directory");
    /* Keep the partial file for resuming if the copy was only cut off; after other failures, such
     * as a full disk, keeping it would not help. */
    bool was_cut =
        strcmp(item->err.reason, "EINTR") == 0 || strcmp(item->err.reason, "ECONNRESET") == 0;
    bool keep = outcome == COPY_FAILED && was_cut && !item->changed && item->moved > 0 &&
                item->info.size > COPY_RESUMED_BYTES && !item->unsized &&
                !item->copy->options.no_resume;
    item->folder->source->close(item);
    if (item->state != ITEM_LINK)
        item->folder->target->drop(item, keep);
    tell(item, outcome);
    item_free(item);
}

void item_fail(struct item *item, const struct afar_error *err)
{
    if (item->failed)
        return;
    item->failed = true;
    if (err != &item->err)
        item->err = *err;
}

static void fail_now(struct item *item, const struct afar_error *err)
{
    item_fail(item, err);
    item_end(item, COPY_FAILED);
}

static void fail_text(struct item *item, const char *reason, const char *text)
{
    struct afar_error err;
    fail_now(item, copy_error(&err, reason, text));
}

/* ---- what it is ------------------------------------------------------------------------------ */

void item_find(struct item *item, bool follow)
{
    item->state = ITEM_FINDING;
    item->followed = follow;
    item->folder->source->find(item, follow);
}

void item_found(struct item *item, const struct afar_error *err)
{
    if (err != NULL)
        fail_now(item, err);
    else
        item_begin(item);
}

static const char *kind_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    case S_IFLNK:
        return "a link";
    default:
        return "of no known kind";
    }
}

static void skip(struct item *item)
{
    (void)copy_error(&item->err, "SKIPPED", kind_of(item->info.mode));
    count(item);
    item_end(item, COPY_SKIPPED);
}

static void begin_folder(struct item *item)
{
    struct folder *folder = item->folder;
    if (folder->target == &stream_target) {
        fail_text(item, "EISDIR", "is a directory");
        return;
    }
    if (!item->copy->options.recursive) {
        fail_text(item, "EISDIR", "is a directory; -r copies it with all that is in it");
        return;
    }
    folder_begin(folder, item->name, item->contents ? "" : item->target_name, &item->info);
    item_free(item);
}

static void begin_link(struct item *item)
{
    switch (folder_links(item->folder)) {
    case COPY_LINKS_FOLLOW:
        if (item->followed) /* and it is still a link */
            skip(item);
        else
            item_find(item, true);
        return;
    case COPY_LINKS_SKIP:
        skip(item);
        return;
    case COPY_LINKS_DEFAULT:
    case COPY_LINKS_SAFE:
    case COPY_LINKS_ALL:
        break;
    }
    item->state = ITEM_LINK;
    count(item);
    item->folder->source->read_link(item);
}

/* True if the link's text is relative and never leads above the copied tree. */
static bool stays_inside(const struct item *item, const char *text)
{
    unsigned level = item->folder->depth > 0 ? item->folder->depth - 1 : 0;
    if (text[0] == '/')
        return false;
    while (*text != '\0') {
        size_t size = strcspn(text, "/");
        bool is_up = size == 2 && text[0] == '.' && text[1] == '.';
        if (is_up && level == 0)
            return false;
        if (is_up)
            level--;
        else if (size > 0 && !(size == 1 && text[0] == '.'))
            level++;
        text += size + (text[size] == '/' ? 1 : 0);
    }
    return true;
}

void item_link_read(struct item *item, const char *text, const struct afar_error *err)
{
    if (err != NULL)
        fail_now(item, err);
    else if (text == NULL ||
             (folder_links(item->folder) == COPY_LINKS_SAFE && !stays_inside(item, text)))
        fail_text(item, "EPERM", "link leads out; '--links all' copies it");
    else if (item->folder->target == &stream_target)
        skip(item);
    else
        item->folder->target->put_link(item, text);
}

static void start_file(struct item *item)
{
    bool stream = item->folder->source == &stream_source || item->folder->target == &stream_target;
    if (stream || item->info.size > COPY_SMALL_BYTES) {
        large_start(item);
        return;
    }
    item->state = ITEM_SMALL;
    item->folder->source->get(item);
}

void item_begin(struct item *item)
{
    if (item->copy->stopped) {
        item->under_way = 0;
        fail_text(item, "EINTR", "interrupted");
        return;
    }
    if (S_ISDIR(item->info.mode)) {
        begin_folder(item);
        return;
    }
    if (item->taken) {
        fail_text(item, "EEXIST", "will not overwrite a file that was just copied");
        return;
    }
    if (item->must_folder) {
        struct afar_error err;
        fail_now(item, copy_errno(&err, ENOTDIR));
        return;
    }
    if (S_ISLNK(item->info.mode)) {
        begin_link(item);
        return;
    }
    if (!S_ISREG(item->info.mode)) {
        skip(item);
        return;
    }
    count(item);
    if (item->copy->options.update && item->folder->target != &stream_target &&
        item->folder->source != &stream_source) {
        item->state = ITEM_COMPARING;
        item->folder->target->find(item);
        return;
    }
    start_file(item);
}

void item_compared(struct item *item, const struct info *there, const struct afar_error *err)
{
    if (err != NULL)
        fail_now(item, err);
    else if (there != NULL && S_ISREG(there->mode) && there->size == item->info.size &&
             there->mtime == item->info.mtime && there->mtime_ns == item->info.mtime_ns)
        item_end(item, COPY_UNCHANGED);
    else
        start_file(item);
}

/* ---- small files ----------------------------------------------------------------------------- */

/* Hashes the data. *sound: false if the source sent another hash. False: out of memory. */
static bool hash_small(struct item *item, const uint8_t *data, size_t size, bool *sound)
{
    uint8_t hash[DIGEST_MAX_BYTES];
    size_t hash_bytes = 0;
    bool made = digest_new(&item->digest, "sha256", NULL) == AFAR_OK &&
                digest_update(item->digest, data, size, NULL) == AFAR_OK &&
                digest_finish_bytes(item->digest, hash, &hash_bytes, NULL) == AFAR_OK;
    *sound = !item->has_hash || !made || memcmp(item->hash, hash, sizeof item->hash) == 0;
    if (made)
        memcpy(item->hash, hash, sizeof item->hash);
    item->has_hash = made;
    return made;
}

void item_got(struct item *item, const uint8_t *data, size_t size, bool eof,
              const struct afar_error *err)
{
    if (err != NULL) {
        fail_now(item, err);
        return;
    }
    item->has_hash = item->has_hash && eof;
    if (!eof) { /* it has grown, or it tells no size */
        item->unsized = item->info.size == 0;
        large_start(item);
        return;
    }
    bool sound = true;
    if (!item->copy->options.no_verify && !hash_small(item, data, size, &sound)) {
        fail_text(item, "ENOMEM", "out of memory");
        return;
    }
    if (!sound) {
        fail_text(item, "EBADMSG", "the data was damaged on the way: its SHA-256 differs");
        return;
    }
    item->moved = size;
    item->copy->counts.bytes += size;
    copy_pay(item->copy, size);
    item->emptied = true;
    item->folder->target->put(item, data, size);
}

void item_committed(struct item *item, const struct afar_error *err)
{
    if (err != NULL)
        item_fail(item, err);
    if (item->large)
        item->under_way--;
    else
        item_end(item, item->failed ? COPY_FAILED : COPY_COPIED);
}
