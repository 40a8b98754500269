/* A source on a server. Its answers are limited to what was asked for. */
#include <stdlib.h>
#include <string.h>

#include "copy/internal.h"

enum { PATH_ROOM_BYTES = SFTP_PATH_MAX_BYTES + 64, SHORT_BYTES = 128 };

static void call_item(struct item *item, struct requests_call *call,
                      void (*done)(const struct requests_call *call,
                                   struct requests_answer *answer),
                      uint8_t expected)
{
    *call = (struct requests_call){
        .done = done, .user = item, .expected = expected, .cost = SHORT_BYTES};
}

static bool item_path(const struct item *item, char path[SFTP_PATH_MAX_BYTES],
                      struct afar_error *err)
{
    if (copy_join(path, item->folder->source_path, item->name))
        return true;
    (void)copy_error(err, "ENAMETOOLONG", "the path is too long");
    return false;
}

/* ---- directories ----------------------------------------------------------------------------- */

/* Names must come in order: so none comes twice, and a list ends. */
static enum next remote_next(struct folder *folder, struct entry *entry)
{
    if (folder->batch_left == 0) {
        folder->copy->batch_bytes -= folder->batch_bytes;
        free(folder->batch);
        bool listed = folder->batch != NULL;
        folder->batch = NULL;
        folder->batch_bytes = 0;
        return listed && !folder->more ? NEXT_END : NEXT_WAIT;
    }
    struct sftp_attrs attrs;
    folder->batch_left--;
    struct sftp_text name = sftp_read_text(&folder->batch_in);
    sftp_read_attrs(&folder->batch_in, &attrs);
    size_t size = name.size < COPY_NAME_MAX ? name.size : COPY_NAME_MAX;
    if (size > 0)
        memcpy(entry->name, name.bytes, size);
    entry->name[size] = '\0';
    entry->wrong = copy_name_wrong(name.bytes, name.size);
    if (folder->batch_in.failed || strcmp(entry->name, folder->after) <= 0) {
        copy_tell_wrong(folder, "", COPY_FAILED, "EBADMSG", "the server's list is not in order");
        folder->batch_left = 0;
        folder->more = false;
        folder->has_links = false; /* a second walk would fail too */
        return remote_next(folder, entry);
    }
    memcpy(folder->after, entry->name, sizeof folder->after);
    info_of_attrs(&entry->info, &attrs);
    if (entry->wrong == NULL && (attrs.flags & SFTP_ATTR_MODE) == 0)
        entry->wrong = "the server does not say what it is";
    return NEXT_ENTRY;
}

static void take_list(const struct requests_call *call, struct requests_answer *answer)
{
    struct folder *folder = call->user;
    struct afar_error err;
    if (!remote_is_expected(call, answer)) {
        requests_explain(answer, &err);
        folder_listed(folder, &err);
        return;
    }
    size_t size = sftp_reader_left(&answer->body);
    struct sftp_text body = sftp_read_bytes(&answer->body, size);
    folder->batch = size < 5 ? NULL : malloc(size);
    if (folder->batch == NULL) {
        folder_listed(folder, remote_malformed(&err));
        return;
    }
    memcpy(folder->batch, body.bytes, size);
    folder->batch_bytes = size;
    folder->copy->batch_bytes += size;
    sftp_reader_init(&folder->batch_in, folder->batch, size - 1);
    folder->batch_left = sftp_read_u32(&folder->batch_in);
    folder->more = folder->batch[size - 1] != 0;
    if (folder->more && folder->batch_left == 0) {
        folder_listed(folder, copy_error(&err, "EBADMSG", "the server's list does not end"));
        return;
    }
    folder_listed(folder, NULL);
}

static void remote_list(struct folder *folder)
{
    struct sftp_writer writer;
    struct requests_call call = {
        .done = take_list, .user = folder, .expected = SFTP_TYPE_EXTENDED_REPLY, .cost = 32768};
    requests_begin(folder->from, &writer, SFTP_TYPE_EXTENDED, PATH_ROOM_BYTES + COPY_NAME_MAX);
    sftp_put_word(&writer, "list@afar");
    sftp_put_word(&writer, folder->source_path);
    sftp_put_word(&writer, folder->after);
    requests_send(folder->from, &writer, &call);
}

static void remote_rewind(struct folder *folder)
{
    folder->after[0] = '\0';
}

static bool remote_enter(struct folder *folder, const char *name, struct afar_error *err)
{
    (void)folder;
    (void)name;
    (void)err;
    return true;
}

/* ---- what it is ------------------------------------------------------------------------------ */

static void take_found(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct sftp_attrs attrs;
    struct afar_error err;
    if (!remote_is_expected(call, answer)) {
        requests_explain(answer, &err);
        item_found(item, &err);
        return;
    }
    sftp_read_attrs(&answer->body, &attrs);
    info_of_attrs(&item->info, &attrs);
    bool sound = !answer->body.failed && (attrs.flags & SFTP_ATTR_MODE) != 0;
    item_found(item, sound ? NULL : remote_malformed(&err));
}

static void remote_find(struct item *item, bool follow)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct sftp_writer writer;
    struct requests_call call;
    struct afar_error err;
    if (!item_path(item, path, &err)) {
        item_found(item, &err);
        return;
    }
    call_item(item, &call, take_found, SFTP_TYPE_ATTRS);
    requests_begin(item->folder->from, &writer, follow ? SFTP_TYPE_STAT : SFTP_TYPE_LSTAT,
                   PATH_ROOM_BYTES);
    sftp_put_word(&writer, path);
    requests_send(item->folder->from, &writer, &call);
}

static void take_link(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    char text[SFTP_PATH_MAX_BYTES];
    struct afar_error err;
    if (!remote_is_expected(call, answer)) {
        requests_explain(answer, &err);
        item_link_read(item, NULL, &err);
        return;
    }
    uint32_t count = sftp_read_u32(&answer->body);
    struct sftp_text name = sftp_read_text(&answer->body);
    if (answer->body.failed || count != 1 || name.size == 0 || name.size >= sizeof text ||
        memchr(name.bytes, 0, name.size) != NULL) {
        item_link_read(item, NULL, remote_malformed(&err));
        return;
    }
    memcpy(text, name.bytes, name.size);
    text[name.size] = '\0';
    item_link_read(item, text, NULL);
}

static void remote_read_link(struct item *item)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct sftp_writer writer;
    struct requests_call call;
    struct afar_error err;
    if (!item_path(item, path, &err)) {
        item_link_read(item, NULL, &err);
        return;
    }
    call_item(item, &call, take_link, SFTP_TYPE_NAME);
    requests_begin(item->folder->from, &writer, SFTP_TYPE_READLINK, PATH_ROOM_BYTES);
    sftp_put_word(&writer, path);
    requests_send(item->folder->from, &writer, &call);
}

/* ---- small files ----------------------------------------------------------------------------- */

static void take_got(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct sftp_attrs attrs;
    struct afar_error err;
    if (!remote_is_expected(call, answer)) {
        requests_explain(answer, &err);
        item_got(item, NULL, 0, true, &err);
        return;
    }
    sftp_read_attrs(&answer->body, &attrs);
    bool eof = sftp_read_u8(&answer->body) != 0;
    struct sftp_text data = sftp_read_text(&answer->body);
    if (answer->body.failed || data.size > COPY_SMALL_BYTES || !S_ISREG(attrs.mode)) {
        item_got(item, NULL, 0, true, remote_malformed(&err));
        return;
    }
    struct sftp_text hash = sftp_read_text(&answer->body); /* older servers send none */
    item->has_hash = !answer->body.failed && hash.size == sizeof item->hash;
    if (item->has_hash)
        memcpy(item->hash, hash.bytes, sizeof item->hash);
    info_of_attrs(&item->info, &attrs);
    item_got(item, data.bytes, data.size, eof, NULL);
}

static void remote_get(struct item *item)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct sftp_writer writer;
    struct requests_call call;
    struct afar_error err;
    if (!item_path(item, path, &err)) {
        item_got(item, NULL, 0, true, &err);
        return;
    }
    call_item(item, &call, take_got, SFTP_TYPE_EXTENDED_REPLY);
    call.cost += item->info.size < COPY_SMALL_BYTES ? (size_t)item->info.size : COPY_SMALL_BYTES;
    requests_begin(item->folder->from, &writer, SFTP_TYPE_EXTENDED, PATH_ROOM_BYTES);
    sftp_put_word(&writer, "get@afar");
    sftp_put_word(&writer, path);
    sftp_put_u32(&writer, COPY_SMALL_BYTES);
    requests_send(item->folder->from, &writer, &call);
}

/* ---- larger files ---------------------------------------------------------------------------- */

static void put_handle(struct sftp_writer *writer, const struct item *item)
{
    sftp_put_text(writer, item->source_handle, sizeof item->source_handle);
}

/* Asks for something by the handle, without more arguments. */
static void ask_handle(struct item *item, enum sftp_type type, const struct requests_call *call)
{
    struct sftp_writer writer;
    requests_begin(item->folder->from, &writer, type, SHORT_BYTES);
    put_handle(&writer, item);
    requests_send(item->folder->from, &writer, call);
}

static void take_ranges(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    uint64_t at = 0;
    uint32_t count = remote_is_expected(call, answer) ? sftp_read_u32(&answer->body) : 0;
    if (item->failed || count > COPY_RANGES_MAX || answer->type != call->expected) {
        item_opened(item, item->failed ? &item->err : NULL); /* all as data */
        return;
    }
    uint64_t(*ranges)[2] = calloc((size_t)count + 1, sizeof *ranges);
    bool sound = ranges != NULL;
    for (uint32_t i = 0; sound && i < count; i++) {
        ranges[i][0] = sftp_read_u64(&answer->body);
        ranges[i][1] = sftp_read_u64(&answer->body);
        sound = !answer->body.failed && ranges[i][0] >= at && ranges[i][1] > ranges[i][0];
        at = ranges[i][1];
    }
    bool more = sftp_read_u8(&answer->body) != 0;
    if (!sound) {
        free(ranges);
        item_opened(item, NULL);
        return;
    }
    free(item->ranges);
    item->ranges = ranges;
    item->range_count = count;
    item->ranges_more = more; /* after the last range all is read as data */
    item_opened(item, NULL);
}

static void ask_ranges(struct item *item)
{
    struct sftp_writer writer;
    struct requests_call call;
    call_item(item, &call, take_ranges, SFTP_TYPE_EXTENDED_REPLY);
    requests_begin(item->folder->from, &writer, SFTP_TYPE_EXTENDED, SHORT_BYTES);
    sftp_put_word(&writer, "ranges@afar");
    put_handle(&writer, item);
    sftp_put_u64(&writer, 0);
    requests_send(item->folder->from, &writer, &call);
}

/* The answer to ask_ranges, which comes next, calls item_opened. */
static void take_opened(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct sftp_attrs attrs;
    if (!remote_is_expected(call, answer)) {
        requests_explain(answer, &item->err);
        item->failed = true;
        return;
    }
    sftp_read_attrs(&answer->body, &attrs);
    info_of_attrs(&item->info, &attrs);
    if (answer->body.failed || !S_ISREG(attrs.mode) || attrs.size > INT64_MAX) {
        (void)remote_malformed(&item->err);
        item->failed = true;
    }
}

static void take_handle(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct afar_error err;
    struct requests_call next;
    if (!remote_is_expected(call, answer)) {
        requests_explain(answer, &err);
        item_opened(item, &err);
        return;
    }
    struct sftp_text handle = sftp_read_text(&answer->body);
    if (answer->body.failed || handle.size != sizeof item->source_handle) {
        item_opened(item, remote_malformed(&err));
        return;
    }
    memcpy(item->source_handle, handle.bytes, handle.size);
    item->source_open = true;
    call_item(item, &next, take_opened, SFTP_TYPE_ATTRS);
    ask_handle(item, SFTP_TYPE_FSTAT, &next);
    ask_ranges(item);
}

static void remote_open(struct item *item)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct sftp_writer writer;
    struct requests_call call;
    struct afar_error err;
    if (!item_path(item, path, &err)) {
        item_opened(item, &err);
        return;
    }
    call_item(item, &call, take_handle, SFTP_TYPE_HANDLE);
    requests_begin(item->folder->from, &writer, SFTP_TYPE_OPEN, PATH_ROOM_BYTES);
    sftp_put_word(&writer, path);
    sftp_put_u32(&writer, SFTP_OPEN_READ);
    sftp_put_u32(&writer, 0);
    requests_send(item->folder->from, &writer, &call);
}

static void take_data(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct afar_error err;
    if (answer->type == SFTP_TYPE_STATUS && answer->status == SFTP_STATUS_EOF) {
        item_read(item, call->offset, NULL, 0, NULL);
        return;
    }
    if (!remote_is_expected(call, answer)) {
        requests_explain(answer, &err);
        item_read(item, call->offset, NULL, 0, &err);
        return;
    }
    struct sftp_text data = sftp_read_text(&answer->body);
    bool sound = !answer->body.failed && data.size > 0 && data.size <= call->size;
    item_read(item, call->offset, data.bytes, data.size, sound ? NULL : remote_malformed(&err));
}

/* Where data begins at or after `offset`. */
static uint64_t data_at(const struct item *item, uint64_t offset)
{
    if (item->ranges == NULL || offset >= item->info.size)
        return offset;
    for (size_t i = 0; i < item->range_count; i++) {
        if (offset < item->ranges[i][0])
            return item->ranges[i][0] < item->info.size ? item->ranges[i][0] : item->info.size;
        if (offset < item->ranges[i][1])
            return offset;
    }
    return item->ranges_more ? offset : item->info.size;
}

static bool remote_read(struct item *item, uint64_t offset, size_t size)
{
    struct sftp_writer writer;
    struct requests_call call;
    uint64_t at = item->unsized ? offset : data_at(item, offset);
    /* A hole can be given only when all earlier reads have been answered. */
    if (at > offset) {
        if (item->under_way > 1)
            return false;
        item_hole(item, at - offset);
        return true;
    }
    call_item(item, &call, take_data, SFTP_TYPE_DATA);
    call.offset = offset;
    call.size = size;
    call.cost += size;
    requests_begin(item->folder->from, &writer, SFTP_TYPE_READ, SHORT_BYTES);
    put_handle(&writer, item);
    sftp_put_u64(&writer, offset);
    sftp_put_u32(&writer, (uint32_t)size);
    requests_send(item->folder->from, &writer, &call);
    return true;
}

static void take_prefix(const struct requests_call *call, struct requests_answer *answer)
{
    struct afar_error err;
    const uint8_t *hash = remote_read_hash(call, answer, &err);
    item_prefix(call->user, hash, hash == NULL ? &err : NULL);
}

static void remote_hash(struct item *item, uint64_t size)
{
    struct requests_call call;
    call_item(item, &call, take_prefix, SFTP_TYPE_EXTENDED_REPLY);
    remote_ask_hash(item->folder->from, item->source_handle, size, &call);
}

static void take_hash(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct afar_error err;
    const uint8_t *hash = remote_read_hash(call, answer, &err);
    item_checked(item, item->changed, hash, hash == NULL ? &err : NULL);
}

static void take_checked(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct sftp_attrs now;
    bool last = call->size == 0;
    if (!remote_is_expected(call, answer)) {
        item->changed = true;
    } else {
        sftp_read_attrs(&answer->body, &now);
        item->changed = item->changed || answer->body.failed || now.size != item->info.size ||
                        now.mtime != item->info.mtime || now.mtime_ns != item->info.mtime_ns;
    }
    if (last)
        item_checked(item, item->changed, NULL, NULL);
}

static void remote_check(struct item *item)
{
    struct requests_call call;
    bool verified = !item->copy->options.no_verify && item->moved > 0;
    if (item->unsized && item->info.size == 0) { /* such files have no stable times either */
        item_checked(item, false, NULL, NULL);
        return;
    }
    call_item(item, &call, take_checked, SFTP_TYPE_ATTRS);
    call.size = verified ? 1 : 0;
    ask_handle(item, SFTP_TYPE_FSTAT, &call);
    if (!verified)
        return;
    call_item(item, &call, take_hash, SFTP_TYPE_EXTENDED_REPLY);
    remote_ask_hash(item->folder->from, item->source_handle, item->moved, &call);
}

static void remote_close(struct item *item)
{
    const struct requests_call call = {.done = remote_ignore, .expected = SFTP_TYPE_STATUS};
    free(item->ranges);
    item->ranges = NULL;
    if (!item->source_open)
        return;
    item->source_open = false;
    ask_handle(item, SFTP_TYPE_CLOSE, &call);
}

const struct source remote_source = {
    .next = remote_next,
    .list = remote_list,
    .rewind = remote_rewind,
    .enter = remote_enter,
    .find = remote_find,
    .get = remote_get,
    .open = remote_open,
    .read = remote_read,
    .hash = remote_hash,
    .check = remote_check,
    .read_link = remote_read_link,
    .close = remote_close,
};
