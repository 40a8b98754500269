#include "support/inject_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/orphans.h"
#include "server/server.h"
#include "support/inject.h"
#include "support/program.h"

enum { LOG_BYTES = 65536, POLL_MS = 2 };

static unsigned count_descriptors(pid_t pid)
{
    char path[64];
    unsigned count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

static bool has_children(pid_t pid)
{
    char path[320];
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return false;
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, task->d_name);
        FILE *file = fopen(path, "re");
        int child = 0;
        found = found || (file != NULL && fscanf(file, "%d", &child) == 1);
        if (file != NULL)
            (void)fclose(file);
    }
    (void)closedir(tasks);
    return found;
}

/* ---- the child ------------------------------------------------------------------------------- */

static enum afar_status load(void *user, struct config **config, struct afar_error *err)
{
    *config = config_new();
    if (*config == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a configuration");
    enum afar_status status = config_load(*config, user, err);
    if (status == AFAR_OK)
        status = config_finish(*config, err);
    return status == AFAR_OK ? config_check(*config, err) : status;
}

/* Like afard's main, without a command line. */
static enum inject_end serve(char *path, int log_fd, FILE *report)
{
    struct config *config = NULL;
    struct server *server = NULL;
    struct afar_error err = {.code = AFAR_OK};
    enum inject_end end = INJECT_END_REFUSED;
    struct log *log = log_new(log_fd, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    enum afar_status status = AFAR_OK;
    if (log == NULL)
        status = afar_fail(&err, AFAR_ENOMEM, "out of memory for the log");
    if (status == AFAR_OK)
        status = load(path, &config, &err);
    (void)orphans_adopt();
    if (status == AFAR_OK)
        status = server_block_signals(&err);
    if (status == AFAR_OK)
        status = server_new(&server, config, log, &err);
    if (status != AFAR_OK) {
        (void)fprintf(report, "refused: %s\n", err.message);
        goto out;
    }
    end = INJECT_END_RUN;
    server_on_hang_up(server, load, path);
    server_describe(server);
    status = server_print_endpoints(server, report, &err);
    (void)fputs("ready\n", report);
    (void)fflush(report);
    if (status == AFAR_OK)
        status = server_run(server, &err);
    if (status == AFAR_OK)
        end = INJECT_END_OK;
    else
        (void)dprintf(log_fd, "server_run: %s\n", err.message);
out:
    if (server_free(server)) {
        config_free(config);
        log_free(log);
    }
    (void)fflush(report);
    return end;
}

/* Uses exit(3), not _exit, so that LeakSanitizer runs. */
static void in_child(const char *path, int log_fd, int report_fd)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    FILE *report = fdopen(report_fd, "w");
    char *copy = strdup(path);
    if (report == NULL || copy == NULL)
        _exit(INJECT_END_RUN);
    unsigned before = count_descriptors(getpid());
    inject_begin();
    enum inject_end end = serve(copy, log_fd, report);
    long allocations = inject_end();
    unsigned after = count_descriptors(getpid());
    if (allocations != 0) {
        (void)dprintf(log_fd, "%ld allocations were not freed\n", allocations);
        end = INJECT_END_ALLOCATIONS;
    }
    if (after != before) {
        (void)dprintf(log_fd, "%u descriptors before, %u after\n", before, after);
        end = INJECT_END_DESCRIPTORS;
    }
    free(copy);
    (void)fclose(report);
    if (inject_openssl_armed())
        _exit((int)end); /* without memory OpenSSL itself leaks a little */
    exit((int)end);
}

/* ---- the parent ------------------------------------------------------------------------------ */

/* Reads until the child says "ready" or "refused", or has ended. */
static bool read_report(struct inject_server *server, int fd)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    size_t used = 0;
    while (strstr(server->report, "ready\n") == NULL && used + 1 < sizeof server->report) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (poll(&waiting, 1, clock_poll_timeout(deadline_ms)) <= 0)
            return false;
        ssize_t got = read(fd, server->report + used, sizeof server->report - used - 1);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    server->refused = strncmp(server->report, "refused: ", 9) == 0 && used > sizeof "refused: ";
    return server->refused || strstr(server->report, "ready\n") != NULL;
}

static void read_urls(struct inject_server *server)
{
    const char *line = strstr(server->report, "listening ");
    for (unsigned i = 0; i < INJECT_URLS_MAX && line != NULL; i++) {
        line += strlen("listening ");
        (void)snprintf(server->url[i], INJECT_URL_BYTES, "%.*s", (int)strcspn(line, "\n"), line);
        line = strstr(line, "listening ");
    }
}

const char *inject_server_start(struct inject_server *server, const char *path)
{
    int ends[2];
    *server = (struct inject_server){.log_fd = memfd_create("log", MFD_CLOEXEC)};
    if (server->log_fd < 0 || pipe2(ends, O_CLOEXEC) != 0)
        return "cannot make a pipe";
    (void)fflush(NULL); /* otherwise the child prints it again */
    server->pid = fork();
    if (server->pid == 0) {
        (void)close(ends[0]);
        in_child(path, server->log_fd, ends[1]);
    }
    (void)close(ends[1]);
    bool said = server->pid > 0 && read_report(server, ends[0]);
    (void)close(ends[0]);
    if (!said)
        return "it neither listens nor says why not";
    read_urls(server);
    server->descriptors = count_descriptors(server->pid);
    return NULL;
}

bool inject_server_calm(const struct inject_server *server)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (count_descriptors(server->pid) != server->descriptors || has_children(server->pid)) {
        if (clock_now_ms() > deadline_ms)
            return false;
        (void)poll(NULL, 0, POLL_MS);
    }
    return true;
}

int inject_server_stop(struct inject_server *server)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    int status = 0;
    if (!server->refused)
        (void)kill(server->pid, SIGTERM);
    while (waitpid(server->pid, &status, WNOHANG) == 0) {
        if (clock_now_ms() > deadline_ms)
            return INJECT_END_HUNG;
        (void)poll(NULL, 0, POLL_MS);
    }
    server->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The caller frees it. */
static char *read_log(const struct inject_server *server)
{
    char *text = calloc(1, LOG_BYTES);
    if (text != NULL && pread(server->log_fd, text, LOG_BYTES - 1, 0) < 0)
        text[0] = '\0';
    return text;
}

void inject_server_show_log(const struct inject_server *server)
{
    char *text = read_log(server);
    if (text != NULL)
        (void)fprintf(stderr, "%s", text);
    free(text);
}

bool inject_server_logged(const struct inject_server *server, const char *text)
{
    char *all = read_log(server);
    bool found = all != NULL && strstr(all, text) != NULL;
    free(all);
    return found;
}

void inject_server_close(struct inject_server *server)
{
    if (server->pid > 0) {
        (void)kill(server->pid, SIGKILL);
        (void)waitpid(server->pid, NULL, 0);
    }
    if (server->log_fd >= 0)
        (void)close(server->log_fd);
    server->pid = 0;
    server->log_fd = -1;
}
