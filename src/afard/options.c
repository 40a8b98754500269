#include "afard/options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/forward_target.h"
#include "base/suggest.h"
#include "policy/config_table.h"
#include "policy/rule_files.h"

enum {
    OPTION_FILE = 'c',
    OPTION_HELP = 'h',
    OPTION_SET = 256,
    OPTION_PRINT_ENDPOINTS,
    OPTION_CHECK,
    OPTION_VERIFY_AUDIT,
    OPTION_EXPECT,
    OPTION_EXPLAIN,
    OPTION_FROM,
    OPTION_USER,
    OPTION_SHELL,
    OPTION_TTY,
    OPTION_FILES,
    OPTION_FORWARD,
    OPTION_VERSION,
    /* From here on: keys of the configuration, with '-' for '_'. Each has its own number; otherwise
     * getopt_long would accept "--tls-c" for the first of several matches. */
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
    {"http", required_argument, NULL, OPTION_KEY + 8},
    {"set", required_argument, NULL, OPTION_SET},
    {"print-endpoints", no_argument, NULL, OPTION_PRINT_ENDPOINTS},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"verify-audit", required_argument, NULL, OPTION_VERIFY_AUDIT},
    {"expect", required_argument, NULL, OPTION_EXPECT},
    {"explain", required_argument, NULL, OPTION_EXPLAIN},
    {"from", required_argument, NULL, OPTION_FROM},
    {"user", required_argument, NULL, OPTION_USER},
    {"shell", no_argument, NULL, OPTION_SHELL},
    {"tty", no_argument, NULL, OPTION_TTY},
    {"files", required_argument, NULL, OPTION_FILES},
    {"forward", no_argument, NULL, OPTION_FORWARD},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* Reads the next option. Returns its number, or -1 at the end. *which: for a long option, its index
 * in the table. */
static int next_option(int argc, char **argv, int *which)
{
    /* '+': stop at the first word that is not an option; ':': report a missing argument
     * separately. */
    return getopt_long(argc, argv, "+:c:h", long_options, which);
}

/* Copies the `size` bytes of the name of a key, with '_' for '-'. */
static void spell_key(char key[KEY_BYTES], const char *name, size_t size)
{
    size_t i = 0;
    for (; i < size && i < KEY_BYTES - 1; i++)
        key[i] = (char)(name[i] == '-' ? '_' : name[i]);
    key[i] = '\0';
}

/* Sets the key that is spelled by the first `size` bytes of `name`, with '-' or '_'. */
static enum afar_status apply_key(struct config *config, const char *name, size_t size,
                                  const char *value, struct afar_error *err)
{
    char key[KEY_BYTES];
    spell_key(key, name, size);
    return config_set(config, key, value, err);
}

enum afar_status options_apply(struct config *config, int argc, char **argv, struct afar_error *err)
{
    static const char listen_key[] = "listen";
    enum afar_status status = AFAR_OK;
    bool listeners = false; /* listeners were given on this line */
    int which = 0;

    optind = 0; /* glibc: from the start */
    for (int option = next_option(argc, argv, &which); option != -1 && status == AFAR_OK;
         option = next_option(argc, argv, &which)) {
        const char *name = long_options[which].name;
        const char *value = optarg != NULL ? optarg : "yes";
        size_t size = strlen(name);
        if (option == OPTION_SET) {
            name = value;
            size = strcspn(name, "=");
            if (size == 0 || name[size] == '\0')
                return afar_fail(err, AFAR_EINVAL, "--set '%.100s': expected KEY=VALUE", name);
            value = name + size + 1;
        } else if (option < OPTION_KEY) {
            continue;
        }
        if (!listeners && size == sizeof listen_key - 1 && memcmp(name, listen_key, size) == 0) {
            listeners = true;
            config->listen_count = 0;
        }
        status = apply_key(config, name, size, value, err);
    }
    return status;
}

/* A long option that does not exist, or whose abbreviation has several meanings. */
static enum afar_status fail_long_option(const char *name, struct afar_error *err)
{
    const size_t size = strcspn(name, "=");
    const char *begun[2] = {NULL, NULL};
    struct suggestion meant = {0};
    char written[KEY_BYTES];
    char key[KEY_BYTES];
    (void)snprintf(written, sizeof written, "%.*s", (int)size, name);
    spell_key(key, name, size);
    for (const struct option *at = long_options; at->name != NULL; at++) {
        if (strncmp(at->name, name, size) == 0)
            begun[begun[0] != NULL ? 1 : 0] = at->name;
        suggest(&meant, written, at->name);
    }
    if (begun[1] != NULL)
        return afar_fail(err, AFAR_EINVAL,
                         "the option '--%s' is ambiguous: is '--%s' or '--%s' meant?", written,
                         begun[0], begun[1]);
    if (config_key_find(key) != NULL)
        return afar_fail(err, AFAR_EINVAL, "unknown option '--%s'; '%s' is set by --set %s=VALUE",
                         written, key, key);
    if (meant.word != NULL)
        return afar_fail(err, AFAR_EINVAL, "unknown option '--%s'; did you mean '--%s'?", written,
                         meant.word);
    return afar_fail(err, AFAR_EINVAL, "unknown option '--%s'", written);
}

/* Reports the option that getopt_long rejected. */
static enum afar_status fail_option(const char *word, int letter, struct afar_error *err)
{
    if (strncmp(word, "--", 2) != 0)
        return afar_fail(err, AFAR_EINVAL, "unknown option '-%c'", letter);
    if (letter != 0)
        return afar_fail(err, AFAR_EINVAL, "'%.100s': the option takes no argument", word);
    return fail_long_option(word + 2, err);
}

/* Checks the combination of options. The remaining words are the command for --explain. */
static enum afar_status check_words(struct options *options, int argc, char **argv,
                                    struct afar_error *err)
{
    const struct explain_question *question = &options->question;
    struct forward_target target;
    options->question.words = argv + optind;
    if (question->identity == NULL &&
        (question->from != NULL || question->user != NULL || question->shell || question->tty ||
         question->files != NULL || question->forward))
        return afar_fail(
            err, AFAR_EINVAL,
            "--from, --user, --shell, --tty, --files and --forward belong to --explain");
    if (question->files != NULL && strcmp(question->files, "read") != 0 &&
        strcmp(question->files, "write") != 0)
        return afar_fail(err, AFAR_EINVAL, "--files: read or write was expected");
    if (question->files != NULL &&
        (optind + 1 != argc || question->shell || !rule_path_is_plain(argv[optind])))
        return afar_fail(err, AFAR_EINVAL,
                         "--files: expected one absolute path without //, . and .. after it");
    if (question->forward && (optind + 1 != argc || question->shell || question->files != NULL ||
                              forward_target_parse(&target, argv[optind], NULL) != AFAR_OK))
        return afar_fail(err, AFAR_EINVAL, "--forward: expected one HOST:PORT after it");
    if (options->verify_audit == NULL && options->expect != NULL)
        return afar_fail(err, AFAR_EINVAL, "--expect belongs to --verify-audit");
    if (question->identity != NULL && optind >= argc)
        return afar_fail(err, AFAR_EINVAL, "--explain: no command is given; it follows --");
    if (question->identity == NULL && optind < argc)
        return afar_fail(err, AFAR_EINVAL, "unexpected argument '%.100s'", argv[optind]);
    return AFAR_OK;
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
        case OPTION_VERIFY_AUDIT:
            options->verify_audit = optarg;
            break;
        case OPTION_EXPECT:
            options->expect = optarg;
            break;
        case OPTION_EXPLAIN:
            options->question.identity = optarg;
            break;
        case OPTION_FROM:
            options->question.from = optarg;
            break;
        case OPTION_FILES:
            options->question.files = optarg;
            break;
        case OPTION_FORWARD:
            options->question.forward = true;
            break;
        case OPTION_USER:
            options->question.user = optarg;
            break;
        case OPTION_TTY:
            options->question.tty = true;
            break;
        case OPTION_SHELL:
            options->question.shell = true;
            break;
        case OPTION_HELP:
            options->help = true;
            break;
        case OPTION_VERSION:
            options->version = true;
            break;
        case ':':
            return afar_fail(err, AFAR_EINVAL, "'%.100s' needs an argument", argv[optind - 1]);
        case '?':
            return fail_option(argv[optind - 1], optopt, err);
        default: /* for options_apply */
            break;
        }
    }
    return check_words(options, argc, argv, err);
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
           "                         tls+fd://NAME: a socket passed by systemd;\n"
           "                         may be given again; replaces those of the file\n"
           "  --tls-cert FILE        the server's certificate (PEM)\n"
           "  --tls-key FILE         its private key (PEM)\n"
           "  --tls-client-ca FILE   the CA that clients' certificates must lead to (PEM)\n"
           "  --allow-plaintext      tcp and udp also beyond this machine\n"
           "  --http URL             health and metrics, as tcp://127.0.0.1:7421\n"
           "  --workers N            threads; 0: twice the processors, at least 4\n"
           "  --log-level LEVEL      error, warn, info or debug\n"
           "  --log-format FORMAT    text or json\n"
           "  --set KEY=VALUE        any key of afard.conf(5)\n"
           "  --print-endpoints      print 'listening URL' for each listener, once it accepts\n"
           "  --explain CLIENT [--shell] [--tty] [--from ADDRESS] [--user NAME] -- COMMAND...\n"
           "  --explain CLIENT [--from ADDRESS] [--user NAME] --files read|write PATH\n"
           "  --explain CLIENT [--from ADDRESS] [--user NAME] --forward HOST:PORT\n"
           "                         say what the rules let CLIENT (as cn:ann) do, then end\n"
           "  --verify-audit FILE [--expect HASH]\n"
           "                         see whether an audit log's chain is whole, then end\n"
           "  --check                check configuration and certificates, then end\n"
           "  --version, -h, --help\n"
           "\n"
           "Examples:\n"
           "  afard --listen tcp://127.0.0.1                     for development\n"
           "  afard --listen tls://0.0.0.0 --tls-cert server.pem \\\n"
           "        --tls-key server-key.pem --tls-client-ca ca.pem\n"
           "  afard -c /etc/afar/afard.conf --check\n"
           "  afard -c /etc/afar/afard.conf --explain cn:ann -- git fetch origin\n";
}
