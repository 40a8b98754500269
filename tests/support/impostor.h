/* A server for the program afar that sends what the test wants, over plain TCP.
 *
 *     impostor_open ─ impostor_run ─ impostor_expect … impostor_say … ─ impostor_finish ─
 *     impostor_forget ─ impostor_close
 *
 * Owns:    the listener, the connection, and the program while it runs.
 * Threads: one.
 * Blocks:  at most until test_deadline_ms; then the test fails.
 * Limits:  one connection at a time. */
#ifndef SUPPORT_IMPOSTOR_H
#define SUPPORT_IMPOSTOR_H

#include "support/program.h"

struct impostor {
    int listener;
    char url[64];
    int fd; /* the connection; -1: none */
    struct program program;
};

void impostor_open(struct impostor *impostor);
void impostor_close(struct impostor *impostor);

/* Starts `afar run OPTION… URL -- true` (`options` NULL-terminated, NULL: none), accepts its
 * connection and reads its exec request. */
void impostor_run(struct impostor *impostor, const char *const *options);

/* Starts any program that connects. */
void impostor_start(struct impostor *impostor, const char *const *argv);

/* Accepts the next connection. */
void impostor_accept(struct impostor *impostor);

/* Reads frames until one has `text` in its header. */
void impostor_expect(struct impostor *impostor, const char *text);

void impostor_say(struct impostor *impostor, const char *header);
void impostor_say_with(struct impostor *impostor, const char *header, const char *payload);

/* Closes the connection, if open, and waits for the program's end. Returns its exit status; its
 * output stays in impostor->program until impostor_forget. */
int impostor_finish(struct impostor *impostor);
void impostor_forget(struct impostor *impostor);

#endif
