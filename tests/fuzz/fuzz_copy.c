/* libFuzzer's entry; the work is in tests/support/fuzz_copy.c. */
#include "support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_copy(data, size);
    return 0;
}
