#include "exec/proc.h"

#include <errno.h>
#include <fcntl.h>
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

/* Numbers of fields as in proc(5). */
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

/* The fields begin after the name in parentheses, which may itself hold anything. */
static bool parse_stat(char *line, struct proc_stat *stat)
{
    char *fields[FIELDS] = {NULL};
    char *rest = NULL;
    char *end = strrchr(line, ')');
    char *word = end != NULL ? strtok_r(end + 1, " \n", &rest) : NULL;
    for (int i = FIELD_STATE; i < FIELDS && word != NULL; i++) {
        fields[i] = word;
        word = strtok_r(NULL, " \n", &rest);
    }
    if (fields[FIELD_ENV_END] == NULL)
        return false;
    char state = fields[FIELD_STATE][0];
    unsigned long flags = strtoul(fields[FIELD_FLAGS], NULL, 10);
    /* Of a process whose first thread has ended the others may go on. */
    stat->dead = (state == 'Z' || state == 'X') && strtol(fields[FIELD_THREADS], NULL, 10) <= 1;
    stat->exiting = !stat->dead && (flags & EXITING_FLAG) != 0;
    stat->bare = !stat->dead && !stat->exiting && strcmp(fields[FIELD_ENV_END], "0") == 0;
    stat->parent = (pid_t)strtol(fields[FIELD_PARENT], NULL, 10);
    stat->session = (pid_t)strtol(fields[FIELD_SESSION], NULL, 10);
    stat->start = strtoull(fields[FIELD_START], NULL, 10);
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

/* A list of numbers that comes in pieces. */
struct numbers {
    pid_t *at;
    size_t count;
    size_t room;
    pid_t value;
    bool inside; /* one that may go on in the next piece */
};

/* False: out of memory. */
static bool numbers_end_one(struct numbers *numbers)
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

static bool numbers_piece(struct numbers *numbers, const char *piece, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (piece[i] >= '0' && piece[i] <= '9') {
            numbers->value = 10 * numbers->value + (piece[i] - '0');
            numbers->inside = true;
        } else if (!numbers_end_one(numbers)) {
            return false;
        }
    }
    return true;
}

/* Each command's end asks this: no stdio, which would ask the kernel twice more. */
size_t proc_children(pid_t pid, pid_t thread, pid_t **pids)
{
    char name[NAME_BYTES];
    char piece[LINE_BYTES];
    struct numbers numbers = {0};
    *pids = NULL;
    (void)snprintf(name, sizeof name, "task/%d/children", (int)thread);
    int fd = open_file(pid, name);
    if (fd < 0)
        return 0;
    ssize_t got = read_some(fd, piece, sizeof piece);
    while (got > 0 && numbers_piece(&numbers, piece, (size_t)got))
        got = read_some(fd, piece, sizeof piece);
    (void)close(fd);
    if (got == 0)
        (void)numbers_end_one(&numbers);
    *pids = numbers.at;
    return numbers.count;
}

/* Looks for one entry in NUL-terminated entries that come in pieces. */
struct search {
    const char *variable;
    size_t length;
    size_t matched; /* bytes of the current entry so far; SIZE_MAX: it is another one */
    bool found;
};

static void search_piece(struct search *search, const char *piece, size_t size)
{
    for (size_t i = 0; i < size && !search->found; i++) {
        if (piece[i] == '\0') {
            search->found = search->matched == search->length;
            search->matched = 0;
        } else if (search->matched < search->length &&
                   piece[i] == search->variable[search->matched]) {
            search->matched++;
        } else {
            search->matched = SIZE_MAX;
        }
    }
}

static enum proc_answer file_has_variable(int fd, const char *variable)
{
    char piece[PIECE_BYTES];
    struct search search = {.variable = variable, .length = strlen(variable)};
    size_t total = 0;
    ssize_t got = read_some(fd, piece, sizeof piece);
    while (got > 0 && !search.found && total < PROC_ENVIRON_MAX_BYTES) {
        search_piece(&search, piece, (size_t)got);
        total += (size_t)got;
        got = read_some(fd, piece, sizeof piece);
    }
    if (search.found)
        return PROC_YES;
    return total == 0 && got == 0 ? PROC_EMPTY : PROC_NO;
}

/* Of another user's it may be readable to that user only. */
static int open_environment(pid_t pid)
{
    char path[PATH_BYTES];
    int fd = open_file(pid, "environ");
    if (fd >= 0 || errno != EACCES)
        return fd;
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    return as_owner_open(pid, path);
}

enum proc_answer proc_has_variable(pid_t pid, const char *variable)
{
    int fd = open_environment(pid);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return PROC_DENIED;
    if (fd < 0)
        return errno == ESRCH || errno == ENOENT ? PROC_EMPTY : PROC_NO;
    enum proc_answer answer = file_has_variable(fd, variable);
    (void)close(fd);
    return answer;
}
