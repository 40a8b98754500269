/* Turns the words of `afar cp` into a list of copies, by cp(1)'s rules on both ends.
 *
 * Owns:    nothing.
 * Threads: one.
 * Blocks:  until servers have answered.
 * Limits:  CP_GLOB_MAX (cp_glob.h). */
#ifndef AFAR_CP_PLAN_H
#define AFAR_CP_PLAN_H

#include "afar/cp_run.h"

/* `words`: the sources, then the target; NULL-terminated, at least two. Returns 0, or the exit
 * status: the reason was reported. A source that does not exist is reported later, as a result. */
int cp_plan(struct cp_run *run, char *const *words);

#endif
