/* The program that helpers and keepers are: afard itself (/proc/self/exe), or, if it is there,
 * libexec/afar/afard-child-VERSION next to the folder of afard: the same without TLS, which starts
 * faster.
 *
 * It is opened once, when the server starts: a later installation does not change what a running
 * server executes, so both always are of one build.
 *
 * Owns:    the descriptor is the caller's.
 * Threads: any.
 * Blocks:  on the file system.
 * Limits:  none. */
#ifndef EXEC_OWN_PROGRAM_H
#define EXEC_OWN_PROGRAM_H

/* Opens it, close-on-exec and only to be executed. 0: there is none, or others can change it who
 * cannot change this program: use /proc/self/exe. */
int own_program_open(void);

#endif
