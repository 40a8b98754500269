/* Signal names as on the wire: without "SIG". Owns nothing; any thread; never blocks. */
#ifndef EXEC_SIGNAL_NAME_H
#define EXEC_SIGNAL_NAME_H

#include <stddef.h>

/* SIGINT for "INT"; 40 for "40", but only if that signal has no name. 0: not known on this
 * system. */
int signal_by_name(const char *name);

/* "INT" for SIGINT, "34" for a real-time signal. A `size` of 16 is enough. */
void signal_name(int number, char *name, size_t size);

#endif
