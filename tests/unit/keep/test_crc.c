/* The checksum of a spool's records, by the processor and without. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "keep/crc.h"
#include "support/seeded.h"

enum { BYTES = 4096, TURNS = 2000 };

/* The values of RFC 3720, B.4, and the usual one for "123456789". */
static void known_values(void **state)
{
    (void)state;
    static const uint8_t zeros[32];
    uint8_t ones[32];
    struct crc crc;
    crc_init(&crc);
    memset(ones, 0xff, sizeof ones);
    for (int turn = 0; turn < 2; turn++, crc.by_processor = false) {
        assert_int_equal(crc_add(&crc, 0, zeros, sizeof zeros), 0x8a9136aa);
        assert_int_equal(crc_add(&crc, 0, ones, sizeof ones), 0x62a8ab43);
        assert_int_equal(crc_add(&crc, 0, "123456789", 9), 0xe3069283);
        assert_int_equal(crc_add(&crc, 0, "", 0), 0);
    }
}

/* A spool that was written on one machine is read on another. */
static void both_ways_agree(void **state)
{
    (void)state;
    static uint8_t bytes[BYTES];
    struct seeded random = {1};
    struct crc fast;
    struct crc plain;
    crc_init(&fast);
    crc_init(&plain);
    plain.by_processor = false;
    seeded_fill(&random, bytes, sizeof bytes);
    for (int turn = 0; turn < TURNS; turn++) {
        const size_t from = seeded_below(&random, BYTES);
        const size_t size = seeded_below(&random, (unsigned)(BYTES - from) + 1);
        const size_t part = seeded_below(&random, (unsigned)size + 1);
        const uint32_t whole = crc_add(&plain, 0, bytes + from, size);
        assert_int_equal(crc_add(&fast, 0, bytes + from, size), whole);
        const uint32_t first = crc_add(&fast, 0, bytes + from, part);
        assert_int_equal(crc_add(&fast, first, bytes + from + part, size - part), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(both_ways_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
