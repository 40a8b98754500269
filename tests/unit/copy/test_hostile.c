/* Copies from servers that lie: nothing is written outside of the target, and the copy ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "copy/copy.h"
#include "support/folder.h"

enum {
    NODES_MAX = 16,
    STEPS_MAX = 20000,
    DIRECTORY = S_IFDIR | 0755,
    PLAIN = S_IFREG | 0644,
    LINK = S_IFLNK | 0777,
    CONTENT_BYTES = 300000
};

/* What a server says that it has: below "t". */
struct node {
    const char *folder;
    const char *name;
    size_t name_bytes; /* 0: as long as it is */
    uint32_t mode;
    uint64_t told;    /* its size, as it says */
    uint64_t content; /* bytes that it really sends */
    const char *text; /* of a link */
};

/* How it lies besides. */
enum lie {
    LIE_NONE,
    LIE_ID,           /* an answer to another request */
    LIE_TYPE,         /* a handle where data was asked for */
    LIE_LENGTH,       /* a packet longer than any may be */
    LIE_ENDLESS_LIST, /* the same names again and again */
    LIE_EMPTY_LIST,   /* more of them, but none now */
    LIE_DEPTH,        /* each directory has one more */
    LIE_HASH,         /* another SHA-256 */
    LIE_MUCH,         /* more data than was asked for */
    LIE_SHORT,        /* a packet that ends in the middle of a field */
    LIE_COUNT,        /* more names than there are */
    LIE_UNASKED,      /* answers before there is a request */
    LIE_HANDLE,       /* a handle of another length */
    LIE_VERSION
};

struct liar {
    const struct node *nodes;
    enum lie lie;
    struct requests *requests;
    struct buffer answers;
    bool failed; /* the client has found it out */
};

static uint8_t content_at(uint64_t at)
{
    return (uint8_t)(at * 7 + at / 256);
}

static void put_attrs(struct sftp_writer *writer, uint32_t mode, uint64_t size)
{
    const struct sftp_attrs attrs = {.flags = SFTP_ATTR_SIZE | SFTP_ATTR_MODE | SFTP_ATTR_TIMES,
                                     .mode = mode,
                                     .size = size,
                                     .atime = 1,
                                     .mtime = 1};
    sftp_put_attrs(writer, &attrs);
}

static const struct node *find(const struct liar *liar, const char *path)
{
    char whole[1024];
    for (const struct node *at = liar->nodes; at->folder != NULL; at++) {
        (void)snprintf(whole, sizeof whole, "%s/%s", at->folder, at->name);
        if (strcmp(whole, path) == 0)
            return at;
    }
    return NULL;
}

static void begin(struct liar *liar, struct sftp_writer *writer, uint8_t type, uint32_t id)
{
    sftp_begin(writer, &liar->answers, SFTP_PACKET_MAX_BYTES);
    sftp_put_u8(writer, type);
    sftp_put_u32(writer, liar->lie == LIE_ID ? id + 1 : id);
}

static void end(struct sftp_writer *writer)
{
    assert_int_equal(sftp_end(writer, NULL), AFAR_OK);
}

static void answer_status(struct liar *liar, uint32_t id, uint32_t status, const char *text)
{
    struct sftp_writer writer;
    begin(liar, &writer, SFTP_TYPE_STATUS, id);
    sftp_put_u32(&writer, status);
    sftp_put_word(&writer, text);
    sftp_put_word(&writer, "");
    end(&writer);
}

static void answer_attrs(struct liar *liar, uint32_t id, const char *path)
{
    struct sftp_writer writer;
    const struct node *node = find(liar, path);
    bool is_folder = strcmp(path, "t") == 0 || liar->lie == LIE_DEPTH;
    if (node == NULL && !is_folder) {
        answer_status(liar, id, SFTP_STATUS_NO_SUCH_FILE, "No such file or directory");
        return;
    }
    begin(liar, &writer, SFTP_TYPE_ATTRS, id);
    put_attrs(&writer, node != NULL ? node->mode : DIRECTORY, node != NULL ? node->told : 0);
    end(&writer);
}

static void answer_list(struct liar *liar, uint32_t id, const char *path, const char *after)
{
    struct sftp_writer writer;
    uint32_t count = 0;
    begin(liar, &writer, SFTP_TYPE_EXTENDED_REPLY, id);
    size_t mark = sftp_mark(&writer);
    sftp_put_u32(&writer, 0);
    bool deeper = liar->lie == LIE_DEPTH;
    bool done = after[0] != '\0' && liar->lie != LIE_ENDLESS_LIST;
    for (const struct node *at = liar->nodes; !done && !deeper && at->folder != NULL; at++) {
        if (strcmp(at->folder, path) != 0)
            continue;
        sftp_put_text(&writer, at->name, at->name_bytes > 0 ? at->name_bytes : strlen(at->name));
        put_attrs(&writer, at->mode, at->told);
        count++;
    }
    if (deeper) {
        sftp_put_word(&writer, "d");
        put_attrs(&writer, DIRECTORY, 0);
        count = 1;
    }
    if (liar->lie == LIE_EMPTY_LIST) {
        sftp_rewind(&writer, mark + 4);
        count = 0;
    }
    sftp_patch_u32(&writer, mark, liar->lie == LIE_COUNT ? 1000000 : count);
    sftp_put_u8(&writer, liar->lie == LIE_ENDLESS_LIST || liar->lie == LIE_EMPTY_LIST ? 1 : 0);
    end(&writer);
}

static void put_content(struct sftp_writer *writer, uint64_t from, size_t size)
{
    sftp_put_u32(writer, (uint32_t)size);
    uint8_t *room = sftp_put_room(writer, size);
    for (size_t i = 0; i < size; i++)
        room[i] = content_at(from + i);
}

static void answer_get(struct liar *liar, uint32_t id, const char *path, uint32_t most)
{
    struct sftp_writer writer;
    const struct node *node = find(liar, path);
    if (node == NULL) {
        answer_status(liar, id, SFTP_STATUS_NO_SUCH_FILE, "\033]0;pwned\007");
        return;
    }
    size_t size = node->content < most ? (size_t)node->content : most;
    size = liar->lie == LIE_MUCH ? most + 1 : size;
    begin(liar, &writer, SFTP_TYPE_EXTENDED_REPLY, id);
    put_attrs(&writer, node->mode, node->told);
    sftp_put_u8(&writer, node->content <= most ? 1 : 0);
    if (liar->lie == LIE_SHORT)
        sftp_put_u32(&writer, 100000);
    else
        put_content(&writer, 0, size);
    if (liar->lie == LIE_HASH)
        sftp_put_text(&writer, "0123456789abcdef0123456789abcdef", 32);
    end(&writer);
}

static void answer_handle(struct liar *liar, uint32_t id, const char *path)
{
    struct sftp_writer writer;
    const struct node *node = find(liar, path);
    begin(liar, &writer, SFTP_TYPE_HANDLE, id);
    uint64_t handle = node == NULL ? 0 : (uint64_t)(node - liar->nodes);
    sftp_put_u32(&writer, SFTP_HANDLE_BYTES);
    sftp_put_u64(&writer, handle);
    if (liar->lie == LIE_HANDLE) {
        sftp_rewind(&writer, sftp_mark(&writer) - 12);
        sftp_put_u32(&writer, 4);
        sftp_put_u32(&writer, 0);
    }
    end(&writer);
}

static void answer_read(struct liar *liar, uint32_t id, const struct node *node, uint64_t offset,
                        uint32_t size)
{
    struct sftp_writer writer;
    if (liar->lie == LIE_TYPE) {
        answer_handle(liar, id, "");
        return;
    }
    if (offset >= node->content) {
        answer_status(liar, id, SFTP_STATUS_EOF, "");
        return;
    }
    uint64_t left = node->content - offset;
    size_t sent = left < size ? (size_t)left : size;
    begin(liar, &writer, SFTP_TYPE_DATA, id);
    put_content(&writer, offset, liar->lie == LIE_MUCH ? size + 1 : sent);
    end(&writer);
}

static void answer_hash(struct liar *liar, uint32_t id, const struct node *node)
{
    struct sftp_writer writer;
    struct digest *digest = NULL;
    uint8_t hash[DIGEST_MAX_BYTES];
    size_t size = 0;
    assert_int_equal(digest_new(&digest, "sha256", NULL), AFAR_OK);
    for (uint64_t i = 0; i < node->content; i++) {
        uint8_t byte = content_at(i);
        assert_int_equal(digest_update(digest, &byte, 1, NULL), AFAR_OK);
    }
    assert_int_equal(digest_finish_bytes(digest, hash, &size, NULL), AFAR_OK);
    digest_free(digest);
    hash[0] ^= liar->lie == LIE_HASH ? 1 : 0;
    begin(liar, &writer, SFTP_TYPE_EXTENDED_REPLY, id);
    sftp_put_word(&writer, "check-file");
    sftp_put_word(&writer, "sha256");
    sftp_put_bytes(&writer, hash, size);
    end(&writer);
}

static void copy_text(struct sftp_reader *in, char out[1024])
{
    struct sftp_text text = sftp_read_text(in);
    (void)snprintf(out, 1024, "%.*s", (int)text.size, (const char *)text.bytes);
}

static const struct node *read_handle(struct liar *liar, struct sftp_reader *in)
{
    (void)sftp_read_u32(in);
    return &liar->nodes[sftp_read_u64(in)];
}

static void answer_extended(struct liar *liar, uint32_t id, struct sftp_reader *in)
{
    char name[1024];
    char path[1024];
    char after[1024];
    copy_text(in, name);
    if (strcmp(name, "check-file-handle") == 0) {
        answer_hash(liar, id, read_handle(liar, in));
    } else if (strcmp(name, "list@afar") == 0) {
        copy_text(in, path);
        copy_text(in, after);
        answer_list(liar, id, path, after);
    } else if (strcmp(name, "get@afar") == 0) {
        copy_text(in, path);
        answer_get(liar, id, path, sftp_read_u32(in));
    } else {
        answer_status(liar, id, SFTP_STATUS_OP_UNSUPPORTED, "no");
    }
}

static void answer_link(struct liar *liar, uint32_t id, const char *path)
{
    struct sftp_writer writer;
    const struct node *node = find(liar, path);
    begin(liar, &writer, SFTP_TYPE_NAME, id);
    sftp_put_u32(&writer, 1);
    sftp_put_word(&writer, node != NULL && node->text != NULL ? node->text : "");
    sftp_put_word(&writer, "");
    sftp_put_u32(&writer, 0);
    end(&writer);
}

static void answer(struct liar *liar, const uint8_t *body, size_t size)
{
    struct sftp_reader in;
    struct sftp_writer writer;
    char path[1024];
    sftp_reader_init(&in, body, size);
    uint8_t type = sftp_read_u8(&in);
    uint32_t id = sftp_read_u32(&in);
    switch (type) {
    case SFTP_TYPE_INIT:
        sftp_begin(&writer, &liar->answers, 64);
        sftp_put_u8(&writer, SFTP_TYPE_VERSION);
        sftp_put_u32(&writer, liar->lie == LIE_VERSION ? 6 : 3);
        end(&writer);
        break;
    case SFTP_TYPE_STAT:
    case SFTP_TYPE_LSTAT:
        copy_text(&in, path);
        answer_attrs(liar, id, path);
        break;
    case SFTP_TYPE_OPEN:
        copy_text(&in, path);
        answer_handle(liar, id, path);
        break;
    case SFTP_TYPE_READLINK:
        copy_text(&in, path);
        answer_link(liar, id, path);
        break;
    case SFTP_TYPE_READ: {
        const struct node *node = read_handle(liar, &in);
        uint64_t offset = sftp_read_u64(&in);
        answer_read(liar, id, node, offset, sftp_read_u32(&in));
        break;
    }
    case SFTP_TYPE_FSTAT: {
        const struct node *node = read_handle(liar, &in);
        begin(liar, &writer, SFTP_TYPE_ATTRS, id);
        put_attrs(&writer, node->mode, node->told);
        end(&writer);
        break;
    }
    case SFTP_TYPE_EXTENDED:
        answer_extended(liar, id, &in);
        break;
    default:
        answer_status(liar, id, SFTP_STATUS_OK, "");
    }
}

/* Answers what has been asked, and gives the answers to the client. */
static void serve(struct liar *liar)
{
    struct buffer *out = &liar->requests->out;
    struct afar_error err;
    const uint8_t *body = NULL;
    size_t size = 0;
    size_t used = 0;
    while (sftp_next(buffer_head(out), buffer_size(out), &body, &size, &used, NULL) == AFAR_OK) {
        answer(liar, body, size);
        buffer_consume(out, used);
    }
    if (liar->lie == LIE_UNASKED)
        answer_status(liar, 4711, SFTP_STATUS_OK, "");
    if (liar->lie == LIE_LENGTH && liar->requests->greeted) {
        static const uint8_t huge[] = {0x7f, 0xff, 0xff, 0xff, 101};
        assert_int_equal(buffer_append(&liar->answers, huge, sizeof huge, NULL), AFAR_OK);
    }
    if (buffer_size(&liar->answers) > 0 && !liar->failed &&
        requests_take(liar->requests, buffer_head(&liar->answers), buffer_size(&liar->answers),
                      &err) != AFAR_OK) {
        liar->failed = true;
        requests_end(liar->requests);
    }
    buffer_clear(&liar->answers);
}

/* ---- the copy -------------------------------------------------------------------------------- */

struct case_ {
    const char *what;
    struct node nodes[NODES_MAX];
    enum lie lie;
    bool found_out; /* the session must end */
    unsigned copied;
    unsigned failed;
    const char *reason; /* a part of what one failure says; NULL: none */
    enum copy_links links;
};

struct outcome {
    const struct case_ *now;
    bool reason_seen;
};

static void on_result(void *user, const struct copy_result *result)
{
    struct outcome *outcome = user;
    if (result->err != NULL && outcome->now->reason != NULL &&
        strstr(result->err->message, outcome->now->reason) != NULL)
        outcome->reason_seen = true;
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

/* No partial file may be left. */
static void expect_no_partials(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry = NULL;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        assert_null(strstr(entry->d_name, ".afar-"));
    (void)closedir(dir);
}

static void run_case(const struct case_ *now)
{
    char base[] = "/tmp/afar-hostile-XXXXXX";
    char target[64];
    struct copy copy;
    struct requests requests;
    struct afar_error err;
    struct outcome outcome = {.now = now};
    struct liar liar = {.nodes = now->nodes, .lie = now->lie, .requests = &requests};
    const struct copy_options options = {.recursive = true, .links = now->links};
    assert_non_null(mkdtemp(base));
    (void)snprintf(target, sizeof target, "%s/in", base);
    assert_int_equal(mkdir(target, 0755), 0);
    assert_int_equal(requests_init(&requests, &err), AFAR_OK);
    buffer_init(&liar.answers, 64 << 20);
    copy_init(&copy, &options);
    copy.on_result = on_result;
    copy.user = &outcome;
    const struct copy_route route = {
        .from = &requests, .source = "t", .target = target, .target_name = "t"};
    assert_int_equal(copy_add(&copy, &route, &err), AFAR_OK);
    int steps = 0;
    for (; steps < STEPS_MAX && !copy_done(&copy); steps++) {
        (void)copy_step(&copy);
        serve(&liar);
        if (liar.failed)
            copy_stop(&copy);
    }
    if (!copy_done(&copy))
        fail_msg("%s: it does not end", now->what);
    if (liar.failed != now->found_out)
        fail_msg("%s: found out: %d", now->what, liar.failed);
    unsigned copied = (unsigned)copy.counts.outcomes[COPY_COPIED];
    unsigned failed = (unsigned)copy.counts.outcomes[COPY_FAILED];
    if (!now->found_out && (copied != now->copied || failed != now->failed))
        fail_msg("%s: %u copied, %u failed", now->what, copied, failed);
    if (now->reason != NULL && !outcome.reason_seen)
        fail_msg("%s: nothing says '%s'", now->what, now->reason);
    assert_int_equal(count_entries(base), 3); /* ".", ".." and "in" */
    expect_no_partials(target);
    copy_close(&copy);
    requests_close(&requests);
    buffer_close(&liar.answers);
    assert_int_equal(folder_remove(base), 0);
}

#define NAME(text, mode_)                                                   \
    {                                                                       \
        .folder = "t", .name = text, .mode = mode_, .told = 3, .content = 3 \
    }
#define BIG(told_, content_)                                                            \
    {                                                                                   \
        .folder = "t", .name = "big", .mode = PLAIN, .told = told_, .content = content_ \
    }

static const struct case_ cases[] = {
    {.what = "honest",
     .nodes = {NAME("a", PLAIN),
               BIG(CONTENT_BYTES, CONTENT_BYTES),
               {.folder = "t", .name = "d", .mode = DIRECTORY},
               {.folder = "t", .name = "l", .mode = LINK, .text = "d/x"},
               {.folder = "t/d", .name = "x", .mode = PLAIN}},
     .copied = 4},
    {.what = "climbing name", .nodes = {NAME("../x", PLAIN)}, .failed = 1, .reason = "'/'"},
    {.what = "absolute name", .nodes = {NAME("/tmp/x", PLAIN)}, .failed = 1, .reason = "'/'"},
    {.what = "two components", .nodes = {NAME("a/b", PLAIN)}, .failed = 1, .reason = "'/'"},
    {.what = "dot", .nodes = {NAME(".", DIRECTORY)}, .failed = 1, .reason = "'.'"},
    {.what = "dot dot", .nodes = {NAME("..", DIRECTORY)}, .failed = 1, .reason = "'..'"},
    {.what = "NUL",
     .nodes = {{.folder = "t", .name = "a\0b", .name_bytes = 3, .mode = PLAIN}},
     .failed = 1,
     .reason = "NUL"},
    {.what = "no name", .lie = LIE_NONE, .nodes = {NAME("", PLAIN)}, .failed = 1},
    {.what = "two names alike: a link, then a directory",
     .nodes = {{.folder = "t", .name = "x", .mode = LINK, .text = "."}, NAME("x", DIRECTORY)},
     .failed = 1,
     .reason = "order"},
    {.what = "not in order",
     .nodes = {NAME("b", PLAIN), NAME("a", PLAIN)},
     .copied = 1,
     .failed = 1,
     .reason = "order"},
    {.what = "link that climbs out",
     .nodes = {{.folder = "t", .name = "x", .mode = LINK, .text = "../../x"}},
     .failed = 1,
     .reason = "leads out"},
    {.what = "absolute link",
     .nodes = {{.folder = "t", .name = "x", .mode = LINK, .text = "/etc"}},
     .failed = 1,
     .reason = "leads out"},
    {.what = "link that climbs out by a directory",
     .nodes = {{.folder = "t", .name = "d", .mode = DIRECTORY},
               {.folder = "t/d", .name = "x", .mode = LINK, .text = "../../t2"}},
     .failed = 1,
     .reason = "leads out"},
    {.what = "link of no text",
     .nodes = {{.folder = "t", .name = "x", .mode = LINK, .text = ""}},
     .failed = 1,
     .reason = "malformed"},
    {.what = "larger than told",
     .nodes = {BIG(100000, CONTENT_BYTES)},
     .failed = 1,
     .reason = "changed"},
    {.what = "smaller than told",
     .nodes = {BIG(CONTENT_BYTES, 100000)},
     .failed = 1,
     .reason = "changed"},
    {.what = "small, and larger than told",
     .nodes = {BIG(3, CONTENT_BYTES)},
     .failed = 1,
     .reason = "changed"},
    {.what = "endless, without a size",
     .nodes = {BIG(0, UINT64_MAX)},
     .failed = 1,
     .reason = "larger than it says"},
    {.what = "the whole address space", .nodes = {BIG(UINT64_MAX, 100000)}, .failed = 1},
    {.what = "false hash",
     .nodes = {BIG(CONTENT_BYTES, CONTENT_BYTES)},
     .lie = LIE_HASH,
     .failed = 1,
     .reason = "SHA-256"},
    {.what = "false hash, small", .nodes = {NAME("a", PLAIN)}, .lie = LIE_HASH, .failed = 1},
    {.what = "more data than was asked for",
     .nodes = {BIG(CONTENT_BYTES, CONTENT_BYTES)},
     .lie = LIE_MUCH,
     .failed = 1,
     .reason = "malformed"},
    {.what = "more of a small file than was asked for",
     .nodes = {NAME("a", PLAIN)},
     .lie = LIE_MUCH,
     .failed = 1,
     .reason = "malformed"},
    {.what = "cut answer",
     .nodes = {NAME("a", PLAIN)},
     .lie = LIE_SHORT,
     .failed = 1,
     .reason = "malformed"},
    {.what = "handle of four bytes",
     .nodes = {BIG(CONTENT_BYTES, CONTENT_BYTES)},
     .lie = LIE_HANDLE,
     .failed = 1,
     .reason = "malformed"},
    {.what = "endless list",
     .nodes = {NAME("a", PLAIN)},
     .lie = LIE_ENDLESS_LIST,
     .copied = 1,
     .failed = 1,
     .reason = "order"},
    {.what = "list without names and without an end",
     .nodes = {NAME("a", PLAIN)},
     .lie = LIE_EMPTY_LIST,
     .failed = 1,
     .reason = "does not end"},
    {.what = "more names than there are",
     .nodes = {NAME("a", PLAIN)},
     .lie = LIE_COUNT,
     .copied = 1,
     .failed = 1},
    {.what = "no bottom", .lie = LIE_DEPTH, .failed = 1, .reason = "128"},
    {.what = "answer to another request",
     .nodes = {NAME("a", PLAIN)},
     .lie = LIE_ID,
     .found_out = true},
    {.what = "handle for data",
     .nodes = {BIG(CONTENT_BYTES, CONTENT_BYTES)},
     .lie = LIE_TYPE,
     .found_out = true},
    {.what = "huge packet", .nodes = {NAME("a", PLAIN)}, .lie = LIE_LENGTH, .found_out = true},
    {.what = "answers to nothing",
     .nodes = {NAME("a", PLAIN)},
     .lie = LIE_UNASKED,
     .found_out = true},
    {.what = "version 6", .nodes = {NAME("a", PLAIN)}, .lie = LIE_VERSION, .found_out = true},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        run_case(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
