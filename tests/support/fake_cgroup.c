#include "support/fake_cgroup.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void fake_cgroup_make(struct fake_cgroup *fake, const char *target)
{
    *fake = (struct fake_cgroup){.folder = "/tmp/afar-test-cgroup-XXXXXX"};
    assert_non_null(mkdtemp(fake->folder));
    int fd = fake_cgroup_open(fake);
    assert_int_equal(symlinkat(target, fd, "cgroup.procs"), 0);
    assert_int_equal(close(fd), 0);
}

void fake_cgroup_remove(const struct fake_cgroup *fake)
{
    int fd = fake_cgroup_open(fake);
    (void)unlinkat(fd, "cgroup.procs", 0);
    (void)close(fd);
    assert_int_equal(rmdir(fake->folder), 0);
}

int fake_cgroup_open(const struct fake_cgroup *fake)
{
    int fd = open(fake->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}
