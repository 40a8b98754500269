/* Runs programs from a test: the client once, or a server in the background.
 *
 * Owns:    a struct program owns its process, its pipes and their output; program_close ends the
 *          process by its pid.
 * Threads: one.
 * Blocks:  at most until the deadline: DEADLINE_S seconds, ten times as long with sanitizers or
 *          valgrind.
 * Limits:  all output is kept in memory. */
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
    int status; /* as from waitpid(2); valid if `ended` */
    bool ended;
    long max_rss_kib; /* its own peak */
};

/* How many milliseconds a test may wait for an expected event. */
int64_t test_deadline_ms(void);

/* $AFAR_BUILD/bin/NAME */
const char *program_path(const char *name, char path[PROGRAM_TEXT_BYTES]);

/* Starts argv[0] ("afar" and "afard" from the build; others from PATH). `environment`: "NAME=value"
 * strings to be added; NULL: none. */
void program_start(struct program *program, const char *const *argv,
                   const char *const *environment);

/* Writes `input`, closes stdin, reads both streams to their end, and waits. Fails the test at the
 * deadline. */
void program_finish(struct program *program, const void *input, size_t input_size);

/* Reads until `text` is in the output of a stream (1 or 2). */
void program_expect(struct program *program, int stream, const char *text);

/* The same after the first `offset` bytes. Returns where it is, valid until more is read. */
const char *program_expect_after(struct program *program, int stream, size_t offset,
                                 const char *text);

/* program_start and program_finish; returns the exit status, or 128+N. */
int program_run(struct program *program, const char *const *argv, const void *input,
                size_t input_size);

/* Exit status, or 128+N. */
int program_exit_status(const struct program *program);

/* Ends it if it still runs, and frees its output. */
void program_close(struct program *program);

/* Runs a program to its end. It must end with this status, write exactly `out` to standard output,
 * and something that contains `err` to standard error (nothing if `err` is empty). Otherwise the
 * test fails. */
void program_expect_run(const char *const *argv, const char *input, int status, const char *out,
                        const char *err);

#endif
