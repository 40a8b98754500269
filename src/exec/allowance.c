#include "exec/allowance.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 4096 };

#define CGROUPS "/sys/fs/cgroup"

/* The beginning of a small file. False: it cannot be read. */
static bool read_file(const char *path, char text[FILE_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = 0;
    do {
        got = read(fd, text, FILE_BYTES - 1);
    } while (got < 0 && errno == EINTR);
    (void)close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* Whether the comma-separated list has the word. */
static bool has_word(const char *list, size_t size, const char *word)
{
    const size_t length = strlen(word);
    while (size >= length) {
        const char *comma = memchr(list, ',', size);
        size_t part = comma != NULL ? (size_t)(comma - list) : size;
        if (part == length && memcmp(list, word, length) == 0)
            return true;
        if (comma == NULL)
            return false;
        list = comma + 1;
        size -= part + 1;
    }
    return false;
}

/* Finds the path of this process's cgroup in the text of /proc/self/cgroup: "0::/a/b" in v2,
 * "4:cpu,cpuacct:/a/b" in v1. `controller` NULL: v2. False: there is none. */
static bool find_path(const char *text, const char *controller, char *path, size_t size)
{
    for (const char *line = text; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        const char *first = memchr(line, ':', length);
        const char *second =
            first != NULL ? memchr(first + 1, ':', length - (size_t)(first + 1 - line)) : NULL;
        if (second != NULL) {
            const size_t list = (size_t)(second - first - 1);
            const size_t rest = length - (size_t)(second + 1 - line);
            bool found = controller == NULL ? list == 0 : has_word(first + 1, list, controller);
            if (found && rest < size) {
                memcpy(path, second + 1, rest);
                path[rest] = '\0';
                return true;
            }
        }
        line += length;
        line += *line == '\n';
    }
    return false;
}

/* Reads a limit in a cgroup's folder; UINT64_MAX: no limit. */
typedef uint64_t read_limit(const char *folder);

/* The minimum of the limits of the cgroup at `path` and all above it, up to the mount's root. In a
 * container, `path` may be the host's and not exist here; then the mount's root is this process's
 * cgroup. Cuts `path`. */
static uint64_t least_limit(const char *root, const char *mount, char *path, read_limit *read)
{
    char folder[PATH_MAX];
    uint64_t least = UINT64_MAX;
    for (int depth = 0; depth < ALLOWANCE_DEPTH_MAX; depth++) {
        int length = snprintf(folder, sizeof folder, "%s%s%s", root, mount, path);
        uint64_t limit = length > 0 && (size_t)length < sizeof folder ? read(folder) : UINT64_MAX;
        if (limit < least)
            least = limit;
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            break;
        *slash = '\0';
    }
    return least;
}

/* The minimum of v1 and v2: on some machines both are in use, with different controllers. */
static uint64_t least_of_both(const char *root, const char *controller, read_limit *read)
{
    char text[FILE_BYTES];
    char file[PATH_MAX];
    char path[PATH_MAX];
    char mount[64];
    uint64_t least = UINT64_MAX;
    (void)snprintf(file, sizeof file, "%s/proc/self/cgroup", root);
    if (!read_file(file, text))
        return UINT64_MAX;
    if (find_path(text, NULL, path, sizeof path))
        least = least_limit(root, CGROUPS, path, read);
    if (find_path(text, controller, path, sizeof path)) {
        (void)snprintf(mount, sizeof mount, CGROUPS "/%s", controller);
        uint64_t limit = least_limit(root, mount, path, read);
        least = limit < least ? limit : least;
    }
    return least;
}

/* The number in a file of the folder; UINT64_MAX: no file or no number ("max", "-1"). */
static uint64_t number_in(const char *folder, const char *name)
{
    char file[PATH_MAX + 32];
    char text[FILE_BYTES];
    (void)snprintf(file, sizeof file, "%s/%s", folder, name);
    if (!read_file(file, text) || text[0] < '0' || text[0] > '9')
        return UINT64_MAX;
    return strtoull(text, NULL, 10);
}

static uint64_t memory_limit(const char *folder)
{
    const uint64_t now = number_in(folder, "memory.max");
    const uint64_t old = number_in(folder, "memory.limit_in_bytes");
    return now < old ? now : old;
}

uint64_t allowance_memory_bytes(const char *root)
{
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    const uint64_t limit = least_of_both(root, "memory", memory_limit);
    if (pages <= 0 || page_bytes <= 0)
        return limit;
    const uint64_t machine = (uint64_t)pages * (uint64_t)page_bytes;
    return machine < limit ? machine : limit;
}

/* A quota of time per period as a number of processors, rounded up. */
static uint64_t per_period(uint64_t quota, uint64_t period)
{
    return quota == UINT64_MAX || period == UINT64_MAX || period == 0
               ? UINT64_MAX
               : quota / period + (quota % period != 0);
}

/* cpu.max is "QUOTA PERIOD" or "max PERIOD". */
static uint64_t processor_limit(const char *folder)
{
    char file[PATH_MAX + 32];
    char text[FILE_BYTES];
    (void)snprintf(file, sizeof file, "%s/cpu.max", folder);
    if (read_file(file, text) && text[0] >= '0' && text[0] <= '9') {
        char *rest = NULL;
        const uint64_t quota = strtoull(text, &rest, 10);
        return per_period(quota, strtoull(rest, NULL, 10));
    }
    return per_period(number_in(folder, "cpu.cfs_quota_us"),
                      number_in(folder, "cpu.cfs_period_us"));
}

/* The processors that this process may run on. If there are more than fit into a cpu_set_t, all of
 * the machine. */
static unsigned affinity(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

unsigned allowance_processors(const char *root)
{
    const uint64_t limit = least_of_both(root, "cpu", processor_limit);
    unsigned processors = affinity();
    if (limit < processors)
        processors = (unsigned)limit;
    return processors > 0 ? processors : 1;
}
