/* The table of configuration keys, which defaults, file, command line and messages share. For
 * src/policy/ only.
 *
 * Owns:    nothing; constants.
 * Threads: any.
 * Blocks:  never.
 * Limits:  CONFIG_KEYS_MAX keys; a message names CONFIG_SUGGESTIONS_MAX of them at most. */
#ifndef POLICY_CONFIG_TABLE_H
#define POLICY_CONFIG_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum { CONFIG_KEYS_MAX = 96, CONFIG_SUGGESTIONS_MAX = 3 };

/* What the member of struct config at the key's offset is. */
enum config_kind {
    CONFIG_LISTEN, /* struct endpoint listen[], listen_count; may be given more than once */
    CONFIG_HTTP,   /* struct endpoint, and http_wanted */
    CONFIG_PATH,   /* char *, owned */
    CONFIG_NAME,   /* likewise */
    CONFIG_WORDS,  /* struct words; may be given more than once */
    CONFIG_FLAG,   /* bool */
    CONFIG_LEVEL,  /* enum log_level */
    CONFIG_FORMAT, /* enum log_format */
    CONFIG_CHOICE, /* unsigned: which of the words of `choices` */
    CONFIG_NUMBER  /* uint64_t */
};

struct config_key {
    const char *name;
    enum config_kind kind;
    size_t offset; /* in struct config */
    uint64_t min;  /* numbers only, as are max and preset */
    uint64_t max;
    uint64_t preset;  /* the default: also of a flag (0), a level and a format */
    const char *help; /* what it is, in a few words; of a choice its words, separated by " or " */
};

/* In the order of afard.conf(5). */
const struct config_key *config_keys(size_t *count);

/* NULL: there is no such key. */
const struct config_key *config_key_find(const char *name);

/* Writes what to say about a key that does not exist: "unknown key 'worker': did you mean 'workers'
 * (…)?". Cut to `size` bytes. */
void config_key_unknown(const char *name, char *text, size_t size);

#endif
