/* The resources that the server's own process uses: processor time, memory, descriptors.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  while it reads /proc (proc(5)), which is not on a disk.
 * Limits:  none. */
#ifndef SERVER_WATCH_OWN_USAGE_H
#define SERVER_WATCH_OWN_USAGE_H

#include <stdbool.h>

/* Numbers that could not be read, as without /proc, are less than 0. */
struct own_usage {
    double cpu_seconds;
    double started_at; /* Unix time */
    double resident_bytes;
    double virtual_bytes;
    double open_descriptors;
    double max_descriptors;
    double threads;
};

void own_usage_read(struct own_usage *usage);

#endif
