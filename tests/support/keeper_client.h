/* A keeper without a server, and clients of it, for tests. The test program must be a keeper if it
 * is called KEEPER_NAME. A failure fails the test.
 *
 * Owns:    what its functions have opened, until their counterparts.
 * Threads: one.
 * Blocks:  until a keeper answers, 30 s at most.
 * Limits:  none. */
#ifndef SUPPORT_KEEPER_CLIENT_H
#define SUPPORT_KEEPER_CLIENT_H

#include "keep/jobdir.h"
#include "wire/frame.h"

struct keeper_client {
    int fd;
    struct buffer in;
    struct decoder decoder;
    uint64_t next;     /* seq */
    uint64_t bytes[2]; /* that have come, or were cut */
    uint64_t cut;
    char text[256]; /* the beginning of stdout */
    bool ended;
    struct message last; /* without what it owns */
};

extern const char keeper_client_holder[];
extern int keeper_client_jobs_fd; /* the folder of jobs */

/* Make and remove the folder of jobs, around each test. */
int keeper_client_set_up(void **state);
int keeper_client_tear_down(void **state);

/* Starts a shell line as a kept job; its folder. */
int keeper_client_start(struct jobdir_request *request, const char *line, enum when_full when_full,
                        uint64_t spool_bytes);

void keeper_client_open(struct keeper_client *client, int folder_fd);
void keeper_client_close(struct keeper_client *client);
void keeper_client_send(int fd, const struct buffer *out);

/* An attach as request 7; one that drives the job, as keeper_client_holder. */
void keeper_client_attach(struct keeper_client *client, const struct message_attach *attach);
struct message_attach keeper_client_driver(uint64_t attempt);

/* Notes what has come, and checks its numbers. */
void keeper_client_take(struct keeper_client *client, const struct message *message,
                        const uint8_t *payload);

/* Acknowledges all output that has come. */
void keeper_client_ack(const struct keeper_client *client);

/* Takes and acknowledges until a message of this type has come, or the end. */
void keeper_client_until(struct keeper_client *client, enum message_type type);

#endif
