/* A run_guest under test, and the messages to and from it. Each of these functions fails the test
 * if something is not as expected.
 *
 * Owns:    one guest and its output; process-wide, for tests with one thread.
 * Threads: one.
 * Blocks:  never.
 * Limits:  frames of 4,096 bytes. */
#ifndef SUPPORT_TALK_H
#define SUPPORT_TALK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "wire/run_guest.h"

#define HOLDER "0123456789abcdef"
#define JOB "9f86d081884c7d659a2feaa0c55ad015"
#define NEVER INT64_MAX

#define STARTED_AS(id)                                                         \
    "{\"type\":\"started\",\"id\":" id ",\"job\":\"" JOB "\",\"window\":1000," \
    "\"resume_ms\":60000,\"server\":\"s1\"}"
#define STARTED STARTED_AS("1")

struct talk {
    struct run_guest guest;
    struct buffer out;
    struct message last; /* the frame from talk_frame */
    struct afar_error err;
};

extern struct talk talk;

void talk_open(struct run_guest_setup setup);
void talk_close(void);

/* Moves the next frame from `out` to `last`. MESSAGE_BAD: there is none. */
enum message_type talk_frame(void);

/* A message from the server, at `now_ms` or at 1000 ms. */
enum afar_status talk_hear_at(int64_t now_ms, const char *json, enum run_guest_event *event);
void talk_hear(const char *json, enum run_guest_event expected);
void talk_hear_bad(const char *json, const char *why);

/* Requests and starts run 1; clears `out`. */
void talk_start(void);

/* The same for a run that can be resumed and has stdin. */
void talk_start_resumable(void);

/* The connection is lost; clears `out`. */
enum run_guest_after talk_lose(int64_t now_ms);

/* Loses the connection at 2000 ms and connects again, as request `id`; the attach is in `last`. */
void talk_come_back(uint64_t id);

/* `more`: fields of `attached` in addition to job, window, resume_ms and server. */
void talk_attached(uint64_t id, const char *more);
void talk_output(uint64_t id, uint64_t seq, unsigned size);

/* Returns how much of the text was accepted as stdin. */
size_t talk_give(const char *text);
void talk_expect_stdin(uint64_t id, uint64_t offset, const char *text, bool eof);

#endif
