#include "support/stderr_capture.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

void stderr_capture_begin(struct stderr_capture *capture)
{
    capture->file = memfd_create("capture", MFD_CLOEXEC);
    assert_true(capture->file >= 0);
    (void)fflush(stderr);
    capture->stderr_fd = dup(STDERR_FILENO);
    assert_true(capture->stderr_fd >= 0);
    assert_true(dup2(capture->file, STDERR_FILENO) >= 0);
}

const char *stderr_capture_end(struct stderr_capture *capture)
{
    (void)fflush(stderr);
    assert_true(dup2(capture->stderr_fd, STDERR_FILENO) >= 0);
    (void)close(capture->stderr_fd);
    ssize_t size = pread(capture->file, capture->text, sizeof capture->text - 1, 0);
    assert_true(size >= 0);
    capture->text[size] = '\0';
    (void)close(capture->file);
    return capture->text;
}
