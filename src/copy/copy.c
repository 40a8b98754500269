#include "copy/copy.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "copy/internal.h"

enum {
    TURN_STEPS = 256, /* then the caller can do other work */
    OUTPUT_BYTES = 1 << 20,
    BUDGET_MS = 100,  /* --limit: the largest burst, as a time */
    REFILL_MS = 10000 /* what was not used before is lost */
};

/* Bytes a second, 1 TiB: faster than any, and far from overflow in milliseconds. */
#define LIMIT_MAX (UINT64_C(1) << 40)

void copy_init(struct copy *copy, const struct copy_options *options)
{
    *copy = (struct copy){.options = *options};
    if (copy->options.limit > LIMIT_MAX)
        copy->options.limit = LIMIT_MAX;
    list_init(&copy->items);
    list_init(&copy->walking);
    list_init(&copy->unlisted);
    copy->starts_end = &copy->starts;
    buffer_init(&copy->output, OUTPUT_BYTES);
    copy->budget_ms = clock_now_ms();
}

void copy_close(struct copy *copy)
{
    folder_drop_starts(copy);
    buffer_close(&copy->output);
}

/* ---- results --------------------------------------------------------------------------------- */

void copy_tell(struct copy *copy, const struct copy_result *result)
{
    copy->counts.outcomes[result->outcome]++;
    copy->on_result(copy->user, result);
}

void copy_tell_wrong(struct folder *folder, const char *name, enum copy_outcome outcome,
                     const char *reason, const char *why)
{
    char source[SFTP_PATH_MAX_BYTES];
    char target[SFTP_PATH_MAX_BYTES];
    struct afar_error err;
    (void)copy_join(source, folder->source_path, name);
    (void)copy_join(target, folder->target_path, name);
    const struct copy_result result = {
        .outcome = outcome,
        .source = source,
        .target = target,
        .from = folder->from,
        .to = folder->to,
        .is_folder = name[0] == '\0',
        .err = copy_error(&err, reason, why),
    };
    folder->copy->counts.known++;
    copy_tell(folder->copy, &result);
}

/* ---- room ------------------------------------------------------------------------------------ */

static void refill(struct copy *copy)
{
    const int64_t limit = (int64_t)copy->options.limit;
    const int64_t now_ms = clock_now_ms();
    const int64_t most = limit * BUDGET_MS / 1000;
    int64_t passed_ms = now_ms - copy->budget_ms;
    if (limit == 0 || passed_ms <= 0)
        return;
    if (passed_ms > REFILL_MS) {
        passed_ms = REFILL_MS;
        copy->budget_ms = now_ms - REFILL_MS;
    }
    const int64_t more = limit * passed_ms / 1000;
    /* Only the time that was paid for: at a low rate a millisecond is less than a byte. */
    copy->budget_ms += (more * 1000 + limit - 1) / limit;
    copy->budget += more;
    if (copy->budget > most)
        copy->budget = most > 0 ? most : 1;
}

void copy_pay(struct copy *copy, uint64_t bytes)
{
    if (copy->options.limit > 0)
        copy->budget -= (int64_t)bytes;
}

int copy_timeout_ms(const struct copy *copy)
{
    if (copy->options.limit == 0 || copy->budget > 0)
        return -1;
    int64_t ms = (1 - copy->budget) * 1000 / (int64_t)copy->options.limit + 1;
    return ms < 1000 ? (int)ms : 1000;
}

bool copy_has_room(const struct copy *copy, const struct folder *folder)
{
    if (copy->options.limit > 0) {
        /* Bytes under way are not paid for yet. */
        size_t cost = folder->from != NULL ? folder->from->cost : 0;
        if (copy->budget <= 0 || (cost > 0 && (int64_t)cost >= copy->budget))
            return false;
    }
    return buffer_size(&copy->output) == 0 &&
           (folder->from == NULL || requests_have_room(folder->from)) &&
           (folder->to == NULL || requests_have_room(folder->to));
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Steps every item. True: one can go on without waiting. */
static bool step_items(struct copy *copy)
{
    bool more = false;
    struct list *next = NULL;
    for (struct list *at = copy->items.next; at != &copy->items; at = next) {
        next = at->next;
        more = large_step(list_object(at, struct item, link)) || more;
    }
    return more;
}

bool copy_step(struct copy *copy)
{
    int steps = 0;
    refill(copy);
    (void)step_items(copy);
    folder_ask_lists(copy);
    while (steps < TURN_STEPS && !copy->stopped && copy->large < COPY_LARGE_MAX &&
           folder_step(copy))
        steps++;
    folder_ask_lists(copy);
    bool none = list_empty(&copy->walking);
    bool more = step_items(copy) || steps == TURN_STEPS;
    more = more || (none && !list_empty(&copy->walking)); /* a second walk, for links */
    copy->counts.walked = copy->starts == NULL && list_empty(&copy->walking) &&
                          list_empty(&copy->unlisted) && copy->lists == 0;
    return more;
}

bool copy_done(const struct copy *copy)
{
    return copy->folders == 0 && copy->starts == NULL && buffer_size(&copy->output) == 0;
}

/* Releases the folders of a list. */
static void leave_folders(struct list *list)
{
    while (!list_empty(list)) {
        struct folder *folder = list_object(list->next, struct folder, link);
        list_remove(&folder->link);
        folder_release(folder);
    }
}

void copy_stop(struct copy *copy)
{
    if (copy->stopped)
        return;
    copy->stopped = true;
    folder_drop_starts(copy);
    for (struct list *at = copy->items.next; at != &copy->items; at = at->next)
        large_stop(list_object(at, struct item, link));
    leave_folders(&copy->walking);
    leave_folders(&copy->unlisted);
    (void)step_items(copy);
}

/* ---- standard input and output --------------------------------------------------------------- */

bool copy_wants_input(const struct copy *copy)
{
    return copy->reader != NULL;
}

void copy_input(struct copy *copy, const void *data, size_t size, int failed)
{
    struct item *item = copy->reader;
    struct afar_error err;
    if (item == NULL)
        return;
    copy->reader = NULL;
    item_read(item, item->moved, data, size, failed != 0 ? copy_errno(&err, failed) : NULL);
    item->asked = item->moved;
}

bool copy_flush(struct copy *copy)
{
    size_t size = buffer_size(&copy->output);
    if (size > 0)
        buffer_consume(&copy->output,
                       copy->on_output(copy->user, buffer_head(&copy->output), size));
    return buffer_size(&copy->output) == 0;
}

bool copy_look(const struct copy *copy, struct copy_view *view)
{
    if (list_empty(&copy->items))
        return false;
    const struct item *item = list_object(copy->items.next, struct item, link);
    size_t size = strlen(item->name);
    const char *name = size < sizeof view->name ? item->name : item->name + size - 255;
    (void)snprintf(view->name, sizeof view->name, "%s", name);
    view->size = item->info.size;
    view->moved = item->state == ITEM_PREFIX ? item->prefix_at : item->moved;
    view->unsized = item->unsized;
    return true;
}
