/* A queue of JSON lines that standard output has not taken yet.
 *
 * Owns:    their memory.
 * Threads: one.
 * Blocks:  never.
 * Limits:  full at JSON_WAITING_BYTES; adding still works then, for what is under way. */
#ifndef AFAR_JSON_QUEUE_H
#define AFAR_JSON_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

enum { JSON_WAITING_BYTES = 256 * 1024 };

struct json_queue {
    char *data;
    size_t start; /* what was not taken: start to end */
    size_t end;
    size_t capacity;
    bool failed; /* out of memory: a line is missing */
};

/* Adds a line and its newline. */
void json_queue_add(struct json_queue *queue, const char *line);
void json_queue_taken(struct json_queue *queue, size_t size);
bool json_queue_full(const struct json_queue *queue);
void json_queue_close(struct json_queue *queue);

#endif
