#include "support/slow_reader.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t take(struct slow_reader *reader, int stream, const void *data, size_t size)
{
    size_t taken = size < reader->limit[stream] ? size : reader->limit[stream];
    size_t room = SLOW_READER_BYTES - 1 - strlen(reader->text[stream]);
    reader->calls++;
    (void)strncat(reader->text[stream], data, taken < room ? taken : room);
    reader->bytes[stream] += taken;
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
    struct slow_reader *reader = user;
    reader->started++;
    (void)snprintf(reader->job, sizeof reader->job, "%s", job);
}

static void on_frame(void *user, const char *json)
{
    struct slow_reader *reader = user;
    size_t used = strlen(reader->frames);
    (void)snprintf(reader->frames + used, SLOW_READER_BYTES - used, "%s\n", json);
}

struct afar_callbacks slow_reader_callbacks(struct slow_reader *reader, int with_frames)
{
    *reader = (struct slow_reader){.limit = {SIZE_MAX, SIZE_MAX}};
    return (struct afar_callbacks)AFAR_CALLBACKS_INIT(.on_stdout = on_stdout,
                                                      .on_stderr = on_stderr,
                                                      .on_started = on_started,
                                                      .on_frame = with_frames ? on_frame : NULL,
                                                      .user = reader);
}
