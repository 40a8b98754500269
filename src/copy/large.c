/* Larger files, step by step: open the source, open a partial file beside the target, compare what
 * that has, copy the rest, check the source again, give the file its name. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/internal.h"

static const char other_hash[] = "the data was damaged on the way: its SHA-256 differs";
static const char has_changed[] = "changed while it was copied";

enum { PREFIX_STEP_BYTES = 8 << 20 };

void large_start(struct item *item)
{
    item->large = true;
    item->copy->large++;
    item->state = ITEM_OPENING;
    list_append(&item->copy->items, &item->link);
    item->under_way++;
    item->folder->source->open(item);
}

/* ---- answers --------------------------------------------------------------------------------- */

void item_opened(struct item *item, const struct afar_error *err)
{
    item->under_way--;
    if (err != NULL)
        item_fail(item, err);
    if (item->info.size == 0)
        item->unsized = true;
    if (item->folder->target == &stream_target) { /* it has no holes */
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

/* ---- data ------------------------------------------------------------------------------------ */

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
    if (offset != item->moved) { /* an earlier read was short */
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
    /* Hash in steps, so that a huge hole does not hold up other items. */
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

/* ---- steps ----------------------------------------------------------------------------------- */

/* GO: go on now; TURN: after other items; STAY: after an answer; GONE: the item was freed. */
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
    if (item->again) { /* the target holds what was copied before the source changed */
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

/* Hashes the next piece of the prefix from a local file. */
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

/* The size of the next read. False: none before more answers come. */
static bool next_piece(const struct item *item, size_t *size)
{
    *size = COPY_PIECE_BYTES;
    if (item->eof || item->changed || item->failed)
        return false;
    if (item->unsized)
        return item->under_way == 0 || item->folder->from == NULL;
    if (item->asked > item->info.size) /* the read past its end was made */
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

bool large_step(struct item *item)
{
    enum step step = STEP_GO;
    while (step == STEP_GO)
        step = advance(item);
    return step == STEP_TURN;
}

void large_stop(struct item *item)
{
    struct afar_error err;
    if (item->copy->reader == item) {
        item->copy->reader = NULL;
        item->under_way--;
    }
    item_fail(item, copy_error(&err, "EINTR", "interrupted"));
}
