/* The file of servers whose keys were accepted once: lines "HOST:PORT sha256:HEX", blank ones, and
 * comments after '#'. A server may have several lines: any of its keys will do.
 *
 * Owns:    nothing between calls.
 * Threads: any; several programs may change a file at a time (by a lock on FILE.lock).
 * Blocks:  as long as the file system does; adding and removing, 10 s at most while another program
 *          does.
 * Limits:  a file of KNOWN_HOSTS_FILE_BYTES. What fails has been told to the person (report.h). */
#ifndef AFAR_KNOWN_HOSTS_H
#define AFAR_KNOWN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include <afar/keygen.h>

enum {
    KNOWN_HOSTS_NAME_BYTES = 272,    /* a host of 255 bytes, brackets, a port, and a NUL */
    KNOWN_HOSTS_FILE_BYTES = 4 << 20 /* 40,000 servers */
};

enum known_hosts_answer {
    KNOWN_HOSTS_SAME,  /* the server is known by this key */
    KNOWN_HOSTS_OTHER, /* by others only, of which *known is the first */
    KNOWN_HOSTS_NEVER, /* the server is not known, or there is no file yet */
    KNOWN_HOSTS_BROKEN /* the file cannot be relied upon; it has been said why */
};

struct known_host {
    char pin[AFAR_PIN_BYTES];
    size_t line; /* from 1 */
};

/* "HOST:PORT" as servers are compared, of a URL for TLS as `afar run` takes it: in lower case,
 * without a dot at the end, addresses in their shortest form. False: it is none; nothing has been
 * said. */
bool known_hosts_name(const char *url, char name[KNOWN_HOSTS_NAME_BYTES]);

/* `pin` NULL: only whether it is known at all, KNOWN_HOSTS_OTHER. */
enum known_hosts_answer known_hosts_look_up(const char *file, const char *name, const char *pin,
                                            struct known_host *known);

/* Calls `take` with each of a server's keys, in the order of the file. False: the file cannot be
 * relied upon, as has been said. */
bool known_hosts_each(const char *file, const char *name, void (*take)(void *user, const char *pin),
                      void *user);

/* Adds a line, unless it is there. Makes file and folder where there are none. False also where
 * the server has become known by another key meanwhile. */
bool known_hosts_add(const char *file, const char *name, const char *pin);

/* Removes all lines of a server; *removed says how many. */
bool known_hosts_remove(const char *file, const char *name, size_t *removed);

#endif
