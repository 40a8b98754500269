/* A client of an SFTP server for tests: sends any request, valid or not, and reads the answers one
 * by one.
 *
 * Owns:    a peer made by sftp_peer_serve owns its server process, its folder and its descriptors.
 * Threads: one.
 * Blocks:  until an answer has come; an alarm of test_deadline_ms ends a test that waits in vain.
 * Limits:  packets of SFTP_PEER_BYTES. */
#ifndef SUPPORT_SFTP_PEER_H
#define SUPPORT_SFTP_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/sftp.h"
#include "wire/sftp_attrs.h"

enum { SFTP_PEER_BYTES = 512 * 1024, SFTP_PEER_TEXT_BYTES = 4096 };

struct sftp_peer {
    int to;   /* requests */
    int from; /* answers */
    pid_t pid;
    int err; /* the server's standard error; -1: not ours */
    char folder[64];
    uint32_t next_id;
    /* The last answer. */
    uint8_t type;
    uint32_t id;
    uint32_t status;                 /* of a STATUS */
    char text[SFTP_PEER_TEXT_BYTES]; /* of a STATUS, or the first name of a NAME */
    uint8_t handle[SFTP_HANDLE_BYTES];
    struct sftp_attrs attrs;
    struct sftp_reader body; /* in `packet`, after the id */
    uint8_t *packet;
};

/* Uses two descriptors, which stay the caller's. */
void sftp_peer_init(struct sftp_peer *peer, int to, int from);

struct files_options; /* files/files.h */

/* Calls `serve(0, 1, options)` in a new process, whose working directory is a new folder
 * (peer->folder). */
void sftp_peer_serve(struct sftp_peer *peer,
                     int (*serve)(int in_fd, int out_fd, const struct files_options *options),
                     const struct files_options *options);

/* Ends the input, waits for the server, and removes the folder. Returns the server's exit status,
 * or 128+N for a signal. */
int sftp_peer_close(struct sftp_peer *peer);

/* Sends INIT, with or without our private extension; expects a VERSION. */
void sftp_peer_greet(struct sftp_peer *peer, bool extended);

/* Sends a request and returns its id. Each letter of `format` is a field:
 *     u  uint32_t            q  uint64_t           s  const char *, as a text
 *     t  const void *, size_t, as a text           r  the same without a length
 *     h  const uint8_t *, a handle                 a  const struct sftp_attrs *
 *     -  empty attributes */
uint32_t sftp_peer_send(struct sftp_peer *peer, uint8_t type, const char *format, ...);

/* Sends any bytes. */
void sftp_peer_send_raw(struct sftp_peer *peer, const void *data, size_t size);

/* Reads the next answer. False: there is none, because the server has ended. */
bool sftp_peer_receive(struct sftp_peer *peer);

/* Sends a request and reads its answer, which must have the request's id. Returns the type. */
uint8_t sftp_peer_call(struct sftp_peer *peer, uint8_t type, const char *format, ...);

/* The same if the answer must be a STATUS; returns its code. */
uint32_t sftp_peer_status(struct sftp_peer *peer, uint8_t type, const char *format, ...);

/* Sends an OPEN, which must succeed. */
void sftp_peer_open(struct sftp_peer *peer, const char *path, uint32_t flags,
                    uint8_t handle[SFTP_HANDLE_BYTES]);

/* Sends a READ and returns the data as text; "": end of the file. */
const char *sftp_peer_read(struct sftp_peer *peer, const uint8_t *handle, uint64_t offset,
                           uint32_t size);

/* Writes a file in the folder directly, without SFTP. */
void sftp_peer_put(const struct sftp_peer *peer, const char *name, const char *content);

/* Reads a file directly; NULL: it does not exist. The result is static. */
const char *sftp_peer_get(const struct sftp_peer *peer, const char *name);

/* What the server has written to standard error until its end. */
const char *sftp_peer_complaint(struct sftp_peer *peer);

#endif
