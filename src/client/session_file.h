/* TLS sessions that outlive the process, so that the next one need neither sign nor verify
 * anything: a file for each server and set of credentials, in a folder of the user's.
 *
 * Anyone who can read such a file can impersonate its user to that server until it expires, as with
 * the key file; anyone who can write one can impersonate the server. So it is of mode 0600, and
 * read only if it is the user's and nobody else's.
 *
 * Owns:    its strings.
 * Threads: read-only once made.
 * Blocks:  reads, writes and renames small files.
 * Limits:  SESSION_FILE_MAX_BYTES. */
#ifndef CLIENT_SESSION_FILE_H
#define CLIENT_SESSION_FILE_H

#include <stdbool.h>

#include <afar/afar.h>

#include "base/digest.h"
#include "net/endpoint.h"
#include "tls/tls.h"

enum { SESSION_FILE_MAX_BYTES = 16 * 1024 };

struct session_files {
    char *folder; /* NULL: none are kept */
    /* Of the credentials: of another CA, or one that was replaced, a session is worth nothing. */
    char credentials[DIGEST_HEX_BYTES];
};

/* None are kept where `credentials` name no folder; nor where a person decides whom to trust, as
 * long as he has not. AFAR_ENOMEM. */
enum afar_status session_files_init(struct session_files *files,
                                    const struct afar_credentials *credentials,
                                    struct afar_error *err);
void session_files_close(struct session_files *files);

/* Offers what is kept for the server to the next connection. Whatever is in the way means a full
 * handshake and nothing else. */
void session_files_load(const struct session_files *files, struct tls_context *tls,
                        const struct endpoint *endpoint);

/* Keeps what the server has given last, likewise. False: it has given nothing yet. */
bool session_files_save(const struct session_files *files, struct tls_context *tls,
                        const struct endpoint *endpoint);

/* A connection's: what it needs to keep a session at its end, when the context may be gone. */
struct session_keeper;

/* NULL: none is to be kept, or there is no memory for it. */
struct session_keeper *session_keeper_new(const struct session_files *files,
                                          struct tls_context *tls, const struct endpoint *endpoint);

/* Saves, once: also where that fails it is not tried again. NULL is fine for both. */
void session_keeper_save(struct session_keeper *keeper);
void session_keeper_close(struct session_keeper *keeper);

#endif
