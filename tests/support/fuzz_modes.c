#include "support/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire/term_modes.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

/* The text that undoes the modes must leave none set; how the input is cut into pieces must not
 * matter. */
void fuzz_modes(const uint8_t *data, size_t size)
{
    struct term_modes modes = {0};
    struct term_modes pieces = {0};
    char text[TERM_MODES_TEXT_BYTES];
    term_modes_feed(&modes, data, size);
    for (size_t at = 0; at < size;) {
        size_t piece = 1 + data[at] % 5;
        piece = piece < size - at ? piece : size - at;
        term_modes_feed(&pieces, data + at, piece);
        at += piece;
    }
    require(pieces.set == modes.set && term_modes_at_rest(&pieces) == term_modes_at_rest(&modes));

    size_t length = term_modes_redo(&modes, text);
    require(length < sizeof text && strlen(text) == length);
    struct term_modes again = {0};
    term_modes_feed(&again, text, length);
    require((again.set & ~modes.set) == 0);

    length = term_modes_undo(modes.set, text);
    require(length < sizeof text && strlen(text) == length);
    struct term_modes undone = {.set = modes.set};
    term_modes_feed(&undone, text, length);
    require(undone.set == 0 && term_modes_at_rest(&undone));
    require(term_modes_undo(undone.set, text) == 0);
}
