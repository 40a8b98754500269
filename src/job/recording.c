#include "job/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_BYTES = 65536, READ_BYTES = 4096 };

void recording_free(struct recording *recording)
{
    if (recording == NULL)
        return;
    if (recording->fd >= 0)
        (void)close(recording->fd);
    digest_free(recording->digest);
    free(recording);
}

void recording_discard(struct recording *recording)
{
    if (recording->fd >= 0)
        (void)unlink(recording->path);
    recording_free(recording);
}

static struct recording *new_recording(struct afar_error *err)
{
    struct recording *made = calloc(1, sizeof *made);
    if (made == NULL) {
        (void)afar_fail(err, AFAR_ENOMEM, "out of memory for a recording");
        return NULL;
    }
    made->fd = -1;
    if (digest_new(&made->digest, "sha256", err) == AFAR_OK)
        return made;
    recording_free(made);
    return NULL;
}

static enum afar_status name_it(struct recording *recording, const char *folder,
                                const struct cast_header *header, struct afar_error *err)
{
    const time_t at = (time_t)header->time_s;
    struct tm parts;
    char when[32] = "";
    if (gmtime_r(&at, &parts) != NULL)
        (void)strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &parts);
    const int length = snprintf(recording->path, sizeof recording->path, "%s/%s-%s.cast", folder,
                                when, header->job);
    return length > 0 && (size_t)length < sizeof recording->path
               ? AFAR_OK
               : afar_fail(err, AFAR_EINVAL, "the name of a recording is too long (record)");
}

static enum afar_status write_header(struct recording *recording, const struct cast_header *header,
                                     struct afar_error *err)
{
    struct buffer text;
    buffer_init(&text, HEADER_BYTES);
    enum afar_status status = cast_put_header(&text, header, err);
    if (status == AFAR_OK) {
        int failed = recording_write(recording, buffer_head(&text), buffer_size(&text));
        if (failed != 0)
            status = afar_fail_errno(err, failed, "a recording cannot be written (record)");
    }
    buffer_close(&text);
    return status;
}

struct recording *recording_make(const char *folder, const struct cast_header *header,
                                 struct afar_error *err)
{
    struct recording *made = new_recording(err);
    if (made == NULL)
        return NULL;
    enum afar_status status = name_it(made, folder, header, err);
    if (status == AFAR_OK) {
        made->fd =
            open(made->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (made->fd < 0)
            status = afar_fail_errno(err, errno, "a recording cannot be made (record)");
    }
    if (status == AFAR_OK)
        status = write_header(made, header, err);
    if (status == AFAR_OK)
        return made;
    recording_discard(made); /* the command will not run */
    return NULL;
}

/* Hashes what is already in the file. */
static int read_all(struct recording *recording)
{
    uint8_t data[READ_BYTES];
    for (;;) {
        ssize_t got = pread(recording->fd, data, sizeof data, (off_t)recording->bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : 0;
        if (digest_update(recording->digest, data, (size_t)got, NULL) != AFAR_OK)
            return ENOMEM;
        recording->bytes += (uint64_t)got;
    }
}

struct recording *recording_reopen(const char *path, struct afar_error *err)
{
    struct recording *made = new_recording(err);
    int failed = 0;
    if (made == NULL)
        return NULL;
    (void)snprintf(made->path, sizeof made->path, "%s", path);
    made->fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    failed = made->fd < 0 ? errno : read_all(made);
    if (failed == 0)
        return made;
    (void)afar_fail_errno(err, failed, "a recording cannot be opened (record)");
    recording_free(made);
    return NULL;
}

/* Of `size` bytes that were written, keeps the whole lines, and removes the rest. */
static int take_back(struct recording *recording, const uint8_t *data, size_t size, int failed)
{
    const uint8_t *last = memrchr(data, '\n', size);
    const size_t kept = last != NULL ? (size_t)(last + 1 - data) : 0;
    if (kept > 0 && digest_update(recording->digest, data, kept, NULL) != AFAR_OK)
        recording->torn = true; /* the state of the hash is undefined */
    recording->bytes += kept;
    if (ftruncate(recording->fd, (off_t)recording->bytes) != 0)
        recording->torn = true;
    return failed;
}

int recording_write(struct recording *recording, const void *data, size_t size)
{
    const uint8_t *at = data;
    size_t done = 0;
    while (done < size) {
        ssize_t written = write(recording->fd, at + done, size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            const int failed = written < 0 ? errno : ENOSPC;
            return done > 0 ? take_back(recording, data, done, failed) : failed;
        }
        done += (size_t)written;
    }
    if (digest_update(recording->digest, data, size, NULL) != AFAR_OK) {
        recording->torn = true; /* the state of the hash is undefined */
        return take_back(recording, data, 0, ENOMEM);
    }
    recording->bytes += size;
    return 0;
}

int recording_finish(struct recording *recording)
{
    int failed = fdatasync(recording->fd) == 0 ? 0 : errno;
    if (digest_finish(recording->digest, recording->sha256, NULL) != AFAR_OK || recording->torn)
        recording->sha256[0] = '\0';
    return failed;
}
