/* What `make bench` times where a script's own speed would be in the way: see clock.c for its
 * commands.
 *
 * A contestant is one way of running one command to its end; contestants are timed in turns, so
 * that whatever else the machine does strikes all alike.
 *
 * Owns:    a contestant owns its connection until the program ends.
 * Threads: one, unless said.
 * Blocks:  until what is timed has ended, CLOCK_PATIENCE_MS at most where it is Afar's. What fails
 *          ends the program with a line that says what.
 * Limits:  CLOCK_WORDS_MAX words, CLOCK_CONTESTANTS_MAX contestants. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <sys/types.h>

#include <afar/afar.h>

enum { CLOCK_WORDS_MAX = 48, CLOCK_CONTESTANTS_MAX = 32, CLOCK_PATIENCE_MS = 60000 };

_Noreturn void clock_give_up(const char *what, const char *why);

/* ---- clock_contestant.c ---------------------------------------------------------------------- */

enum clock_kind {
    CLOCK_SPAWN,      /* spawn: /bin/true as a child of ours, with three pipes */
    CLOCK_CONNECTION, /* connection URL: /bin/true on a connection that is open */
    CLOCK_TERMINAL,   /* terminal URL: the same on a terminal */
    CLOCK_STARTED,    /* started URL: the same, until it runs */
    CLOCK_KEPT,       /* kept URL: likewise, of a command that is kept; it is forgotten then */
    CLOCK_PROGRAM     /* program [empty=FOLDER] [as=NAME] [VARIABLE=VALUE...] PROGRAM WORDS...: a
                         whole process */
};

struct clock_contestant {
    const char *name;
    enum clock_kind kind;
    struct afar_client *client; /* of a connection */
    char **words;               /* of a program; borrowed */
    char **environment;         /* likewise, owned */
    const char *empty; /* whose files are removed before it runs, and before the clock does */
    const char *as;    /* what the program is told that it is called; its status may be any then */
};

/* From its words: a kind, and what follows. Connects where that is its kind. */
struct clock_contestant clock_contestant_make(const char *name, char **words);

/* Runs it once; microseconds from its start to its end. */
int64_t clock_contestant_run(const struct clock_contestant *contestant);

/* ---- clock_spawn.c --------------------------------------------------------------------------- */

/* What any server has to do at least: three pipes, a process, its output to the end, its status.
 * Any thread. */
void clock_spawn(void);

/* Starts a program with `out` as its standard output (-1: /dev/null), in this process group, which
 * whoever started us may end. Any thread. */
pid_t clock_program_start(char *const *words, char *const *environment, int out);
/* The same under another name than its file's. */
pid_t clock_program_start_as(const char *file, char *const *words, char *const *environment,
                             int out);
/* It has to end with status 0. Any thread. */
void clock_program_wait(pid_t pid, const char *name);

/* ---- clock_afar.c ---------------------------------------------------------------------------- */

/* With AFAR_CA, AFAR_CERT and AFAR_KEY, without a folder of sessions; made by the first call. */
struct afar_context *clock_context(void);
struct afar_client *clock_dial(const char *url);
void clock_check(enum afar_status status, const struct afar_error *err);
void clock_true_begin(struct afar_client *client);
/* What it was begun with has to end with status 0. */
void clock_true_end(struct afar_client *client);
/* Starts a command and waits until it runs; `job` (33 bytes) is its id then. */
void clock_begin(struct afar_client *client, const struct afar_command *command, char *job);

/* ---- the commands, each in a file of its name ------------------------------------------------ */

/* `pace_ms`: from the beginning of one round to that of the next; 0: at once. */
void clock_turns(int rounds, const char *path, int pace_ms);
void clock_rate(int seconds, int count, char **words);
void clock_hold(const char *url, int count, char **words);
void clock_start(int rounds, char **words);
void clock_resume(const char *url, int mebibytes, int cuts, char **words);
/* `round_trip_ms` 0: at once. */
void clock_relay(int round_trip_ms);
_Noreturn void clock_far(int port, int round_trip_ms);

#endif
