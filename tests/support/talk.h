/* A run_guest under test, and what is said to it and by it. Each of these functions fails the test
 * where something is not as expected.
 *
 * Owns:    one guest and its output; process-wide, for tests of one thread.
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
    struct message last; /* that talk_frame took out of `out` */
    struct afar_error err;
};

extern struct talk talk;

void talk_open(struct run_guest_setup setup);
void talk_close(void);

/* Takes the next frame out of `out`, into `last`. MESSAGE_BAD: there is none. */
enum message_type talk_frame(void);

/* A message from the server, at 1000 ms or `now_ms`. */
enum afar_status talk_hear_at(int64_t now_ms, const char *json, enum run_guest_event *event);
void talk_hear(const char *json, enum run_guest_event expected);
void talk_hear_bad(const char *json, const char *why);

/* Asked, and running as request 1; what was put is forgotten. */
void talk_start(void);

/* The same, of one that may come back and has stdin. */
void talk_start_resumable(void);

/* The connection is lost; its output is forgotten. */
enum run_guest_after talk_lose(int64_t now_ms);

/* Lost at 2000, and connected again as request `id`; the attach is in `last`. */
void talk_come_back(uint64_t id);

/* `more`: fields of `attached` beside job, window, resume_ms and server. */
void talk_attached(uint64_t id, const char *more);
void talk_output(uint64_t id, uint64_t seq, unsigned size);

/* How much of the text is taken as stdin. */
size_t talk_give(const char *text);
void talk_expect_stdin(uint64_t id, uint64_t offset, const char *text, bool eof);

#endif
