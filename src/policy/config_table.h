/* The table of configuration keys, used for defaults, the file, the command line and messages. For
 * src/policy/ only.
 *
 * Owns:    nothing; constants.
 * Threads: any.
 * Blocks:  never.
 * Limits:  CONFIG_KEYS_MAX keys; a message suggests at most CONFIG_SUGGESTIONS_MAX. */
#ifndef POLICY_CONFIG_TABLE_H
#define POLICY_CONFIG_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum { CONFIG_KEYS_MAX = 96, CONFIG_SUGGESTIONS_MAX = 3 };

/* The type of the member of struct config at the key's offset. */
enum config_kind {
    CONFIG_LISTEN, /* struct endpoint listen[], listen_count; may be given more than once */
    CONFIG_HTTP,   /* struct endpoint, and http_wanted */
    CONFIG_PATH,   /* char *, owned */
    CONFIG_NAME,   /* char *, owned */
    CONFIG_WORDS,  /* struct words; may be given more than once */
    CONFIG_FLAG,   /* bool */
    CONFIG_LEVEL,  /* enum log_level */
    CONFIG_FORMAT, /* enum log_format */
    CONFIG_CHOICE, /* unsigned: the index of one of the words in `help` */
    CONFIG_NUMBER  /* uint64_t */
};

struct config_key {
    const char *name;
    enum config_kind kind;
    size_t offset;    /* in struct config */
    uint64_t min;     /* of numbers only */
    uint64_t max;     /* likewise */
    uint64_t preset;  /* the default of a number, flag, level, format or choice */
    const char *help; /* a short description; for a choice its words, separated by " or " */
};

/* In the order of afard.conf(5). */
const struct config_key *config_keys(size_t *count);

/* Finds a key by its exact name. NULL: there is no such key. */
const struct config_key *config_key_find(const char *name);

/* Writes a message about a key that does not exist: "unknown key 'worker': did you mean 'workers'
 * (…)?". Cut to `size` bytes, with the NUL. */
void config_key_unknown(const char *name, char *text, size_t size);

#endif
