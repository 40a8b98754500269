/* A folder that looks like a cgroup to who moves there: what is written to its cgroup.procs goes to
 * another file. clone3(2) does not take it for one.
 *
 * Owns:    the folder, until fake_cgroup_remove.
 * Threads: any.
 * Blocks:  on the disk.
 * Limits:  none. What does not work fails the test. */
#ifndef SUPPORT_FAKE_CGROUP_H
#define SUPPORT_FAKE_CGROUP_H

enum { FAKE_CGROUP_BYTES = 40 };

struct fake_cgroup {
    char folder[FAKE_CGROUP_BYTES];
};

/* `target`: /dev/null, /dev/full, … */
void fake_cgroup_make(struct fake_cgroup *fake, const char *target);
void fake_cgroup_remove(const struct fake_cgroup *fake);

/* As cgroup_make gives one: the caller's. */
int fake_cgroup_open(const struct fake_cgroup *fake);

#endif
