#include "server/watch/own_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { STAT_BYTES = 1024 };

/* Positions in /proc/self/stat (proc(5)), counted from the state, its third field. */
enum { AT_UTIME = 11, AT_STIME, AT_THREADS = 17, AT_START = 19, AT_VSIZE, AT_RSS, AT_COUNT };

/* Reads the start of a small file; false: it cannot be read. */
static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, text, size - 1);
    (void)close(fd);
    if (got <= 0)
        return false;
    text[got] = '\0';
    return true;
}

static double now_seconds(clockid_t clock)
{
    struct timespec now = {0};
    return clock_gettime(clock, &now) == 0 ? (double)now.tv_sec + (double)now.tv_nsec / 1e9 : 0;
}

static void read_stat(struct own_usage *usage)
{
    char text[STAT_BYTES];
    double fields[AT_COUNT] = {0};
    const double ticks = (double)sysconf(_SC_CLK_TCK);
    if (ticks <= 0 || !read_file("/proc/self/stat", text, sizeof text))
        return;
    /* The program's name, in parentheses, may contain blanks and parentheses. */
    char *at = strrchr(text, ')');
    if (at == NULL || strlen(at) < 3)
        return;
    at += 3; /* the state, a letter, is field 0 */
    for (int i = 1; i < AT_COUNT; i++) {
        at = strchr(at, ' ');
        if (at == NULL)
            return;
        fields[i] = strtod(++at, NULL);
    }
    usage->cpu_seconds = (fields[AT_UTIME] + fields[AT_STIME]) / ticks;
    usage->threads = fields[AT_THREADS];
    usage->virtual_bytes = fields[AT_VSIZE];
    usage->resident_bytes = fields[AT_RSS] * (double)sysconf(_SC_PAGESIZE);
    usage->started_at =
        now_seconds(CLOCK_REALTIME) - now_seconds(CLOCK_BOOTTIME) + fields[AT_START] / ticks;
}

static double count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    double count = 0;
    if (folder == NULL)
        return -1;
    while (readdir(folder) != NULL) // NOLINT(concurrency-mt-unsafe): a DIR of our own
        count++;
    (void)closedir(folder);
    return count - 3; /* ".", "..", and the folder itself */
}

void own_usage_read(struct own_usage *usage)
{
    struct rlimit limit = {0};
    *usage = (struct own_usage){.cpu_seconds = -1,
                                .started_at = -1,
                                .resident_bytes = -1,
                                .virtual_bytes = -1,
                                .max_descriptors = -1,
                                .threads = -1};
    read_stat(usage);
    usage->open_descriptors = count_descriptors();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        usage->max_descriptors = (double)limit.rlim_cur;
}
