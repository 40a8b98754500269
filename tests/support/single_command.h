/* One command on a server of its own, over raw frames, from its start to the proof that nothing of
 * it is left.
 *
 *     single_command_open ─ single_command_exec ─ single_command_expect … single_command_receipt ─
 *     single_command_close
 *
 * Owns:    the server, its temporary folder, the connection, and the command's output.
 * Threads: one.
 * Blocks:  at most until test_deadline_ms; then the test fails.
 * Limits:  SINGLE_COMMAND_SETTINGS_MAX settings; only the first SINGLE_COMMAND_OUTPUT_BYTES of
 *          output are kept. */
#ifndef SUPPORT_SINGLE_COMMAND_H
#define SUPPORT_SINGLE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/afard.h"

enum { SINGLE_COMMAND_SETTINGS_MAX = 8, SINGLE_COMMAND_OUTPUT_BYTES = 65536 };

struct single_command {
    struct afard server;
    char temporary[64]; /* the server's TMPDIR, its own */
    int fd;             /* -1: closed */
    char job[64];
    char output[SINGLE_COMMAND_OUTPUT_BYTES + 1]; /* both streams, in the order received */
    size_t output_size;
    uint64_t bytes[2]; /* stdout, stderr */
    char *receipt;     /* the header of the exit frame */
};

/* Starts a server with "name=value" settings (NULL-terminated). */
void single_command_open(struct single_command *single, const char *const *settings);
void single_command_open_at(struct single_command *single, const char *url,
                            const char *const *settings);

/* Sends `sh -c SCRIPT`. `fields`: further fields of the request, each followed by a comma. Returns
 * when the command has been started. */
void single_command_exec(struct single_command *single, const char *script, const char *fields);

/* Reads, acknowledges and keeps output until it contains `text`. */
void single_command_expect(struct single_command *single, const char *text);

/* Reads up to the receipt, which must contain `text`. */
void single_command_receipt(struct single_command *single, const char *text);

/* The number of processes with the job's mark. */
size_t single_command_processes(const struct single_command *single);

/* Expects that the server is as at its start, that no process is left whose pid the command has
 * printed or that has the job's mark, and no file. */
void single_command_expect_nothing_left(struct single_command *single);

/* single_command_expect_nothing_left; then ends the server. */
void single_command_close(struct single_command *single);

/* For a server that was told to end or has ended: waits for its end, and expects that nothing is
 * left. */
void single_command_close_ended(struct single_command *single);

#endif
