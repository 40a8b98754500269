/* Running programs from a test: the client once, or a server in the background.
 *
 * Owns:    a struct program owns its process, its pipes and what they gave; program_close ends it
 *          by pid.
 * Threads: one.
 * Blocks:  until the deadline at most: DEADLINE_S seconds, ten times as many under sanitizers or
 *          valgrind.
 * Limits:  output is kept in memory whole, unless PROGRAM_DROP_OUTPUT. */
#ifndef SUPPORT_PROGRAM_H
#define SUPPORT_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROGRAM_ARGS_MAX = 64, PROGRAM_TEXT_BYTES = 4096 };

struct program {
    pid_t pid;
    int in;  /* -1: closed */
    int out; /* -1: ended */
    int err;
    char *stdout_data; /* NUL-terminated */
    size_t stdout_size;
    char *stderr_data;
    size_t stderr_size;
    int status; /* as waitpid(2) gives it; valid once `ended` */
    bool ended;
    long max_rss_kib; /* its own peak */
};

/* Milliseconds that a test may wait for what must come. */
int64_t test_deadline_ms(void);

/* $AFAR_BUILD/bin/NAME */
const char *program_path(const char *name, char path[PROGRAM_TEXT_BYTES]);

/* Starts argv[0] ("afar" and "afard" are those of the build, all else is searched in PATH). With
 * `environment` (NULL: none) "NAME=value" strings are added. */
void program_start(struct program *program, const char *const *argv,
                   const char *const *environment);

/* Writes `input`, closes stdin, reads both streams to their end, waits. Fails the test at the
 * deadline. */
void program_finish(struct program *program, const void *input, size_t input_size);

/* Reads until `text` has come on a stream (1 or 2). */
void program_expect(struct program *program, int stream, const char *text);

/* The same behind the first `offset` bytes; returns where it is, until more is read. */
const char *program_expect_after(struct program *program, int stream, size_t offset,
                                 const char *text);

/* start and finish; returns the exit status, or 128+N. */
int program_run(struct program *program, const char *const *argv, const void *input,
                size_t input_size);

/* Exit status, or 128+N. */
int program_exit_status(const struct program *program);

/* Ends it if it runs still, and frees. */
void program_close(struct program *program);

/* Runs it to its end: it must end with this status, write just this to standard output and, to standard
 * error, something with `err` in it; or nothing, where that is empty. Otherwise the test fails. */
void program_expect_run(const char *const *argv, const char *input, int status, const char *out,
                        const char *err);

#endif
