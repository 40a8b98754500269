/* Temporary folders of tests.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system.
 * Limits:  none. */
#ifndef SUPPORT_FOLDER_H
#define SUPPORT_FOLDER_H

/* Removes the folder with all that is in it. Returns 0, or another value on failure. */
int folder_remove(const char *path);

#endif
