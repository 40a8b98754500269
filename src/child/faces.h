/* What afard is under its other names: the helper, which starts a command or serves files, and the
 * keeper, which owns a kept command. Either is executed by afard with a name of its own as argv[0]:
 * as the program of main.c where that is installed (exec/own_program.h), otherwise as afard itself.
 *
 * Owns:    nothing.
 * Threads: call it first in main.
 * Blocks:  until the helper or the keeper ends.
 * Limits:  none. */
#ifndef CHILD_FACES_H
#define CHILD_FACES_H

/* Ends the process if argv[0] is one of these names; otherwise returns. */
void faces_take(int argc, char **argv);

#endif
