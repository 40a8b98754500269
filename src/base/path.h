/* Paths as text, without access to the disk.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <stdbool.h>
#include <string.h>

/* True if `path` is `folder` or below it. Both must be absolute, without links, "." and "..". */
static inline bool path_is_within(const char *path, const char *folder)
{
    size_t size = strlen(folder);
    if (size == 1) /* "/" */
        return true;
    return strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

#endif
