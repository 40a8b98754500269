/* Temporary folders of tests.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  on the file system.
 * Limits:  none. */
#ifndef SUPPORT_FOLDER_H
#define SUPPORT_FOLDER_H

/* Removes it with all that is in it. 0, or not. */
int folder_remove(const char *path);

#endif
