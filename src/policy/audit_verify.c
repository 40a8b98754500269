#include "policy/audit_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"

enum { SHOWN_BYTES = 200, PATH_BYTES = PATH_MAX, READ_BYTES = 65536 };

static enum afar_status fail_line(const char *path, uint64_t line, const char *what,
                                  struct afar_error *err)
{
    return afar_fail(err, AFAR_EPEER, "%.*s:%" PRIu64 ": %s", SHOWN_BYTES, path, line, what);
}

/* ---- recordings ------------------------------------------------------------------------------ */

/* Where the value of the field begins that `name` is the beginning of (,"KEY":); NULL: there is no
 * such field. A string cannot contain `name`, as quotes in strings are escaped. */
static const char *field(const char *line, size_t size, const char *name)
{
    const char *found = memmem(line, size, name, strlen(name));
    return found != NULL ? found + strlen(name) : NULL;
}

/* Four hex digits before `end`; -1: there are none. */
static long take_unit(const char *at, const char *end)
{
    char digits[5] = "";
    if (end - at < 4)
        return -1;
    memcpy(digits, at, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

/* The code point of "uXXXX", or of "uXXXX\\uXXXX" for a pair of surrogates; moves *at to its last
 * digit. -1: neither. */
static long take_point(const char **at, const char *end)
{
    long point = take_unit(*at + 1, end);
    *at += 4;
    if (point < 0xD800 || point > 0xDFFF)
        return point;
    if (point > 0xDBFF || end - *at < 7 || (*at)[1] != '\\' || (*at)[2] != 'u')
        return -1;
    const long low = take_unit(*at + 3, end);
    *at += 6;
    return low < 0xDC00 || low > 0xDFFF ? -1 : 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
}

/* Returns how many bytes of UTF-8 the code point has. */
static size_t put_point(char out[4], unsigned long point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    const size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned heads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3F));
    out[0] = (char)(heads[size] | point);
    return size;
}

/* Copies a JSON string, whose closing quote must be before `end`. */
static bool take_string(const char *at, const char *end, char *out, size_t room)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t"; /* the letter, what it means */
    size_t used = 0;
    for (; at < end && *at != '"' && used + 1 < room; at++) {
        if (*at != '\\') {
            out[used++] = *at;
            continue;
        }
        if (++at == end)
            return false;
        if (*at == 'u') {
            const long point = take_point(&at, end);
            char piece[4];
            const size_t size = point > 0 ? put_point(piece, (unsigned long)point) : 0;
            if (size == 0 || used + size >= room) /* paths have no NUL */
                return false;
            memcpy(out + used, piece, size);
            used += size;
            continue;
        }
        const char *known = escapes;
        while (*known != '\0' && *known != *at)
            known += 2;
        if (*known == '\0')
            return false;
        out[used++] = known[1];
    }
    out[used] = '\0';
    return at < end && *at == '"';
}

/* The same for bytes in hex: a path that is not UTF-8. */
static bool take_hex(const char *at, const char *end, char *out, size_t room)
{
    size_t used = 0;
    for (; end - at > 2 && *at != '"' && used + 1 < room; at += 2) {
        const char digits[3] = {at[0], at[1], '\0'};
        if (strspn(digits, "0123456789abcdef") != 2)
            return false;
        out[used++] = (char)strtol(digits, NULL, 16);
    }
    out[used] = '\0';
    return used > 0 && at < end && *at == '"' && strlen(out) == used;
}

/* The path of the recording that the line names. */
static bool take_recording(const char *line, size_t size, char *out, size_t room)
{
    const char *name = field(line, size, ",\"record\":\"");
    const char *hex = field(line, size, ",\"record_hex\":\"");
    if (name != NULL)
        return take_string(name, line + size, out, room);
    return hex != NULL && take_hex(hex, line + size, out, room);
}

/* Only a regular file is a recording: a FIFO in its place would be waited for, and a link would lead
 * to a file that others can change. Returns NULL after an error. */
static FILE *open_recording(const char *recording, struct afar_error *err)
{
    struct stat info = {0};
    FILE *file = NULL;
    const int fd = open(recording, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const bool known = fd >= 0 && fstat(fd, &info) == 0;
    if (known && S_ISREG(info.st_mode))
        file = fdopen(fd, "r");
    if (file != NULL)
        return file;
    if (fd < 0 && errno == ELOOP)
        (void)afar_fail(err, AFAR_EPEER, "the recording %.*s is a symbolic link", SHOWN_BYTES,
                        recording);
    else if (known && !S_ISREG(info.st_mode))
        (void)afar_fail(err, AFAR_EPEER, "the recording %.*s is not a regular file", SHOWN_BYTES,
                        recording);
    else
        (void)afar_fail_errno(err, errno, "the recording %.*s", SHOWN_BYTES, recording);
    if (fd >= 0)
        (void)close(fd);
    return NULL;
}

static enum afar_status hash_file(const char *recording, uint64_t *bytes,
                                  char hash[DIGEST_HEX_BYTES], struct afar_error *err)
{
    char data[READ_BYTES];
    struct digest *digest = NULL;
    size_t got = 0;
    FILE *file = open_recording(recording, err);
    if (file == NULL)
        return AFAR_EPEER;
    enum afar_status status = digest_new(&digest, "sha256", err);
    *bytes = 0;
    while (status == AFAR_OK && (got = fread(data, 1, sizeof data, file)) > 0) {
        *bytes += got;
        status = digest_update(digest, data, got, err);
    }
    if (status == AFAR_OK && ferror(file) != 0)
        status = afar_fail_errno(err, errno, "the recording %.*s", SHOWN_BYTES, recording);
    if (status == AFAR_OK)
        status = digest_finish(digest, hash, err);
    digest_free(digest);
    (void)fclose(file);
    return status;
}

/* Whether the recording that a line names has the size and the hash that the line says. */
static enum afar_status check_recording(struct audit_verdict *verdict, const char *path,
                                        const char *line, size_t size, struct afar_error *err)
{
    const char *end = line + size;
    char recording[PATH_BYTES];
    char wanted[DIGEST_HEX_BYTES];
    char hash[DIGEST_HEX_BYTES];
    char what[SHOWN_BYTES + 64];
    uint64_t bytes = 0;
    const char *length = field(line, size, ",\"record_bytes\":");
    const char *sum = field(line, size, ",\"record_sha256\":\"");
    if (sum == NULL)
        return AFAR_OK;
    if (length == NULL || !take_recording(line, size, recording, sizeof recording) ||
        !take_string(sum, end, wanted, sizeof wanted))
        return fail_line(path, verdict->lines + 1, "its recording cannot be told", err);
    enum afar_status status = hash_file(recording, &bytes, hash, err);
    if (status != AFAR_OK)
        return afar_prefix(err, "%.*s:%" PRIu64, SHOWN_BYTES, path, verdict->lines + 1);
    verdict->recordings++;
    if (bytes == strtoull(length, NULL, 10) && strcmp(hash, wanted) == 0)
        return AFAR_OK;
    (void)snprintf(what, sizeof what, "changed: the recording %.*s is not as it was written",
                   SHOWN_BYTES, recording);
    return fail_line(path, verdict->lines + 1, what, err);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Each line of a chain has this field. */
static const char hash_field[] = "\"hash\":";

/* `line` without its newline. */
static enum afar_status check_line(struct audit_verdict *verdict, const char *path,
                                   const char *line, size_t size, struct afar_error *err)
{
    char prev[AUDIT_HASH_BYTES];
    char hash[AUDIT_HASH_BYTES];
    uint64_t seq = 0;
    uint64_t number = verdict->lines + 1;
    if (!audit_check_line(line, size, &seq, prev, hash))
        return fail_line(path, number,
                         memmem(line, size, hash_field, sizeof hash_field - 1) == NULL
                             ? "it has no hash: it was written without audit_chain, or changed"
                             : "changed: its hash does not match its content",
                         err);
    if (verdict->lines == 0) {
        verdict->first_seq = seq;
        memcpy(verdict->first_prev, prev, sizeof prev);
        if (seq == 0 && strspn(prev, "0") != AUDIT_HASH_BYTES - 1)
            return fail_line(path, number, "the first line refers to a line before it", err);
    } else if (seq != verdict->last_seq + 1) {
        return fail_line(path, number,
                         seq > verdict->last_seq ? "lines are missing before it"
                                                 : "it is in the wrong place, or there twice",
                         err);
    } else if (strcmp(prev, verdict->last_hash) != 0) {
        return fail_line(path, number, "it does not match the line before it", err);
    }
    enum afar_status status = check_recording(verdict, path, line, size, err);
    if (status != AFAR_OK)
        return status;
    verdict->lines = number;
    verdict->last_seq = seq;
    memcpy(verdict->last_hash, hash, sizeof hash);
    return AFAR_OK;
}

static enum afar_status check_all(FILE *file, const char *path, struct audit_verdict *verdict,
                                  char *line, size_t room, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    while (status == AFAR_OK) {
        size_t size = 0;
        int c = getc(file);
        if (c == EOF)
            break;
        for (; c != EOF && c != '\n' && size < room; c = getc(file))
            line[size++] = (char)c;
        if (c != '\n')
            status = fail_line(
                path, verdict->lines + 1,
                size < room ? "incomplete: it has no end" : "too long to be one of ours", err);
        else
            status = check_line(verdict, path, line, size, err);
    }
    if (ferror(file) != 0)
        status = afar_fail_errno(err, errno, "%.*s: cannot be read", SHOWN_BYTES, path);
    return status;
}

enum afar_status audit_verify(const char *path, const char *expected, struct audit_verdict *verdict,
                              struct afar_error *err)
{
    enum { ROOM = AUDIT_LINE_BYTES };
    *verdict = (struct audit_verdict){0};
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return afar_fail_errno(err, errno, "%.*s: cannot be read", SHOWN_BYTES, path);
    char *line = malloc(ROOM);
    enum afar_status status = line == NULL ? afar_fail(err, AFAR_ENOMEM, "out of memory for a line")
                                           : check_all(file, path, verdict, line, ROOM, err);
    free(line);
    (void)fclose(file);
    if (status == AFAR_OK && expected != NULL && strcmp(expected, verdict->last_hash) != 0)
        status = fail_line(path, verdict->lines,
                           "the last hash is not the expected one: lines are "
                           "missing at the end, or it is another log",
                           err);
    return status;
}
