#include "afar/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "afar/hosts.h"
#include "afar/options.h"
#include "afar/paths.h"
#include "afar/report.h"

static const char help[] =
    "usage: afar config [options] HOST\n"
    "\n"
    "Shows how a connection to HOST would be made, and where each of it was said. Connects to\n"
    "nothing.\n"
    "\n"
    "      --ca, --cert, --key FILE, --pin PIN\n"
    "                        as for 'afar run'\n"
    "\n"
    "HOST may be a name of ~/.config/afar/hosts; see afar(1).\n";

enum { LINE_BYTES = 2048 };

static void show(const char *key, const char *value, const char *from)
{
    char shown[LINE_BYTES];
    afar_escape(shown, sizeof shown, value, AFAR_ESCAPE_TERMINAL);
    (void)printf("%s = %s    ; %s\n", key, shown, from);
}

/* Shows a value that an option, the file of hosts, a variable or a file of that name can set, and
 * which of them has. */
static void show_value(const struct host *host, enum host_key key, const char *value,
                       bool by_option, const char *variable)
{
    char from[LINE_BYTES];
    const char *given = getenv(variable);
    const char *name = host_key_name(key);
    if (value == NULL || value[0] == '\0')
        return;
    if (by_option)
        (void)snprintf(from, sizeof from, "--%s", name);
    else if (host->value[key].text != NULL)
        (void)snprintf(from, sizeof from, "%s:%u", host->file, host->value[key].line);
    else if (given != NULL && given[0] != '\0')
        (void)snprintf(from, sizeof from, "%s", variable);
    else
        (void)snprintf(from, sizeof from, "a file of this name");
    show(name, value, from);
}

static int show_host(const struct options *options, const struct host *host)
{
    struct options applied = *options;
    struct credential_paths paths = {0};
    char from[LINE_BYTES];
    char pin[AFAR_PIN_BYTES + 8] = "";
    (void)snprintf(from, sizeof from, "%s:%u", host->file != NULL ? host->file : "",
                   host->value[HOST_ENDPOINT].line);
    if (!host_apply(host, &applied) || !credential_paths_find(&paths, &applied))
        return STATUS_FAILED;
    show("endpoint", applied.host,
         host->value[HOST_ENDPOINT].text != NULL ? from : "the command line");
    if (paths.pin[0] != '\0')
        (void)snprintf(pin, sizeof pin, "sha256:%s", paths.pin);
    show_value(host, HOST_CA, paths.ca, options->ca_file != NULL, "AFAR_CA");
    show_value(host, HOST_CERT, paths.cert, options->cert_file != NULL, "AFAR_CERT");
    show_value(host, HOST_KEY, paths.key, options->key_file != NULL, "AFAR_KEY");
    show_value(host, HOST_PIN, pin, options->pin[0] != '\0', "AFAR_PIN");
    for (unsigned i = HOST_USER; i < HOST_KEYS; i++) {
        (void)snprintf(from, sizeof from, "%s:%u", host->file != NULL ? host->file : "",
                       host->value[i].line);
        if (host->value[i].text != NULL)
            show(host_key_name((enum host_key)i), host->value[i].text, from);
    }
    credential_paths_close(&paths);
    return fflush(stdout) == 0 ? 0 : STATUS_FAILED;
}

int config_main(int argc, char **argv)
{
    struct options options;
    struct host host = {0};
    int status = STATUS_FAILED;
    enum options_result result = options_parse(&options, OPTIONS_CONNECT, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        goto out;
    if (options.words[0] != NULL)
        report("config: '%s' is one word too many; try 'afar config --help'", options.words[0]);
    else if (host_find(&host, options.host))
        status = show_host(&options, &host);
out:
    host_close(&host);
    options_close(&options);
    return status;
}
