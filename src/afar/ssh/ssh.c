#include "afar/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "afar/report.h"
#include "afar/ssh/config_file.h"
#include "afar/ssh/run.h"

enum { CONNECT_TIMEOUT_MS = 10000, ALIVE_COUNT = 3 };

static const int64_t SILENCE_MAX_MS = INT64_C(1000) * INT32_MAX;

static const char help[] =
    "usage: afar ssh [options] [user@]HOST [options] [--] [COMMAND [ARGUMENT...]]\n"
    "\n"
    "Takes the command line of OpenSSH's ssh, and runs COMMAND on HOST by afard: for programs "
    "that\n"
    "call ssh, such as rsync, git and Ansible. See afar-ssh(1).\n"
    "\n"
    "  rsync -a -e 'afar ssh' src/ build-7:src/\n"
    "  GIT_SSH_COMMAND='afar ssh' git clone build-7:project\n";

void ssh_debug(const struct ssh_run *run, const char *format, ...)
{
    char line[SSH_MESSAGE_BYTES];
    va_list args;
    if (!run->verbose)
        return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    report_plain("debug1: %s", line);
}

void ssh_say(const char *message)
{
    while (*message != '\0') {
        size_t size = strcspn(message, "\n");
        report_plain("%.*s", (int)size, message);
        message += size + (message[size] == '\n' ? 1 : 0);
    }
}

static int failed(const char *message)
{
    ssh_say(message);
    return SSH_STATUS_FAILED;
}

/* ---- where our own words go ---------------------------------------------------------------------
 */

/* Makes standard error a file for our messages; the command's output still goes where it went. */
static bool divert(struct ssh_run *run, const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) {
        report_plain("Couldn't open logfile %s: %s", path, strerror(errno));
        return false;
    }
    if (run->stderr_fd == 0)
        run->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    bool diverted = run->stderr_fd > 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO;
    (void)close(file);
    return diverted;
}

static bool is_quiet(const struct ssh_options *options)
{
    const char *level = options->value[SSH_LOG_LEVEL];
    return options->quiet || (level != NULL && strcasecmp(level, "quiet") == 0);
}

static bool open_log(struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    const char *level = options->value[SSH_LOG_LEVEL];
    run->verbose = options->verbose > 0 || (level != NULL && strncasecmp(level, "debug", 5) == 0);
    if (options->log_file != NULL && !divert(run, options->log_file))
        return false;
    return !is_quiet(options) || divert(run, "/dev/null");
}

static void tell_ignored(const struct ssh_run *run)
{
    const struct ssh_words *ignored = &run->options.list[SSH_IGNORED];
    const struct ssh_words *unknown = &run->options.list[SSH_UNKNOWN];
    for (size_t i = 0; i < ignored->count; i++)
        ssh_debug(run, "%s: accepted, and ignored", ignored->at[i]);
    for (size_t i = 0; i < unknown->count; i++)
        ssh_debug(run, "%s: not known here, ignored", unknown->at[i]);
}

/* ---- what is refused ----------------------------------------------------------------------------
 */

static bool is_none(const char *value)
{
    return value == NULL || strcasecmp(value, "none") == 0;
}

/* The letter of an unsupported option; NULL: none. The server opens no ports for clients, and there
 * are no tunnels. Users rely on these, so refuse them early instead of going on without. */
static const char *unsupported(const struct ssh_options *options)
{
    const char *tunnel = options->value[SSH_TUNNEL];
    if (ssh_options_is_yes(options, SSH_CLEAR_ALL_FORWARDINGS))
        return NULL;
    if (options->list[SSH_REMOTE_FORWARD].count > 0)
        return "-R";
    return tunnel != NULL && strcasecmp(tunnel, "no") != 0 ? "-w" : NULL;
}

static bool refuse(const struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    const char *tunnel = unsupported(options);
    const char *remote = options->value[SSH_REMOTE_COMMAND];
    if (tunnel != NULL)
        report("%s: %s is not supported", tunnel,
               tunnel[1] == 'R' ? "forwarding from the server to here" : "a tunnel device");
    else if (options->stdio_forward != NULL && options->words[0] != NULL)
        report_plain("-W takes no command");
    else if (options->subsystem && (run->line == NULL || strcmp(run->line, "sftp") != 0))
        report_plain("subsystem request failed on channel 0");
    else if (!is_none(remote) && options->words[0] != NULL)
        report_plain("Cannot execute command-line and remote command.");
    else if (ssh_options_is_yes(options, SSH_FORK_AFTER_AUTHENTICATION) && is_none(remote) &&
             options->words[0] == NULL && !options->no_command)
        report_plain("Cannot fork into background without a command to execute.");
    else
        return false;
    return true;
}

/* ---- where to -----------------------------------------------------------------------------------
 */

static const char *port_of(const struct ssh_options *options)
{
    const char *assumed = getenv("AFAR_SSH_PORT");
    if (options->value[SSH_PORT] != NULL)
        return options->value[SSH_PORT];
    return assumed != NULL && assumed[0] != '\0' ? assumed : NULL;
}

/* The port to use with a HostName: the option's, else that of the entry in the file of hosts, else
 * the default. */
static const char *port_for(struct ssh_run *run)
{
    const char *endpoint = run->entry.value[HOST_ENDPOINT].text;
    if (run->options.value[SSH_PORT] != NULL || endpoint == NULL ||
        strncasecmp(endpoint, "unix", 4) == 0 || !ssh_destination_replace(run->url, endpoint, NULL))
        return port_of(&run->options);
    ssh_split_url(run);
    return run->proxy_port;
}

/* Replaces %h in a HostName by the host as the user wrote it. */
static void expand_host(char out[SSH_HOST_BYTES], const char *text, const char *host)
{
    size_t used = 0;
    out[0] = '\0';
    for (; *text != '\0' && used + 1 < SSH_HOST_BYTES; text++) {
        if (text[0] == '%' && text[1] == 'h') {
            used += (size_t)snprintf(out + used, SSH_HOST_BYTES - used, "%s", host);
            text++;
            continue;
        }
        out[used++] = *text;
        text += text[0] == '%' && text[1] == '%' ? 1 : 0;
    }
    out[used < SSH_HOST_BYTES ? used : SSH_HOST_BYTES - 1] = '\0';
}

static bool make_url(struct ssh_run *run, char message[SSH_MESSAGE_BYTES])
{
    const struct ssh_options *options = &run->options;
    const char *host = NULL;
    char expanded[SSH_HOST_BYTES];
    if (options->value[SSH_HOST_NAME] != NULL) {
        expand_host(expanded, options->value[SSH_HOST_NAME], run->destination.host);
        host = expanded;
    }
    if (host == NULL && run->destination.is_url) {
        if (ssh_destination_replace(run->url, run->destination.host, port_of(options)))
            return true;
        (void)snprintf(message, SSH_MESSAGE_BYTES, "too long a URL: '%.200s'",
                       run->destination.host);
        return false;
    }
    if (host == NULL && run->entry.value[HOST_ENDPOINT].text != NULL)
        return ssh_destination_replace(run->url, run->entry.value[HOST_ENDPOINT].text,
                                       options->value[SSH_PORT]);
    if (host == NULL)
        host = run->destination.host;
    if (ssh_destination_url(run->url, host, port_for(run)))
        return true;
    (void)snprintf(message, SSH_MESSAGE_BYTES, "too long a host: '%.200s'", host);
    return false;
}

static int64_t number_of(const struct ssh_options *options, enum ssh_value which, int64_t otherwise)
{
    const char *value = options->value[which];
    if (value == NULL)
        return otherwise;
    return is_none(value) ? 0 : strtoll(value, NULL, 10);
}

static int64_t time_of(const struct ssh_options *options, enum ssh_value which)
{
    int64_t ms = 0; /* also for "none" */
    return options->value[which] != NULL && ssh_time_parse(options->value[which], &ms) ? ms : 0;
}

static void set_times(struct ssh_run *run)
{
    const struct ssh_options *options = &run->options;
    int64_t count = number_of(options, SSH_SERVER_ALIVE_COUNT_MAX, ALIVE_COUNT);
    int64_t alive_ms = time_of(options, SSH_SERVER_ALIVE_INTERVAL);
    if (count > 0 && alive_ms > SILENCE_MAX_MS / count)
        alive_ms = 0; /* too long: the default */
    alive_ms *= count;
    run->connect.connect_timeout_ms = options->value[SSH_CONNECT_TIMEOUT] == NULL
                                          ? CONNECT_TIMEOUT_MS
                                          : time_of(options, SSH_CONNECT_TIMEOUT);
    run->connect.silence_ms = alive_ms > 0 ? alive_ms : -1;
}

static bool connect_to(struct ssh_run *run)
{
    int64_t attempts = number_of(&run->options, SSH_CONNECTION_ATTEMPTS, 1);
    const struct timespec second = {.tv_sec = 1};
    run->connect.host = run->url; /* a URL: the host's entry was applied already */
    ssh_debug(run, "Afar %s", afar_version());
    ssh_debug(run, "Connecting to %s.", run->url);
    if (!remote_open(&run->remote, &run->connect, NULL) || !ssh_share(run) || !ssh_route(run))
        return false;
    run->remote.request_follows = !run->options.no_command;
    for (;; attempts--) {
        run->remote.tries_again = attempts > 1; /* the last attempt says what is wrong */
        if (remote_connect(&run->remote))
            break;
        if (attempts <= 1)
            return false;
        ssh_debug(run, "Cannot connect to %s; trying again.", run->url);
        (void)nanosleep(&second, NULL);
    }
    ssh_debug(run, "Connection established.");
    return true;
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

/* Joins the words with single blanks, without adding or removing quotes. */
static bool make_line(struct ssh_run *run)
{
    const char *remote = run->options.value[SSH_REMOTE_COMMAND];
    if (run->options.words[0] != NULL)
        run->line = options_join(run->options.words);
    else if (!is_none(remote))
        run->line = strdup(remote);
    else
        return true;
    return run->line != NULL;
}

static void take_session_type(struct ssh_options *options)
{
    const char *type = options->value[SSH_SESSION_TYPE];
    options->no_command = options->no_command || (type != NULL && strcasecmp(type, "none") == 0);
    options->subsystem = options->subsystem || (type != NULL && strcasecmp(type, "subsystem") == 0);
}

/* Applies the host's entry in the file of hosts. */
static bool take_entry(struct ssh_run *run, char message[SSH_MESSAGE_BYTES])
{
    const char *user = NULL;
    run->asked = run->connect;
    if (run->destination.is_url)
        return true;
    if (!host_find(&run->entry, run->destination.host) || !host_apply(&run->entry, &run->connect))
        return false;
    if (!remote_take_share(&run->connect.share_ms, &run->entry))
        return false;
    user = run->entry.value[HOST_USER].text;
    if (run->entry.value[HOST_VIA].text != NULL &&
        !ssh_options_assume(&run->options, SSH_PROXY_JUMP, run->entry.value[HOST_VIA].text,
                            strlen(run->entry.value[HOST_VIA].text), message))
        return false;
    return user == NULL || ssh_options_assume(&run->options, SSH_USER, user, strlen(user), message);
}

/* Jump hosts get the same key; the host's own entry applies only to the host. A lost connection
 * ends the command, as with ssh(1), unless that entry says otherwise. */
static void take_for_jumps(struct ssh_run *run)
{
    if (run->connect.reconnect_ms < 0)
        run->connect.reconnect_ms = 0;
    run->asked.host = run->destination.host;
    run->asked.connect_timeout_ms = run->connect.connect_timeout_ms;
    run->asked.silence_ms = run->connect.silence_ms;
    run->asked.reconnect_ms = run->connect.reconnect_ms;
    if (run->cert_file != NULL) {
        run->asked.cert_file = run->connect.cert_file;
        run->asked.key_file = run->connect.key_file;
    }
}

static int go(struct ssh_run *run, int argc, char **argv)
{
    struct ssh_options *options = &run->options;
    char message[SSH_MESSAGE_BYTES];
    if (!ssh_options_parse(options, &run->destination, argc, argv, message))
        return failed(message);
    if (options->show_version)
        return ssh_show_version();
    if (options->query != NULL)
        return ssh_show_query(options->query);
    if (!open_log(run))
        return SSH_STATUS_FAILED;
    if (options->config_file != NULL &&
        !ssh_config_read(options, options->config_file, run->destination.host, message))
        return failed(message);
    tell_ignored(run);
    if (!take_entry(run, message))
        return SSH_STATUS_FAILED;
    take_session_type(options);
    if (!make_url(run, message))
        return failed(message);
    if (options->show_config)
        return ssh_show_config(run);
    if (options->control == NULL && (!make_line(run) || refuse(run) || !ssh_forwards_parse(run)))
        return SSH_STATUS_FAILED;
    if (!ssh_terminal_escape(run, message))
        return failed(message);
    set_times(run);
    ssh_identity(run);
    take_for_jumps(run);
    if (options->control != NULL)
        return ssh_share_control(run);
    if (!connect_to(run))
        return SSH_STATUS_FAILED;
    if (options->stdio_forward != NULL)
        return ssh_stdio_forward(run);
    int status = ssh_forwards_open(run) ? ssh_command(run) : SSH_STATUS_FAILED;
    ssh_share_settle(run);
    if (status != SSH_STATUS_FAILED)
        forwards_end(&run->forwards);
    return status;
}

int ssh_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(help, stdout) < 0 || fflush(stdout) != 0 ? SSH_STATUS_FAILED : 0;
    struct ssh_run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        report("out of memory");
        return SSH_STATUS_FAILED;
    }
    forwards_init(&run->forwards);
    run->connect.reconnect_ms = -1; /* this and the next: not set, so the file of hosts decides */
    run->connect.share_ms = -1;
    int status = go(run, argc, argv);
    forwards_close(&run->forwards);
    remote_close(&run->remote);
    proxy_close(&run->proxy);
    jump_close(&run->jump);
    ssh_options_close(&run->options);
    host_close(&run->entry);
    ssh_words_close(&run->send_env);
    free(run->key_file);
    free(run->cert_file);
    free(run->line);
    free(run);
    return status;
}
