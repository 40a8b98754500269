/* Why a program that is there cannot be executed: what it needs to run is not. execve(2) gives the
 * same error for that as for a program that does not exist, which misleads.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  interpreter_look, on the file that execve has just looked at.
 * Limits:  INTERPRETER_HEAD_BYTES of the file. */
#ifndef EXEC_INTERPRETER_H
#define EXEC_INTERPRETER_H

#include <stdbool.h>
#include <stddef.h>

/* The kernel's own limit for a "#!" line (BINPRM_BUF_SIZE). */
enum { INTERPRETER_HEAD_BYTES = 256 };

/* How a file begins. */
struct interpreter_head {
    size_t size; /* 0: nothing is known */
    char bytes[INTERPRETER_HEAD_BYTES];
};

/* Reads the beginning of the first path, in a NULL-terminated list, that is a program which this
 * process may execute and read. Changes errno. To be called where execve has failed; also in a
 * child that shares the server's memory: it makes system calls only. */
void interpreter_look(char *const *paths, struct interpreter_head *head);

/* Writes what is wrong, as a shell says it: "bad interpreter '/usr/bin/perl9'". False: nothing is
 * known to be. */
bool interpreter_explain(const struct interpreter_head *head, char *text, size_t size);

#endif
