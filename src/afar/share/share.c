#include "afar/commands.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"
#include "afar/share/place.h"
#include "afar/share/serve.h"
#include "afar/share/use.h"
#include "base/clock.h"

static const char help[] =
    "usage: afar share [options] HOST\n"
    "       afar share --list\n"
    "       afar share --stop [HOST]\n"
    "\n"
    "Keeps a few connections to HOST open, in a process of its own, so that commands need neither\n"
    "connect nor prove who they are: each takes one of them, and is a single round trip.\n"
    "'afar run --share 10m', 'share = 10m' in ~/.config/afar/hosts, and ssh's ControlPersist "
    "begin\n"
    "it by themselves.\n"
    "\n"
    "      --share TIME      end when nobody has used it for so long (10m)\n"
    "      --list            show what is shared\n"
    "      --stop            end it; without HOST, all\n"
    "      --ca, --cert, --key FILE, --pin PIN, --connect-timeout TIME\n"
    "                        as for 'afar run'\n"
    "\n"
    "  afar share --share 8h build-7\n";

enum { IDLE_MS = 600000, LOOK_MS = 10 };

static void show(void *user, const char *url, pid_t pid)
{
    char shown[2048];
    bool *failed = user;
    if (url == NULL) /* it has no connection yet */
        return;
    afar_escape(shown, sizeof shown, url, AFAR_ESCAPE_TERMINAL);
    *failed = printf("%s pid %d\n", shown, (int)pid) < 0 || *failed;
}

static int list(void)
{
    bool failed = false;
    share_place_each(show, &failed);
    return failed || fflush(stdout) != 0 ? STATUS_FAILED : 0;
}

static void stop(void *user, const char *url, pid_t pid)
{
    (void)user;
    (void)url;
    (void)kill(pid, SIGTERM);
}

static int stop_one(const struct options *options)
{
    struct remote remote;
    int status = STATUS_FAILED;
    if (remote_open(&remote, options, NULL)) {
        pid_t pid = share_find_any(&remote);
        if (pid > 0 && kill(pid, SIGTERM) == 0)
            status = 0;
        else
            report("share: nothing is shared with %s", options->host);
    }
    remote_close(&remote);
    return status;
}

/* We make the first connection, to find out what is wrong and whom to trust. */
static int begin(const struct options *options)
{
    struct remote remote;
    int status = STATUS_FAILED;
    if (!remote_open(&remote, options, NULL))
        goto out;
    remote.share_ms = remote.share_ms > 0 ? remote.share_ms : IDLE_MS;
    remote.share_joins = true;
    struct afar_pong pong = AFAR_PONG_INIT();
    struct afar_error err = {0};
    if (!remote_connect(&remote))
        goto out;
    if (afar_ping(remote.client, remote.connect_timeout_ms, &pong, &err) != AFAR_OK) {
        report("%s", err.message);
        goto out;
    }
    int64_t until_ms = clock_deadline_ms(remote.connect_timeout_ms);
    while (share_find(&remote) == 0 && clock_now_ms() < until_ms)
        (void)poll(NULL, 0, LOOK_MS);
    if (share_find(&remote) != 0)
        status = 0;
    else
        report("share: nothing can be shared with %s: it needs TLS or TCP and afar's own protocol, "
               "and a folder that only you can use (XDG_RUNTIME_DIR)",
               options->host);
out:
    remote_close(&remote);
    return status;
}

int share_main(int argc, char **argv)
{
    struct options options;
    int status = STATUS_FAILED;
    enum options_result result = options_parse(
        &options, OPTIONS_CONNECT | OPTIONS_SHARE | OPTIONS_SHARING | OPTIONS_MAYBE_HOST, argc,
        argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] != NULL)
        report("share: '%s' is one word too many; try 'afar share --help'", options.words[0]);
    else if (options.list && options.host == NULL && !options.stop)
        status = list();
    else if (options.stop && options.host == NULL && !options.list) {
        share_place_each(stop, NULL);
        status = 0;
    } else if (options.host == NULL || options.list)
        report("share: give a HOST, or --list alone; try 'afar share --help'");
    else if (options.stop)
        status = stop_one(&options);
    else
        status = options.serve ? share_serve(&options) : begin(&options);
out:
    options_close(&options);
    return status;
}
