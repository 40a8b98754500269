/* Explains why an existing program cannot be executed: its interpreter or loader does not exist.
 * execve(2) fails with the same error (ENOENT) as if the program did not exist, which is
 * misleading.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  interpreter_look, on the file that execve has just read.
 * Limits:  INTERPRETER_HEAD_BYTES of the file. */
#ifndef EXEC_INTERPRETER_H
#define EXEC_INTERPRETER_H

#include <stdbool.h>
#include <stddef.h>

/* The kernel's own limit for a "#!" line (BINPRM_BUF_SIZE). */
enum { INTERPRETER_HEAD_BYTES = 256 };

/* The beginning of a file. */
struct interpreter_head {
    size_t size; /* 0: nothing is known */
    char bytes[INTERPRETER_HEAD_BYTES];
};

/* Reads the beginning of the first path, in a NULL-terminated list, that this process may execute.
 * Call it after execve has failed. Changes errno. Only makes system calls: also for a child in the
 * server's memory. */
void interpreter_look(char *const *paths, struct interpreter_head *head);

/* Writes the reason, as shells do: "bad interpreter '/usr/bin/perl9'". Call it only if execve
 * failed with ENOENT or the like: it does not check the interpreter. False: the file is neither ELF
 * nor a script, or unknown. */
bool interpreter_explain(const struct interpreter_head *head, char *text, size_t size);

#endif
