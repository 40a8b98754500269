/* The client's side of one SFTP session: requests out, answers in, many under way at once.
 *
 * The server answers in the order of the requests, so that the ids of those under way are a queue:
 * an answer that is not for the first of them ends the session.
 *
 * Owns:    requests that were not sent yet (requests_out), and the part of an answer that has come.
 * Threads: one owner.
 * Blocks:  never; knows of no connection: the caller moves the bytes.
 * Limits:  REQUESTS_USUAL under way and REQUESTS_WINDOW_BYTES of what they carry, for what can wait
 *          (requests_have_room); REQUESTS_MAX in all. */
#ifndef COPY_REQUESTS_H
#define COPY_REQUESTS_H

#include "wire/sftp.h"
#include "wire/sftp_attrs.h"

enum {
    REQUESTS_USUAL = 1024,
    REQUESTS_MAX = 8192,             /* with those that end what others began */
    REQUESTS_WINDOW_BYTES = 8 << 20, /* as much as the server has under way by default */
    REQUESTS_UNSENT_BYTES = 1 << 20, /* with so much to be sent nothing new is begun */
    REQUESTS_OUT_BYTES = 64 << 20    /* nothing gets near it */
};

struct requests_answer {
    uint8_t type;            /* 0: none will come, the session has ended */
    uint32_t status;         /* of a STATUS */
    struct sftp_text text;   /* its message */
    struct sftp_reader body; /* of others, behind the id */
};

struct requests_call {
    /* Called once, from requests_take or requests_end. */
    void (*done)(const struct requests_call *call, struct requests_answer *answer);
    void *user;
    uint64_t offset; /* these two are the caller's own */
    size_t size;
    uint8_t expected; /* the answer's type; STATUS may come in its place */
    size_t cost;      /* bytes that it has under way, in whichever direction */
};

struct requests {
    struct buffer out;
    struct buffer in; /* an answer that has not come whole */
    struct requests_call *ring;
    uint32_t first; /* id of the first one under way */
    uint32_t next;  /* id of the next one */
    size_t cost;
    bool greeted; /* the server has said its version */
    bool ended;
};

/* AFAR_ENOMEM. Says hello. */
enum afar_status requests_init(struct requests *requests, struct afar_error *err);
void requests_close(struct requests *requests);

bool requests_have_room(const struct requests *requests);
size_t requests_under_way(const struct requests *requests);

/* Begins a request of at most `most_bytes` behind its id; the caller puts its fields and ends it.
 * Where it cannot be sent (memory, REQUESTS_MAX, the session has ended), done is called in
 * requests_send, with type 0. */
void requests_begin(struct requests *requests, struct sftp_writer *writer, enum sftp_type type,
                    size_t most_bytes);
void requests_send(struct requests *requests, struct sftp_writer *writer,
                   const struct requests_call *call);

/* Takes what the server sent and calls `done` for each answer. AFAR_EPEER: it is not what a server
 * may send; nothing more can be had from it. AFAR_ENOMEM. */
enum afar_status requests_take(struct requests *requests, const void *data, size_t size,
                               struct afar_error *err);

/* Nothing more comes: what is under way is called with type 0. */
void requests_end(struct requests *requests);

/* What a STATUS, or the end, says: fills `err`, with the name of the errno as reason. */
void requests_explain(const struct requests_answer *answer, struct afar_error *err);

#endif
