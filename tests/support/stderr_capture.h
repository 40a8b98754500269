/* Captures what a call writes to standard error.
 *
 *     stderr_capture_begin(&capture);
 *     … the call …
 *     assert_non_null(strstr(stderr_capture_end(&capture), "…"));
 *
 * Owns:    a temporary file between the two calls.
 * Threads: one: descriptor 2 is the process's.
 * Blocks:  never.
 * Limits:  keeps STDERR_CAPTURE_BYTES. */
#ifndef SUPPORT_STDERR_CAPTURE_H
#define SUPPORT_STDERR_CAPTURE_H

enum { STDERR_CAPTURE_BYTES = 8192 };

struct stderr_capture {
    int file;
    int stderr_fd;
    char text[STDERR_CAPTURE_BYTES];
};

void stderr_capture_begin(struct stderr_capture *capture);

/* NUL-terminated; valid as long as `capture` is. */
const char *stderr_capture_end(struct stderr_capture *capture);

#endif
