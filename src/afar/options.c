#include "afar/options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "afar/escape.h"
#include "afar/pin_text.h"
#include "afar/report.h"
#include "base/suggest.h"

enum {
    OPTION_CA = 256, /* options without a letter */
    OPTION_CERT,
    OPTION_KEY,
    OPTION_PROTOCOL,
    OPTION_CONNECT_TIMEOUT,
    OPTION_START_WITHIN,
    OPTION_SILENCE,
    OPTION_RECONNECT,
    OPTION_JSON,
    OPTION_DIGEST,
    OPTION_TIMEOUT,
    OPTION_ESCAPE,
    OPTION_PIN,
    OPTION_OUT,
    OPTION_NAME,
    OPTION_HOST,
    OPTION_DAYS,
    OPTION_FORCE,
    OPTION_KEEP,
    OPTION_LEAVE,
    OPTION_ONCE,
    OPTION_LINKS,
    OPTION_OWNER,
    OPTION_IN_PLACE,
    OPTION_FSYNC,
    OPTION_MKDIR,
    OPTION_NO_VERIFY,
    OPTION_NO_RESUME,
    OPTION_LIMIT,
    OPTION_SINCE,
    OPTION_TIMESTAMPS,
    OPTION_FORWARD_SIGNALS,
    OPTION_SHARE,
    OPTION_LIST,
    OPTION_STOP,
    OPTION_SERVE,
    OPTIONS_MAX = 80,
    CONNECT_TIMEOUT_MS = 10000,
    KEY_DAYS = 3650 /* like an SSH key, valid until it is removed */
};

static const struct {
    struct option option;
    unsigned wanted_by;
} known[] = {
    {{"ca", required_argument, NULL, OPTION_CA}, OPTIONS_CONNECT},
    {{"cert", required_argument, NULL, OPTION_CERT}, OPTIONS_CONNECT},
    {{"key", required_argument, NULL, OPTION_KEY}, OPTIONS_CONNECT},
    {{"pin", required_argument, NULL, OPTION_PIN}, OPTIONS_CONNECT},
    {{"protocol", required_argument, NULL, OPTION_PROTOCOL}, OPTIONS_CONNECT},
    {{"connect-timeout", required_argument, NULL, OPTION_CONNECT_TIMEOUT}, OPTIONS_CONNECT},
    {{"env", required_argument, NULL, 'e'}, OPTIONS_COMMAND},
    {{"cwd", required_argument, NULL, 'w'}, OPTIONS_COMMAND},
    {{"timeout", required_argument, NULL, OPTION_TIMEOUT}, OPTIONS_COMMAND | OPTIONS_TIMEOUT},
    {{"silence", required_argument, NULL, OPTION_SILENCE},
     OPTIONS_COMMAND | OPTIONS_CP | OPTIONS_FORWARD},
    {{"reconnect", required_argument, NULL, OPTION_RECONNECT},
     OPTIONS_COMMAND | OPTIONS_CP | OPTIONS_FORWARD},
    {{"socks", required_argument, NULL, 'D'}, OPTIONS_FORWARD},
    {{"gateway", no_argument, NULL, 'g'}, OPTIONS_FORWARD},
    {{"start-within", required_argument, NULL, OPTION_START_WITHIN}, OPTIONS_RUN},
    {{"no-stdin", no_argument, NULL, 'n'}, OPTIONS_RUN},
    {{"shell", no_argument, NULL, 's'}, OPTIONS_RUN},
    {{"digest", no_argument, NULL, OPTION_DIGEST}, OPTIONS_RUN},
    {{"tty", no_argument, NULL, 't'}, OPTIONS_TTY},
    {{"escape", required_argument, NULL, OPTION_ESCAPE}, OPTIONS_TTY | OPTIONS_ESCAPE},
    {{"quiet", no_argument, NULL, 'q'}, OPTIONS_SHELL},
    {{"json", no_argument, NULL, OPTION_JSON}, OPTIONS_JSON},
    {{"count", required_argument, NULL, 'c'}, OPTIONS_COUNT},
    {{"out", required_argument, NULL, OPTION_OUT}, OPTIONS_KEYGEN},
    {{"name", required_argument, NULL, OPTION_NAME}, OPTIONS_KEYGEN},
    {{"host", required_argument, NULL, OPTION_HOST}, OPTIONS_KEYGEN},
    {{"days", required_argument, NULL, OPTION_DAYS}, OPTIONS_KEYGEN},
    {{"force", no_argument, NULL, OPTION_FORCE}, OPTIONS_KEYGEN},
    {{"detach", no_argument, NULL, 'd'}, OPTIONS_RUN},
    {{"keep", no_argument, NULL, OPTION_KEEP}, OPTIONS_RUN | OPTIONS_SHELL},
    {{"leave", no_argument, NULL, OPTION_LEAVE}, OPTIONS_RUN},
    {{"once", required_argument, NULL, OPTION_ONCE}, OPTIONS_RUN | OPTIONS_SHELL},
    {{"follow", no_argument, NULL, 'f'}, OPTIONS_FOLLOW},
    {{"since", required_argument, NULL, OPTION_SINCE}, OPTIONS_FOLLOW},
    {{"timestamps", no_argument, NULL, OPTION_TIMESTAMPS}, OPTIONS_FOLLOW},
    {{"all", no_argument, NULL, 'a'}, OPTIONS_EVERY},
    {{"signal", required_argument, NULL, 's'}, OPTIONS_SIGNAL},
    {{"force", no_argument, NULL, 'f'}, OPTIONS_FORCE},
    {{"no-stdin", no_argument, NULL, 'n'}, OPTIONS_INPUT},
    {{"forward-signals", no_argument, NULL, OPTION_FORWARD_SIGNALS}, OPTIONS_INPUT},
    {{"recursive", no_argument, NULL, 'r'}, OPTIONS_CP},
    {{"update", no_argument, NULL, 'u'}, OPTIONS_CP},
    {{"verbose", no_argument, NULL, 'v'}, OPTIONS_CP},
    {{"quiet", no_argument, NULL, 'q'}, OPTIONS_CP},
    {{"links", required_argument, NULL, OPTION_LINKS}, OPTIONS_CP},
    {{"owner", no_argument, NULL, OPTION_OWNER}, OPTIONS_CP},
    {{"in-place", no_argument, NULL, OPTION_IN_PLACE}, OPTIONS_CP},
    {{"fsync", no_argument, NULL, OPTION_FSYNC}, OPTIONS_CP},
    {{"mkdir", no_argument, NULL, OPTION_MKDIR}, OPTIONS_CP},
    {{"no-verify", no_argument, NULL, OPTION_NO_VERIFY}, OPTIONS_CP},
    {{"no-resume", no_argument, NULL, OPTION_NO_RESUME}, OPTIONS_CP},
    {{"limit", required_argument, NULL, OPTION_LIMIT}, OPTIONS_CP},
    {{"share", required_argument, NULL, OPTION_SHARE}, OPTIONS_SHARE},
    {{"list", no_argument, NULL, OPTION_LIST}, OPTIONS_SHARING},
    {{"stop", no_argument, NULL, OPTION_STOP}, OPTIONS_SHARING},
    {{"serve", no_argument, NULL, OPTION_SERVE}, OPTIONS_SHARING},
    {{"help", no_argument, NULL, 'h'}, OPTIONS_ALL},
};

/* ---- values ---------------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t *value, const char **end)
{
    uint64_t sum = 0;
    const char *at = text;
    for (; isdigit((unsigned char)*at); at++) {
        if (sum > 1000000000000) /* 30,000 years in seconds: more is a typing error */
            return false;
        sum = sum * 10 + (uint64_t)(*at - '0');
    }
    *value = sum;
    *end = at;
    return at != text;
}

bool options_duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};
    const char *unit = NULL;
    uint64_t number = 0;
    if (parse_number(text, &number, &unit)) {
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (strcmp(unit, units[i].unit) == 0 && number < 1000000000) {
                *ms = (int64_t)number * units[i].ms;
                return true;
            }
        }
    }
    return false;
}

static bool parse_duration(const char *subcommand, const char *option, const char *text,
                           int64_t *ms)
{
    if (options_duration(text, ms))
        return true;
    report(
        "%s: --%s: '%s' is not a duration such as 10, 500ms, 10s, 5m or 2h; try 'afar %s --help'",
        subcommand, option, text, subcommand);
    return false;
}

/* Takes over `entry`; NULL: out of memory, reported. */
static bool append(const char ***list, size_t *count, char *entry)
{
    const char **longer = reallocarray(*list, *count + 2, sizeof **list);
    if (longer != NULL)
        *list = longer;
    if (entry == NULL || longer == NULL) {
        report("out of memory");
        free(entry);
        return false;
    }
    longer[(*count)++] = entry;
    longer[*count] = NULL;
    return true;
}

static bool add_env(const char *subcommand, struct options *options, const char *text)
{
    const char *equals = strchr(text, '=');
    if (text[0] == '\0' || equals == text) {
        report("%s: --env: '%s' is not NAME=VALUE; try 'afar %s --help'", subcommand, text,
               subcommand);
        return false;
    }
    /* NAME alone passes on the value that it has here, if any. */
    const char *value = equals == NULL ? getenv(text) : NULL;
    if (equals == NULL && value == NULL)
        return true;
    char *entry = NULL;
    int length =
        equals == NULL ? asprintf(&entry, "%s=%s", text, value) : asprintf(&entry, "%s", text);
    return append(&options->env, &options->env_count, length < 0 ? NULL : entry);
}

/* "NAME,NAME,…". The library checks the names. */
static bool add_hosts(struct options *options, const char *text)
{
    for (;;) {
        size_t size = strcspn(text, ",");
        if (!append(&options->hosts, &options->host_count, strndup(text, size)))
            return false;
        if (text[size] == '\0')
            return true;
        text += size + 1;
    }
}

/* A time ago, or a frame's number. */
static bool parse_since(const char *subcommand, struct options *options, const char *text)
{
    const char *end = NULL;
    if (parse_number(text, &options->first, &end) && *end == '\0')
        return true;
    options->first = 0;
    if (options_duration(text, &options->since_ms) && options->since_ms > 0)
        return true;
    report("%s: --since: '%s' is neither a duration with its unit, such as 500ms, 10s, 5m or 2h, "
           "nor the number of a frame (\"seq\"); try 'afar %s --help'",
           subcommand, text, subcommand);
    return false;
}

static bool parse_days(const char *subcommand, struct options *options, const char *text)
{
    const char *end = NULL;
    uint64_t days = 0;
    if (parse_number(text, &days, &end) && *end == '\0' && days > 0 && days <= AFAR_KEY_DAYS_MAX) {
        options->days = (unsigned)days;
        return true;
    }
    report("%s: --days: '%s' is not a number of days from 1 to %d; try 'afar %s --help'",
           subcommand, text, AFAR_KEY_DAYS_MAX, subcommand);
    return false;
}

static bool parse_pin(const char *subcommand, struct options *options, const char *text)
{
    if (pin_parse(text, options->pin))
        return true;
    report("%s: --pin: '%s' is not sha256: and 64 hex digits; 'afar pin' shows a certificate's",
           subcommand, text);
    return false;
}

static bool parse_escape(const char *subcommand, struct options *options, const char *text)
{
    if (escape_parse(text, &options->escape))
        return true;
    report("%s: --escape: '%s' is no character such as ~ or ^], nor 'none'", subcommand, text);
    return false;
}

static bool parse_count(const char *subcommand, struct options *options, const char *text)
{
    const char *end = NULL;
    if (parse_number(text, &options->count, &end) && *end == '\0' && options->count > 0)
        return true;
    report("%s: --count: '%s' is not a number of 1 or more; try 'afar %s --help'", subcommand, text,
           subcommand);
    return false;
}

/* Bytes a second: 500K, 10M, 1G; K is 1,024. */
static bool parse_rate(const char *subcommand, struct options *options, const char *text)
{
    static const char letters[] = "KMG";
    const char *end = NULL;
    uint64_t number = 0;
    if (parse_number(text, &number, &end) && number > 0 && number < 1000000000) {
        const char *letter = *end == '\0' ? NULL : strchr(letters, toupper((unsigned char)*end));
        if (*end == '\0' || (letter != NULL && end[1] == '\0')) {
            options->limit = number << (letter == NULL ? 0 : 10 * (letter - letters + 1));
            return true;
        }
    }
    report("%s: --limit: '%s' is not a number of bytes a second such as 10M; try 'afar %s --help'",
           subcommand, text, subcommand);
    return false;
}

static bool parse_links(const char *subcommand, struct options *options, const char *text)
{
    static const char *const words[] = {"safe", "all", "follow", "skip"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            options->links = text;
            return true;
        }
    }
    report("%s: --links: '%s' is none of safe, all, follow and skip; try 'afar %s --help'",
           subcommand, text, subcommand);
    return false;
}

static bool take_cp(const char *subcommand, struct options *options, int option, const char *value)
{
    const struct {
        int option;
        bool *is_set;
    } switches[] = {
        {'r', &options->recursive},
        {'u', &options->update},
        {'v', &options->verbose},
        {'g', &options->everywhere},
        {'q', &options->quiet},
        {OPTION_OWNER, &options->owner},
        {OPTION_IN_PLACE, &options->in_place},
        {OPTION_FSYNC, &options->fsync},
        {OPTION_MKDIR, &options->mkdir},
        {OPTION_NO_VERIFY, &options->no_verify},
        {OPTION_NO_RESUME, &options->no_resume},
        {OPTION_LIST, &options->list},
        {OPTION_STOP, &options->stop},
        {OPTION_SERVE, &options->serve},
    };
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        if (option == switches[i].option) {
            *switches[i].is_set = true;
            return true;
        }
    }
    return option == OPTION_SHARE   ? parse_duration(subcommand, "share", value, &options->share_ms)
           : option == OPTION_LIMIT ? parse_rate(subcommand, options, value)
                                    : parse_links(subcommand, options, value);
}

/* Options whose text is taken as it is. False: it is another option. */
static bool take_text(struct options *options, int option, const char *value)
{
    const struct {
        int option;
        const char **text;
    } texts[] = {{OPTION_CA, &options->ca_file},        {OPTION_CERT, &options->cert_file},
                 {OPTION_KEY, &options->key_file},      {OPTION_OUT, &options->out},
                 {OPTION_PROTOCOL, &options->protocol}, {OPTION_NAME, &options->name},
                 {OPTION_ONCE, &options->once},         {'w', &options->cwd}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (option != texts[i].option)
            continue;
        *texts[i].text = value;
        return true;
    }
    return false;
}

static bool take_flag(struct options *options, int option)
{
    const struct {
        int option;
        bool *flag;
    } flags[] = {
        {'n', &options->no_stdin},     {'d', &options->detach},
        {OPTION_KEEP, &options->keep}, {OPTION_LEAVE, &options->leave},
        {'a', &options->every},        {OPTION_DIGEST, &options->digest},
        {'t', &options->tty},          {'q', &options->quiet},
        {OPTION_JSON, &options->json}, {OPTION_FORWARD_SIGNALS, &options->forward_signals},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (option != flags[i].option)
            continue;
        *flags[i].flag = true;
        return true;
    }
    return false;
}

static bool take_keygen(const char *subcommand, struct options *options, int option,
                        const char *value)
{
    switch (option) {
    case OPTION_HOST:
        return add_hosts(options, value);
    case OPTION_DAYS:
        return parse_days(subcommand, options, value);
    case OPTION_FORCE:
        options->force = true;
        return true;
    default:
        return take_cp(subcommand, options, option, value);
    }
}

static bool take(const char *subcommand, struct options *options, int option, const char *value)
{
    if (take_text(options, option, value) || take_flag(options, option))
        return true;
    switch (option) {
    case OPTION_CONNECT_TIMEOUT:
        options->connect_timeout_said = true;
        return parse_duration(subcommand, "connect-timeout", value, &options->connect_timeout_ms);
    case OPTION_START_WITHIN:
        return parse_duration(subcommand, "start-within", value, &options->start_within_ms);
    case OPTION_SILENCE:
        return parse_duration(subcommand, "silence", value, &options->silence_ms);
    case OPTION_RECONNECT:
        return parse_duration(subcommand, "reconnect", value, &options->reconnect_ms);
    case 'e':
        return add_env(subcommand, options, value);
    case 'D':
        return append(&options->socks, &options->socks_count, strdup(value));
    case OPTION_TIMEOUT:
        return parse_duration(subcommand, "timeout", value, &options->timeout_ms);
    case 's':
        options->shell = true;
        options->signal = value;
        return true;
    case 'f':
        return options->follow = options->force = true;
    case OPTION_TIMESTAMPS:
        return options->timestamps = true;
    case OPTION_SINCE:
        return parse_since(subcommand, options, value);
    case OPTION_ESCAPE:
        return parse_escape(subcommand, options, value);
    case 'c':
        return parse_count(subcommand, options, value);
    case OPTION_PIN:
        return parse_pin(subcommand, options, value);
    default:
        return take_keygen(subcommand, options, option, value);
    }
}

/* ---- the command line ------------------------------------------------------------------------ */

struct accepted_options {
    char letters[2 * OPTIONS_MAX + 3];
    struct option list[OPTIONS_MAX + 1];
};

static void select_options(struct accepted_options *selected, unsigned accepted)
{
    size_t count = 0;
    /* "+": stop at the first other word; ":": return ':' if a value is missing. */
    char *letter = stpcpy(selected->letters, "+:");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (((accepted | OPTIONS_ALL) & known[i].wanted_by) == 0)
            continue;
        selected->list[count++] = known[i].option;
        if (known[i].option.val >= 256)
            continue;
        *letter++ = (char)known[i].option.val;
        if (known[i].option.has_arg == required_argument)
            *letter++ = ':';
    }
    *letter = '\0';
    selected->list[count] = (struct option){NULL, 0, NULL, 0};
}

/* Reports an unknown option, and the one that may be meant. */
static void unknown_option(const struct accepted_options *selected, const char *subcommand,
                           const char *name)
{
    char written[SUGGEST_MAX_BYTES];
    struct suggestion meant = {0};
    if (strncmp(name, "--", 2) == 0) {
        /* Without its value. A longer name is similar to none. */
        (void)snprintf(written, sizeof written, "%.*s", (int)strcspn(name + 2, "="), name + 2);
        for (const struct option *at = selected->list; at->name != NULL; at++)
            suggest(&meant, written, at->name);
    }
    if (meant.word != NULL)
        report("%s: unknown option '%s'; did you mean '--%s'? Try 'afar %s --help'", subcommand,
               name, meant.word, subcommand);
    else
        report("%s: unknown option '%s'; try 'afar %s --help'", subcommand, name, subcommand);
}

static enum options_result bad_option(const struct accepted_options *selected, int result,
                                      char *const *argv)
{
    bool is_letter = optopt > 0 && optopt < 256 && isgraph(optopt) != 0;
    char shown[3] = {'-', (char)optopt, '\0'};
    /* A long option is the whole word that was just read. */
    const char *name = argv[optind - 1];
    if (is_letter && strncmp(name, "--", 2) != 0)
        name = shown;
    /* "-t5m" is read as -t, -5 and -m. */
    const char *word = argv[optind] != NULL ? argv[optind] : "";
    if ((is_letter && optopt == 't') ||
        (strncmp(word, "-t", 2) == 0 && isdigit((unsigned char)word[2])))
        report("%s: a time limit is --timeout; try 'afar %s --help'", argv[0], argv[0]);
    else if (result == ':')
        report("%s: option '%s' needs a value; try 'afar %s --help'", argv[0], name, argv[0]);
    else
        unknown_option(selected, argv[0], name);
    return OPTIONS_BAD;
}

/* -t was a time limit once: an old command line must not run without its limit. */
static bool is_old_limit(const struct options *options, char *const *argv)
{
    int64_t ms = 0;
    const char *text = options->host;
    if (!options->tty || text == NULL)
        return false;
    /* After HOST, "-t 5m" leaves 5m as the command. */
    if (!options_duration(text, &ms) && argv + optind == options->words &&
        strcmp(options->words[-1], "-t") == 0 && options->words[0] != NULL)
        text = options->words[0];
    if (!options_duration(text, &ms))
        return false;
    report("%s: -t asks for a terminal; a time limit is --timeout %s", argv[0], text);
    return true;
}

/* Parses options up to the next other word. */
static enum options_result
parse_some(struct options *options, const struct accepted_options *selected, int argc, char **argv)
{
    for (;;) {
        int option = getopt_long(argc, argv, selected->letters, selected->list, NULL);
        if (option == -1)
            return OPTIONS_OK;
        if (option == 'h')
            return OPTIONS_HELP;
        if (option == '?' || option == ':')
            return bad_option(selected, option, argv);
        if (!take(argv[0], options, option, optarg))
            return OPTIONS_BAD;
    }
}

enum options_result options_parse(struct options *options, unsigned accepted, int argc, char **argv)
{
    struct accepted_options selected;
    *options = (struct options){.connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                .silence_ms = -1,
                                .reconnect_ms = -1,
                                .share_ms = -1,
                                .escape = '~',
                                .count = 1,
                                .days = KEY_DAYS};
    select_options(&selected, accepted);
    opterr = 0;
    optind = 1;
    enum options_result result = parse_some(options, &selected, argc, argv);
    if (result != OPTIONS_OK)
        return result;
    if ((accepted & OPTIONS_NO_HOST) != 0) {
        options->words = argv + optind;
        return OPTIONS_OK;
    }
    if (optind >= argc && (accepted & OPTIONS_MAYBE_HOST) != 0) {
        options->words = argv + optind;
        return OPTIONS_OK;
    }
    if (optind >= argc) {
        report("%s: no HOST is given; try 'afar %s --help'", argv[0], argv[0]);
        return OPTIONS_BAD;
    }
    options->host = argv[optind++];
    /* Options may also follow HOST, even if "--" came before HOST: it belongs after HOST. */
    result = parse_some(options, &selected, argc, argv);
    options->words = argv + optind;
    return result == OPTIONS_OK && is_old_limit(options, argv) ? OPTIONS_BAD : result;
}

static void free_list(const char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)list[i]);
    free(list);
}

void options_close(struct options *options)
{
    free_list(options->env, options->env_count);
    free_list(options->hosts, options->host_count);
    free_list(options->socks, options->socks_count);
    options->env = options->hosts = options->socks = NULL;
    options->env_count = options->host_count = options->socks_count = 0;
}

char *options_join(char *const *words)
{
    size_t size = 1;
    for (size_t i = 0; words[i] != NULL; i++)
        size += strlen(words[i]) + 1;
    char *line = malloc(size);
    if (line == NULL) {
        report("out of memory");
        return NULL;
    }
    char *at = stpcpy(line, "");
    for (size_t i = 0; words[i] != NULL; i++)
        at = stpcpy(stpcpy(at, i > 0 ? " " : ""), words[i]);
    return line;
}
