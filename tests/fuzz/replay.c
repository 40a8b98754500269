/* Runs a fuzz target over the files that are named, without libFuzzer: for a crash that a fuzzer
 * left behind, under any compiler and debugger. Linked with one fuzz_….c. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/corpus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const uint8_t *data, size_t size)
{
    (void)LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s FILE|FOLDER…\n", argv[0]);
        return 2;
    }
    int count = 0;
    for (int i = 1; i < argc; i++) {
        int files = corpus_replay(argv[i], run);
        if (files < 0) {
            perror(argv[i]);
            return 1;
        }
        count += files;
    }
    (void)printf("%d inputs\n", count);
    return 0;
}
