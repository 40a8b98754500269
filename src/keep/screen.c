#include "keep/screen.h"

#include <string.h>

enum { ESC = 0x1b, DELETE = 0x7f };

static bool alternate(const struct screen *screen)
{
    return term_modes_alternate(screen->modes.set);
}

static const struct screen_point *newest(const struct screen *screen)
{
    return screen->count > 0 ? &screen->point[(screen->next + SCREEN_POINTS - 1) % SCREEN_POINTS]
                             : NULL;
}

/* Keeps the beginning of an unfinished sequence, which is the last ESC. Control characters inside
 * it have taken effect already. Bytes that JSON cannot carry occur only in strings. */
static void note_begun(struct screen *screen, const uint8_t *data, size_t size)
{
    const bool at_rest = term_modes_at_rest(&screen->modes);
    const uint8_t *begin = memrchr(data, ESC, size);
    size_t i = begin != NULL ? (size_t)(begin - data) : 0;
    if (at_rest || begin != NULL) {
        screen->begun_size = 0;
        screen->begun_more = false;
    }
    for (; !at_rest && i < size && !screen->begun_more; i++) {
        if (data[i] >= DELETE || screen->begun_size == sizeof screen->begun)
            screen->begun_more = data[i] != DELETE;
        else if (data[i] >= ' ' || data[i] == ESC)
            screen->begun[screen->begun_size++] = (char)data[i];
    }
}

static void feed(struct screen *screen, const uint8_t *data, size_t size)
{
    term_modes_feed(&screen->modes, data, size);
    screen->bytes += size;
    note_begun(screen, data, size);
}

/* How many bytes to skip before another point is useful. */
static uint64_t too_near(const struct screen *screen)
{
    const struct screen_point *last = newest(screen);
    const uint64_t until = last != NULL ? last->bytes + SCREEN_POINT_BYTES : 0;
    return until > screen->bytes ? until - screen->bytes : 0;
}

/* On the alternate screen: feeds up to where the program leaves it. */
static size_t feed_alternate(struct screen *screen, const uint8_t *data, size_t size, bool *point)
{
    for (size_t i = 0; i < size; i++) {
        feed(screen, data + i, 1);
        if (alternate(screen))
            continue;
        screen->count = 0;
        *point = true;
        return i + 1;
    }
    return size;
}

size_t screen_feed(struct screen *screen, const void *data, size_t size, bool *point)
{
    const uint8_t *at = data;
    *point = false;
    if (alternate(screen))
        return feed_alternate(screen, at, size, point);
    const uint64_t skipped = too_near(screen);
    size_t used = skipped < size ? (size_t)skipped : size;
    feed(screen, at, used);
    while (used < size && !alternate(screen)) {
        const uint8_t *line = memchr(at + used, '\n', size - used);
        const size_t part = line != NULL ? (size_t)(line - (at + used)) + 1 : size - used;
        feed(screen, at + used, part);
        used += part;
        if (line != NULL && term_modes_at_rest(&screen->modes) && !alternate(screen)) {
            *point = true;
            return used;
        }
    }
    /* The rest is on the alternate screen. */
    return used < size ? used + screen_feed(screen, at + used, size - used, point) : used;
}

void screen_tell(const struct screen *screen, bool at_end, char out[TERM_MODES_TEXT_BYTES])
{
    const size_t used = term_modes_redo(&screen->modes, out);
    const char kind = screen->begun_size > 1 ? screen->begun[1] : '\0';
    const char *begun = screen->begun;
    size_t size = at_end ? screen->begun_size : 0;
    if (screen->begun_more && size > 0) {
        /* The beginning of a command that no terminal knows, or of a string: its rest has no
         * effect. */
        begun = kind == ']' ? "\x1b]9999;" : kind == '[' ? "\x1b[" : "\x1bX";
        size = strlen(begun);
    }
    if (size < TERM_MODES_TEXT_BYTES - used) {
        memcpy(out + used, begun, size);
        out[used + size] = '\0';
    }
}

void screen_mark(struct screen *screen, uint64_t seq)
{
    screen->point[screen->next] = (struct screen_point){.seq = seq, .bytes = screen->bytes};
    screen->next = (screen->next + 1) % SCREEN_POINTS;
    screen->count += screen->count < SCREEN_POINTS ? 1 : 0;
}

void screen_begin(struct screen *screen, uint64_t seq, uint64_t bytes)
{
    *screen = (struct screen){.bytes = bytes};
    if (bytes == 0)
        screen_mark(screen, seq);
}

bool screen_find(const struct screen *screen, uint64_t tail, struct screen_point *found)
{
    if (tail > SCREEN_TAIL_MAX_BYTES)
        tail = SCREEN_TAIL_MAX_BYTES;
    if (alternate(screen))
        return false;
    for (size_t i = 0; i < screen->count; i++) {
        const size_t oldest = screen->next + SCREEN_POINTS - screen->count;
        const struct screen_point *point = &screen->point[(oldest + i) % SCREEN_POINTS];
        if (screen->bytes - point->bytes > tail)
            continue;
        *found = *point;
        return true;
    }
    return false;
}
