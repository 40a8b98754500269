/* SHA-256 of a file from the data that was read or written, so that the file need not be read
 * again. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "files/internal.h"

enum { PIECE_BYTES = 65536 };

void hash_begin(struct handle *handle)
{
    if (digest_new(&handle->digest, "sha256", NULL) != AFAR_OK)
        handle->digest = NULL; /* then hash_to makes it */
    handle->digest_at = 0;
}

static void forget(struct handle *handle)
{
    digest_free(handle->digest);
    handle->digest = NULL;
    handle->digest_at = 0;
}

void hash_passed(struct handle *handle, const void *data, size_t size, uint64_t offset)
{
    if (handle->digest == NULL || offset != handle->digest_at)
        return;
    if (digest_update(handle->digest, data, size, NULL) != AFAR_OK)
        forget(handle);
    else
        handle->digest_at += size;
}

void hash_changed(struct handle *handle, uint64_t offset)
{
    if (offset < handle->digest_at)
        forget(handle);
}

int hash_to(struct handle *handle, uint64_t size, uint8_t hash[FILE_NOTE_HASH_BYTES])
{
    uint8_t whole[DIGEST_MAX_BYTES];
    size_t bytes = 0;
    if (handle->digest_at > size)
        forget(handle);
    if (handle->digest == NULL)
        hash_begin(handle);
    uint8_t *piece = malloc(PIECE_BYTES);
    int failed = handle->digest == NULL || piece == NULL ? ENOMEM : 0;
    while (failed == 0 && handle->digest_at < size) {
        uint64_t left = size - handle->digest_at;
        ssize_t got = pread(handle->fd, piece, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES,
                            (off_t)handle->digest_at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            failed = got == 0 ? ENODATA : errno; /* the file is shorter */
        else
            hash_passed(handle, piece, (size_t)got, handle->digest_at);
        if (failed == 0 && handle->digest == NULL)
            failed = ENOMEM;
    }
    free(piece);
    if (failed == 0 && digest_peek_bytes(handle->digest, whole, &bytes, NULL) != AFAR_OK)
        failed = ENOMEM;
    for (size_t i = 0; failed == 0 && i < FILE_NOTE_HASH_BYTES; i++)
        hash[i] = whole[i];
    return failed;
}

bool hash_once(const void *data, size_t size, uint8_t hash[FILE_NOTE_HASH_BYTES])
{
    struct digest *digest = NULL;
    uint8_t whole[DIGEST_MAX_BYTES];
    size_t bytes = 0;
    bool made = digest_new(&digest, "sha256", NULL) == AFAR_OK &&
                digest_update(digest, data, size, NULL) == AFAR_OK &&
                digest_finish_bytes(digest, whole, &bytes, NULL) == AFAR_OK;
    for (size_t i = 0; made && i < FILE_NOTE_HASH_BYTES; i++)
        hash[i] = whole[i];
    digest_free(digest);
    return made;
}
