/* A client of an SFTP server for tests: it sends what it is told to, right or wrong, and reads
 * answers one by one.
 *
 * Owns:    a peer made by sftp_peer_serve owns its server process, its folder and both descriptors.
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
    struct sftp_reader body; /* behind the id, in `packet` */
    uint8_t *packet;
};

/* Around two descriptors, which stay the caller's. */
void sftp_peer_init(struct sftp_peer *peer, int to, int from);

struct files_options; /* files/files.h */

/* Calls `serve(0, 1, options)` in a process of its own, whose working directory is a new folder
 * (peer->folder). */
void sftp_peer_serve(struct sftp_peer *peer,
                     int (*serve)(int in_fd, int out_fd, const struct files_options *options),
                     const struct files_options *options);

/* Ends the input, waits, removes the folder. Returns the server's exit status, 128+N by a signal.
 */
int sftp_peer_close(struct sftp_peer *peer);

/* INIT, with or without our private pair; the VERSION must come. */
void sftp_peer_greet(struct sftp_peer *peer, bool extended);

/* Sends a request and returns its id. In `format` each letter is a field:
 *     u  uint32_t            q  uint64_t           s  const char *, as a text
 *     t  const void *, size_t, as a text           r  the same without a length
 *     h  const uint8_t *, a handle                 a  const struct sftp_attrs *
 *     -  attributes of which none is there */
uint32_t sftp_peer_send(struct sftp_peer *peer, uint8_t type, const char *format, ...);

/* Any bytes. */
void sftp_peer_send_raw(struct sftp_peer *peer, const void *data, size_t size);

/* Reads the next answer. False: there is none, the server has ended. */
bool sftp_peer_receive(struct sftp_peer *peer);

/* Sends, and reads the answer, which must have the request's id. Returns its type. */
uint8_t sftp_peer_call(struct sftp_peer *peer, uint8_t type, const char *format, ...);

/* The same where a STATUS must come; returns its code. */
uint32_t sftp_peer_status(struct sftp_peer *peer, uint8_t type, const char *format, ...);

/* OPEN; must succeed. */
void sftp_peer_open(struct sftp_peer *peer, const char *path, uint32_t flags,
                    uint8_t handle[SFTP_HANDLE_BYTES]);

/* READ; the data as text. Empty: the end. */
const char *sftp_peer_read(struct sftp_peer *peer, const uint8_t *handle, uint64_t offset,
                           uint32_t size);

/* Writes a whole file in the folder, not by SFTP. */
void sftp_peer_put(const struct sftp_peer *peer, const char *name, const char *content);

/* Reads one; NULL: it is not there. Static memory. */
const char *sftp_peer_get(const struct sftp_peer *peer, const char *name);

/* What the server has said on standard error until its end. */
const char *sftp_peer_complaint(struct sftp_peer *peer);

#endif
