/* Hashes of files: draft-ietf-secsh-filexfer-extensions-00 §3, as paramiko and ProFTPD implement
 * it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files/internal.h"

enum {
    BLOCK_MIN_BYTES = 256,
    PIECE_BYTES = 65536,
    ANSWER_BYTES = 131072, /* limit of hashes in one answer */
    ALGORITHMS_BYTES = 256
};

struct check {
    const char *algorithm; /* NULL: the client asked for none that we know */
    uint64_t offset;
    uint64_t length; /* 0: to the end */
    uint32_t block;  /* 0: one hash of all */
};

/* The first algorithm of the client's list that we know. */
static const char *choose(const struct sftp_text *list)
{
    static const char *const known[] = {"sha256", "sha512"};
    char names[ALGORITHMS_BYTES];
    if (list->size >= sizeof names)
        return NULL;
    memcpy(names, list->bytes, list->size);
    names[list->size] = '\0';
    char *rest = NULL;
    for (char *name = strtok_r(names, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            if (strcmp(name, known[i]) == 0)
                return known[i];
        }
    }
    return NULL;
}

static bool read_check(struct request *request, struct check *check)
{
    struct sftp_text list = sftp_read_text(&request->in);
    check->offset = sftp_read_u64(&request->in);
    check->length = sftp_read_u64(&request->in);
    check->block = sftp_read_u32(&request->in);
    if (request->in.failed || check->offset > INT64_MAX || check->length > INT64_MAX ||
        (check->block != 0 && check->block < BLOCK_MIN_BYTES)) {
        reply_bad(request);
        return false;
    }
    check->algorithm = choose(&list);
    if (check->algorithm == NULL)
        reply_status(request, SFTP_STATUS_FAILURE, "only sha256 and sha512 are known");
    return check->algorithm != NULL;
}

/* Hashes up to `most` bytes from offset `at`. *hashed: how many. Returns 0 or an errno. */
static int hash_block(int fd, struct digest *digest, uint64_t at, uint64_t most, uint64_t *hashed)
{
    uint8_t piece[PIECE_BYTES];
    *hashed = 0;
    while (*hashed < most) {
        uint64_t left = most - *hashed;
        ssize_t got = pread(fd, piece, left < sizeof piece ? (size_t)left : sizeof piece,
                            (off_t)(at + *hashed));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            return 0;
        if (digest_update(digest, piece, (size_t)got, NULL) != AFAR_OK)
            return ENOMEM;
        *hashed += (uint64_t)got;
    }
    return 0;
}

/* Returns 0 or an errno; EFBIG: too many hashes for one answer. */
static int put_hashes(struct sftp_writer *writer, int fd, const struct check *check)
{
    struct digest *digest = NULL;
    uint8_t hash[DIGEST_MAX_BYTES];
    size_t size = 0;
    uint64_t at = check->offset;
    uint64_t left = check->length == 0 ? INT64_MAX - at : check->length;
    int failed = digest_new(&digest, check->algorithm, NULL) == AFAR_OK ? 0 : ENOMEM;
    bool first = true;
    while (failed == 0) {
        uint64_t most = check->block != 0 && check->block < left ? check->block : left;
        uint64_t hashed = 0;
        failed = hash_block(fd, digest, at, most, &hashed);
        if (failed != 0 || (hashed == 0 && !first))
            break;
        failed = digest_finish_bytes(digest, hash, &size, NULL) == AFAR_OK ? 0 : ENOMEM;
        sftp_put_bytes(writer, hash, failed == 0 ? size : 0);
        if (writer->failed)
            failed = EFBIG;
        at += hashed;
        left -= hashed;
        first = false;
        if (left == 0 || hashed < most)
            break;
    }
    digest_free(digest);
    return failed;
}

/* One hash from the beginning of the file; the handle may already have it. */
static int put_known(struct sftp_writer *writer, struct handle *handle, const struct check *check)
{
    uint8_t hash[FILE_NOTE_HASH_BYTES];
    struct stat info;
    if (fstat(handle->fd, &info) != 0)
        return errno;
    uint64_t size = (uint64_t)info.st_size;
    if (check->length > 0 && check->length < size)
        size = check->length;
    int failed = hash_to(handle, size, hash);
    if (failed == 0)
        sftp_put_bytes(writer, hash, sizeof hash);
    return failed;
}

/* `handle` NULL: there is no hash to reuse. */
static void answer(struct request *request, int fd, struct handle *handle,
                   const struct check *check)
{
    struct sftp_writer writer;
    sftp_begin(&writer, &request->files->out, ANSWER_BYTES);
    sftp_put_u8(&writer, SFTP_TYPE_EXTENDED_REPLY);
    sftp_put_u32(&writer, request->id);
    sftp_put_word(&writer, "check-file");
    sftp_put_word(&writer, check->algorithm);
    bool known = handle != NULL && handle->digest != NULL && check->block == 0 &&
                 check->offset == 0 && strcmp(check->algorithm, "sha256") == 0;
    int failed = known ? put_known(&writer, handle, check) : put_hashes(&writer, fd, check);
    if (failed == EFBIG)
        reply_status(request, SFTP_STATUS_FAILURE, "too many blocks for one answer");
    else if (failed != 0)
        reply_errno(request, failed);
    else if (sftp_end(&writer, NULL) != AFAR_OK)
        request->files->failed = true;
}

void op_check_file_handle(struct request *request)
{
    struct check check;
    struct handle *handle = handle_read_file(request);
    if (handle == NULL || !read_check(request, &check))
        return;
    if (!handle->readable)
        reply_errno(request, EACCES);
    else
        answer(request, handle->fd, handle, &check);
}

void op_check_file_name(struct request *request)
{
    char path[SFTP_PATH_MAX_BYTES];
    struct check check;
    struct stat info = {.st_mode = 0};
    if (!path_read(request, path) || !read_check(request, &check))
        return;
    int fd = path_open(request->files, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, false);
    int failed = fd < 0 || fstat(fd, &info) != 0 ? errno : 0;
    if (failed != 0)
        reply_errno(request, failed);
    else if (!S_ISREG(info.st_mode))
        reply_status(request, SFTP_STATUS_FAILURE, "is not a file");
    else
        answer(request, fd, NULL, &check);
    if (fd >= 0)
        (void)close(fd);
}
