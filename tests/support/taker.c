#include "support/taker.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t take(struct taker *taker, int stream, const void *data, size_t size)
{
    size_t taken = size < taker->limit[stream] ? size : taker->limit[stream];
    size_t room = TAKER_BYTES - 1 - strlen(taker->text[stream]);
    taker->calls++;
    (void)strncat(taker->text[stream], data, taken < room ? taken : room);
    taker->bytes[stream] += taken;
    return taken;
}

static size_t on_stdout(void *user, const void *data, size_t size)
{
    return take(user, 0, data, size);
}

static size_t on_stderr(void *user, const void *data, size_t size)
{
    return take(user, 1, data, size);
}

static void on_started(void *user, const char *job)
{
    struct taker *taker = user;
    taker->started++;
    (void)snprintf(taker->job, sizeof taker->job, "%s", job);
}

static void on_frame(void *user, const char *json)
{
    struct taker *taker = user;
    size_t used = strlen(taker->frames);
    (void)snprintf(taker->frames + used, TAKER_BYTES - used, "%s\n", json);
}

struct afar_callbacks taker_callbacks(struct taker *taker, int with_frames)
{
    *taker = (struct taker){.limit = {SIZE_MAX, SIZE_MAX}};
    return (struct afar_callbacks)AFAR_CALLBACKS_INIT(.on_stdout = on_stdout,
                                                      .on_stderr = on_stderr,
                                                      .on_started = on_started,
                                                      .on_frame = with_frames ? on_frame : NULL,
                                                      .user = taker);
}
