#include "exec/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec/as_owner.h"

enum {
    NAME_BYTES = 32,
    PATH_BYTES = 64,
    LINE_BYTES = 1024,
    PIECE_BYTES = 4096,
    THREADS_MAX = 16,
    EXITING_FLAG = 0x4 /* PF_EXITING of linux/sched.h, which proc(5) refers to */
};

static int open_file(pid_t pid, const char *name)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static ssize_t read_some(int fd, void *data, size_t size)
{
    ssize_t got = read(fd, data, size);
    while (got < 0 && errno == EINTR)
        got = read(fd, data, size);
    return got;
}

bool proc_is_ours(void)
{
    char text[24];
    char expected[24];
    ssize_t size = readlink("/proc/self", text, sizeof text - 1);
    if (size < 0)
        return false;
    text[size] = '\0';
    (void)snprintf(expected, sizeof expected, "%d", (int)getpid());
    return strcmp(text, expected) == 0;
}

/* Numbers of the fields of /proc/PID/stat, as in proc(5). */
enum {
    FIELD_STATE = 3,
    FIELD_PARENT = 4,
    FIELD_SESSION = 6,
    FIELD_FLAGS = 9,
    FIELD_THREADS = 20,
    FIELD_START = 22,
    FIELD_ENV_END = 51,
    FIELDS = 52
};

/* The fields begin after the last ')': the name in parentheses may have any characters. */
static bool parse_stat(char *line, struct proc_stat *stat)
{
    char *fields[FIELDS] = {NULL};
    char *rest = NULL;
    char *end = strrchr(line, ')');
    const char *name = strchr(line, '(');
    char *word = end != NULL ? strtok_r(end + 1, " \n", &rest) : NULL;
    for (int i = FIELD_STATE; i < FIELDS && word != NULL; i++) {
        fields[i] = word;
        word = strtok_r(NULL, " \n", &rest);
    }
    if (fields[FIELD_ENV_END] == NULL)
        return false;
    char state = fields[FIELD_STATE][0];
    unsigned long flags = strtoul(fields[FIELD_FLAGS], NULL, 10);
    /* If only the first thread has ended, the state is 'Z' too, but other threads run. */
    stat->dead = (state == 'Z' || state == 'X') && strtol(fields[FIELD_THREADS], NULL, 10) <= 1;
    stat->exiting = !stat->dead && (flags & EXITING_FLAG) != 0;
    stat->bare = !stat->dead && !stat->exiting && strcmp(fields[FIELD_ENV_END], "0") == 0;
    stat->parent = (pid_t)strtol(fields[FIELD_PARENT], NULL, 10);
    stat->session = (pid_t)strtol(fields[FIELD_SESSION], NULL, 10);
    stat->start = strtoull(fields[FIELD_START], NULL, 10);
    if (name == NULL || name >= end)
        name = end - 1;
    (void)snprintf(stat->name, sizeof stat->name, "%.*s", (int)(end - name - 1), name + 1);
    return true;
}

bool proc_read_stat(pid_t pid, struct proc_stat *stat)
{
    char line[LINE_BYTES];
    int fd = open_file(pid, "stat");
    if (fd < 0)
        return false;
    ssize_t size = read_some(fd, line, sizeof line - 1);
    (void)close(fd);
    if (size <= 0)
        return false;
    line[size] = '\0';
    return parse_stat(line, stat);
}

bool proc_is_gone(pid_t pid, unsigned long long start)
{
    struct proc_stat stat;
    /* /proc may hide processes of other users (hidepid); kill(2) still finds them. */
    if (!proc_read_stat(pid, &stat))
        return kill(pid, 0) != 0 && errno == ESRCH;
    return stat.start != start || stat.dead;
}

static bool end_number(struct proc_numbers *numbers)
{
    if (!numbers->inside)
        return true;
    if (numbers->count == numbers->room) {
        size_t room = numbers->room == 0 ? 16 : 2 * numbers->room;
        pid_t *grown = realloc(numbers->at, room * sizeof *grown);
        if (grown == NULL)
            return false;
        numbers->at = grown;
        numbers->room = room;
    }
    numbers->at[numbers->count++] = numbers->value;
    numbers->value = 0;
    numbers->inside = false;
    return true;
}

static bool add_piece(struct proc_numbers *numbers, const char *piece, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (piece[i] >= '0' && piece[i] <= '9') {
            numbers->value = 10 * numbers->value + (piece[i] - '0');
            numbers->inside = true;
        } else if (!end_number(numbers)) {
            return false;
        }
    }
    return true;
}

/* Called at each command's end; so without stdio, which needs two more system calls. */
ssize_t proc_read_piece(int fd, struct proc_numbers *numbers)
{
    char piece[LINE_BYTES];
    ssize_t got = read_some(fd, piece, sizeof piece);
    bool done = got > 0 ? add_piece(numbers, piece, (size_t)got) : got == 0 && end_number(numbers);
    return done ? got : -1;
}

void proc_add_children(pid_t pid, pid_t thread, struct proc_numbers *pids)
{
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "task/%d/children", (int)thread);
    int fd = open_file(pid, name);
    if (fd < 0)
        return;
    while (proc_read_piece(fd, pids) > 0)
        ;
    pids->value = 0;
    pids->inside = false;
    (void)close(fd);
}

/* A search for one entry in a list of NUL-terminated entries, which is read in pieces. */
struct search {
    const char *prefix;
    size_t length;
    size_t matched; /* bytes of the prefix that the current entry has; SIZE_MAX: does not match */
    bool found;
    char *value; /* where the rest of the entry is copied to */
    size_t room;
    size_t used;
};

static void search_byte(struct search *search, char byte)
{
    if (byte == '\0') {
        search->found = search->matched == search->length;
        search->matched = 0;
    } else if (search->matched < search->length && byte == search->prefix[search->matched]) {
        search->matched++;
    } else if (search->matched != search->length) {
        search->matched = SIZE_MAX;
    } else if (search->used + 1 < search->room) {
        search->value[search->used++] = byte;
    }
}

static enum proc_answer search_file(int fd, struct search *search)
{
    char piece[PIECE_BYTES];
    size_t total = 0;
    search->length = strlen(search->prefix);
    ssize_t got = read_some(fd, piece, sizeof piece);
    while (got > 0 && !search->found && total < PROC_ENVIRON_MAX_BYTES) {
        for (ssize_t i = 0; i < got && !search->found; i++)
            search_byte(search, piece[i]);
        total += (size_t)got;
        got = read_some(fd, piece, sizeof piece);
    }
    if (search->found)
        return PROC_YES;
    return total == 0 && got == 0 ? PROC_EMPTY : PROC_NO;
}

/* The environment of another user's process may be readable for that user only. */
static int open_environment(pid_t pid, pid_t thread)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/environ", (int)pid, (int)thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 || errno != EACCES ? fd : as_owner_open(pid, path);
}

enum proc_answer proc_get_variable(pid_t pid, pid_t thread, const char *prefix, char *value,
                                   size_t size)
{
    struct search search = {.prefix = prefix, .value = value, .room = size};
    value[0] = '\0';
    int fd = open_environment(pid, thread);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return PROC_DENIED;
    if (fd < 0)
        return errno == ESRCH || errno == ENOENT ? PROC_EMPTY : PROC_NO;
    enum proc_answer answer = search_file(fd, &search);
    (void)close(fd);
    value[search.found ? search.used : 0] = '\0';
    return answer;
}

/* Reads the variable by another thread than the first, which has ended. */
static enum proc_answer ask_others(pid_t pid, const char *prefix, char *value, size_t size)
{
    char path[PATH_BYTES];
    enum proc_answer answer = PROC_EMPTY;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return PROC_EMPTY;
    const struct dirent *entry = readdir(folder);
    for (int i = 0; entry != NULL && answer != PROC_YES && answer != PROC_NO && i < THREADS_MAX;
         i++) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread > 0 && thread != pid)
            answer = proc_get_variable(pid, thread, prefix, value, size);
        entry = readdir(folder);
    }
    (void)closedir(folder);
    return answer;
}

enum proc_mark proc_find_mark(pid_t pid, struct proc_stat *stat, const char *prefix, char *value,
                              size_t size)
{
    /* Twice: if it had no environment, it may have been in an execve that is done now. */
    for (int look = 0; look < 2; look++) {
        enum proc_answer answer = stat->exiting ? ask_others(pid, prefix, value, size)
                                                : proc_get_variable(pid, pid, prefix, value, size);
        if (answer == PROC_YES || answer == PROC_NO)
            return answer == PROC_YES ? PROC_MARKED : PROC_UNMARKED;
        bool was_exiting = stat->exiting;
        if (!proc_read_stat(pid, stat) || stat->dead)
            return PROC_UNMARKED;
        if (stat->exiting && was_exiting)
            return PROC_DYING;
        /* A process with more privileges than ours always looks bare to us. */
        if (!stat->exiting && (answer == PROC_DENIED || stat->bare))
            return answer == PROC_DENIED ? PROC_UNMARKED : PROC_STARTING;
    }
    return stat->exiting ? PROC_DYING : PROC_UNMARKED;
}

/* What to find among the descriptors of a process. */
struct wanted {
    const ino_t *pipes;
    size_t count;
    const char *terminal; /* /dev/pts/N; NULL: none */
};

/* Whether descriptor `name` is "pipe:[12345]" (proc_pid_fd(5)), or the terminal. */
static bool is_wanted(pid_t pid, const char *name, const struct wanted *wanted)
{
    char path[PATH_BYTES];
    char text[PATH_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%.20s", (int)pid, name);
    ssize_t size = readlink(path, text, sizeof text - 1);
    if (size < 0)
        return false;
    text[size] = '\0';
    for (size_t i = 0; i < wanted->count; i++) {
        (void)snprintf(path, sizeof path, "pipe:[%llu]", (unsigned long long)wanted->pipes[i]);
        if (strcmp(text, path) == 0)
            return true;
    }
    return wanted->terminal != NULL && strcmp(text, wanted->terminal) == 0;
}

/* *denied: we may not read the folder of descriptors. */
static bool has_wanted(pid_t pid, const struct wanted *wanted, bool *denied)
{
    char path[PATH_BYTES];
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    *denied = folder == NULL && errno == EACCES;
    if (folder == NULL)
        return false;
    const struct dirent *entry = readdir(folder);
    for (int i = 0; entry != NULL && !found && i < PROC_FDS_MAX; i++) {
        found = is_wanted(pid, entry->d_name, wanted);
        entry = readdir(folder);
    }
    (void)closedir(folder);
    return found;
}

static bool look_for(pid_t pid, const struct wanted *wanted)
{
    bool denied = false;
    bool found = has_wanted(pid, wanted, &denied);
    if (!denied || !as_owner_enter(pid))
        return found;
    found = has_wanted(pid, wanted, &denied);
    as_owner_leave();
    return found;
}

bool proc_has_pipe(pid_t pid, const ino_t *pipes, size_t count)
{
    return look_for(pid, &(struct wanted){.pipes = pipes, .count = count});
}

bool proc_has_terminal(pid_t pid, const char *name)
{
    return look_for(pid, &(struct wanted){.terminal = name});
}
