/* Parses the command line of `afar ssh`, which is ssh(1)'s: letters, -o keywords, the destination,
 * and the command's words.
 *
 * Letters are treated as the keywords that they stand for. The first value of a keyword counts,
 * wherever it is: `-p 22 -o Port=1` is port 22, and `a@host -l b` is user a.
 *
 * Owns:    the values and lists (ssh_options_close); words and file names point into argv.
 * Threads: one.
 * Blocks:  never.
 * Limits:  none beyond argv's. */
#ifndef AFAR_SSH_OPTIONS_H
#define AFAR_SSH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SSH_STATUS_FAILED = 255 };

/* Keywords with one value. */
enum ssh_value {
    SSH_ADDRESS_FAMILY,
    SSH_BATCH_MODE,
    SSH_BIND_ADDRESS,
    SSH_CLEAR_ALL_FORWARDINGS,
    SSH_CONNECTION_ATTEMPTS,
    SSH_CONNECT_TIMEOUT,
    SSH_CONTROL_MASTER,
    SSH_CONTROL_PATH,
    SSH_CONTROL_PERSIST,
    SSH_ESCAPE_CHAR,
    SSH_EXIT_ON_FORWARD_FAILURE,
    SSH_FORK_AFTER_AUTHENTICATION,
    SSH_FORWARD_X11,
    SSH_GATEWAY_PORTS,
    SSH_HOST_NAME,
    SSH_LOG_LEVEL,
    SSH_PORT,
    SSH_PROXY_COMMAND,
    SSH_PROXY_JUMP,
    SSH_REMOTE_COMMAND,
    SSH_REQUEST_TTY,
    SSH_SERVER_ALIVE_COUNT_MAX,
    SSH_SERVER_ALIVE_INTERVAL,
    SSH_SESSION_TYPE,
    SSH_STDIN_NULL,
    SSH_TUNNEL,
    SSH_USER,
    SSH_VALUES
};

/* Keywords that may be given more than once. */
enum ssh_list {
    SSH_DYNAMIC_FORWARD,
    SSH_IDENTITY_FILE,
    SSH_LOCAL_FORWARD,
    SSH_REMOTE_FORWARD,
    SSH_SEND_ENV,
    SSH_SET_ENV,
    SSH_IGNORED, /* accepted, but does nothing; shown with -v */
    SSH_UNKNOWN, /* the same, for unknown keywords */
    SSH_LISTS
};

struct ssh_words {
    char **at; /* NULL-terminated; NULL: none */
    size_t count;
};

struct ssh_options {
    char *value[SSH_VALUES]; /* NULL: not given */
    struct ssh_words list[SSH_LISTS];
    char *destination; /* owned; NULL: not given */
    char **words;      /* the command's; NULL-terminated */
    const char *config_file;
    const char *log_file;
    const char *query;         /* -Q */
    const char *control;       /* -O */
    const char *stdio_forward; /* -W */
    int verbose;
    bool quiet;
    bool show_version; /* -V */
    bool show_config;  /* -G */
    bool no_command;   /* -N */
    bool subsystem;    /* -s */
};

/* For `message`, which explains a failure and may have several lines. */
enum { SSH_MESSAGE_BYTES = 1024 };

/* Parses a time as in ssh_config(5): 90, 10m, 1h30m. False: it is not one. */
bool ssh_time_parse(const char *text, int64_t *ms);

struct ssh_destination; /* destination.h */

/* Parses argv[1] and following, and the destination among them. False: `message` says what is
 * wrong. ssh_options_close in any case. */
bool ssh_options_parse(struct ssh_options *options, struct ssh_destination *destination, int argc,
                       char **argv, char message[SSH_MESSAGE_BYTES]);
void ssh_options_close(struct ssh_options *options);

/* Applies one line of -o or of a file, "Key=Value" or "Key Value". `where` is for messages:
 * "command-line line 0". False: `message` says what is wrong. */
bool ssh_options_set(struct ssh_options *options, const char *line, const char *where,
                     char message[SSH_MESSAGE_BYTES]);

/* Sets a value, unless it is set. False: out of memory; see `message`. */
bool ssh_options_assume(struct ssh_options *options, enum ssh_value which, const char *text,
                        size_t size, char message[SSH_MESSAGE_BYTES]);

/* True if the keyword's value is yes or true. */
bool ssh_options_is_yes(const struct ssh_options *options, enum ssh_value which);

/* Appends a copy of the word. False: out of memory. */
bool ssh_words_add(struct ssh_words *words, const char *text, size_t size);
void ssh_words_close(struct ssh_words *words);

#endif
