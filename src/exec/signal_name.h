/* Signal names as on the wire: without "SIG". Owns nothing; any thread; never blocks. */
#ifndef EXEC_SIGNAL_NAME_H
#define EXEC_SIGNAL_NAME_H

#include <stddef.h>

/* "INT" gives SIGINT, "40" the signal of that number, which has no name; 0 for one that this system
 * does not know. */
int signal_by_name(const char *name);

/* "INT" for SIGINT, "34" for a real-time signal. `size` of 16 suffices. */
void signal_name(int number, char *name, size_t size);

#endif
