/* The other end of a client's connection, in memory: says what the test wrote into it, in pieces as
 * small as the test wants, and keeps what the client sends.
 *
 *     script_init ─ afar_client_new_on_transport(script_transport) ─ script_frame … afar_process …
 *
 * Owns:    the bytes. The transport that it makes is the client's; the script must outlive it.
 * Threads: one.
 * Blocks:  never.
 * Limits:  SCRIPT_BYTES each way. */
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
    size_t piece;      /* a receive gets at most this; 0: all */
    size_t turn_bytes; /* a fill gets at most this, although more is pending; 0: all */
    size_t turn_left;
    size_t send_room;        /* so many bytes are taken, then AFAR_EAGAIN */
    enum afar_status at_end; /* what a receive says where nothing is left; AFAR_EAGAIN at first */
    int at_end_errno;
    enum afar_status on_send; /* other than AFAR_OK: what every send says */
    size_t sends;             /* that took something */
    size_t output[2]; /* bytes that script_stdout and script_stderr have said since the last exit */
    bool answers;     /* nothing comes before one of them */
    bool freed;
    /* Of the frames that script_next has read. */
    struct decoder decoder;
};

void script_init(struct script *script);
void script_close(struct script *script);
struct transport *script_transport(struct script *script);

/* The server's next bytes. */
void script_bytes(struct script *script, const void *data, size_t size);
void script_frame(struct script *script, const char *header);
void script_payload(struct script *script, const char *header, const void *payload, size_t size);
void script_stdout(struct script *script, unsigned id, unsigned seq, const char *text);
void script_stderr(struct script *script, unsigned id, unsigned seq, const char *text);
/* The receipt counts the output of script_stdout and script_stderr. */
void script_exit(struct script *script, unsigned id, unsigned seq, unsigned code);

/* Takes the next frame that the client has sent. False: there is none. Its payload is copied to
 * `payload` (may be NULL), which must hold message->size bytes. The exec request is the caller's
 * (message_close). */
bool script_next(struct script *script, struct message *message, void *payload);

/* Takes all frames and returns how many were of that type; *last is the last one of them (may be
 * NULL). */
size_t script_count(struct script *script, enum message_type type, struct message *last);

#endif
