/* A folder that looks like a cgroup to a process that moves there: its cgroup.procs is a link to
 * another file. clone3(2) does not accept it as a cgroup.
 *
 * Owns:    the folder, until fake_cgroup_remove.
 * Threads: any.
 * Blocks:  on the disk.
 * Limits:  none. A failure fails the test. */
#ifndef SUPPORT_FAKE_CGROUP_H
#define SUPPORT_FAKE_CGROUP_H

enum { FAKE_CGROUP_BYTES = 40 };

struct fake_cgroup {
    char folder[FAKE_CGROUP_BYTES];
};

/* `target`: /dev/null, /dev/full, … */
void fake_cgroup_make(struct fake_cgroup *fake, const char *target);
void fake_cgroup_remove(const struct fake_cgroup *fake);

/* Opens it, as cgroup_make does. The descriptor is the caller's. */
int fake_cgroup_open(const struct fake_cgroup *fake);

#endif
