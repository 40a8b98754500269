#include "afar/cp_tell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "afar/report.h"
#include "base/base64.h"
#include "base/utf8.h"

static const char *const outcomes[] = {[COPY_COPIED] = "copied",
                                       [COPY_UNCHANGED] = "unchanged",
                                       [COPY_SKIPPED] = "skipped",
                                       [COPY_FAILED] = "failed"};

enum { WHOLE_BYTES = SFTP_PATH_MAX_BYTES + 512 };

/* "web:/srv/x", or the path alone. */
static void join(char out[WHOLE_BYTES], const char *host, const char *path)
{
    (void)snprintf(out, WHOLE_BYTES, "%s%s%s", host != NULL ? host : "", host != NULL ? ":" : "",
                   path);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_text(const char *name, const char *text)
{
    size_t size = strlen(text);
    size_t room = 8 * size + 1;
    char *shown = malloc(room);
    if (shown == NULL)
        return;
    afar_escape(shown, room, text, AFAR_ESCAPE_STRING);
    (void)printf(",\"%s\":\"%s\"", name, shown);
    free(shown);
}

static void put_path(const char *name, const char *path)
{
    size_t size = strlen(path);
    put_text(name, path);
    if (utf8_valid(path, size))
        return;
    char *encoded = malloc(base64_length(size) + 1);
    if (encoded == NULL)
        return;
    base64_encode(encoded, path, size);
    (void)printf(",\"%s_base64\":\"%s\"", name, encoded);
    free(encoded);
}

static void put_json(const struct copy_result *result, const char *source, const char *target)
{
    (void)printf("{\"type\":\"file\"");
    put_path("source", source);
    put_path("target", target);
    (void)printf(",\"size\":%" PRIu64, result->size);
    if (result->hash != NULL) {
        (void)printf(",\"sha256\":\"");
        for (size_t i = 0; i < 32; i++)
            (void)printf("%02x", result->hash[i]);
        (void)printf("\"");
    }
    (void)printf(",\"mode\":\"%04o\",\"resumed_from\":%" PRIu64 ",\"result\":\"%s\"",
                 (unsigned)result->mode, result->resumed_from, outcomes[result->outcome]);
    if (result->err != NULL) {
        (void)printf(",\"error\":{\"code\":\"%s\"", result->err->reason);
        put_text("message", result->err->message);
        (void)printf("}");
    }
    (void)printf("}\n");
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* A lost connection or a signal is reported once, elsewhere; what it has damaged is not. */
static bool is_told(const struct cp_tell *tell, const struct copy_result *result)
{
    const struct afar_error *err = result->err;
    const bool once =
        tell->silent || strcmp(err->reason, "ECONNRESET") == 0 || strcmp(err->reason, "EINTR") == 0;
    return once && !result->is_damaged;
}

static void put_line(const struct cp_tell *tell, const struct copy_result *result,
                     const char *source, const char *target)
{
    switch (result->outcome) {
    case COPY_FAILED:
        if (!is_told(tell, result))
            report("%s: %s", source, result->err->message);
        break;
    case COPY_SKIPPED:
        report("%s: skipped: %s", source, result->err->message);
        break;
    case COPY_COPIED:
        if (tell->verbose)
            report("%s -> %s", source, target);
        break;
    case COPY_UNCHANGED:
        if (tell->verbose)
            report("%s: unchanged", source);
        break;
    }
}

void cp_tell_result(const struct cp_tell *tell, const struct copy_result *result,
                    const char *source_host, const char *target_host)
{
    char source[WHOLE_BYTES];
    char target[WHOLE_BYTES];
    join(source, source_host, result->source);
    join(target, target_host, result->target);
    if (tell->json)
        put_json(result, source, target);
    else
        put_line(tell, result, source, target);
}

/* "10,000" */
static void format_count(uint64_t count, char *text, size_t size)
{
    char digits[24];
    size_t used = 0;
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
}

void cp_tell_total(const struct cp_tell *tell, const struct copy_counts *counts, int64_t ms,
                   int status)
{
    uint64_t files = counts->known;
    uint64_t failed = counts->outcomes[COPY_FAILED];
    char some[32];
    char all[32];
    files = files > failed ? files : failed;
    if (tell->json) {
        (void)printf("{\"type\":\"total\",\"files\":%" PRIu64 ",\"copied\":%" PRIu64
                     ",\"unchanged\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"failed\":%" PRIu64
                     ",\"bytes\":%" PRIu64 ",\"ms\":%" PRId64 ",\"code\":%d}\n",
                     files, counts->outcomes[COPY_COPIED], counts->outcomes[COPY_UNCHANGED],
                     counts->outcomes[COPY_SKIPPED], failed, counts->bytes, ms, status);
        (void)fflush(stdout);
        return;
    }
    if (failed == 0 || files < 2 || tell->silent)
        return;
    format_count(failed, some, sizeof some);
    format_count(files, all, sizeof all);
    report("%s of %s files were not copied", some, all);
}

void cp_format_bytes(uint64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double amount = (double)bytes;
    size_t unit = 0;
    while (amount >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
        amount /= 1024;
        unit++;
    }
    (void)snprintf(text, size, unit == 0 || amount >= 100 ? "%.0f %s" : "%.1f %s", amount,
                   units[unit]);
}
