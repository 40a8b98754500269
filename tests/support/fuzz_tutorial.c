#include "support/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/tutorial.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

void fuzz_tutorial(const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    enum tutorial_reply kind = (data[0] & 1) != 0 ? TUTORIAL_HEADED : TUTORIAL_SIZED;
    size_t piece = (size_t)(data[0] >> 1) + 1;
    size_t at = 1;
    struct tutorial_decoder decoder;
    tutorial_decoder_init(&decoder, kind);
    while (at < size) {
        size_t now = piece < size - at ? piece : size - at;
        size_t used = 0;
        const uint8_t *body = NULL;
        size_t body_size = 0;
        enum afar_status status =
            tutorial_decoder_take(&decoder, data + at, now, &used, &body, &body_size, NULL);
        if (status == AFAR_EPEER)
            break;
        require(status == AFAR_OK || status == AFAR_EAGAIN);
        require(used <= now && body_size <= used && decoder.taken <= decoder.total);
        require(body_size == 0 || body + body_size == data + at + used);
        require(status == AFAR_OK || used == now);
        require(utf8_valid(decoder.md5, strlen(decoder.md5)));
        at += used;
        if (status == AFAR_OK) {
            tutorial_decoder_close(&decoder);
            tutorial_decoder_init(&decoder, kind);
        }
    }
    tutorial_decoder_close(&decoder);
}
