#include "afar/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"

static const char help[] =
    "usage: afar echo [options] URL TEXT...\n"
    "\n"
    "Sends TEXT to a server of the tutorial's protocol upper and prints what comes back.\n"
    "URL is tcp://, tls://, unix:// or udp://.\n"
    "\n"
    "      --timeout TIME    give up after this time (5s for udp, none otherwise)\n"
    "      --connect-timeout TIME\n"
    "                        give up connecting, or waiting for a first answer, after this time "
    "(10s)\n"
    "      --ca, --cert, --key FILE, --pin PIN\n"
    "                        as for 'afar run'\n"
    "\n"
    "Exit status: 0: answered; 124: not in time; 125: afar failed.\n"
    "\n"
    "  afar echo tcp://127.0.0.1:8000 hello\n"
    "  afar echo udp://127.0.0.1:8000 hello\n";

static int echo(const struct remote *remote, const struct options *options, const char *text)
{
    struct afar_error err = {0};
    size_t size = strlen(text);
    char *reply = malloc(size + 1);
    if (reply == NULL) {
        report("out of memory");
        return STATUS_FAILED;
    }
    int status = STATUS_FAILED;
    enum afar_status result =
        afar_upper(remote->client, text, size, reply, options->timeout_ms, &err);
    reply[size] = '\n';
    /* Without --timeout the limit was that for the first answer. */
    const bool udp = strncasecmp(remote->url, "udp:", 4) == 0;
    if (result == AFAR_ETIMEDOUT && (options->timeout_ms > 0 || udp))
        status = STATUS_TIMED_OUT;
    if (result != AFAR_OK)
        report("%s", err.message);
    else if (fwrite(reply, 1, size + 1, stdout) != size + 1 || fflush(stdout) != 0)
        report("cannot write to standard output");
    else
        status = 0;
    free(reply);
    return status;
}

int echo_main(int argc, char **argv)
{
    struct options options;
    struct remote remote = {0};
    char *text = NULL;
    int status = STATUS_FAILED;
    enum options_result result =
        options_parse(&options, OPTIONS_CONNECT | OPTIONS_TIMEOUT, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] == NULL) {
        report("echo: no text is given; it follows the URL; try 'afar echo --help'");
        goto out;
    }
    text = options_join(options.words);
    if (text != NULL && remote_open(&remote, &options, "upper") && remote_connect(&remote))
        status = echo(&remote, &options, text);
out:
    free(text);
    remote_close(&remote);
    options_close(&options);
    return status;
}
