/* What a new reader of a kept terminal must be told: which modes its program has set, and from where
 * on its output can be shown again, so that it makes sense to a terminal that has seen nothing.
 *
 * Such a point is the end of a line outside of any escape sequence, on the main screen. What was
 * shown before a program came back from the other screen is not shown again. There is no picture of
 * the screen here: a program is asked for one by a change of its size.
 *
 * Owns:    plain values.
 * Threads: one owner.
 * Blocks:  never.
 * Limits:  SCREEN_POINTS, one in SCREEN_POINT_BYTES at most. */
#ifndef KEEP_SCREEN_H
#define KEEP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/term_modes.h"

enum {
    SCREEN_POINTS = 32,
    SCREEN_POINT_BYTES = 4096,
    SCREEN_TAIL_MAX_BYTES = 1 << 20, /* however much a client asks for */
    SCREEN_BEGUN_BYTES = 64          /* longer ones are strings, which do without their middle */
};

struct screen_point {
    uint64_t seq;   /* of the frame that begins there */
    uint64_t bytes; /* before it */
};

struct screen {
    struct term_modes modes;
    uint64_t bytes; /* fed so far */
    size_t count;   /* of points */
    size_t next;    /* where the next one is put */
    struct screen_point point[SCREEN_POINTS];
    size_t begun_size; /* of a sequence that is under way, … */
    bool begun_more;   /* … of which this is not all */
    char begun[SCREEN_BEGUN_BYTES];
};

/* What is fed begins there: nothing has been shown, or it is not known. */
void screen_begin(struct screen *screen, uint64_t seq, uint64_t bytes);

/* What the program writes, up to the first place that is such a point: returns how many bytes that
 * is. *point: screen_mark is to be called, with the number of the frame that begins behind it. */
size_t screen_feed(struct screen *screen, const void *data, size_t size, bool *point);
void screen_mark(struct screen *screen, uint64_t seq);

/* Writes what sets these modes on a terminal where nothing is set. For one that is shown nothing of
 * before (`at_end`) the beginning of a sequence that is under way is behind it, so that its rest is
 * not taken for text. */
void screen_tell(const struct screen *screen, bool at_end, char out[TERM_MODES_TEXT_BYTES]);

/* Where to begin with at most `tail` bytes. False: nowhere, its end will have to do. */
bool screen_find(const struct screen *screen, uint64_t tail, struct screen_point *found);

#endif
