#include "policy/audit_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BYTES = 200 };

static enum afar_status fail_line(const char *path, uint64_t line, const char *what,
                                  struct afar_error *err)
{
    return afar_fail(err, AFAR_EPEER, "%.*s:%" PRIu64 ": %s", SHOWN_BYTES, path, line, what);
}

/* As every line of a chain has it. */
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
