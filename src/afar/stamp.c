#include "afar/stamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void stamp_time(struct stamp *stamp, uint64_t time_us)
{
    stamp->time_us = time_us;
}

static void put_time(struct stamp *stamp)
{
    const time_t seconds = (time_t)(stamp->time_us / 1000000);
    struct tm parts;
    char text[STAMP_TIME_BYTES] = "- ";
    if (stamp->time_us > 0 && gmtime_r(&seconds, &parts) != NULL) {
        size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
        (void)snprintf(text + used, sizeof text - used, ".%06uZ ",
                       (unsigned)(stamp->time_us % 1000000));
    }
    size_t size = strlen(text);
    memcpy(stamp->bytes + stamp->end, text, size);
    stamp->end += size;
}

/* Fills `bytes` with output and times, as much as fits. */
static void assemble(struct stamp *stamp, const char *data, size_t size)
{
    stamp->start = stamp->end = stamp->covers = 0;
    while (stamp->covers < size && stamp->end + STAMP_TIME_BYTES < sizeof stamp->bytes) {
        if (!stamp->inside)
            put_time(stamp);
        const char *from = data + stamp->covers;
        size_t most = sizeof stamp->bytes - stamp->end;
        if (most > size - stamp->covers)
            most = size - stamp->covers;
        const char *newline = memchr(from, '\n', most);
        size_t part = newline != NULL ? (size_t)(newline - from) + 1 : most;
        memcpy(stamp->bytes + stamp->end, from, part);
        stamp->end += part;
        stamp->covers += part;
        stamp->inside = newline == NULL;
    }
}

size_t stamp_write(struct stamp *stamp, struct output *output, const void *data, size_t size)
{
    size_t done = 0;
    for (;;) {
        if (stamp->start == stamp->end && done == size)
            return done;
        if (stamp->start == stamp->end)
            assemble(stamp, (const char *)data + done, size - done);
        stamp->start +=
            output_write(output, stamp->bytes + stamp->start, stamp->end - stamp->start);
        if (stamp->start < stamp->end)
            return done;
        done += stamp->covers;
        stamp->start = stamp->end = stamp->covers = 0;
    }
}
