#include "afard/options.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

enum {
    OPTION_FILE = 'c',
    OPTION_HELP = 'h',
    OPTION_SET = 256,
    OPTION_PRINT_ENDPOINTS,
    OPTION_CHECK,
    OPTION_VERSION,
    /* And above: keys of the configuration, with '-' for '_'. Each has a number of its own, or
     * getopt_long would take "--tls-c" for the first of several that fit. */
    OPTION_KEY
};

enum { KEY_BYTES = 64 }; /* longer than any key */

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPTION_FILE},
    {"listen", required_argument, NULL, OPTION_KEY},
    {"workers", required_argument, NULL, OPTION_KEY + 1},
    {"tls-cert", required_argument, NULL, OPTION_KEY + 2},
    {"tls-key", required_argument, NULL, OPTION_KEY + 3},
    {"tls-client-ca", required_argument, NULL, OPTION_KEY + 4},
    {"allow-plaintext", no_argument, NULL, OPTION_KEY + 5},
    {"log-level", required_argument, NULL, OPTION_KEY + 6},
    {"log-format", required_argument, NULL, OPTION_KEY + 7},
    {"set", required_argument, NULL, OPTION_SET},
    {"print-endpoints", no_argument, NULL, OPTION_PRINT_ENDPOINTS},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* One option after another. Returns its number, or -1 at the end. *which is its place in the table
 * where it is a long one. */
static int next_option(int argc, char **argv, int *which)
{
    /* '+': stop at the first word that is no option; ':': tell a missing argument apart. */
    return getopt_long(argc, argv, "+:c:h", long_options, which);
}

/* Sets the key that is spelled with '-' on the command line, and '_' in the file. */
static enum afar_status apply_key(struct config *config, const char *option, const char *value,
                                  struct afar_error *err)
{
    char key[KEY_BYTES] = "";
    (void)strncat(key, option, sizeof key - 1);
    for (char *c = strchr(key, '-'); c != NULL; c = strchr(c, '-'))
        *c = '_';
    return config_set(config, key, value, err);
}

/* Sets KEY of "KEY=VALUE". */
static enum afar_status apply_pair(struct config *config, const char *pair, struct afar_error *err)
{
    char key[KEY_BYTES] = "";
    const char *mark = strchr(pair, '=');
    if (mark == NULL || mark == pair)
        return afar_fail(err, AFAR_EINVAL, "--set '%.100s': expected KEY=VALUE", pair);
    size_t size = (size_t)(mark - pair);
    (void)strncat(key, pair, size < sizeof key ? size : sizeof key - 1);
    return config_set(config, key, mark + 1, err);
}

static bool is_listener(int option, int which, const char *value)
{
    static const char set_listen[] = "listen=";
    if (option == OPTION_SET)
        return strncmp(value, set_listen, sizeof set_listen - 1) == 0;
    return option >= OPTION_KEY && strcmp(long_options[which].name, "listen") == 0;
}

enum afar_status options_apply(struct config *config, int argc, char **argv, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    bool listeners = false;
    int which = 0;

    optind = 0; /* glibc: from the start */
    for (int option = next_option(argc, argv, &which); option != -1 && status == AFAR_OK;
         option = next_option(argc, argv, &which)) {
        if (is_listener(option, which, optarg) && !listeners) {
            listeners = true;
            config->listen_count = 0;
        }
        if (option >= OPTION_KEY)
            status =
                apply_key(config, long_options[which].name, optarg != NULL ? optarg : "yes", err);
        else if (option == OPTION_SET)
            status = apply_pair(config, optarg, err);
    }
    return status;
}

/* The option that getopt_long stumbled over. */
static enum afar_status fail_option(char **argv, struct afar_error *err)
{
    const char *word = argv[optind - 1];
    if (optopt == 0 || strncmp(word, "--", 2) != 0) {
        if (strncmp(word, "--", 2) == 0)
            return afar_fail(err, AFAR_EINVAL,
                             "there is no option '%.100s', or it is short for "
                             "several",
                             word);
        return afar_fail(err, AFAR_EINVAL, "there is no option '-%c'", optopt);
    }
    return afar_fail(err, AFAR_EINVAL, "'%.100s': the option takes no argument", word);
}

enum afar_status options_parse(struct options *options, int argc, char **argv,
                               struct afar_error *err)
{
    int which = 0;
    memset(options, 0, sizeof *options);

    optind = 0;
    opterr = 0;
    for (int option = next_option(argc, argv, &which); option != -1;
         option = next_option(argc, argv, &which)) {
        switch (option) {
        case OPTION_FILE:
            if (options->config_file != NULL)
                return afar_fail(err, AFAR_EINVAL, "-c is given twice");
            options->config_file = optarg;
            break;
        case OPTION_PRINT_ENDPOINTS:
            options->print_endpoints = true;
            break;
        case OPTION_CHECK:
            options->check = true;
            break;
        case OPTION_HELP:
            options->help = true;
            break;
        case OPTION_VERSION:
            options->version = true;
            break;
        case ':':
            return afar_fail(err, AFAR_EINVAL, "'%.100s' lacks its argument", argv[optind - 1]);
        case '?':
            return fail_option(argv, err);
        default: /* for options_apply */
            break;
        }
    }
    if (optind < argc)
        return afar_fail(err, AFAR_EINVAL, "'%.100s' is no option", argv[optind]);
    return AFAR_OK;
}

const char *options_help(void)
{
    return "usage: afard [-c FILE] [--listen URL]... [options]\n"
           "\n"
           "Runs commands for afar(1) clients.\n"
           "\n"
           "  -c, --config FILE      read the configuration, see afard.conf(5)\n"
           "  --listen URL           tls://HOST:PORT, tcp://HOST:PORT, unix:///PATH or\n"
           "                         udp://HOST:PORT, with ?protocol=afar|headed|sized|upper;\n"
           "                         may be given again; replaces those of the file\n"
           "  --tls-cert FILE        the server's certificate (PEM)\n"
           "  --tls-key FILE         its private key (PEM)\n"
           "  --tls-client-ca FILE   the CA that clients' certificates must lead to (PEM)\n"
           "  --allow-plaintext      tcp and udp also beyond this machine\n"
           "  --workers N            threads; 0: twice the processors, at least 4\n"
           "  --log-level LEVEL      error, warn, info or debug\n"
           "  --log-format FORMAT    text or json\n"
           "  --set KEY=VALUE        any key of afard.conf(5)\n"
           "  --print-endpoints      print 'listening URL' for each listener, once it accepts\n"
           "  --check                check configuration and certificates, then end\n"
           "  --version, -h, --help\n"
           "\n"
           "Examples:\n"
           "  afard --listen tcp://127.0.0.1                     for development\n"
           "  afard --listen tls://0.0.0.0 --tls-cert server.pem \\\n"
           "        --tls-key server-key.pem --tls-client-ca ca.pem\n"
           "  afard -c /etc/afar/afard.conf --check\n";
}
