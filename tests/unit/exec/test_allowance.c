#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/allowance.h"

enum { MIB = 1 << 20 };

static char root[64];

/* "path=text" of each file; the folders are made. */
static void make(const char *const *files)
{
    (void)snprintf(root, sizeof root, "/tmp/afar-allowance-XXXXXX");
    assert_non_null(mkdtemp(root));
    for (; *files != NULL; files++) {
        char path[512];
        const char *text = strchr(*files, '=') + 1;
        (void)snprintf(path, sizeof path, "%s/%.*s", root, (int)(text - 1 - *files), *files);
        for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
            *at = '\0';
            (void)mkdir(path, 0700);
            *at = '/';
        }
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
    }
}

static void clear(void)
{
    char line[128];
    (void)snprintf(line, sizeof line, "rm -r %s", root);
    assert_int_equal(system(line), 0); // NOLINT(cert-env33-c)
}

struct machine {
    const char *name;
    const char *files[8];
    uint64_t memory_bytes; /* UINT64_MAX: what the machine has */
    unsigned processors;   /* at most; 0: those of the affinity */
};

#define V2 "sys/fs/cgroup"

static const struct machine machines[] = {
    {"nothing to be read", {NULL}, UINT64_MAX, 0},
    {"a container of its own",
     {"proc/self/cgroup=0::/\n", V2 "/memory.max=33554432\n", V2 "/cpu.max=100000 100000\n"},
     32 * MIB,
     1},
    {"no limits",
     {"proc/self/cgroup=0::/a\n", V2 "/a/memory.max=max\n", V2 "/a/cpu.max=max 100000\n"},
     UINT64_MAX,
     0},
    {"the outer one is the less",
     {"proc/self/cgroup=0::/a/b\n", V2 "/a/memory.max=16777216\n", V2 "/a/b/memory.max=33554432\n",
      V2 "/a/b/cpu.max=50000 100000\n"},
     16 * MIB,
     1},
    {"the path is the machine's",
     {"proc/self/cgroup=0::/docker/0123\n", V2 "/memory.max=33554432\n"},
     32 * MIB,
     0},
    {"one and a half processors are two",
     {"proc/self/cgroup=0::/\n", V2 "/cpu.max=150000 100000\n"},
     UINT64_MAX,
     2},
    {"version 1",
     {"proc/self/cgroup=5:memory:/x\n3:cpu,cpuacct:/x\n1:name=systemd:/\n",
      V2 "/memory/x/memory.limit_in_bytes=8388608\n", V2 "/cpu/x/cpu.cfs_quota_us=10000\n",
      V2 "/cpu/x/cpu.cfs_period_us=100000\n"},
     8 * MIB,
     1},
    {"version 1 without limits",
     {"proc/self/cgroup=5:memory:/x\n3:cpuacct,cpu:/x\n",
      V2 "/memory/x/memory.limit_in_bytes=9223372036854771712\n", V2 "/cpu/x/cpu.cfs_quota_us=-1\n",
      V2 "/cpu/x/cpu.cfs_period_us=100000\n"},
     UINT64_MAX,
     0},
    {"nonsense",
     {"proc/self/cgroup=:::\n0::\nx\n", V2 "/memory.max=\n", V2 "/cpu.max=5\n"},
     UINT64_MAX,
     0},
};

static void test_machines(void **state)
{
    (void)state;
    const uint64_t has = allowance_memory_bytes("/nonexistent");
    const unsigned may = allowance_processors("/nonexistent");
    assert_true(has > MIB && may >= 1);
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        const struct machine *machine = &machines[i];
        print_message("%s\n", machine->name);
        make(machine->files);
        assert_int_equal(allowance_memory_bytes(root),
                         machine->memory_bytes < has ? machine->memory_bytes : has);
        assert_int_equal(allowance_processors(root),
                         machine->processors > 0 && machine->processors < may ? machine->processors
                                                                              : may);
        clear();
    }
}

/* taskset, cpuset. */
static void test_affinity(void **state)
{
    (void)state;
    cpu_set_t before;
    cpu_set_t one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(allowance_processors("/nonexistent"), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(allowance_processors("/nonexistent"), CPU_COUNT(&before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machines),
        cmocka_unit_test(test_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
