/* Whether a server that no CA vouches for is the right one: known already, or known from now on
 * because a person says so.
 *
 * The question is put between two connections: during a handshake the server would not wait. The
 * second one must show the key that was asked about.
 *
 * Owns:    its copy of the file's name (trust_close).
 * Threads: one.
 * Blocks:  trust_settle, while a person thinks.
 * Limits:  none. */
#ifndef AFAR_TRUST_H
#define AFAR_TRUST_H

#include <stdbool.h>

#include "afar/known_hosts.h"

struct trust {
    char *file;                        /* owned; NULL: there is no place for one */
    char name[KNOWN_HOSTS_NAME_BYTES]; /* of the server, "HOST:PORT" */
    bool asked;                        /* the rest is about the last connection */
    enum known_hosts_answer answer;
    char pin[AFAR_PIN_BYTES]; /* what the server showed */
    struct known_host known;
};

enum trust_next {
    TRUST_SAY_WHY, /* it failed for another reason, which is to be told */
    TRUST_AGAIN,   /* connect once more */
    TRUST_STOP     /* it has been said why not */
};

/* `file` NULL: none. `url` is the server's. False: out of memory, which has been said. */
bool trust_open(struct trust *trust, const char *file, const char *url);
void trust_close(struct trust *trust);

/* struct afar_credentials' `trust`; `user` is the struct trust. */
bool trust_check(void *user, const char *server_name, const char *pin);

/* After connecting has failed: what to do now. Asks the person where there is one. */
enum trust_next trust_settle(struct trust *trust);

#endif
