#include "afar/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"

enum { SHOWN_BYTES = 2048 };

static const char help[] =
    "usage: afar ping [options] HOST\n"
    "\n"
    "Asks the server for an answer and shows the round trip and the server's version.\n"
    "HOST may also be http://HOST:PORT[/PATH]: then its health page is asked.\n"
    "\n"
    "  -c, --count N         ask N times, one after another (1)\n"
    "      --json            one JSON object for each\n"
    "      --ca, --cert, --key FILE, --pin PIN, --connect-timeout TIME\n"
    "                        as for 'afar run'\n"
    "\n"
    "Exit status: 0: answered; 125: not.\n"
    "\n"
    "  afar ping build-7\n"
    "  afar ping http://127.0.0.1:7421/readyz\n";

/* The words consist of letters, digits and _, with single blanks between them. Older servers send
 * none. */
static void print_features(const char *words)
{
    if (words[0] == '\0')
        return;
    (void)printf(",\"features\":[\"");
    for (const char *at = words; *at != '\0'; at++) {
        if (*at == ' ')
            (void)printf("\",\"");
        else
            (void)putchar(*at);
    }
    (void)printf("\"]");
}

static void print_pong(const struct remote *remote, const struct afar_pong *pong, bool json)
{
    const enum afar_escape how = json ? AFAR_ESCAPE_STRING : AFAR_ESCAPE_TERMINAL;
    char host[SHOWN_BYTES];
    char version[SHOWN_BYTES];
    afar_escape(host, sizeof host, remote->host, how);
    afar_escape(version, sizeof version, pong->server_version, how);
    if (!json) {
        (void)printf("pong from %s: time=%" PRIu64 ".%03u ms, server afard %s\n", host,
                     pong->round_trip_us / 1000, (unsigned)(pong->round_trip_us % 1000), version);
        return;
    }
    (void)printf(
        "{\"host\":\"%s\",\"round_trip_us\":%" PRIu64 ",\"server_version\":\"%s\",\"resumed\":%s",
        host, pong->round_trip_us, version, afar_resumed(remote->client) ? "true" : "false");
    print_features(afar_features(remote->client));
    (void)printf("}\n");
}

static int ping(const struct remote *remote, const struct options *options)
{
    for (uint64_t i = 0; i < options->count; i++) {
        struct afar_pong pong = AFAR_PONG_INIT();
        struct afar_error err = {0};
        if (afar_ping(remote->client, options->connect_timeout_ms, &pong, &err) != AFAR_OK) {
            report("%s", err.message);
            return STATUS_FAILED;
        }
        print_pong(remote, &pong, options->json);
        if (fflush(stdout) != 0) {
            report("cannot write to standard output");
            return STATUS_FAILED;
        }
    }
    return 0;
}

static bool is_http(const char *host)
{
    static const char scheme[] = "http://";
    return strncmp(host, scheme, sizeof scheme - 1) == 0;
}

static void print_health(const char *url, const struct afar_health *health, bool json)
{
    const enum afar_escape how = json ? AFAR_ESCAPE_STRING : AFAR_ESCAPE_TERMINAL;
    char host[SHOWN_BYTES];
    char words[SHOWN_BYTES];
    afar_escape(host, sizeof host, url, how);
    afar_escape(words, sizeof words, health->words, how);
    if (json)
        (void)printf("{\"host\":\"%s\",\"round_trip_us\":%" PRIu64 ",\"words\":\"%s\"}\n", host,
                     health->round_trip_us, words);
    else
        (void)printf("%s from %s: time=%" PRIu64 ".%03u ms\n", words, host,
                     health->round_trip_us / 1000, (unsigned)(health->round_trip_us % 1000));
}

static int ask_health(const struct options *options)
{
    for (uint64_t i = 0; i < options->count; i++) {
        struct afar_health health = AFAR_HEALTH_INIT();
        struct afar_error err = {0};
        if (afar_health(options->host, options->connect_timeout_ms, &health, &err) != AFAR_OK) {
            report("%s", err.message);
            return STATUS_FAILED;
        }
        print_health(options->host, &health, options->json);
        if (fflush(stdout) != 0) {
            report("cannot write to standard output");
            return STATUS_FAILED;
        }
    }
    return 0;
}

int ping_main(int argc, char **argv)
{
    struct options options;
    struct remote remote = {0};
    int status = STATUS_FAILED;
    enum options_result result =
        options_parse(&options, OPTIONS_CONNECT | OPTIONS_COUNT | OPTIONS_JSON, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] != NULL) {
        report("ping: unexpected argument '%s'; try 'afar ping --help'", options.words[0]);
        goto out;
    }
    options.share_ms = 0; /* measure the server itself, not a share */
    if (is_http(options.host))
        status = ask_health(&options);
    else if (remote_open(&remote, &options, NULL) && remote_connect(&remote))
        status = ping(&remote, &options);
out:
    remote_close(&remote);
    options_close(&options);
    return status;
}
