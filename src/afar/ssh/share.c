/* ControlMaster, ControlPersist and ControlPath, by a share of Afar's (../share). With
 * ControlPersist a share is started that outlives this program; with ControlPath an existing share
 * is used. A share belongs to a server and credentials, not to a path. */
#include "afar/ssh/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "afar/report.h"
#include "afar/share/use.h"

/* MASTER_IDLE_MS: the idle time of a share that -N -M keeps alive. The others: how long to wait
 * until a share has started, for -N and after a command. */
enum { MASTER_IDLE_MS = 30000, BEGINS_MS = 3000, SETTLES_MS = 1000, LOOK_MS = 10 };

static bool is_none(const char *value)
{
    return value != NULL && strcasecmp(value, "none") == 0;
}

static bool is_no(const char *value)
{
    return value == NULL || strcasecmp(value, "no") == 0 || strcasecmp(value, "false") == 0;
}

bool ssh_share_persist(const char *text, int64_t *ms)
{
    *ms = 0;
    if (is_no(text))
        return true;
    const bool yes = strcasecmp(text, "yes") == 0 || strcasecmp(text, "true") == 0;
    if (!yes && !ssh_time_parse(text, ms))
        return false;
    if (*ms == 0)
        *ms = SHARE_FOREVER_MS;
    return true;
}

bool ssh_share(struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    const char *path = options->value[SSH_CONTROL_PATH];
    struct remote *remote = &run->remote;
    int64_t ms = 0;
    if (!ssh_share_persist(options->value[SSH_CONTROL_PERSIST], &ms)) {
        report_plain("command-line line 0: invalid time value '%s' for ControlPersist",
                     options->value[SSH_CONTROL_PERSIST]);
        return false;
    }
    if (is_none(path)) {
        remote->share_ms = 0;
        remote->share_joins = false;
        return true;
    }
    if (!is_no(options->value[SSH_CONTROL_MASTER])) {
        run->is_master = options->no_command && path != NULL;
        if (ms == 0 && run->is_master)
            ms = MASTER_IDLE_MS; /* this program keeps it from becoming idle */
        if (ms > 0)
            remote->share_ms = ms;
    }
    remote->share_joins = remote->share_joins || remote->share_ms > 0 || path != NULL;
    return true;
}

/* Waits until the share that this program has started, or uses, can be found. Returns its process;
 * 0: there is none. */
static pid_t wait_for_share(const struct ssh_run *run, int limit_ms)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    const struct remote_route *route = &run->route;
    if (route->open != NULL || route->family != 0 || route->local_address != NULL ||
        !share_is_possible(&run->remote))
        return 0;
    for (int ms = 0; ms < limit_ms; ms += LOOK_MS) {
        pid_t pid = share_find(&run->remote);
        if (pid > 0)
            return pid;
        (void)nanosleep(&pause, NULL);
    }
    ssh_debug(run, "No share has begun.");
    return 0;
}

int ssh_share_watch(const struct ssh_run *run)
{
    pid_t pid = run->is_master ? wait_for_share(run, BEGINS_MS) : 0;
    return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0U) : -1;
}

void ssh_share_settle(const struct ssh_run *run)
{
    if (!run->is_master && run->remote.share_ms > 0 &&
        !is_no(run->options.value[SSH_CONTROL_MASTER]))
        (void)wait_for_share(run, SETTLES_MS);
}

void ssh_share_use(const struct ssh_run *run)
{
    (void)share_find(&run->remote);
}

/* The share; if one is just beginning, waits until it can be used. 0: none. */
static pid_t find_soon(const struct ssh_run *run)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    pid_t pid = share_find(&run->remote);
    for (int ms = 0; pid == 0 && ms < BEGINS_MS && share_find_any(&run->remote) > 0;
         ms += LOOK_MS) {
        (void)nanosleep(&pause, NULL);
        pid = share_find(&run->remote);
    }
    return pid;
}

int ssh_share_control(struct ssh_run *run)
{
    static const struct {
        const char *command;
        int signal; /* 0: none; -1: refused */
        const char *words;
    } known[] = {{"check", 0, NULL},
                 {"exit", SIGTERM, "Exit request sent."},
                 {"stop", SIGUSR1, "Stop listening request sent."},
                 {"forward", -1, NULL}, /* of ssh(1), and not supported */
                 {"cancel", -1, NULL},
                 {"proxy", -1, NULL}};
    const char *asked = run->options.control;
    const char *path = run->options.value[SSH_CONTROL_PATH];
    size_t which = 0;
    while (which < sizeof known / sizeof known[0] && strcmp(asked, known[which].command) != 0)
        which++;
    if (which == sizeof known / sizeof known[0]) {
        report_plain("Invalid multiplex command.");
        return SSH_STATUS_FAILED;
    }
    if (known[which].signal < 0) {
        report("-O %s: forwarding is not supported", asked);
        return SSH_STATUS_FAILED;
    }
    run->connect.host = run->url;
    pid_t pid = 0;
    if (!is_none(path) && remote_open(&run->remote, &run->connect, NULL))
        pid = known[which].signal != 0 ? share_find_any(&run->remote) : find_soon(run);
    if (pid > 0 && (known[which].signal == 0 || kill(pid, known[which].signal) == 0)) {
        if (known[which].words != NULL)
            report_plain("%s", known[which].words);
        else
            report_plain("Master running (pid=%d)", (int)pid);
        return 0;
    }
    if (path == NULL || is_none(path))
        report_plain("No ControlPath specified for \"-O\" command");
    else /* Ansible reads this as "nothing to reset" */
        report_plain("Control socket connect(%s): No such file or directory", path);
    return SSH_STATUS_FAILED;
}
