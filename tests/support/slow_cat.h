/* A cat that can be told to be slow at either end and to stop in the middle until it is released,
 * and that says when a signal has reached it: for tests that run themselves as the command.
 *
 *     int main(int argc, char **argv)
 *     {
 *         if (argc > 1 && strcmp(argv[1], SLOW_CAT_OPTION) == 0)
 *             return slow_cat_main(argc, argv);
 *
 * Its arguments: SLOW_CAT_OPTION EFFECTS RELEASE ENDS EVERY, where EFFECTS and RELEASE are FIFOs
 * (the test reads the one and writes into the other), ENDS is a sum of enum slow_end, and EVERY a
 * number of bytes.
 *
 *   - A slow end moves SLOW_PIECE_BYTES at a time instead of SLOW_FULL_BYTES. After the first,
 * second, … EVERY bytes it stops, until as many bytes have been written into RELEASE.
 *   - EFFECTS gets SLOW_CAT_READY once signals are looked for, and SLOW_CAT_USR1 or SLOW_CAT_USR2
 * when one arrives. Its end is the process's.
 *
 * Owns:    its process.
 * Threads: one.
 * Blocks:  yes.
 * Limits:  SLOW_FULL_BYTES in it. */
#ifndef SUPPORT_SLOW_CAT_H
#define SUPPORT_SLOW_CAT_H

#define SLOW_CAT_OPTION "--slow-cat"

enum { SLOW_PIECE_BYTES = 4096, SLOW_ODD_BYTES = 30011, SLOW_FULL_BYTES = 65536 };

/* SLOW_CAT_ODD: not slow, but it writes SLOW_ODD_BYTES at a time, which fit into nothing evenly. */
enum slow_end { SLOW_CAT_READS = 1, SLOW_CAT_WRITES = 2, SLOW_CAT_ODD = 16 };

enum { SLOW_CAT_READY = '0', SLOW_CAT_USR1 = '1', SLOW_CAT_USR2 = '2' };

/* Its exit status. */
int slow_cat_main(int argc, char **argv);

#endif
