/* A cat that can be slow at either end, stops until it is released, and reports signals: for tests
 * that run themselves as the command.
 *
 *     int main(int argc, char **argv)
 *     {
 *         if (argc > 1 && strcmp(argv[1], SLOW_CAT_OPTION) == 0)
 *             return slow_cat_main(argc, argv);
 *
 * Arguments: SLOW_CAT_OPTION EFFECTS RELEASE ENDS EVERY. EFFECTS and RELEASE are FIFOs (the test
 * reads the first and writes to the second), ENDS is a sum of enum slow_end, EVERY a number of
 * bytes.
 *
 * - A slow end moves SLOW_PIECE_BYTES at a time instead of SLOW_FULL_BYTES. After each EVERY bytes
 *   it stops until another byte has been written to RELEASE.
 * - EFFECTS gets SLOW_CAT_READY when signals are handled, and SLOW_CAT_USR1 or SLOW_CAT_USR2 when
 *   one arrives. It ends with the process.
 *
 * Owns:    its process.
 * Threads: one.
 * Blocks:  yes.
 * Limits:  holds SLOW_FULL_BYTES. */
#ifndef SUPPORT_SLOW_CAT_H
#define SUPPORT_SLOW_CAT_H

#define SLOW_CAT_OPTION "--slow-cat"

enum { SLOW_PIECE_BYTES = 4096, SLOW_ODD_BYTES = 30011, SLOW_FULL_BYTES = 65536 };

/* SLOW_CAT_ODD: not slow, but writes SLOW_ODD_BYTES at a time, which divides no buffer evenly. */
enum slow_end { SLOW_CAT_READS = 1, SLOW_CAT_WRITES = 2, SLOW_CAT_ODD = 16 };

enum { SLOW_CAT_READY = '0', SLOW_CAT_USR1 = '1', SLOW_CAT_USR2 = '2' };

/* Returns the exit status. */
int slow_cat_main(int argc, char **argv);

#endif
