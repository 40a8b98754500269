/* A target on a server. Small files and directories are sent without waiting for answers: the
 * server carries requests out in order. */
#include <stdio.h>
#include <string.h>

#include "copy/internal.h"

enum {
    PATH_ROOM_BYTES = SFTP_PATH_MAX_BYTES + SFTP_ATTRS_MAX_BYTES + 128,
    SHORT_BYTES = 256,
    FLAG_FSYNC = 2, /* src/wire/SFTP.md */
    FLAG_IN_PLACE = 4,
    FLAG_KEEP_MODE = 8,
    FLAG_UMASK = 16
};

static bool is_ok(const struct requests_answer *answer)
{
    return answer->type == SFTP_TYPE_STATUS && answer->status == SFTP_STATUS_OK;
}

/* Explains why a file could not be written. */
static void explain(const struct requests_answer *answer, struct afar_error *err)
{
    char kind[64];
    requests_explain(answer, err);
    if (strncmp(err->message, "is a ", 5) != 0 || strlen(err->message) >= sizeof kind)
        return;
    (void)snprintf(kind, sizeof kind, "%s", err->message);
    (void)copy_taken(err, kind);
}

/* True if the server can only have failed before it wrote. It would say no more than the errno. */
static bool wrote_nothing(const struct afar_error *err)
{
    static const char *const reasons[] = {"EACCES",  "EEXIST", "EINVAL", "EISDIR",
                                          "ELOOP",   "EMFILE", "ENOENT", "ENXIO",
                                          "ENOTDIR", "EROFS",  "ETXTBSY"};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (strcmp(err->reason, reasons[i]) == 0)
            return true;
    }
    return false;
}

static bool item_path(const struct item *item, char path[SFTP_PATH_MAX_BYTES],
                      struct afar_error *err)
{
    if (copy_join(path, item->folder->target_path, item->target_name))
        return true;
    (void)copy_error(err, "ENAMETOOLONG", "the path is too long");
    return false;
}

static uint32_t flags_of(const struct item *item)
{
    const struct copy_options *options = &item->copy->options;
    /* Standard input has no mode to keep: our umask and that of the server's rule decide. */
    return FLAG_KEEP_MODE | (options->fsync ? FLAG_FSYNC : 0) |
           (options->in_place ? FLAG_IN_PLACE : 0) |
           (item->folder->source == &stream_source ? FLAG_UMASK : 0);
}

/* Sends a request whose only field is a path. */
static void ask_path(struct requests *to, enum sftp_type type, const char *path,
                     const struct requests_call *call)
{
    struct sftp_writer writer;
    requests_begin(to, &writer, type, PATH_ROOM_BYTES);
    sftp_put_word(&writer, path);
    requests_send(to, &writer, call);
}

static void ask_attrs(struct requests *to, enum sftp_type type, const char *path,
                      const struct sftp_attrs *attrs, const struct requests_call *call)
{
    struct sftp_writer writer;
    requests_begin(to, &writer, type, PATH_ROOM_BYTES);
    sftp_put_word(&writer, path);
    sftp_put_attrs(&writer, attrs);
    requests_send(to, &writer, call);
}

/* ---- directories ----------------------------------------------------------------------------- */

/* The directory could not be made because the name exists: fine if it is a directory. */
static void take_there(const struct requests_call *call, struct requests_answer *answer)
{
    struct folder *folder = call->user;
    struct sftp_attrs attrs = {0};
    struct afar_error err;
    if (answer->type != SFTP_TYPE_ATTRS) {
        requests_explain(answer, &err);
        folder_made(folder, false, &err);
        return;
    }
    sftp_read_attrs(&answer->body, &attrs);
    bool good = !answer->body.failed && S_ISDIR(attrs.mode);
    folder_made(folder, false,
                good ? NULL
                     : copy_error(&err, "ENOTDIR", "something else than a directory is there"));
}

static void take_made(const struct requests_call *call, struct requests_answer *answer)
{
    struct folder *folder = call->user;
    if (is_ok(answer)) {
        folder_made(folder, true, NULL);
        return;
    }
    struct requests_call next = {.done = take_there, .user = folder, .expected = SFTP_TYPE_ATTRS};
    struct afar_error err;
    requests_explain(answer, &err);
    if (answer->type == 0 || strcmp(err.reason, "EEXIST") != 0)
        folder_made(folder, false, &err);
    else
        ask_path(folder->to, SFTP_TYPE_LSTAT, folder->target_path, &next);
}

static void remote_make(struct folder *folder, const char *name)
{
    const struct sftp_attrs attrs = {.flags = SFTP_ATTR_MODE,
                                     .mode = (folder->info.mode & 0777) | 0700};
    const struct requests_call call = {
        .done = take_made, .user = folder, .expected = SFTP_TYPE_STATUS, .cost = SHORT_BYTES};
    if (name[0] == '\0')
        folder_made(folder, false, NULL);
    else
        ask_attrs(folder->to, SFTP_TYPE_MKDIR, folder->target_path, &attrs, &call);
}

static void take_finished(const struct requests_call *call, struct requests_answer *answer)
{
    struct afar_error err;
    if (!is_ok(answer))
        requests_explain(answer, &err);
    folder_finished(call->user, is_ok(answer) ? NULL : &err);
}

static void remote_finish(struct folder *folder)
{
    struct sftp_attrs attrs;
    const struct requests_call call = {
        .done = take_finished, .user = folder, .expected = SFTP_TYPE_STATUS};
    info_to_attrs(folder->copy, &folder->info, &attrs);
    if (folder->made)
        ask_attrs(folder->to, SFTP_TYPE_SETSTAT, folder->target_path, &attrs, &call);
    else
        folder_finished(folder, NULL);
}

/* ---- small files ----------------------------------------------------------------------------- */

static void take_compared(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct sftp_attrs attrs;
    struct info there;
    struct afar_error err;
    if (answer->type == SFTP_TYPE_ATTRS) {
        sftp_read_attrs(&answer->body, &attrs);
        info_of_attrs(&there, &attrs);
        item_compared(item, &there, NULL);
        return;
    }
    requests_explain(answer, &err);
    item_compared(item, NULL, answer->type == 0 ? &err : NULL);
}

static void remote_compare(struct item *item)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct afar_error err;
    const struct requests_call call = {
        .done = take_compared, .user = item, .expected = SFTP_TYPE_ATTRS, .cost = SHORT_BYTES};
    if (item_path(item, path, &err))
        ask_path(item->folder->to, SFTP_TYPE_LSTAT, path, &call);
    else
        item_compared(item, NULL, &err);
}

static void take_committed(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct afar_error err;
    if (!is_ok(answer)) {
        explain(answer, &err);
        /* put@afar opens and writes the file in one request. */
        if (item->copy->options.in_place && wrote_nothing(&err))
            item->emptied = false;
    } else {
        item->target_open = false;
    }
    item_committed(item, is_ok(answer) ? NULL : &err);
}

static void put_hash(struct sftp_writer *writer, const struct item *item)
{
    bool has = item->has_hash && !item->copy->options.no_verify;
    sftp_put_text(writer, item->hash, has ? sizeof item->hash : 0);
}

static void remote_put(struct item *item, const uint8_t *data, size_t size)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct sftp_writer writer;
    struct sftp_attrs attrs;
    struct afar_error err;
    const struct requests_call call = {.done = take_committed,
                                       .user = item,
                                       .expected = SFTP_TYPE_STATUS,
                                       .cost = SHORT_BYTES + size};
    if (!item_path(item, path, &err)) {
        item_committed(item, &err);
        return;
    }
    info_to_attrs(item->copy, &item->info, &attrs);
    requests_begin(item->folder->to, &writer, SFTP_TYPE_EXTENDED, PATH_ROOM_BYTES + size);
    sftp_put_word(&writer, "put@afar");
    sftp_put_word(&writer, path);
    sftp_put_u32(&writer, flags_of(item));
    sftp_put_attrs(&writer, &attrs);
    put_hash(&writer, item);
    sftp_put_text(&writer, data, size);
    requests_send(item->folder->to, &writer, &call);
}

/* ---- larger files ---------------------------------------------------------------------------- */

static void put_handle(struct sftp_writer *writer, const struct item *item)
{
    sftp_put_text(writer, item->target_handle, sizeof item->target_handle);
}

static void take_begun(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct afar_error err;
    if (answer->type != call->expected) {
        explain(answer, &err);
        item_begun(item, 0, &err);
        return;
    }
    struct sftp_text handle = sftp_read_text(&answer->body);
    uint64_t size = call->expected == SFTP_TYPE_HANDLE ? 0 : sftp_read_u64(&answer->body);
    if (answer->body.failed || handle.size != sizeof item->target_handle) {
        item_begun(item, 0, remote_malformed(&err));
        return;
    }
    memcpy(item->target_handle, handle.bytes, handle.size);
    item->target_open = true;
    item_begun(item, size, NULL);
}

static void remote_begin(struct item *item)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct sftp_writer writer;
    struct requests *to = item->folder->to;
    struct afar_error err;
    bool in_place = item->copy->options.in_place;
    const struct requests_call call = {.done = take_begun,
                                       .user = item,
                                       .cost = SHORT_BYTES,
                                       .expected =
                                           in_place ? SFTP_TYPE_HANDLE : SFTP_TYPE_EXTENDED_REPLY};
    if (!item_path(item, path, &err)) {
        item_begun(item, 0, &err);
        return;
    }
    requests_begin(to, &writer, in_place ? SFTP_TYPE_OPEN : SFTP_TYPE_EXTENDED, PATH_ROOM_BYTES);
    if (in_place) {
        const struct sftp_attrs attrs = {.flags = SFTP_ATTR_MODE, .mode = item->info.mode & 0777};
        sftp_put_word(&writer, path);
        /* READ, because its hash is checked at the end. */
        sftp_put_u32(&writer, SFTP_OPEN_READ | SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_TRUNC);
        sftp_put_attrs(&writer, &attrs);
    } else {
        sftp_put_word(&writer, "partial@afar");
        sftp_put_word(&writer, path);
        sftp_put_text(&writer, item->tag, sizeof item->tag);
    }
    requests_send(to, &writer, &call);
}

static void take_prefix(const struct requests_call *call, struct requests_answer *answer)
{
    struct afar_error err;
    const uint8_t *hash = remote_read_hash(call, answer, &err);
    item_prefix(call->user, hash, hash == NULL ? &err : NULL);
}

static void remote_hash(struct item *item, uint64_t size)
{
    const struct requests_call call = {
        .done = take_prefix, .user = item, .expected = SFTP_TYPE_EXTENDED_REPLY};
    remote_ask_hash(item->folder->to, item->target_handle, size, &call);
}

static void take_written(const struct requests_call *call, struct requests_answer *answer)
{
    struct afar_error err;
    if (!is_ok(answer))
        requests_explain(answer, &err);
    item_written(call->user, is_ok(answer) ? NULL : &err);
}

static void set_attrs(struct item *item, const struct sftp_attrs *attrs,
                      const struct requests_call *call)
{
    struct sftp_writer writer;
    requests_begin(item->folder->to, &writer, SFTP_TYPE_FSETSTAT, SHORT_BYTES);
    put_handle(&writer, item);
    sftp_put_attrs(&writer, attrs);
    requests_send(item->folder->to, &writer, call);
}

static void remote_empty(struct item *item)
{
    const struct sftp_attrs none = {.flags = SFTP_ATTR_SIZE, .size = 0};
    const struct requests_call call = {
        .done = take_written, .user = item, .expected = SFTP_TYPE_STATUS};
    set_attrs(item, &none, &call);
}

static void remote_write(struct item *item, uint64_t offset, const uint8_t *data, size_t size)
{
    struct sftp_writer writer;
    const struct requests_call call = {.done = take_written,
                                       .user = item,
                                       .expected = SFTP_TYPE_STATUS,
                                       .cost = SHORT_BYTES + size};
    requests_begin(item->folder->to, &writer, SFTP_TYPE_WRITE, SHORT_BYTES + size);
    put_handle(&writer, item);
    sftp_put_u64(&writer, offset);
    sftp_put_text(&writer, data, size);
    requests_send(item->folder->to, &writer, &call);
}

/* In place: attributes, hash and close are requested together; the first failure is reported. */
static void take_step(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    if (!is_ok(answer) && !item->failed) {
        requests_explain(answer, &item->err);
        item->failed = true;
    }
}

static void take_step_hash(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    struct afar_error err;
    const uint8_t *hash = remote_read_hash(call, answer, &err);
    if (item->failed || (hash != NULL && memcmp(hash, item->hash, sizeof item->hash) == 0))
        return;
    item->failed = true;
    (void)copy_error(&item->err, hash == NULL ? err.reason : "EBADMSG",
                     hash == NULL ? err.message
                                  : "the data was damaged on the way: its SHA-256 differs");
}

static void take_step_last(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    take_step(call, answer);
    item->target_open = false;
    item_committed(item, item->failed ? &item->err : NULL);
}

static void ask_step(struct item *item, enum sftp_type type, const char *extension,
                     void (*done)(const struct requests_call *, struct requests_answer *))
{
    struct sftp_writer writer;
    const struct requests_call call = {.done = done, .user = item, .expected = SFTP_TYPE_STATUS};
    requests_begin(item->folder->to, &writer, type, SHORT_BYTES);
    if (extension != NULL)
        sftp_put_word(&writer, extension);
    put_handle(&writer, item);
    requests_send(item->folder->to, &writer, &call);
}

static void commit_in_place(struct item *item)
{
    struct sftp_attrs attrs;
    struct requests_call call = {.done = take_step, .user = item, .expected = SFTP_TYPE_STATUS};
    info_to_attrs(item->copy, &item->info, &attrs);
    attrs.flags &= ~(uint32_t)SFTP_ATTR_MODE; /* an existing file keeps its mode */
    attrs.flags |= SFTP_ATTR_SIZE;            /* for a hole at the end */
    attrs.size = item->moved;
    set_attrs(item, &attrs, &call);
    if (item->has_hash && !item->copy->options.no_verify && item->moved > 0) {
        call.done = take_step_hash;
        call.expected = SFTP_TYPE_EXTENDED_REPLY;
        remote_ask_hash(item->folder->to, item->target_handle, item->moved, &call);
    }
    if (item->copy->options.fsync)
        ask_step(item, SFTP_TYPE_EXTENDED, "fsync@openssh.com", take_step);
    ask_step(item, SFTP_TYPE_CLOSE, NULL, take_step_last);
}

static void remote_commit(struct item *item)
{
    struct sftp_writer writer;
    struct sftp_attrs attrs;
    const struct requests_call call = {
        .done = take_committed, .user = item, .expected = SFTP_TYPE_STATUS};
    if (item->copy->options.in_place) {
        commit_in_place(item);
        return;
    }
    info_to_attrs(item->copy, &item->info, &attrs);
    requests_begin(item->folder->to, &writer, SFTP_TYPE_EXTENDED, SHORT_BYTES);
    sftp_put_word(&writer, "commit@afar");
    put_handle(&writer, item);
    sftp_put_u32(&writer, flags_of(item));
    sftp_put_u64(&writer, item->moved);
    sftp_put_attrs(&writer, &attrs);
    put_hash(&writer, item);
    requests_send(item->folder->to, &writer, &call);
}

static void remote_drop(struct item *item, bool keep)
{
    char path[SFTP_PATH_MAX_BYTES];
    char name[256];
    const struct requests_call call = {.done = remote_ignore, .expected = SFTP_TYPE_STATUS};
    struct requests *to = item->folder->to;
    if (!item->target_open)
        return;
    item->target_open = false;
    ask_step(item, SFTP_TYPE_CLOSE, NULL, remote_ignore);
    partial_name(item->target_name, item->tag, name);
    if (!keep && !item->copy->options.in_place && copy_join(path, item->folder->target_path, name))
        ask_path(to, SFTP_TYPE_REMOVE, path, &call);
}

/* ---- links ----------------------------------------------------------------------------------- */

static void ask_link(struct item *item, const char *path, const char *text,
                     const struct requests_call *call)
{
    struct sftp_writer writer;
    requests_begin(item->folder->to, &writer, SFTP_TYPE_SYMLINK,
                   SFTP_PATH_MAX_BYTES + PATH_ROOM_BYTES);
    sftp_put_word(&writer, text);
    sftp_put_word(&writer, path);
    requests_send(item->folder->to, &writer, call);
}

/* item->partial holds the link's text; a link has no partial file. */
static void take_link_there(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    char path[SFTP_PATH_MAX_BYTES];
    struct afar_error err;
    if (answer->type != SFTP_TYPE_NAME) {
        item_committed(item, copy_error(&err, "EEXIST", "something else than a link is there"));
        return;
    }
    (void)sftp_read_u32(&answer->body);
    struct sftp_text there = sftp_read_text(&answer->body);
    if (!answer->body.failed && sftp_text_is(&there, item->partial)) {
        item_committed(item, NULL);
        return;
    }
    const struct requests_call gone = {.done = remote_ignore, .expected = SFTP_TYPE_STATUS};
    const struct requests_call again = {
        .done = take_committed, .user = item, .expected = SFTP_TYPE_STATUS};
    (void)copy_join(path, item->folder->target_path, item->target_name);
    ask_path(item->folder->to, SFTP_TYPE_REMOVE, path, &gone);
    ask_link(item, path, item->partial, &again);
}

static void take_link_put(const struct requests_call *call, struct requests_answer *answer)
{
    struct item *item = call->user;
    char path[SFTP_PATH_MAX_BYTES];
    struct afar_error err;
    const struct requests_call there = {
        .done = take_link_there, .user = item, .expected = SFTP_TYPE_NAME};
    if (!is_ok(answer))
        requests_explain(answer, &err);
    if (is_ok(answer) || strcmp(err.reason, "EEXIST") != 0) {
        item_committed(item, is_ok(answer) ? NULL : &err);
        return;
    }
    (void)copy_join(path, item->folder->target_path, item->target_name);
    ask_path(item->folder->to, SFTP_TYPE_READLINK, path, &there);
}

static void remote_put_link(struct item *item, const char *text)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct afar_error err;
    const struct requests_call call = {
        .done = take_link_put, .user = item, .expected = SFTP_TYPE_STATUS, .cost = SHORT_BYTES};
    item->partial = strdup(text);
    if (item->partial == NULL)
        item_committed(item, copy_error(&err, "ENOMEM", "out of memory"));
    else if (item_path(item, path, &err))
        ask_link(item, path, text, &call);
    else
        item_committed(item, &err);
}

const struct target remote_target = {
    .make = remote_make,
    .find = remote_compare,
    .put = remote_put,
    .begin = remote_begin,
    .hash = remote_hash,
    .empty = remote_empty,
    .write = remote_write,
    .commit = remote_commit,
    .put_link = remote_put_link,
    .finish = remote_finish,
    .drop = remote_drop,
};
