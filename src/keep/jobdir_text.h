/* The files `request` and `receipt` of a job's folder as text. For jobdir.c only.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  JOBDIR_FILE_BYTES. A text that does not fit is AFAR_ELIMIT; one that cannot be parsed is
 *          AFAR_EPEER; a request by a later version is AFAR_EREFUSED. Parsing modifies `text`. */
#ifndef KEEP_JOBDIR_TEXT_H
#define KEEP_JOBDIR_TEXT_H

#include "keep/jobdir.h"

enum afar_status jobdir_text_request(char *text, size_t room, const struct jobdir_request *request,
                                     struct afar_error *err);
enum afar_status jobdir_parse_request(char *text, struct jobdir_request *request,
                                      struct afar_error *err);

/* An exit frame of the wire, followed by lines of text. jobdir_text_end: also AFAR_ENOMEM. */
enum afar_status jobdir_text_end(char *text, size_t room, const struct jobdir_end *end,
                                 size_t *size, struct afar_error *err);
enum afar_status jobdir_parse_end(char *text, size_t size, struct jobdir_end *end,
                                  struct afar_error *err);

#endif
