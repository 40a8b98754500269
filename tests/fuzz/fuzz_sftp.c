/* libFuzzer's entry; the work is in tests/support/fuzz_sftp.c. */
#include <string.h>
#include <sys/random.h>

#include "support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of libc's, so that an input can name the handles that it will be given: 0, 1, … */
ssize_t getrandom(void *data, size_t size, unsigned flags)
{
    (void)flags;
    memset(data, 0, size);
    return (ssize_t)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_sftp(data, size);
    return 0;
}
