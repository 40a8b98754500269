/* Whether a server is the right one where neither --ca nor a pin decides: by its keys in the file
 * of known servers, if it has some there; else by the system's CAs; else a person says so, and it
 * is known from now on.
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
    bool has_keys;                     /* the file has the server: only its keys there count */
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

/* `file` NULL: none. `url` is the server's. False: it has been said why: the file cannot be relied
 * upon, or memory is out. */
bool trust_open(struct trust *trust, const char *file, const char *url);
void trust_close(struct trust *trust);

/* struct afar_credentials' `trust`; `user` is the struct trust. */
bool trust_check(void *user, const char *server_name, const char *pin);

/* After connecting has failed: what to do now. Asks the person where there is one. */
enum trust_next trust_settle(struct trust *trust);

#endif
