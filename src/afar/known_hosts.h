/* The file of servers whose keys were accepted: lines "HOST:PORT sha256:HEX", blank lines, and
 * comments after '#'. A server may have several lines; any of its keys is accepted.
 *
 * Owns:    nothing between calls.
 * Threads: any; several programs may change a file at a time (by a lock on FILE.lock).
 * Blocks:  as long as the file system does; adding and removing wait at most 10 s for the lock.
 * Limits:  a file of KNOWN_HOSTS_FILE_BYTES. Failures are reported (report.h) unless noted. */
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
    KNOWN_HOSTS_SAME,  /* the server has this key */
    KNOWN_HOSTS_OTHER, /* it has only other keys; *known is the first */
    KNOWN_HOSTS_NEVER, /* it is not known, or there is no file yet */
    KNOWN_HOSTS_BROKEN /* the file cannot be trusted; that was reported */
};

struct known_host {
    char pin[AFAR_PIN_BYTES];
    size_t line; /* from 1 */
};

/* Makes the "HOST:PORT" by which servers are compared, from a TLS URL as `afar run` takes it: in
 * lower case, without a dot at the end, addresses in their shortest form. False: not such a URL;
 * nothing is reported. */
bool known_hosts_name(const char *url, char name[KNOWN_HOSTS_NAME_BYTES]);

/* Looks up a server's key. `pin` NULL: returns KNOWN_HOSTS_OTHER if the server has any key. */
enum known_hosts_answer known_hosts_look_up(const char *file, const char *name, const char *pin,
                                            struct known_host *known);

/* Calls `take` with each of a server's keys, in the order of the file. False: the file cannot be
 * trusted, which was reported unless a line is malformed. */
bool known_hosts_each(const char *file, const char *name, void (*take)(void *user, const char *pin),
                      void *user);

/* Adds a line, unless it is there. Makes the file and its folder if needed. False also if the
 * server has got another key meanwhile. */
bool known_hosts_add(const char *file, const char *name, const char *pin);

/* Removes all lines of a server; *removed is their number. */
bool known_hosts_remove(const char *file, const char *name, size_t *removed);

#endif
