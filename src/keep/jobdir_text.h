/* The files `request` and `receipt` of a job's folder as text. For jobdir.c only.
 *
 * Owns nothing; any thread; never blocks.
 * Limits:  JOBDIR_FILE_BYTES. */
#ifndef KEEP_JOBDIR_TEXT_H
#define KEEP_JOBDIR_TEXT_H

#include "keep/jobdir.h"

enum afar_status jobdir_text_request(char *text, size_t room, const struct jobdir_request *request,
                                     struct afar_error *err);
enum afar_status jobdir_parse_request(char *text, struct jobdir_request *request,
                                      struct afar_error *err);

/* An exit frame of the wire, and a text behind it. */
enum afar_status jobdir_text_end(char *text, size_t room, const struct jobdir_end *end,
                                 size_t *size, struct afar_error *err);
enum afar_status jobdir_parse_end(char *text, size_t size, struct jobdir_end *end,
                                  struct afar_error *err);

#endif
