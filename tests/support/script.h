/* The other end of a client's connection, in memory: sends what the test wrote into it, in pieces
 * of any size, and stores what the client sends.
 *
 *     script_init ─ afar_client_new_on_transport(script_transport) ─ script_frame … afar_process …
 *
 * Owns:    the bytes. The transport that it makes is the client's; the script must outlive it.
 * Threads: one.
 * Blocks:  never.
 * Limits:  SCRIPT_BYTES in each direction. */
#ifndef SUPPORT_SCRIPT_H
#define SUPPORT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "net/transport.h"
#include "wire/frame.h"

enum { SCRIPT_BYTES = 32 << 20 };

struct script {
    struct buffer to_client;
    struct buffer from_client;
    size_t piece;      /* limit of one receive; 0: all */
    size_t turn_bytes; /* limit of all receives in one fill, although more is pending; 0: all */
    size_t turn_left;
    size_t send_room;        /* after so many bytes a send returns AFAR_EAGAIN */
    enum afar_status at_end; /* the result of a receive if nothing is left; AFAR_EAGAIN at first */
    int at_end_errno;
    enum afar_status on_send; /* if not AFAR_OK: the result of every send */
    size_t sends;             /* sends that took something */
    size_t output[2];         /* bytes from script_stdout and script_stderr since the last exit */
    bool answers;             /* nothing is received before the client has sent something */
    bool freed;
    /* Decodes frames for script_next. */
    struct decoder decoder;
};

void script_init(struct script *script);
void script_close(struct script *script);
struct transport *script_transport(struct script *script);

/* Adds to the bytes that the server sends. */
void script_bytes(struct script *script, const void *data, size_t size);
void script_frame(struct script *script, const char *header);
void script_payload(struct script *script, const char *header, const void *payload, size_t size);
void script_stdout(struct script *script, unsigned id, unsigned seq, const char *text);
void script_stderr(struct script *script, unsigned id, unsigned seq, const char *text);
/* The receipt contains the bytes of script_stdout and script_stderr. */
void script_exit(struct script *script, unsigned id, unsigned seq, unsigned code);

/* Takes the next frame that the client has sent. False: there is none. Its payload is copied to
 * `payload`, which must have room for message->size bytes (may be NULL). The caller frees an exec
 * request (message_close). */
bool script_next(struct script *script, struct message *message, void *payload);

/* Takes all frames and returns how many were of that type; *last is the last one of them (`last`
 * may be NULL). */
size_t script_count(struct script *script, enum message_type type, struct message *last);

#endif
