/* What a new reader of a kept terminal must be told: the modes that the program has set, and from
 * where on output can be replayed on a terminal that has seen nothing before.
 *
 * Such a point is the end of a line outside of any escape sequence, on the main screen. Output from
 * before the program's last return from the alternate screen is not replayed. The screen's content
 * is not stored: a change of the size makes the program draw it.
 *
 * Owns:    plain values.
 * Threads: one owner.
 * Blocks:  never.
 * Limits:  SCREEN_POINTS, at most one for each SCREEN_POINT_BYTES. */
#ifndef KEEP_SCREEN_H
#define KEEP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/term_modes.h"

enum {
    SCREEN_POINTS = 32,
    SCREEN_POINT_BYTES = 4096,
    SCREEN_TAIL_MAX_BYTES = 1 << 20, /* even if a client asks for more */
    SCREEN_BEGUN_BYTES = 64          /* longer sequences are strings; see begun_more */
};

struct screen_point {
    uint64_t seq;   /* of the frame that begins there */
    uint64_t bytes; /* of output before it */
};

struct screen {
    struct term_modes modes;
    uint64_t bytes; /* fed so far */
    size_t count;   /* of points */
    size_t next;    /* index for the next point */
    struct screen_point point[SCREEN_POINTS];
    size_t begun_size; /* of an unfinished escape sequence */
    bool begun_more;   /* `begun` does not hold all of that sequence */
    char begun[SCREEN_BEGUN_BYTES];
};

/* Resets the state: what is fed next begins at frame `seq`, with `bytes` of output before it. */
void screen_begin(struct screen *screen, uint64_t seq, uint64_t bytes);

/* Feeds the program's output, up to the first point. Returns how many bytes were used. *point: the
 * caller must call screen_mark with the number of the frame that begins after these bytes. */
size_t screen_feed(struct screen *screen, const void *data, size_t size, bool *point);
void screen_mark(struct screen *screen, uint64_t seq);

/* Writes the sequences that set the current modes on a fresh terminal. `at_end`: nothing is
 * replayed, so the beginning of an unfinished sequence is added; otherwise its rest would be shown
 * as text. */
void screen_tell(const struct screen *screen, bool at_end, char out[TERM_MODES_TEXT_BYTES]);

/* The oldest point with at most `tail` bytes of output after it. False: there is none; begin at the
 * end of the output. */
bool screen_find(const struct screen *screen, uint64_t tail, struct screen_point *found);

#endif
