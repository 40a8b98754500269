#include "afar/json_queue.h"

#include <stdlib.h>
#include <string.h>

bool json_queue_full(const struct json_queue *queue)
{
    return queue->end - queue->start >= JSON_WAITING_BYTES;
}

static bool make_room(struct json_queue *queue, size_t size)
{
    size_t waiting = queue->end - queue->start;
    if (queue->start > 0 && waiting > 0)
        memmove(queue->data, queue->data + queue->start, waiting);
    queue->start = 0;
    queue->end = waiting;
    if (queue->capacity - queue->end >= size)
        return true;
    size_t capacity = 2 * (queue->end + size);
    char *data = realloc(queue->data, capacity);
    if (data == NULL)
        return false;
    queue->data = data;
    queue->capacity = capacity;
    return true;
}

void json_queue_add(struct json_queue *queue, const char *line)
{
    size_t size = strlen(line);
    if (queue->failed || (queue->capacity - queue->end < size + 1 && !make_room(queue, size + 1))) {
        queue->failed = true;
        return;
    }
    memcpy(queue->data + queue->end, line, size);
    queue->data[queue->end + size] = '\n';
    queue->end += size + 1;
}

void json_queue_taken(struct json_queue *queue, size_t size)
{
    queue->start += size;
    if (queue->start == queue->end)
        queue->start = queue->end = 0;
}

void json_queue_close(struct json_queue *queue)
{
    free(queue->data);
    *queue = (struct json_queue){0};
}
