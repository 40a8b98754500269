/* A copy, up or down, and questions to a server. Whatever the server answers: the copy ends, each
 * file is reported once, nothing is written outside of the target, and no partial file is left
 * there. */
#include "support/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy/copy.h"
#include "copy/query.h"

enum {
    UP = 1,
    IN_PLACE = 2,
    NO_VERIFY = 4,
    UPDATE = 8,
    QUESTIONS = 16,
    LINKS_ALL = 32,
    RESUME = 64,
    STEPS_MAX = 100000,
    PATIENCE_STEPS = 24, /* a hole may be of any size: then interrupt the copy */
    LARGE_BYTES = 70000,
    RAW = 255 /* instead of a type: bytes that are not a packet */
};

static char base[64];

/* The rest of the input, and where its answers go. */
struct script {
    const uint8_t *at;
    size_t left;
    size_t piece;
    struct requests *requests;
    bool failed;
};

static int here = -1; /* the fuzzer's directory, where it writes failing inputs */

static void require(bool promise)
{
    if (promise)
        return;
    if (here >= 0 && fchdir(here) != 0)
        perror("fuzz_copy");
    abort();
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    return at->level > 0 ? remove(path) : 0;
}

static void remove_base(void)
{
    (void)nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    (void)rmdir(base);
}

static void make_file(const char *path, size_t size)
{
    static const char bytes[LARGE_BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && close(fd) == 0);
}

static void make_folders(void)
{
    static bool made;
    if (!made) {
        /* In memory if possible: the files are temporary. */
        bool fast = access("/dev/shm", W_OK) == 0;
        (void)strcpy(base, fast ? "/dev/shm/afar-fuzz-XXXXXX" : "/tmp/afar-fuzz-XXXXXX");
        require(mkdtemp(base) != NULL && atexit(remove_base) == 0);
        made = true;
    }
    require(chdir(base) == 0);
    (void)nftw(".", remove_one, 16, FTW_DEPTH | FTW_PHYS);
    require(mkdir("in", 0700) == 0 && mkdir("t", 0700) == 0 && mkdir("t/d", 0700) == 0);
    make_file("t/a", 3);
    make_file("t/d/large", LARGE_BYTES);
    require(symlink("d/large", "t/l") == 0);
}

static void feed(struct script *script, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0 && !script->failed) {
        size_t now = size < script->piece ? size : script->piece;
        script->failed = requests_take(script->requests, at, now, NULL) != AFAR_OK;
        at += now;
        size -= now;
    }
}

/* The next answer of the script: its type, two bytes of length, the content after the id. */
static void answer(struct script *script, uint32_t id)
{
    uint8_t head[9];
    if (script->left < 3) {
        script->failed = true;
        return;
    }
    uint8_t type = script->at[0];
    size_t size = (size_t)script->at[1] << 8 | script->at[2];
    script->at += 3;
    script->left -= 3;
    size = size < script->left ? size : script->left;
    const uint32_t fields[2] = {(uint32_t)size + 5, id};
    for (int i = 0; i < 4; i++) {
        head[i] = (uint8_t)(fields[0] >> (24 - 8 * i));
        head[5 + i] = (uint8_t)(fields[1] >> (24 - 8 * i));
    }
    head[4] = type;
    if (type != RAW)
        feed(script, head, sizeof head);
    feed(script, script->at, size);
    script->at += size;
    script->left -= size;
}

static void serve(struct script *script)
{
    static const uint8_t version[] = {0, 0, 0, 5, SFTP_TYPE_VERSION, 0, 0, 0, SFTP_VERSION};
    struct buffer *out = &script->requests->out;
    struct sftp_reader in;
    const uint8_t *body = NULL;
    size_t size = 0;
    size_t used = 0;
    bool served = false;
    while (!script->failed &&
           sftp_next(buffer_head(out), buffer_size(out), &body, &size, &used, NULL) == AFAR_OK) {
        sftp_reader_init(&in, body, size);
        bool hello = sftp_read_u8(&in) == SFTP_TYPE_INIT;
        uint32_t id = sftp_read_u32(&in);
        buffer_consume(out, used);
        served = true;
        if (hello)
            feed(script, version, sizeof version);
        else
            answer(script, id);
    }
    /* After bytes that are not a packet an answer may never come. */
    if (!served && requests_under_way(script->requests) > 0)
        script->failed = true;
    if (script->failed)
        requests_end(script->requests);
}

static void on_result(void *user, const struct copy_result *result)
{
    unsigned *told = user;
    require(result->source != NULL && result->target != NULL);
    require((result->err != NULL) ==
            (result->outcome == COPY_FAILED || result->outcome == COPY_SKIPPED));
    (*told)++;
}

static void copy_all(struct script *script, uint8_t how)
{
    struct copy copy;
    unsigned told = 0;
    const struct copy_options options = {.recursive = true,
                                         .update = (how & UPDATE) != 0,
                                         .in_place = (how & IN_PLACE) != 0,
                                         .no_resume = (how & RESUME) == 0,
                                         .no_verify = (how & NO_VERIFY) != 0,
                                         .links = (how & LINKS_ALL) != 0 ? COPY_LINKS_ALL
                                                                         : COPY_LINKS_DEFAULT};
    const bool up = (how & UP) != 0;
    const struct copy_route route = {.from = up ? NULL : script->requests,
                                     .source = "t",
                                     .to = up ? script->requests : NULL,
                                     .target = up ? "far" : "in",
                                     .target_name = "t"};
    copy_init(&copy, &options);
    copy.on_result = on_result;
    copy.user = &told;
    require(copy_add(&copy, &route, NULL) == AFAR_OK);
    for (int steps = 0; !copy_done(&copy); steps++) {
        require(steps < STEPS_MAX);
        (void)copy_step(&copy);
        serve(script);
        if (steps == PATIENCE_STEPS)
            requests_end(script->requests);
        if (script->failed || steps == PATIENCE_STEPS)
            copy_stop(&copy);
    }
    uint64_t sum = 0;
    for (int i = 0; i <= COPY_FAILED; i++)
        sum += copy.counts.outcomes[i];
    require(sum == told);
    copy_close(&copy);
}

static void ask(struct script *script)
{
    for (int i = 0; i < 3 && !script->failed; i++) {
        struct query query;
        if (i == 0)
            query_expand(&query, script->requests, "~");
        else if (i == 1)
            query_list(&query, script->requests, "d", "*a[b-z]?");
        else
            query_stat(&query, script->requests, "t", true);
        for (int steps = 0; !query.done; steps++) {
            require(steps < STEPS_MAX);
            serve(script);
        }
        require(memchr(query.path, 0, sizeof query.path) != NULL);
        query_close(&query);
    }
}

/* Only "in" is written to, and it contains whole files, or partial files that can be resumed. */
static int check_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    require(strstr(path, ".afar-") == NULL);
    return 0;
}

static void check_folders(bool whole)
{
    unsigned entries = 0;
    DIR *dir = opendir(".");
    require(dir != NULL);
    while (readdir(dir) != NULL)
        entries++;
    (void)closedir(dir);
    require(entries == 4); /* ".", "..", "in", "t" */
    require(!whole || nftw("in", check_one, 16, FTW_PHYS) == 0);
}

void fuzz_copy(const uint8_t *data, size_t size)
{
    struct requests requests;
    if (size < 2)
        return;
    struct script script = {
        .at = data + 2, .left = size - 2, .piece = data[1] + 1U, .requests = &requests};
    here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    require(here >= 0);
    make_folders();
    require(requests_init(&requests, NULL) == AFAR_OK);
    if ((data[0] & QUESTIONS) != 0)
        ask(&script);
    else
        copy_all(&script, data[0]);
    requests_end(&requests);
    requests_close(&requests);
    check_folders((data[0] & RESUME) == 0);
    require(fchdir(here) == 0 && close(here) == 0);
}
