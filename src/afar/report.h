/* Messages on standard error, and how a command's end is reported.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  as long as standard error does.
 * Limits:  a line is cut at 1,024 bytes, and at 2,048 with escapes. */
#ifndef AFAR_REPORT_H
#define AFAR_REPORT_H

#include <afar/afar.h>

/* Writes "afar: …" and a newline in one write. Characters that a terminal could obey are escaped
 * (afar_escape). */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same without "afar: ", for text that other programs look for. */
void report_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reports what the exit status alone does not say, if anything. */
void report_receipt(const char *host, const struct afar_command *command,
                    const struct afar_receipt *receipt);

/* With --digest: says why the output cannot be compared with the receipt's sums, if it cannot.
 * `cut`: some of it is missing. */
void report_unverified(const char *host, const struct afar_command *command,
                       const struct afar_receipt *receipt, bool cut);

#endif
