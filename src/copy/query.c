#include "copy/query.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "copy/internal.h"

enum { ROOM_BYTES = 2 * SFTP_PATH_MAX_BYTES + SFTP_ATTRS_MAX_BYTES };

static void fail(struct query *query, struct requests_answer *answer)
{
    query->done = query->failed = true;
    if (answer != NULL)
        requests_explain(answer, &query->err);
    else
        (void)copy_error(&query->err, "EBADMSG", "the server's answer is malformed");
}

static void take_attrs(const struct requests_call *call, struct requests_answer *answer)
{
    struct query *query = call->user;
    struct sftp_attrs attrs;
    if (answer->type != SFTP_TYPE_ATTRS) {
        fail(query, answer);
        return;
    }
    sftp_read_attrs(&answer->body, &attrs);
    info_of_attrs(&query->info, &attrs);
    if (answer->body.failed || (attrs.flags & SFTP_ATTR_MODE) == 0)
        fail(query, NULL);
    query->done = true;
}

void query_stat(struct query *query, struct requests *requests, const char *path, bool follow)
{
    struct sftp_writer writer;
    const struct requests_call call = {
        .done = take_attrs, .user = query, .expected = SFTP_TYPE_ATTRS};
    *query = (struct query){.requests = requests};
    requests_begin(requests, &writer, follow ? SFTP_TYPE_STAT : SFTP_TYPE_LSTAT, ROOM_BYTES);
    sftp_put_word(&writer, path);
    requests_send(requests, &writer, &call);
}

static void take_status(const struct requests_call *call, struct requests_answer *answer)
{
    struct query *query = call->user;
    if (answer->type != SFTP_TYPE_STATUS || answer->status != SFTP_STATUS_OK)
        fail(query, answer);
    query->done = true;
}

void query_mkdir(struct query *query, struct requests *requests, const char *path)
{
    static const struct sftp_attrs none = {0};
    struct sftp_writer writer;
    const struct requests_call call = {
        .done = take_status, .user = query, .expected = SFTP_TYPE_STATUS};
    *query = (struct query){.requests = requests};
    requests_begin(requests, &writer, SFTP_TYPE_MKDIR, ROOM_BYTES);
    sftp_put_word(&writer, path);
    sftp_put_attrs(&writer, &none);
    requests_send(requests, &writer, &call);
}

/* ---- paths ----------------------------------------------------------------------------------- */

static void take_path(const struct requests_call *call, struct requests_answer *answer)
{
    struct query *query = call->user;
    if (answer->type != SFTP_TYPE_NAME) {
        fail(query, answer);
        return;
    }
    uint32_t count = sftp_read_u32(&answer->body);
    struct sftp_text name = sftp_read_text(&answer->body);
    if (answer->body.failed || count != 1 || name.size == 0 || name.size >= sizeof query->path ||
        memchr(name.bytes, 0, name.size) != NULL) {
        fail(query, NULL);
        return;
    }
    memcpy(query->path, name.bytes, name.size);
    query->path[name.size] = '\0';
    query->done = true;
}

void query_expand(struct query *query, struct requests *requests, const char *path)
{
    struct sftp_writer writer;
    const struct requests_call call = {
        .done = take_path, .user = query, .expected = SFTP_TYPE_NAME};
    *query = (struct query){.requests = requests};
    requests_begin(requests, &writer, SFTP_TYPE_EXTENDED, ROOM_BYTES);
    sftp_put_word(&writer, "expand-path@openssh.com");
    sftp_put_word(&writer, path);
    requests_send(requests, &writer, &call);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* False: out of memory, or too many names. */
static bool add_name(struct query *query, const char *name)
{
    if (fnmatch(query->pattern, name, FNM_PERIOD) != 0)
        return true;
    if (query->count >= QUERY_NAMES_MAX)
        return false;
    char **more = reallocarray(query->names, query->count + 1, sizeof *more);
    if (more == NULL)
        return false;
    query->names = more;
    more[query->count] = strdup(name);
    if (more[query->count] == NULL)
        return false;
    query->count++;
    return true;
}

static void ask_list(struct query *query);

static void take_list(const struct requests_call *call, struct requests_answer *answer)
{
    struct query *query = call->user;
    if (answer->type != SFTP_TYPE_EXTENDED_REPLY) {
        fail(query, answer);
        return;
    }
    uint32_t count = sftp_read_u32(&answer->body);
    bool has_more = count > 0;
    for (; count > 0 && !answer->body.failed; count--) {
        char name[COPY_NAME_MAX + 1] = "";
        struct sftp_attrs attrs;
        struct sftp_text text = sftp_read_text(&answer->body);
        sftp_read_attrs(&answer->body, &attrs);
        if (answer->body.failed || copy_name_wrong(text.bytes, text.size) != NULL)
            break;
        memcpy(name, text.bytes, text.size);
        if (strcmp(name, query->after) <= 0)
            break;
        memcpy(query->after, name, sizeof query->after);
        query->listed++;
        if (query->listed > QUERY_LISTED_MAX || !add_name(query, name)) {
            query->done = query->failed = true;
            (void)copy_error(&query->err, "E2BIG", "too many names match");
            return;
        }
    }
    has_more = sftp_read_u8(&answer->body) != 0 && has_more;
    if (answer->body.failed || count > 0)
        fail(query, NULL);
    else if (has_more)
        ask_list(query);
    else
        query->done = true;
}

static void ask_list(struct query *query)
{
    struct sftp_writer writer;
    const struct requests_call call = {
        .done = take_list, .user = query, .expected = SFTP_TYPE_EXTENDED_REPLY};
    requests_begin(query->requests, &writer, SFTP_TYPE_EXTENDED, ROOM_BYTES);
    sftp_put_word(&writer, "list@afar");
    sftp_put_word(&writer, query->path);
    sftp_put_word(&writer, query->after);
    requests_send(query->requests, &writer, &call);
}

void query_list(struct query *query, struct requests *requests, const char *path,
                const char *pattern)
{
    *query = (struct query){.requests = requests};
    if (strlen(path) >= sizeof query->path || strlen(pattern) >= sizeof query->pattern) {
        query->done = query->failed = true;
        (void)copy_error(&query->err, "ENAMETOOLONG", "the path is too long");
        return;
    }
    memcpy(query->path, path, strlen(path) + 1);
    memcpy(query->pattern, pattern, strlen(pattern) + 1);
    ask_list(query);
}

void query_close(struct query *query)
{
    for (size_t i = 0; i < query->count; i++)
        free(query->names[i]);
    free(query->names);
    query->names = NULL;
    query->count = 0;
}
