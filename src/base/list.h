/* Intrusive doubly linked list with a head that is itself a link.
 *
 * Owns:    nothing; a link lies inside the listed object.
 * Threads: one owner.
 * Blocks:  never.
 * Limits:  none. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

/* The object of type `type` whose member `member` is `link`. */
#define list_object(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
    head->next = head->previous = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *link)
{
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

/* The link may also be one that was initialised but is in no list. */
static inline void list_remove(struct list *link)
{
    /* clang's analyser does not see that a neighbour is removed before it is freed. */
    link->previous->next = link->next; // NOLINT(clang-analyzer-unix.Malloc)
    link->next->previous = link->previous;
    list_init(link);
}

#endif
