/* Reads and checks fields of JSON objects. For src/wire/ only.
 *
 * Owns nothing; any thread; never blocks. Every json_get_… function reports a missing or wrong
 * field as AFAR_EPEER and names it in err. */
#ifndef WIRE_JSON_FIELD_H
#define WIRE_JSON_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct cJSON;

/* 0 … MESSAGE_INTEGER_MAX. If the field is absent *value stays as it is; with `required` that is an
 * error. */
enum afar_status json_get_integer(const struct cJSON *object, const char *key, bool required,
                                  uint64_t *value, struct afar_error *err);

/* If the field is absent *value stays as it is. */
enum afar_status json_get_bool(const struct cJSON *object, const char *key, bool *value,
                               struct afar_error *err);

/* At most size - 1 bytes. Absent: "". */
enum afar_status json_get_string(const struct cJSON *object, const char *key, bool required,
                                 char *value, size_t size, struct afar_error *err);

/* Text for people. It never makes a message unacceptable: it is cut to fit, and control characters
 * become '?'. Absent: "". */
enum afar_status json_get_line(const struct cJSON *object, const char *key, char *value,
                               size_t size, struct afar_error *err);

/* The id of a job: letters and digits only, so that it can be shown and put into other text. Errors
 * as json_get_string. */
enum afar_status json_get_job(const struct cJSON *object, const char *key, bool required,
                              char *value, size_t size, struct afar_error *err);

/* Text of any length. The caller frees *value; it is NULL if the field is absent. AFAR_ENOMEM. */
enum afar_status json_get_text(const struct cJSON *object, const char *key, char **value,
                               struct afar_error *err);

/* A NULL-terminated array of at most `max` strings. Array and strings are one block, which the
 * caller frees with a single free(); NULL if the field is absent. AFAR_ENOMEM. */
enum afar_status json_get_strings(const struct cJSON *object, const char *key, size_t max,
                                  char ***value, struct afar_error *err);

/* Adds a number with all its digits: cJSON itself writes 2^53-1 as 9.00719925474099e+15. Values
 * above MESSAGE_INTEGER_MAX are written as MESSAGE_INTEGER_MAX, because the peer would reject them.
 * False: out of memory. */
bool json_add_integer(struct cJSON *object, const char *key, uint64_t value);

/* The same, but adds nothing for 0. */
bool json_add_positive(struct cJSON *object, const char *key, uint64_t value);

#endif
