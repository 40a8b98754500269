/* One command on a server of its own, over raw frames, from its start to the proof that nothing is
 * left of it.
 *
 *     scene_open ─ scene_exec ─ scene_expect … scene_receipt ─ scene_close
 *
 * Owns:    the server, its temporary folder, the connection, what the command has printed.
 * Threads: one.
 * Blocks:  until test_deadline_ms at most; then the test fails.
 * Limits:  SCENE_SETTINGS_MAX settings; the first SCENE_OUTPUT_BYTES of the output are kept. */
#ifndef SUPPORT_SCENE_H
#define SUPPORT_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/afard.h"

enum { SCENE_SETTINGS_MAX = 8, SCENE_OUTPUT_BYTES = 65536 };

struct scene {
    struct afard server;
    char temporary[64]; /* the server's TMPDIR, its own */
    int fd;             /* -1: closed */
    char job[64];
    char output[SCENE_OUTPUT_BYTES + 1]; /* both streams, as it came */
    size_t output_size;
    uint64_t bytes[2]; /* stdout, stderr */
    char *receipt;     /* the header of the exit frame */
};

/* Starts a server with "name=value" settings (NULL-terminated). */
void scene_open(struct scene *scene, const char *const *settings);
void scene_open_at(struct scene *scene, const char *url, const char *const *settings);

/* Sends `sh -c SCRIPT`; `fields` are further fields of the request, each with a comma behind it.
 * Returns when it has been started. */
void scene_exec(struct scene *scene, const char *script, const char *fields);

/* Reads, acknowledges and keeps output until `text` is in it. */
void scene_expect(struct scene *scene, const char *text);

/* Reads on to the receipt, and expects `text` in it. */
void scene_receipt(struct scene *scene, const char *text);

/* Processes that have the job's mark. */
size_t scene_processes(const struct scene *scene);

/* Expects that the server is as it was at its start; that no process is left of those whose numbers
 * the command has printed or that have its mark; and no file. */
void scene_expect_nothing_left(struct scene *scene);

/* scene_expect_nothing_left, and the server's end. */
void scene_close(struct scene *scene);

/* Where the server has been told to end, or has ended: its end, and that nothing is left. */
void scene_close_ended(struct scene *scene);

#endif
