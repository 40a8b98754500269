/* The client's side of one SFTP session: requests out, answers in, many under way at a time.
 *
 * The server must answer in the order of the requests, so the ids under way form a queue: an answer
 * that is not for the oldest one ends the session.
 *
 * Owns:    requests not sent yet (`out`), and the part of an answer that has come.
 * Threads: one owner.
 * Blocks:  never; it has no connection: the caller moves the bytes.
 * Limits:  REQUESTS_USUAL requests and REQUESTS_WINDOW_BYTES under way for what can wait
 *          (requests_have_room); REQUESTS_MAX in all. */
#ifndef COPY_REQUESTS_H
#define COPY_REQUESTS_H

#include "wire/sftp.h"
#include "wire/sftp_attrs.h"

enum {
    REQUESTS_USUAL = 1024,
    REQUESTS_MAX = 8192,             /* including those that finish what others began */
    REQUESTS_WINDOW_BYTES = 8 << 20, /* as much as the server allows by default */
    REQUESTS_UNSENT_BYTES = 1 << 20, /* with so much unsent, begin nothing new */
    REQUESTS_OUT_BYTES = 64 << 20    /* never reached */
};

struct requests_answer {
    uint8_t type;            /* 0: there is no answer: it was not sent, or the session has ended */
    uint32_t status;         /* of a STATUS */
    struct sftp_text text;   /* its message */
    struct sftp_reader body; /* of other types: what follows the id */
};

struct requests_call {
    /* Called exactly once, from requests_take, requests_end or requests_send. */
    void (*done)(const struct requests_call *call, struct requests_answer *answer);
    void *user;
    uint64_t offset; /* this and the next are for the caller */
    size_t size;
    uint8_t expected; /* the answer's type; a STATUS may come instead */
    size_t cost;      /* bytes under way for it, in either direction */
};

struct requests {
    struct buffer out;
    struct buffer in; /* an incomplete answer */
    struct requests_call *ring;
    uint32_t first; /* id of the oldest request under way */
    uint32_t next;  /* id of the next one */
    size_t cost;
    bool greeted; /* the server has sent its version */
    bool ended;
};

/* Puts the INIT packet into `out`. On failure requests_close is still needed. AFAR_ENOMEM. */
enum afar_status requests_init(struct requests *requests, struct afar_error *err);
void requests_close(struct requests *requests);

bool requests_have_room(const struct requests *requests);
size_t requests_under_way(const struct requests *requests);

/* requests_begin starts a request of at most `most_bytes` after its id; the caller puts its fields;
 * requests_send ends it. If it cannot be sent (memory, REQUESTS_MAX, the session has ended),
 * requests_send calls `done` with type 0. */
void requests_begin(struct requests *requests, struct sftp_writer *writer, enum sftp_type type,
                    size_t most_bytes);
void requests_send(struct requests *requests, struct sftp_writer *writer,
                   const struct requests_call *call);

/* Takes what the server sent and calls `done` for each answer. AFAR_EPEER: the server broke the
 * protocol; the session is unusable. AFAR_ENOMEM. */
enum afar_status requests_take(struct requests *requests, const void *data, size_t size,
                               struct afar_error *err);

/* The session has ended: calls `done` with type 0 for all that is under way. */
void requests_end(struct requests *requests);

/* Fills `err` from a STATUS or the session's end, with an errno's name as reason. */
void requests_explain(const struct requests_answer *answer, struct afar_error *err);

#endif
