#include "exec/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    TEXT_BYTES = 256,
    LINE_BYTES = 4096,
    CPU_PERIOD_US = 100000,
    MARK_BYTES = 72,
    DEPTH_MAX = 8, /* levels of cgroups that a command may have made in its own */
    KILLED_MS = 500
};

/* The cgroup of the server itself; a unit (DelegateSubgroup=) may have put it there already. */
#define OWN_NAME "afard"

struct cgroups {
    char *path; /* directory of the server's own cgroup */
    int fd;     /* the same, open (O_PATH) */
    char mark[MARK_BYTES];
    bool stays;                   /* see cgroups_may_stay */
    char controllers[TEXT_BYTES]; /* available to commands; a blank before and after each */
};

static const char advice[] = "; run afard under systemd with Delegate=yes, or in a container whose "
                             "/sys/fs/cgroup is its own and can be written";

/* ---- small files ----------------------------------------------------------------------------- */

/* 0, or an errno. */
static int write_text(int directory, const char *name, const char *text)
{
    int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    size_t size = strlen(text);
    ssize_t written = write(fd, text, size);
    int failed = written == (ssize_t)size ? 0 : written < 0 ? errno : EIO;
    (void)close(fd);
    return failed;
}

/* Reads the first line of a file, with a blank before and after. "" if it cannot be opened. */
static void read_line(int directory, const char *name, char *text, size_t size)
{
    text[0] = '\0';
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t got = read(fd, text + 1, size - 3);
    (void)close(fd);
    text[0] = ' ';
    text[got > 0 ? got + 1 : 1] = '\0';
    text[strcspn(text, "\n")] = '\0';
    (void)strncat(text, " ", size - strlen(text) - 1);
}

/* ---- where we are ---------------------------------------------------------------------------- */

/* Calls `take` for each line of a file until it returns true. False: it never did. */
static bool find_line(const char *path, bool (*take)(const char *line, char found[PATH_MAX]),
                      char found[PATH_MAX])
{
    char line[LINE_BYTES];
    bool taken = false;
    FILE *file = fopen(path, "re");
    while (file != NULL && !taken && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        taken = take(line, found);
    }
    if (file != NULL)
        (void)fclose(file);
    return taken;
}

/* "0::/path" */
static bool take_own(const char *line, char found[PATH_MAX])
{
    if (strncmp(line, "0::/", 4) != 0)
        return false;
    (void)snprintf(found, PATH_MAX, "%s", line + 3);
    return true;
}

/* "30 23 0:26 / /sys/fs/cgroup rw,… - cgroup2 …": the fifth field (proc_pid_mountinfo(5)). */
static bool take_mount(const char *line, char found[PATH_MAX])
{
    if (strstr(line, " - cgroup2 ") == NULL)
        return false;
    const char *at = line;
    for (int i = 0; i < 4 && at != NULL; i++) {
        at = strchr(at, ' ');
        at = at == NULL ? NULL : at + 1;
    }
    if (at == NULL)
        return false;
    (void)snprintf(found, PATH_MAX, "%.*s", (int)strcspn(at, " "), at);
    return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

enum afar_status cgroups_prepare(struct cgroups *cgroups, struct afar_error *err)
{
    static const char *const wanted[] = {"+memory", "+cpu", "+pids"};
    char number[24];
    if (mkdirat(cgroups->fd, OWN_NAME, 0755) != 0 && errno != EEXIST)
        return afar_fail_errno(err, errno, "no cgroup can be made in '%.200s'%s", cgroups->path,
                               advice);
    (void)snprintf(number, sizeof number, "%ld", (long)getpid());
    int failed = write_text(cgroups->fd, OWN_NAME "/cgroup.procs", number);
    if (failed != 0)
        return afar_fail_errno(err, failed, "cannot move to the cgroup '%.200s/afard'%s",
                               cgroups->path, advice);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        (void)write_text(cgroups->fd, "cgroup.subtree_control", wanted[i]);
    read_line(cgroups->fd, "cgroup.subtree_control", cgroups->controllers,
              sizeof cgroups->controllers);
    return AFAR_OK;
}

/* Makes, kills and removes a cgroup, to find out whether this works. */
static enum afar_status try(const struct cgroups *cgroups, struct afar_error *err)
{
    char name[32];
    int fd = -1;
    (void)snprintf(name, sizeof name, "trial-%ld", (long)getpid());
    enum afar_status status = cgroup_make(cgroups, name, NULL, &fd, err);
    if (status != AFAR_OK)
        return afar_fail_errno(err, err != NULL ? err->sys_errno : 0,
                               "no cgroup can be made in '%.200s'%s", cgroups->path, advice);
    bool kills = cgroup_kill(cgroups, name);
    (void)close(fd);
    (void)cgroup_remove(cgroups, name);
    return kills ? AFAR_OK
                 : afar_fail(err, AFAR_ESYSTEM,
                             "cgroups cannot be killed as a whole by this kernel (Linux 5.14 can)");
}

static void make_mark(struct cgroups *cgroups)
{
    struct stat space;
    struct proc_stat self;
    if (stat("/proc/self/ns/pid", &space) == 0 && proc_read_stat(getpid(), &self))
        (void)snprintf(cgroups->mark, sizeof cgroups->mark, ".%llu.%ld.%llu",
                       (unsigned long long)space.st_ino, (long)getpid(), self.start);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t size = strlen(end);
    return length >= size && strcmp(text + length - size, end) == 0;
}

enum afar_status cgroups_open_at(struct cgroups **cgroups, const char *directory,
                                 struct afar_error *err)
{
    *cgroups = NULL;
    struct cgroups *made = calloc(1, sizeof *made);
    char *path = strdup(directory);
    if (made == NULL || path == NULL) {
        free(made);
        free(path);
        return afar_fail(err, AFAR_ENOMEM, "out of memory for cgroups");
    }
    made->path = path;
    made->stays = !ends_with(path, ".service");
    make_mark(made);
    made->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    enum afar_status status =
        made->fd < 0
            ? afar_fail_errno(err, errno, "the cgroup '%.200s' cannot be opened%s", path, advice)
            : try(made, err);
    if (status != AFAR_OK) {
        cgroups_close(made);
        return status;
    }
    *cgroups = made;
    return AFAR_OK;
}

enum afar_status cgroups_open(struct cgroups **cgroups, struct afar_error *err)
{
    char own[PATH_MAX];
    char mount[PATH_MAX];
    char *path = NULL;
    *cgroups = NULL;
    if (!find_line("/proc/self/cgroup", take_own, own) ||
        !find_line("/proc/self/mountinfo", take_mount, mount))
        return afar_fail(err, AFAR_ESYSTEM, "there is no cgroup of version 2 here%s", advice);
    const bool inside = ends_with(own, "/" OWN_NAME);
    if (inside)
        own[strlen(own) - strlen("/" OWN_NAME)] = '\0';
    if (asprintf(&path, "%s%s", mount, strcmp(own, "/") == 0 ? "" : own) < 0)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for cgroups");
    enum afar_status status = cgroups_open_at(cgroups, path, err);
    if (status == AFAR_OK && inside)
        (*cgroups)->stays = true;
    free(path);
    return status;
}

void cgroups_close(struct cgroups *cgroups)
{
    if (cgroups == NULL)
        return;
    if (cgroups->fd >= 0)
        (void)close(cgroups->fd);
    free(cgroups->path);
    free(cgroups);
}

bool cgroups_may_stay(const struct cgroups *cgroups)
{
    return cgroups->stays;
}

const char *cgroups_mark(const struct cgroups *cgroups)
{
    return cgroups->mark;
}

enum afar_status cgroups_check(const struct cgroups *cgroups, const struct cgroup_limits *limits,
                               struct afar_error *err)
{
    const struct {
        const char *name;
        uint64_t limit;
    } controllers[] = {
        {"memory", limits->memory_bytes}, {"cpu", limits->cpu_millis}, {"pids", limits->pids}};
    for (size_t i = 0; i < sizeof controllers / sizeof controllers[0]; i++) {
        char word[16];
        (void)snprintf(word, sizeof word, " %s ", controllers[i].name);
        if (controllers[i].limit > 0 && strstr(cgroups->controllers, word) == NULL)
            return afar_fail(err, AFAR_ESYSTEM, "the cgroup '%.200s' lacks the controller %s%s",
                             cgroups->path, controllers[i].name, advice);
    }
    return AFAR_OK;
}

/* ---- a command's ----------------------------------------------------------------------------- */

static void name_of(const char *name, char directory[CGROUP_NAME_BYTES])
{
    (void)snprintf(directory, CGROUP_NAME_BYTES, "job-%s", name);
}

static enum afar_status set_limit(int fd, const char *file, const char *value, uint64_t limit,
                                  struct afar_error *err)
{
    int failed = limit == 0 ? 0 : write_text(fd, file, value);
    return failed == 0 ? AFAR_OK
                       : afar_fail_errno(err, failed, "cannot set %s of a command's cgroup", file);
}

static enum afar_status set_limits(int fd, const struct cgroup_limits *limits,
                                   struct afar_error *err)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%" PRIu64, limits->memory_bytes);
    enum afar_status status = set_limit(fd, "memory.max", text, limits->memory_bytes, err);
    /* memory.max does not limit swap. A kernel without swap lacks this file. */
    if (limits->memory_bytes > 0)
        (void)write_text(fd, "memory.swap.max", "0");
    if (status == AFAR_OK) {
        (void)snprintf(text, sizeof text, "%" PRIu64 " %d",
                       limits->cpu_millis * CPU_PERIOD_US / 1000, CPU_PERIOD_US);
        status = set_limit(fd, "cpu.max", text, limits->cpu_millis, err);
    }
    if (status == AFAR_OK) {
        (void)snprintf(text, sizeof text, "%" PRIu64, limits->pids);
        status = set_limit(fd, "pids.max", text, limits->pids, err);
    }
    return status;
}

enum afar_status cgroup_make(const struct cgroups *cgroups, const char *name,
                             const struct cgroup_limits *limits, int *its_fd,
                             struct afar_error *err)
{
    char directory[CGROUP_NAME_BYTES];
    *its_fd = -1;
    name_of(name, directory);
    enum afar_status status = limits != NULL ? cgroups_check(cgroups, limits, err) : AFAR_OK;
    if (status != AFAR_OK)
        return status;
    if (mkdirat(cgroups->fd, directory, 0755) != 0)
        return afar_fail_errno(err, errno, "cannot make a cgroup for a command");
    int fd = openat(cgroups->fd, directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        status = afar_fail_errno(err, errno, "cannot open a command's cgroup");
    else if (limits != NULL)
        status = set_limits(fd, limits, err);
    if (status == AFAR_OK) {
        *its_fd = fd;
        return AFAR_OK;
    }
    if (fd >= 0)
        (void)close(fd);
    (void)cgroup_remove(cgroups, name);
    return status;
}

bool cgroup_kill(const struct cgroups *cgroups, const char *name)
{
    char file[CGROUP_NAME_BYTES + 16];
    char directory[CGROUP_NAME_BYTES];
    name_of(name, directory);
    (void)snprintf(file, sizeof file, "%s/cgroup.kill", directory);
    return write_text(cgroups->fd, file, "1") == 0;
}

/* Opens a file of a command's cgroup for reading. -1: errno. */
static int open_of(const struct cgroups *cgroups, const char *name, const char *file)
{
    char directory[CGROUP_NAME_BYTES];
    char path[CGROUP_NAME_BYTES + 32];
    name_of(name, directory);
    (void)snprintf(path, sizeof path, "%s/%s", directory, file);
    return openat(cgroups->fd, path, O_RDONLY | O_CLOEXEC);
}

void cgroup_list(const struct cgroups *cgroups, const char *name, struct proc_numbers *pids)
{
    int fd = open_of(cgroups, name, "cgroup.procs");
    if (fd < 0)
        return;
    while (proc_read_piece(fd, pids) > 0)
        ;
    (void)close(fd);
}

/* Reads the number that follows `key` at the beginning of a line. Unchanged if there is none. */
static void read_event(const struct cgroups *cgroups, const char *name, const char *file,
                       const char *key, uint64_t *count)
{
    char text[LINE_BYTES];
    int fd = open_of(cgroups, name, file);
    if (fd < 0)
        return;
    ssize_t got = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[got > 0 ? got : 0] = '\0';
    size_t length = strlen(key);
    for (const char *line = text; *line != '\0'; line += *line == '\n') {
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            *count = strtoull(line + length + 1, NULL, 10);
        line += strcspn(line, "\n");
    }
}

void cgroup_read_events(const struct cgroups *cgroups, const char *name,
                        struct cgroup_events *events)
{
    read_event(cgroups, name, "memory.events", "oom_kill", &events->memory_kills);
    read_event(cgroups, name, "pids.events", "max", &events->pids_refused);
}

bool cgroup_remove_empty(const struct cgroups *cgroups, const char *name)
{
    char directory[CGROUP_NAME_BYTES];
    name_of(name, directory);
    return unlinkat(cgroups->fd, directory, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

/* Removes a cgroup, after all cgroups in it. */
static bool remove_at(int at, const char *name, int depth)
{
    if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    int fd =
        depth < DEPTH_MAX ? openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    bool removed = false;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            removed = remove_at(fd, entry->d_name, depth + 1) || removed;
    }
    (void)closedir(folder);
    return removed && unlinkat(at, name, AT_REMOVEDIR) == 0;
}

bool cgroup_remove(const struct cgroups *cgroups, const char *name)
{
    char directory[CGROUP_NAME_BYTES];
    name_of(name, directory);
    return remove_at(cgroups->fd, directory, 0);
}

/* ---- abandoned cgroups ----------------------------------------------------------------------- */

enum fate { LOOKED_AFTER, UNMARKED, ABANDONED };

/* Parses ".123" at *at, and moves *at behind it. */
static bool take_number(const char **at, unsigned long long *number)
{
    char *end = NULL;
    if (**at != '.' || (*at)[1] < '0' || (*at)[1] > '9')
        return false;
    *number = strtoull(*at + 1, &end, 10);
    *at = end;
    return true;
}

/* `directory` is named "job-ID.NAMESPACE.PID.START". */
static enum fate judge(const char *directory)
{
    struct stat space;
    unsigned long long inode = 0;
    unsigned long long start = 0;
    unsigned long long pid = 0;
    const char *at = strchr(directory, '.');
    if (at == NULL)
        return UNMARKED;
    bool known = take_number(&at, &inode) && take_number(&at, &pid) && take_number(&at, &start) &&
                 *at == '\0' && pid > 0 && pid <= INT32_MAX &&
                 stat("/proc/self/ns/pid", &space) == 0 && space.st_ino == inode;
    return known && proc_is_gone((pid_t)pid, start) ? ABANDONED : LOOKED_AFTER;
}

/* Removes an abandoned cgroup. Returns whether there were processes to kill. */
static bool sweep_one(const struct cgroups *cgroups, const char *name)
{
    int64_t until_ms = clock_deadline_ms(KILLED_MS);
    if (cgroup_remove(cgroups, name))
        return false;
    (void)cgroup_kill(cgroups, name);
    while (!cgroup_remove(cgroups, name) && clock_now_ms() < until_ms)
        (void)poll(NULL, 0, 1);
    return true;
}

size_t cgroups_sweep(const struct cgroups *cgroups, int64_t until_us)
{
    static const char prefix[] = "job-";
    size_t killed = 0;
    int fd = openat(cgroups->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return 0;
    }
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL && clock_now_us() < until_us) {
        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0)
            continue;
        const char *name = entry->d_name + sizeof prefix - 1;
        switch (judge(entry->d_name)) {
        case LOOKED_AFTER:
            break;
        case UNMARKED:
            (void)cgroup_remove_empty(cgroups, name);
            break;
        case ABANDONED:
            killed += sweep_one(cgroups, name);
            break;
        }
    }
    (void)closedir(folder);
    return killed;
}
