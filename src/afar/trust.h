/* Decides whether to trust a server if neither --ca nor a pin does: by its keys in the file of
 * known servers, if it has any there; else by the system's CAs; else the user is asked, and the key
 * is remembered.
 *
 * The user is asked between two connections, because during a handshake the server would not wait.
 * The second connection must show the key that was accepted.
 *
 * Owns:    its copy of the file's name (trust_close).
 * Threads: one.
 * Blocks:  trust_settle, while the user is asked.
 * Limits:  none. */
#ifndef AFAR_TRUST_H
#define AFAR_TRUST_H

#include <stdbool.h>

#include "afar/known_hosts.h"

struct trust {
    char *file;                        /* owned; NULL: no file */
    char name[KNOWN_HOSTS_NAME_BYTES]; /* the server's, "HOST:PORT"; "": not a TLS URL */
    bool has_keys;                     /* the file has keys of the server: only they count */
    bool asked; /* trust_check was called for the last connection, which the rest is about */
    enum known_hosts_answer answer;
    char pin[AFAR_PIN_BYTES]; /* the server's key */
    struct known_host known;
};

enum trust_next {
    TRUST_SAY_WHY, /* connecting failed for another reason: report it */
    TRUST_AGAIN,   /* connect once more */
    TRUST_STOP     /* the reason was reported */
};

/* `file` NULL: none. `url` is the server's. False, reported: the file cannot be trusted, or out of
 * memory. */
bool trust_open(struct trust *trust, const char *file, const char *url);
void trust_close(struct trust *trust);

/* For struct afar_credentials' `trust` and `trust_alone`; `user` is the struct trust. */
bool trust_check(void *user, const char *server_name, const char *pin);

/* After connecting has failed: what to do now. Asks the user if there is a terminal. */
enum trust_next trust_settle(struct trust *trust);

#endif
