/* From the words of `afar cp` to what is copied where: cp(1)'s rules, on both ends.
 *
 * Owns nothing; one thread; blocks until servers have answered.
 * Limits:  CP_GLOB_MAX (cp_glob.h). */
#ifndef AFAR_CP_PLAN_H
#define AFAR_CP_PLAN_H

#include "afar/cp_run.h"

/* `words`: sources, and the target last; NULL-terminated, at least two. 0, or the exit status: it
 * has been said why. Sources that are not there are told as results, and do not count here. */
int cp_plan(struct cp_run *run, char *const *words);

#endif
