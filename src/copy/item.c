/* Files and links on their way. Small ones go in one step from end to end; larger ones step by
 * step, in item_step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/internal.h"

static const char other_hash[] = "what arrived is not what is there: its SHA-256 is another";
static const char has_changed[] = "changed while it was copied";

enum { PREFIX_STEP_BYTES = 8 << 20 };

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

/* It may be that only the directory cannot be written. */
static bool is_kept_out(const struct item *item)
{
    bool at_target = item->state == ITEM_BEGINNING || (item->state == ITEM_SMALL && item->emptied);
    bool refused =
        strcmp(item->err.reason, "EACCES") == 0 || strcmp(item->err.reason, "EPERM") == 0;
    return at_target && refused && !item->copy->options.in_place && !item->copy->options.owner;
}

/* May not be called while an end still has a call of it. */
static void item_end(struct item *item, enum copy_outcome outcome)
{
    if (outcome == COPY_FAILED && item->copy->options.in_place && item->emptied)
        add_words(item, "; what was there is damaged");
    if (outcome == COPY_FAILED && is_kept_out(item))
        add_words(item, "; --in-place needs no right to write the directory");
    /* What can be gone on with is left where it was moved for good, not where it was wrong. */
    bool keep = outcome == COPY_FAILED && !item->changed && item->moved > 0 &&
                item->info.size > COPY_RESUMED_BYTES && !item->unsized &&
                !item->copy->options.no_resume && strcmp(item->err.reason, "EBADMSG") != 0;
    item->folder->source->close(item);
    if (item->state != ITEM_LINK)
        item->folder->target->drop(item, keep);
    tell(item, outcome);
    item_free(item);
}

static void item_fail(struct item *item, const struct afar_error *err)
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

static enum copy_links links_of(const struct item *item)
{
    enum copy_links links = item->copy->options.links;
    if (links != COPY_LINKS_DEFAULT)
        return links;
    return item->folder->from != NULL ? COPY_LINKS_SAFE : COPY_LINKS_ALL;
}

static void begin_link(struct item *item)
{
    switch (links_of(item)) {
    case COPY_LINKS_FOLLOW:
        if (item->followed) /* and it still is one */
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

/* Whether it leads to something in the tree: relative, and never above where the copy begins. */
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
    else if (text == NULL || (links_of(item) == COPY_LINKS_SAFE && !stays_inside(item, text)))
        fail_text(item, "EPERM", "link leads out; '--links all' copies it");
    else if (item->folder->target == &stream_target)
        skip(item);
    else
        item->folder->target->put_link(item, text);
}

static void start_large(struct item *item)
{
    item->large = true;
    item->copy->large++;
    item->state = ITEM_OPENING;
    list_append(&item->copy->items, &item->link);
    item->under_way++;
    item->folder->source->open(item);
}

static void start_file(struct item *item)
{
    bool stream = item->folder->source == &stream_source || item->folder->target == &stream_target;
    if (stream || item->info.size > COPY_SMALL_BYTES) {
        start_large(item);
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

static bool hash_small(struct item *item, const uint8_t *data, size_t size)
{
    uint8_t hash[DIGEST_MAX_BYTES];
    size_t hash_bytes = 0;
    bool made = digest_new(&item->digest, "sha256", NULL) == AFAR_OK &&
                digest_update(item->digest, data, size, NULL) == AFAR_OK &&
                digest_finish_bytes(item->digest, hash, &hash_bytes, NULL) == AFAR_OK;
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
    if (!eof) { /* it is larger than it was, or of those that tell no size */
        item->unsized = item->info.size == 0;
        start_large(item);
        return;
    }
    /* What a server told before counts, unless it is of those that have no size. */
    if (!item->copy->options.no_verify && !hash_small(item, data, size)) {
        fail_text(item, "ENOMEM", "out of memory");
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

/* ---- larger files: answers ------------------------------------------------------------------- */

void item_opened(struct item *item, const struct afar_error *err)
{
    item->under_way--;
    if (err != NULL)
        item_fail(item, err);
    if (item->info.size == 0)
        item->unsized = true;
    if (item->folder->target == &stream_target) { /* which has no holes */
        item->sparse = false;
        free(item->ranges);
        item->ranges = NULL;
    }
}

void item_begun(struct item *item, uint64_t size, const struct afar_error *err)
{
    item->under_way--;
    item->begun_bytes = size;
    item->emptied = err == NULL;
    if (err != NULL)
        item_fail(item, err);
}

void item_prefix(struct item *item, const uint8_t *hash, const struct afar_error *err)
{
    item->under_way--;
    if (hash != NULL && item->prefixes < 2)
        memcpy(item->prefix[item->prefixes++], hash, COPY_HASH_BYTES);
    if (err != NULL)
        item_fail(item, err);
}

void item_written(struct item *item, const struct afar_error *err)
{
    item->under_way--;
    if (err != NULL)
        item_fail(item, err);
}

void item_checked(struct item *item, bool changed, const uint8_t *hash,
                  const struct afar_error *err)
{
    struct afar_error wrong;
    item->under_way--;
    item->changed = item->changed || changed;
    if (err != NULL)
        item_fail(item, err);
    if (hash == NULL || item->changed || item->failed)
        return;
    if (item->has_hash && memcmp(item->hash, hash, sizeof item->hash) != 0)
        item_fail(item, copy_error(&wrong, "EBADMSG", other_hash));
    memcpy(item->hash, hash, sizeof item->hash);
    item->has_hash = true;
}

/* ---- larger files: data ---------------------------------------------------------------------- */

static void digest_data(struct item *item, const void *data, size_t size)
{
    struct afar_error err;
    if (item->digest == NULL || item->digested != item->moved)
        return;
    if (digest_update(item->digest, data, size, &err) != AFAR_OK)
        item_fail(item, copy_error(&err, "ENOMEM", "out of memory"));
    item->digested += size;
}

static bool is_too_much(const struct item *item, uint64_t end)
{
    if (item->folder->source == &stream_source)
        return false;
    return end > (item->unsized ? COPY_UNSIZED_BYTES : item->info.size);
}

void item_read(struct item *item, uint64_t offset, const uint8_t *data, size_t size,
               const struct afar_error *err)
{
    struct afar_error wrong;
    item->under_way--;
    if (err != NULL)
        item_fail(item, err);
    if (item->failed || item->changed || item->eof)
        return;
    if (size == 0) {
        item->eof = true;
        item->changed = !item->unsized && offset < item->info.size;
        return;
    }
    if (is_too_much(item, offset + size)) {
        item->changed = !item->unsized;
        if (item->unsized)
            item_fail(item, copy_error(&wrong, "EFBIG", "is larger than it says"));
        return;
    }
    if (offset != item->moved) { /* less came than there should have been */
        item->changed = true;
        return;
    }
    digest_data(item, data, size);
    item->under_way++;
    item->moved += size;
    item->copy->counts.bytes += size;
    copy_pay(item->copy, size);
    item->folder->target->write(item, offset, data, size);
}

void item_hole(struct item *item, uint64_t size)
{
    static const uint8_t zeros[COPY_PIECE_BYTES];
    uint64_t left = size;
    item->under_way--;
    /* In steps, so that a huge one does not hold up everything else. */
    item->rests = item->digest != NULL;
    if (left > PREFIX_STEP_BYTES && item->rests)
        left = PREFIX_STEP_BYTES;
    for (uint64_t at = 0; at < left && item->digest != NULL;) {
        size_t piece = left - at < sizeof zeros ? (size_t)(left - at) : sizeof zeros;
        digest_data(item, zeros, piece);
        item->moved += piece;
        at += piece;
    }
    if (item->digest == NULL)
        item->moved += left;
    item->asked = item->moved;
}

/* ---- larger files: steps --------------------------------------------------------------------- */

/* GO: one more at once; TURN: after others; STAY: after an answer. */
enum step { STEP_GO, STEP_TURN, STEP_STAY, STEP_GONE };

static void make_tag(struct item *item)
{
    char path[SFTP_PATH_MAX_BYTES];
    uint8_t hash[DIGEST_MAX_BYTES];
    size_t size = 0;
    struct digest *digest = NULL;
    const uint64_t told[3] = {item->info.size, item->info.mtime, item->info.mtime_ns};
    (void)copy_join(path, item->folder->source_path, item->name);
    if (digest_new(&digest, "sha256", NULL) == AFAR_OK &&
        digest_update(digest, path, strlen(path) + 1, NULL) == AFAR_OK &&
        digest_update(digest, told, sizeof told, NULL) == AFAR_OK &&
        digest_finish_bytes(digest, hash, &size, NULL) == AFAR_OK)
        memcpy(item->tag, hash, sizeof item->tag);
    digest_free(digest);
}

static bool begin_digest(struct item *item)
{
    struct afar_error err;
    digest_free(item->digest);
    item->digest = NULL;
    item->digested = 0;
    if (item->copy->options.no_verify)
        return true;
    if (digest_new(&item->digest, "sha256", &err) == AFAR_OK)
        return true;
    item_fail(item, copy_error(&err, "ENOMEM", "out of memory"));
    return false;
}

static enum step step_opening(struct item *item)
{
    if (item->again) { /* the target has what was there before the source changed */
        item->state = ITEM_BEGINNING;
        item->begun_bytes = item->moved + 1;
        return STEP_GO;
    }
    make_tag(item);
    item->state = ITEM_BEGINNING;
    item->under_way++;
    item->folder->target->begin(item);
    return STEP_GO;
}

static enum step step_beginning(struct item *item)
{
    const struct copy_options *options = &item->copy->options;
    uint64_t there = item->begun_bytes;
    item->asked = item->moved = item->prefix_at = item->resumed = 0;
    item->eof = item->has_hash = false;
    item->prefixes = 0;
    if (!begin_digest(item))
        return STEP_GO;
    bool resumable = !item->again && !options->no_resume && !options->in_place && !item->unsized &&
                     item->info.size > COPY_RESUMED_BYTES && there <= item->info.size;
    item->state = ITEM_MOVING;
    if (there == 0)
        return STEP_GO;
    if (resumable) {
        item->state = ITEM_PREFIX;
        if (item->digest == NULL && digest_new(&item->digest, "sha256", NULL) != AFAR_OK)
            item->state = ITEM_MOVING;
    }
    if (item->state == ITEM_PREFIX) {
        if (item->folder->from != NULL) {
            item->under_way++;
            item->folder->source->hash(item, there);
        }
        if (item->folder->to != NULL) {
            item->under_way++;
            item->folder->target->hash(item, there);
        }
        return STEP_GO;
    }
    item->under_way++;
    item->folder->target->empty(item);
    return STEP_GO;
}

/* Hashes a piece of what is here. */
static void hash_here(struct item *item, int fd)
{
    uint8_t piece[COPY_PIECE_BYTES];
    struct afar_error err;
    uint64_t stop = item->prefix_at + PREFIX_STEP_BYTES;
    stop = stop < item->begun_bytes ? stop : item->begun_bytes;
    while (item->prefix_at < stop && !item->failed) {
        uint64_t left = stop - item->prefix_at;
        ssize_t got = pread(fd, piece, left < sizeof piece ? (size_t)left : sizeof piece,
                            (off_t)item->prefix_at);
        if (got <= 0) {
            item_fail(item, copy_error(&err, "EIO", "cannot be read again"));
            return;
        }
        digest_data(item, piece, (size_t)got);
        item->prefix_at += (uint64_t)got;
        item->moved = item->prefix_at;
    }
}

static enum step step_prefix(struct item *item)
{
    uint8_t mine[DIGEST_MAX_BYTES];
    size_t size = 0;
    int fd = item->source_fd >= 0 ? item->source_fd : item->target_fd;
    if (fd >= 0 && item->prefix_at < item->begun_bytes) {
        hash_here(item, fd);
        return STEP_TURN;
    }
    if (item->under_way > 0)
        return STEP_STAY;
    if (fd >= 0 && item->prefixes == 1 &&
        digest_peek_bytes(item->digest, mine, &size, NULL) == AFAR_OK) {
        memcpy(item->prefix[1], mine, COPY_HASH_BYTES);
        item->prefixes = 2;
    }
    item->state = ITEM_MOVING;
    if (item->prefixes == 2 && memcmp(item->prefix[0], item->prefix[1], COPY_HASH_BYTES) == 0) {
        item->asked = item->moved = item->resumed = item->begun_bytes;
        return STEP_GO;
    }
    item->asked = item->moved = 0;
    if (!begin_digest(item))
        return STEP_GO;
    item->under_way++;
    item->folder->target->empty(item);
    return STEP_GO;
}

/* What is to be read next; false: nothing more before answers come. */
static bool next_piece(const struct item *item, size_t *size)
{
    *size = COPY_PIECE_BYTES;
    if (item->eof || item->changed || item->failed)
        return false;
    if (item->unsized)
        return item->under_way == 0 || item->folder->from == NULL;
    if (item->asked > item->info.size) /* its end was asked for */
        return false;
    uint64_t left = item->info.size - item->asked;
    if (left < *size)
        *size = left > 0 ? (size_t)left : 1;
    return true;
}

static enum step step_moving(struct item *item)
{
    size_t size = 0;
    const struct source *source = item->folder->source;
    while (next_piece(item, &size) && copy_has_room(item->copy, item->folder) &&
           item->copy->reader == NULL) {
        uint64_t offset = item->unsized ? item->moved : item->asked;
        item->under_way++;
        item->asked = offset + size;
        if (!source->read(item, offset, size)) {
            item->under_way--;
            item->asked = offset;
            break;
        }
        if (source == &stream_source)
            break;
        if (item->rests) {
            item->rests = false;
            return STEP_TURN;
        }
    }
    bool done = item->eof || item->changed || item->failed;
    if (!done || item->under_way > 0)
        return STEP_STAY;
    item->state = ITEM_CHECKING;
    if (item->digest != NULL && !item->failed && !item->changed) {
        uint8_t hash[DIGEST_MAX_BYTES];
        size_t hash_bytes = 0;
        if (item->digested == item->moved && !item->copy->options.no_verify &&
            digest_finish_bytes(item->digest, hash, &hash_bytes, NULL) == AFAR_OK) {
            memcpy(item->hash, hash, sizeof item->hash);
            item->has_hash = true;
        }
    }
    if (!item->failed && !item->changed) {
        item->under_way++;
        source->check(item);
    }
    return STEP_GO;
}

static enum step step_checking(struct item *item)
{
    struct afar_error err;
    if (!item->changed) {
        item->state = ITEM_COMMITTING;
        item->under_way++;
        item->folder->target->commit(item);
        return STEP_GO;
    }
    if (item->again) {
        item_fail(item, copy_error(&err, "EBUSY", has_changed));
        return STEP_GO;
    }
    item->again = true;
    item->changed = false;
    item->folder->source->close(item);
    item->sparse = false;
    item->state = ITEM_OPENING;
    item->under_way++;
    item->folder->source->open(item);
    return STEP_GO;
}

static enum step advance(struct item *item)
{
    if (item->under_way > 0 && item->state != ITEM_MOVING && item->state != ITEM_PREFIX)
        return STEP_STAY;
    if (item->failed) {
        if (item->under_way > 0)
            return STEP_STAY;
        item_end(item, COPY_FAILED);
        return STEP_GONE;
    }
    switch (item->state) {
    case ITEM_OPENING:
        return step_opening(item);
    case ITEM_BEGINNING:
        return step_beginning(item);
    case ITEM_PREFIX:
        return step_prefix(item);
    case ITEM_MOVING:
        return step_moving(item);
    case ITEM_CHECKING:
        return step_checking(item);
    case ITEM_COMMITTING:
        item_end(item, COPY_COPIED);
        return STEP_GONE;
    case ITEM_FINDING:
    case ITEM_COMPARING:
    case ITEM_SMALL:
    case ITEM_LINK:
        break;
    }
    return STEP_STAY;
}

bool item_step(struct item *item)
{
    enum step step = STEP_GO;
    while (step == STEP_GO)
        step = advance(item);
    return step == STEP_TURN;
}

void item_stop(struct item *item)
{
    struct afar_error err;
    if (item->copy->reader == item) {
        item->copy->reader = NULL;
        item->under_way--;
    }
    item_fail(item, copy_error(&err, "EINTR", "interrupted"));
}
