#include "support/said.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

void said_begin(struct said *said)
{
    said->file = memfd_create("said", MFD_CLOEXEC);
    assert_true(said->file >= 0);
    (void)fflush(stderr);
    said->stderr_fd = dup(STDERR_FILENO);
    assert_true(said->stderr_fd >= 0);
    assert_true(dup2(said->file, STDERR_FILENO) >= 0);
}

const char *said_end(struct said *said)
{
    (void)fflush(stderr);
    assert_true(dup2(said->stderr_fd, STDERR_FILENO) >= 0);
    (void)close(said->stderr_fd);
    ssize_t size = pread(said->file, said->text, sizeof said->text - 1, 0);
    assert_true(size >= 0);
    said->text[size] = '\0';
    (void)close(said->file);
    return said->text;
}
