/* One line on standard error, and how a command's end is told.
 *
 * Owns nothing; one thread; blocks as long as standard error does.
 * Limits:  a line is cut at 1,024 bytes, and at 2,048 with what is escaped. */
#ifndef AFAR_REPORT_H
#define AFAR_REPORT_H

#include <afar/afar.h>

/* "afar: …" and a newline, in one write. What a terminal could obey is escaped (afar_escape),
 * wherever it comes from. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same without "afar: ", for words that other programs look for. */
void report_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a plain exit status would not say; nothing where it says all. */
void report_receipt(const char *host, const struct afar_command *command,
                    const struct afar_receipt *receipt);

#endif
