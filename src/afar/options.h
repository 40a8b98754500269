/* The command line of each subcommand.
 *
 * Owns:    the lists of environment and hosts with their strings (options_close); the rest points
 *          into argv.
 * Threads: one (getopt(3) keeps state of its own).
 * Blocks:  never.
 * Limits:  none beyond argv's. */
#ifndef AFAR_OPTIONS_H
#define AFAR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <afar/keygen.h>

enum {
    STATUS_TIMED_OUT = 124, /* as timeout(1) has it */
    STATUS_FAILED = 125,    /* afar itself failed */
    STATUS_CUT = 3          /* logs: some output is no longer kept */
};

/* Groups of options; a subcommand accepts some of them. */
enum options_for {
    OPTIONS_CONNECT = 1 << 0,
    OPTIONS_COMMAND = 1 << 1, /* environment, directory, time limit */
    OPTIONS_RUN = 1 << 2,
    OPTIONS_COUNT = 1 << 3,
    OPTIONS_JSON = 1 << 4,
    OPTIONS_TIMEOUT = 1 << 5,
    OPTIONS_KEYGEN = 1 << 6,
    OPTIONS_NO_HOST = 1 << 7, /* there is no HOST: the words begin in its place */
    OPTIONS_ALL = 1 << 8,     /* every subcommand has these */
    OPTIONS_TTY = 1 << 9,     /* a terminal can be asked for */
    OPTIONS_SHELL = 1 << 10,
    OPTIONS_FOLLOW = 1 << 11,
    OPTIONS_EVERY = 1 << 12,
    OPTIONS_SIGNAL = 1 << 13,
    OPTIONS_FORCE = 1 << 14,
    OPTIONS_INPUT = 1 << 15,
    OPTIONS_CP = 1 << 16,
    OPTIONS_SHARE = 1 << 17,      /* a connection can be shared */
    OPTIONS_SHARING = 1 << 18,    /* for `share` itself */
    OPTIONS_MAYBE_HOST = 1 << 19, /* HOST may be missing */
    OPTIONS_FORWARD = 1 << 20,
    OPTIONS_ESCAPE = 1 << 21
};

struct options {
    const char *host;
    char **words; /* what follows HOST; NULL-terminated */
    const char *protocol;
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    int64_t connect_timeout_ms;
    int64_t silence_ms;   /* -1: the library's */
    int64_t reconnect_ms; /* -1: the URL's default */
    int64_t share_ms;     /* keep idle connections this long; 0: none; -1: not set */
    int64_t timeout_ms;   /* 0: none */
    int64_t start_within_ms;
    bool connect_timeout_said; /* on the command line */
    bool timestamps;
    uint64_t first;   /* --since as a frame; 0: not set … */
    int64_t since_ms; /* … or as a time ago; 0: not set */
    const char **env; /* NULL-terminated; NULL: none */
    size_t env_count;
    const char *cwd;
    bool no_stdin;
    bool shell;
    bool json;
    bool digest;
    bool detach;
    bool keep;
    bool leave;
    const char *once; /* NULL: none */
    const char *signal;
    bool follow;
    bool every;
    bool forward_signals;
    bool tty;
    bool quiet;
    int escape; /* see escape.h */
    uint64_t count;
    char pin[AFAR_PIN_BYTES]; /* --pin's digits; "": none */
    /* keygen */
    const char *out;
    const char *name;
    const char **hosts; /* NULL-terminated; NULL: none */
    size_t host_count;
    unsigned days;
    bool force;
    /* cp */
    const char *links; /* NULL: not set */
    uint64_t limit;    /* bytes a second; 0: none */
    bool recursive;
    bool update;
    bool owner;
    bool in_place;
    bool fsync;
    bool mkdir;
    bool no_verify;
    bool no_resume;
    bool verbose;
    /* share */
    bool list;
    bool stop;
    bool serve;
    /* forward */
    bool everywhere;
    const char **socks; /* -D; owned, NULL-terminated; NULL: none */
    size_t socks_count;
};

enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_BAD };

/* Reads argv[1], …; argv[0] is the subcommand's name. Options may come before and after HOST, up to
 * the first other word or "--". OPTIONS_BAD: the error was reported. options_close in any case. */
enum options_result options_parse(struct options *options, unsigned accepted, int argc,
                                  char **argv);
void options_close(struct options *options);

/* Parses seconds, or a number with a unit: 500ms, 10s, 5m, 2h. False: neither. */
bool options_duration(const char *text, int64_t *ms);

/* Joins the words with spaces. The caller frees the result; NULL: out of memory, which was
 * reported. */
char *options_join(char *const *words);

#endif
