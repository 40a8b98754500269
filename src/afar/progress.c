#include "afar/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <afar/afar.h>

#include "afar/cp_tell.h"
#include "base/clock.h"
#include "base/utf8.h"

enum { FIRST_MS = 500, EVERY_MS = 200, USUAL_WIDTH = 80, LINE_BYTES = 1024 };

void progress_open(struct progress *progress, bool quiet)
{
    *progress =
        (struct progress){.on = !quiet && isatty(STDERR_FILENO) == 1, .began_ms = clock_now_ms()};
    progress->next_ms = progress->began_ms + FIRST_MS;
}

int progress_timeout_ms(const struct progress *progress)
{
    if (!progress->on)
        return -1;
    int64_t left_ms = progress->next_ms - clock_now_ms();
    return left_ms > 0 ? (int)left_ms : 0;
}

static void put(const char *text, size_t size)
{
    if (write(STDERR_FILENO, text, size) < 0) /* a failure only hides the line */
        return;
}

void progress_erase(struct progress *progress)
{
    if (progress->shown)
        put("\r\033[K", 4);
    progress->shown = false;
}

static unsigned width_now(void)
{
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col : USUAL_WIDTH;
}

/* Bytes a second, over the last 5 s. */
static uint64_t measure(struct progress *progress, uint64_t bytes, int64_t now_ms)
{
    unsigned first =
        progress->samples < PROGRESS_SAMPLES ? 0 : progress->samples % PROGRESS_SAMPLES;
    int64_t since_ms = progress->samples > 0 ? progress->at_ms[first] : progress->began_ms;
    uint64_t before = progress->samples > 0 ? progress->bytes[first] : 0;
    int64_t passed_ms = now_ms - since_ms;
    progress->at_ms[progress->samples % PROGRESS_SAMPLES] = now_ms;
    progress->bytes[progress->samples % PROGRESS_SAMPLES] = bytes;
    progress->samples++;
    return passed_ms > 0 ? (bytes - before) * 1000 / (uint64_t)passed_ms : 0;
}

/* Cuts the text between two characters; each counts as one column. */
static void cut(char *text, unsigned width)
{
    size_t at = 0;
    size_t size = strlen(text);
    for (unsigned columns = 0; at < size && columns < width; columns++) {
        size_t length = utf8_sequence((const uint8_t *)text + at, size - at);
        at += length > 0 ? length : 1;
    }
    text[at] = '\0';
}

static void format_left(uint64_t bytes, uint64_t rate, char *text, size_t size)
{
    uint64_t seconds = rate > 0 ? bytes / rate : 0;
    if (rate == 0 || seconds > 359999)
        text[0] = '\0';
    else if (seconds >= 3600)
        (void)snprintf(text, size, "  %" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " left", seconds / 3600,
                       seconds / 60 % 60, seconds % 60);
    else
        (void)snprintf(text, size, "  %" PRIu64 ":%02" PRIu64 " left", seconds / 60, seconds % 60);
}

void progress_format(const struct copy *copy, uint64_t rate, char *text, size_t size,
                     unsigned width)
{
    const struct copy_counts *counts = &copy->counts;
    struct copy_view view;
    char name[512];
    char moved[32];
    char speed[32];
    char left[48];
    uint64_t done = 0;
    for (int i = 0; i <= COPY_FAILED; i++)
        done += counts->outcomes[i];
    cp_format_bytes(rate, speed, sizeof speed);
    if (counts->known > 1 || !copy_look(copy, &view)) {
        cp_format_bytes(counts->bytes, moved, sizeof moved);
        if (counts->walked)
            (void)snprintf(text, size, "%" PRIu64 " of %" PRIu64 " files  %s  %s/s", done,
                           counts->known, moved, speed);
        else
            (void)snprintf(text, size, "%" PRIu64 " files  %s  %s/s", done, moved, speed);
    } else {
        afar_escape(name, sizeof name, view.name, AFAR_ESCAPE_TERMINAL);
        cp_format_bytes(view.moved, moved, sizeof moved);
        left[0] = '\0';
        if (view.size > view.moved)
            format_left(view.size - view.moved, rate, left, sizeof left);
        if (view.unsized || view.size == 0)
            (void)snprintf(text, size, "%s  %s  %s/s", name, moved, speed);
        else
            (void)snprintf(text, size, "%s  %u%%  %s  %s/s%s", name,
                           (unsigned)(view.moved * 100 / view.size), moved, speed, left);
    }
    cut(text, width);
}

void progress_show(struct progress *progress, const struct copy *copy)
{
    char line[LINE_BYTES] = "\r";
    int64_t now_ms = clock_now_ms();
    if (!progress->on || now_ms < progress->next_ms)
        return;
    progress->next_ms = now_ms + EVERY_MS;
    uint64_t rate = measure(progress, copy->counts.bytes, now_ms);
    progress_format(copy, rate, line + 1, sizeof line - 8, width_now() - 1);
    size_t used = strlen(line);
    used += (size_t)snprintf(line + used, sizeof line - used, "\033[K");
    put(line, used);
    progress->shown = true;
}
