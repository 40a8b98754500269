/* Checked fields of JSON objects. For src/wire/ only.
 *
 * Owns nothing; any thread; never blocks. Every problem of a json_get_… is AFAR_EPEER with the
 * field's name. */
#ifndef WIRE_JSON_FIELD_H
#define WIRE_JSON_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct cJSON;

/* 0 … MESSAGE_INTEGER_MAX. An absent field leaves *value, and is a problem only where `required`.
 */
enum afar_status json_get_integer(const struct cJSON *object, const char *key, bool required,
                                  uint64_t *value, struct afar_error *err);

/* Absent leaves *value. */
enum afar_status json_get_bool(const struct cJSON *object, const char *key, bool *value,
                               struct afar_error *err);

/* At most size - 1 bytes. Absent: "". */
enum afar_status json_get_string(const struct cJSON *object, const char *key, bool required,
                                 char *value, size_t size, struct afar_error *err);

/* Text for a person, which is never worth losing a message over: cut to fit, control characters as
 * '?'. Absent: "". */
enum afar_status json_get_line(const struct cJSON *object, const char *key, char *value,
                               size_t size, struct afar_error *err);

/* Any length; *value is owned by the caller, NULL where the field is absent. AFAR_ENOMEM. */
enum afar_status json_get_text(const struct cJSON *object, const char *key, char **value,
                               struct afar_error *err);

/* A NULL-terminated array of strings in one block, owned by the caller (free), NULL where the field
 * is absent. At most `max` of them. AFAR_ENOMEM. */
enum afar_status json_get_strings(const struct cJSON *object, const char *key, size_t max,
                                  char ***value, struct afar_error *err);

/* Adds a number with all its digits: cJSON itself writes 2^53-1 as 9.00719925474099e+15. What is
 * beyond MESSAGE_INTEGER_MAX becomes that, because the peer would refuse it. False: out of memory.
 */
bool json_add_integer(struct cJSON *object, const char *key, uint64_t value);

/* The same, but nothing for 0. */
bool json_add_positive(struct cJSON *object, const char *key, uint64_t value);

#endif
