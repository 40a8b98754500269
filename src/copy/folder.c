/* The walk: directories and what is in them, depth first. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy/internal.h"

/* A command-line source that was not begun yet. */
struct copy_start {
    struct copy_start *next;
    struct folder *folder; /* what its path is relative to */
    char *name;
    char *target_name;
    bool contents;
    bool must_folder;
    bool taken;
};

struct folder *folder_new(struct copy *copy, struct folder *parent)
{
    struct folder *folder = calloc(1, sizeof *folder);
    if (folder == NULL)
        return NULL;
    folder->copy = copy;
    folder->parent = parent;
    folder->source_fd = folder->target_fd = -1;
    folder->users = 1;
    list_init(&folder->link);
    copy->folders++;
    if (parent != NULL) {
        parent->users++;
        folder->source = parent->source;
        folder->target = parent->target;
        folder->from = parent->from;
        folder->to = parent->to;
        folder->depth = parent->depth + 1;
        folder->is_tree = true;
    }
    return folder;
}

void folder_free(struct folder *folder)
{
    list_remove(&folder->link);
    folder->copy->folders--;
    folder->copy->batch_bytes -= folder->batch_bytes;
    if (folder->reading != NULL)
        (void)closedir(folder->reading);
    else if (folder->source_fd >= 0)
        (void)close(folder->source_fd);
    if (folder->target_fd >= 0)
        (void)close(folder->target_fd);
    free(folder->batch);
    free(folder->known);
    free(folder->source_path);
    free(folder->target_path);
    free(folder);
}

static void walk(struct folder *folder)
{
    struct copy *copy = folder->copy;
    if (folder->from != NULL && folder->batch == NULL)
        list_append(&copy->unlisted, &folder->link);
    else
        list_append(&copy->walking, &folder->link);
}

void folder_release(struct folder *folder)
{
    while (folder != NULL) {
        folder->users--;
        if (folder->users > 0)
            return;
        if (folder->has_links && !folder->links_now && !folder->failed && !folder->copy->stopped) {
            /* Walk it again, for its links only: nothing is left to be written through them. */
            folder->links_now = true;
            folder->users++;
            folder->source->rewind(folder);
            walk(folder);
            return;
        }
        if (folder->parent != NULL && !folder->finishing && !folder->failed) {
            /* Its contents are complete: set its own mode and times. */
            folder->finishing = true;
            folder->users++;
            folder->target->finish(folder);
            return;
        }
        struct folder *parent = folder->parent;
        folder_free(folder);
        folder = parent;
    }
}

/* Reports a failure of the directory itself, once. */
static void tell_failed(struct folder *folder, const struct afar_error *err)
{
    if (!folder->failed && !folder->copy->stopped)
        copy_tell_wrong(folder, "", COPY_FAILED, err->reason, err->message);
    folder->failed = true;
}

void folder_finished(struct folder *folder, const struct afar_error *err)
{
    if (err != NULL)
        tell_failed(folder, err);
    folder_release(folder);
}

/* ---- into a directory ------------------------------------------------------------------------ */

static bool set_paths(struct folder *folder, const char *name, const char *target_name)
{
    char path[SFTP_PATH_MAX_BYTES];
    if (!copy_join(path, folder->parent->source_path, name))
        return false;
    folder->source_path = strdup(path);
    if (!copy_join(path, folder->parent->target_path, target_name))
        return false;
    folder->target_path = strdup(path);
    return folder->source_path != NULL && folder->target_path != NULL;
}

/* From here to a server, the contents of a directory that cannot be there yet are sent right after
 * the request to make it. Others wait for the answer: there may be a link of that name, and they
 * would be written through it. */
static bool must_wait_for_target(const struct folder *folder)
{
    return folder->to != NULL && (folder->from != NULL || !folder->parent->fresh);
}

/* True if the directory is one of its own parents, by a followed link: there would be no end. */
static bool is_loop(const struct folder *folder)
{
    const struct info *info = &folder->info;
    if (folder->copy->options.links != COPY_LINKS_FOLLOW || info->inode == 0)
        return false;
    for (const struct folder *at = folder->parent; at != NULL; at = at->parent) {
        if (at->info.inode == info->inode && at->info.device == info->device)
            return true;
    }
    return false;
}

void folder_begin(struct folder *parent, const char *name, const char *target_name,
                  const struct info *info)
{
    struct afar_error err;
    struct folder *folder = folder_new(parent->copy, parent);
    if (folder == NULL) {
        copy_tell_wrong(parent, name, COPY_FAILED, "ENOMEM", "out of memory");
        return;
    }
    folder->info = *info;
    if (!set_paths(folder, name, target_name)) {
        copy_tell_wrong(parent, name, COPY_FAILED, "ENAMETOOLONG", "the path is too long");
        folder->failed = true;
    } else if (folder->depth > COPY_DEPTH_MAX) {
        tell_failed(folder, copy_error(&err, "ELOOP", "deeper than 128 directories"));
    } else if (is_loop(folder)) {
        tell_failed(folder, copy_errno(&err, ELOOP));
    } else if (!folder->source->enter(folder, name, &err)) {
        tell_failed(folder, &err);
    }
    if (folder->failed) {
        folder_release(folder);
        return;
    }
    bool waits = must_wait_for_target(folder);
    folder->waits = waits;
    folder->fresh = !waits;
    folder->users++;
    folder->target->make(folder, target_name);
    if (waits) /* the folder may be gone already: making it can fail at once */
        return;
    if (folder->failed)
        folder_release(folder);
    else
        walk(folder);
}

/* Two users are released here or later: this answer, and the walk, which has begun unless
 * it waits. */
void folder_made(struct folder *folder, bool made, const struct afar_error *err)
{
    folder->made = made;
    folder->fresh = folder->fresh || made;
    if (err != NULL)
        tell_failed(folder, err);
    if (folder->waits) {
        if (err == NULL && !folder->copy->stopped)
            walk(folder);
        else
            folder_release(folder);
    }
    folder_release(folder);
}

/* ---- lists of a server ----------------------------------------------------------------------- */

void folder_ask_lists(struct copy *copy)
{
    while (!list_empty(&copy->unlisted) && copy->lists < COPY_LISTS_MAX && !copy->stopped) {
        if (copy->batch_bytes >= COPY_BATCH_BYTES && copy->lists > 0)
            return;
        struct folder *folder = list_object(copy->unlisted.previous, struct folder, link);
        list_remove(&folder->link);
        copy->lists++;
        folder->source->list(folder);
    }
}

void folder_listed(struct folder *folder, const struct afar_error *err)
{
    struct copy *copy = folder->copy;
    copy->lists--;
    if (err == NULL && !copy->stopped) {
        list_append(&copy->walking, &folder->link);
        return;
    }
    if (err != NULL)
        tell_failed(folder, err);
    folder_release(folder);
}

/* ---- the next name --------------------------------------------------------------------------- */

static bool begin_start(struct copy *copy)
{
    struct copy_start *start = copy->starts;
    if (start == NULL || !copy_has_room(copy, start->folder))
        return false;
    copy->starts = start->next;
    if (copy->starts == NULL)
        copy->starts_end = &copy->starts;
    struct item *item = item_new(start->folder, start->name, start->target_name);
    if (item == NULL) {
        copy_tell_wrong(start->folder, start->name, COPY_FAILED, "ENOMEM", "out of memory");
    } else {
        item->contents = start->contents;
        item->must_folder = start->must_folder;
        item->taken = start->taken;
        item_find(item, !copy->options.recursive || start->contents || start->must_folder ||
                            copy->options.links == COPY_LINKS_FOLLOW);
    }
    folder_release(start->folder);
    free(start->name);
    free(start->target_name);
    free(start);
    return true;
}

enum copy_links folder_links(const struct folder *folder)
{
    enum copy_links links = folder->copy->options.links;
    if (links != COPY_LINKS_DEFAULT)
        return links;
    return folder->from != NULL ? COPY_LINKS_SAFE : COPY_LINKS_ALL;
}

/* True if the entry belongs to this walk. Links are made last, by a second walk of their directory,
 * so that none has to be remembered, however many there are. */
static bool has_its_turn(struct folder *folder, const struct entry *entry)
{
    enum copy_links links = folder_links(folder);
    bool is_link = entry->wrong == NULL && S_ISLNK(entry->info.mode) &&
                   (links == COPY_LINKS_SAFE || links == COPY_LINKS_ALL);
    folder->has_links = folder->has_links || is_link;
    return is_link == folder->links_now;
}

static void begin_entry(struct folder *folder, const struct entry *entry)
{
    if (!has_its_turn(folder, entry))
        return;
    struct item *item = entry->wrong == NULL ? item_new(folder, entry->name, entry->name) : NULL;
    if (entry->wrong != NULL) {
        copy_tell_wrong(folder, entry->name, COPY_FAILED, "EINVAL", entry->wrong);
    } else if (item == NULL) {
        copy_tell_wrong(folder, entry->name, COPY_FAILED, "ENOMEM", "out of memory");
    } else {
        item->info = entry->info;
        item_begin(item);
    }
}

/* True if too many directories are open and something is under way that will close some. */
static bool must_wait(const struct copy *copy, const struct folder *folder)
{
    if (copy->folders < COPY_FOLDERS_MAX)
        return false;
    return copy->large > 0 || copy->lists > 0 ||
           (folder->to != NULL && requests_under_way(folder->to) > 0) ||
           (folder->from != NULL && requests_under_way(folder->from) > 0);
}

static size_t count_unlisted(const struct copy *copy)
{
    size_t count = 0;
    for (const struct list *at = copy->unlisted.next; at != &copy->unlisted; at = at->next)
        count++;
    return count;
}

bool folder_step(struct copy *copy)
{
    struct entry entry;
    if (list_empty(&copy->walking))
        return list_empty(&copy->unlisted) && begin_start(copy);
    struct folder *folder = list_object(copy->walking.previous, struct folder, link);
    bool blocked = !copy_has_room(copy, folder) || must_wait(copy, folder) ||
                   (folder->from != NULL && count_unlisted(copy) >= COPY_UNLISTED_MAX);
    if (blocked && !folder->failed)
        return false;
    switch (folder->failed ? NEXT_END : folder->source->next(folder, &entry)) {
    case NEXT_ENTRY:
        begin_entry(folder, &entry);
        return true;
    case NEXT_WAIT:
        list_remove(&folder->link);
        list_append(&copy->unlisted, &folder->link);
        return true;
    case NEXT_END:
        list_remove(&folder->link);
        folder_release(folder);
        return true;
    }
    return false;
}

/* ---- sources of the command line ------------------------------------------------------------- */

static struct copy_start *new_start(struct copy *copy, const struct copy_route *route)
{
    struct copy_start *start = calloc(1, sizeof *start);
    struct folder *folder = folder_new(copy, NULL);
    if (start == NULL || folder == NULL)
        goto fail;
    start->folder = folder;
    start->name = strdup(route->source);
    start->target_name = strdup(route->target_name);
    start->contents = route->contents;
    start->must_folder = route->folder;
    start->taken = route->taken;
    folder->source_path = strdup("");
    folder->target_path = strdup(route->target);
    if (start->name == NULL || start->target_name == NULL || folder->source_path == NULL ||
        folder->target_path == NULL)
        goto fail;
    return start;
fail:
    if (start != NULL) {
        free(start->name);
        free(start->target_name);
        free(start);
    }
    if (folder != NULL)
        folder_free(folder);
    return NULL;
}

enum afar_status copy_add(struct copy *copy, const struct copy_route *route, struct afar_error *err)
{
    struct copy_start *start = new_start(copy, route);
    if (start == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    struct folder *folder = start->folder;
    folder->from = route->from;
    folder->to = route->to;
    folder->source = route->source_stream  ? &stream_source
                     : route->from != NULL ? &remote_source
                                           : &local_source;
    folder->target = route->target_stream ? &stream_target
                     : route->to != NULL  ? &remote_target
                                          : &local_target;
    if (folder->source == &local_source)
        folder->source_fd = AT_FDCWD;
    if (folder->target == &local_target) {
        folder->target_fd = open(route->target[0] == '\0' ? "." : route->target,
                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder->target_fd < 0) {
            enum afar_status status =
                afar_fail_errno(err, errno, "cannot open the directory '%s'", route->target);
            free(start->name);
            free(start->target_name);
            free(start);
            folder_free(folder);
            return status;
        }
    }
    *copy->starts_end = start;
    copy->starts_end = &start->next;
    return AFAR_OK;
}

void folder_drop_starts(struct copy *copy)
{
    while (copy->starts != NULL) {
        struct copy_start *start = copy->starts;
        copy->starts = start->next;
        folder_release(start->folder);
        free(start->name);
        free(start->target_name);
        free(start);
    }
    copy->starts_end = &copy->starts;
}
