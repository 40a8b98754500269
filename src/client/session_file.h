/* TLS sessions in files, so that the next process need neither sign nor verify anything: one file
 * for each server and set of credentials, in a folder of the user's.
 *
 * Anyone who can read such a file can impersonate its user to that server until it expires, as with
 * the key file; anyone who can write one can impersonate the server. So its mode is 0600, and it is
 * read only if it belongs to the user and no one else may use it.
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
    char *folder; /* NULL: no sessions are kept */
    /* A hash of the credentials: a session made with other files must not be used. */
    char credentials[DIGEST_HEX_BYTES];
};

/* No sessions are kept if `credentials` name no folder, or if a trust callback decides without a
 * pin. session_files_close frees it. AFAR_EINVAL (no SHA-256), AFAR_ENOMEM. */
enum afar_status session_files_init(struct session_files *files,
                                    const struct afar_credentials *credentials,
                                    struct afar_error *err);
void session_files_close(struct session_files *files);

/* Offers the session that is kept for the server to the next connection. If anything fails, the
 * handshake is a full one. */
void session_files_load(const struct session_files *files, struct tls_context *tls,
                        const struct endpoint *endpoint);

/* Keeps the last session that the server has given; a failure to write is ignored. False: none to
 * keep. */
bool session_files_save(const struct session_files *files, struct tls_context *tls,
                        const struct endpoint *endpoint);

/* What a connection needs to save its session when it ends; its context may be freed before. */
struct session_keeper;

/* Takes a reference to `tls`. NULL: no sessions are kept, or out of memory. */
struct session_keeper *session_keeper_new(const struct session_files *files,
                                          struct tls_context *tls, const struct endpoint *endpoint);

/* Save: once a session was there it is not saved again, even if writing failed. Close saves and
 * frees. NULL is fine for both. */
void session_keeper_save(struct session_keeper *keeper);
void session_keeper_close(struct session_keeper *keeper);

#endif
