#include "afar/commands.h"

#include <stdio.h>
#include <string.h>

#include "afar/channel.h"
#include "afar/forwards.h"
#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"

static const char help[] =
    "usage: afar forward [options] HOST [BIND:]PORT:TARGET:PORT...\n"
    "       afar forward [options] HOST -\n"
    "\n"
    "Listens at PORT here, and leads each connection to TARGET:PORT, to which HOST connects. Until "
    "it\n"
    "is interrupted. Also PORT:PORT and PORT, for HOST itself (localhost), and a path for a Unix\n"
    "socket in the place of [BIND:]PORT. PORT 0: any, which is said.\n"
    "\n"
    "  -D, --socks [BIND:]PORT\n"
    "                        lead there what asks by SOCKS (4, 4a, 5), wherever it wants to;\n"
    "                        may be given again\n"
    "  -g, --gateway         listen at every address, where no BIND is given (only this machine's\n"
    "                        own programs can connect)\n"
    "      --reconnect TIME  go on with a connection after a loss that is mended within this time\n"
    "                        (60s; unix://: 0)\n"
    "      --silence TIME    give up a server that gives no sign of life for this time\n"
    "      --connect-timeout TIME\n"
    "                        give up connecting, or waiting for a first answer, after this time "
    "(10s)\n"
    "      --ca, --cert, --key FILE, --pin PIN\n"
    "                        as for 'afar run'\n"
    "\n"
    "With the words - TARGET:PORT standard input and output are the connection.\n"
    "Exit status: 125: afar failed; else, by a signal only. With -: 0, or 255 where the "
    "connection\n"
    "could not be made or was lost.\n"
    "\n"
    "  afar forward build-7 8080:80 5432:db.internal:5432\n"
    "  afar forward -D 1080 build-7\n"
    "  afar forward build-7 - db.internal:5432\n";

static bool add(struct forwards *forwards, const char *text, bool dynamic)
{
    struct afar_error err;
    struct forward_spec *spec = forwards_next(forwards);
    if (spec == NULL) {
        report("forward: at most %d can be forwarded", FORWARDS_MAX);
        return false;
    }
    enum afar_status status = dynamic ? forward_spec_dynamic(spec, text, &err)
                                      : forward_spec_local(spec, text, true, &err);
    forwards->count += status == AFAR_OK ? 1 : 0;
    if (status != AFAR_OK)
        report("forward: %s; try 'afar forward --help'", err.message);
    return status == AFAR_OK;
}

static bool take_words(struct forwards *forwards, const struct options *options)
{
    forwards_init(forwards);
    forwards->everywhere = options->everywhere;
    for (size_t i = 0; i < options->socks_count; i++) {
        if (!add(forwards, options->socks[i], true))
            return false;
    }
    for (char **word = options->words; *word != NULL; word++) {
        if (!add(forwards, *word, false))
            return false;
    }
    if (forwards->count > 0)
        return true;
    report("forward: nothing is to be forwarded; try 'afar forward --help'");
    return false;
}

/* Connects once before listening, so that errors are seen now and not by the first client, and so
 * that the user can be asked whether to trust the server. */
static bool try_server(struct remote *remote)
{
    struct afar_pong pong = AFAR_PONG_INIT();
    struct afar_error err = {0};
    if (!remote_connect(remote))
        return false;
    if (afar_ping(remote->client, remote->connect_timeout_ms, &pong, &err) != AFAR_OK) {
        report("%s", err.message);
        return false;
    }
    if (!afar_offers(remote->client, "forward")) {
        report("%s forwards no connections (its afard is older)", remote->host);
        return false;
    }
    remote_disconnect(remote);
    return true;
}

static int serve(struct remote *remote, const struct options *options)
{
    static struct forwards forwards;
    int status = STATUS_FAILED;
    if (!take_words(&forwards, options))
        return STATUS_FAILED;
    forwards.user = remote->entry.value[HOST_USER].text;
    if (try_server(remote) && forwards_listen(&forwards, true))
        forwards_serve(&forwards, remote, -1);
    forwards_close(&forwards);
    return status;
}

static int carry(struct remote *remote, const struct options *options)
{
    struct channel channel = {.connected = NULL};
    struct afar_error err;
    char target[FORWARD_TEXT_BYTES];
    if (options->words[1] == NULL || options->words[2] != NULL) {
        report("forward: behind - one TARGET:PORT was expected; try 'afar forward --help'");
        return STATUS_FAILED;
    }
    if (forward_spec_stdio(target, options->words[1], &err) != AFAR_OK) {
        report("forward: %s; try 'afar forward --help'", err.message);
        return STATUS_FAILED;
    }
    return channel_run(remote, target, remote->entry.value[HOST_USER].text, &channel);
}

int forward_main(int argc, char **argv)
{
    struct options options;
    struct remote remote = {0};
    int status = STATUS_FAILED;
    enum options_result result =
        options_parse(&options, OPTIONS_CONNECT | OPTIONS_FORWARD, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    const bool stdio = options.words[0] != NULL && strcmp(options.words[0], "-") == 0;
    if (remote_open(&remote, &options, NULL))
        status = stdio ? carry(&remote, &options) : serve(&remote, &options);
out:
    remote_close(&remote);
    options_close(&options);
    return status;
}
