#include "afar/ssh/options.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "afar/ssh/destination.h"
#include "afar/ssh/keywords.h"

static const char usage[] = "usage: afar ssh [-46AaCfGgKkMNnqsTtVvXxYy] [-B bind_interface] "
                            "[-b bind_address]\n"
                            "           [-c cipher_spec] [-D [bind_address:]port] [-E log_file]\n"
                            "           [-e escape_char] [-F configfile] [-I pkcs11] "
                            "[-i identity_file]\n"
                            "           [-J destination] [-L address] [-l login_name] "
                            "[-m mac_spec]\n"
                            "           [-O ctl_cmd] [-o option] [-P tag] [-p port] "
                            "[-Q query_option]\n"
                            "           [-R address] [-S ctl_path] [-W host:port] "
                            "[-w local_tun[:remote_tun]]\n"
                            "           destination [--] [command [argument ...]]";

/* What a letter does. */
enum action {
    DO_KEYWORD, /* set the keyword to `text`, or to the option's value if that is NULL */
    DO_IGNORE,
    DO_TTY,
    DO_NO_TTY,
    DO_VERBOSE,
    DO_QUIET,
    DO_OPTION,
    DO_FIELD,
    DO_FLAG
};

/* One option letter. */
struct letter {
    char letter;
    bool has_value;
    enum action action;
    const char *keyword; /* DO_KEYWORD */
    const char *text;
    size_t offset; /* DO_FIELD: a const char *, DO_FLAG: a bool */
};

#define KEYWORD(letter, has_value, keyword, text)               \
    {                                                           \
        (letter), (has_value), DO_KEYWORD, (keyword), (text), 0 \
    }
#define IGNORE(letter, has_value)                       \
    {                                                   \
        (letter), (has_value), DO_IGNORE, NULL, NULL, 0 \
    }
#define ACT(letter, has_value, action)                 \
    {                                                  \
        (letter), (has_value), (action), NULL, NULL, 0 \
    }
#define STORE(letter, has_value, action, member)                                          \
    {                                                                                     \
        (letter), (has_value), (action), NULL, NULL, offsetof(struct ssh_options, member) \
    }

static const struct letter letters[] = {
    IGNORE('1', false),
    IGNORE('2', false),
    KEYWORD('4', false, "AddressFamily", "inet"),
    KEYWORD('6', false, "AddressFamily", "inet6"),
    IGNORE('a', false),
    IGNORE('A', false),
    IGNORE('C', false),
    KEYWORD('f', false, "ForkAfterAuthentication", "yes"),
    KEYWORD('g', false, "GatewayPorts", "yes"),
    STORE('G', false, DO_FLAG, show_config),
    IGNORE('k', false),
    IGNORE('K', false),
    KEYWORD('M', false, "ControlMaster", "yes"),
    KEYWORD('n', false, "StdinNull", "yes"),
    STORE('N', false, DO_FLAG, no_command),
    ACT('q', false, DO_QUIET),
    STORE('s', false, DO_FLAG, subsystem),
    ACT('t', false, DO_TTY),
    ACT('T', false, DO_NO_TTY),
    ACT('v', false, DO_VERBOSE),
    STORE('V', false, DO_FLAG, show_version),
    KEYWORD('x', false, "ForwardX11", "no"),
    KEYWORD('X', false, "ForwardX11", "yes"),
    IGNORE('y', false),
    KEYWORD('Y', false, "ForwardX11", "yes"),
    KEYWORD('b', true, "BindAddress", NULL),
    IGNORE('B', true),
    IGNORE('c', true),
    KEYWORD('D', true, "DynamicForward", NULL),
    KEYWORD('e', true, "EscapeChar", NULL),
    STORE('E', true, DO_FIELD, log_file),
    STORE('F', true, DO_FIELD, config_file),
    KEYWORD('i', true, "IdentityFile", NULL),
    IGNORE('I', true),
    KEYWORD('J', true, "ProxyJump", NULL),
    KEYWORD('l', true, "User", NULL),
    KEYWORD('L', true, "LocalForward", NULL),
    IGNORE('m', true),
    ACT('o', true, DO_OPTION),
    STORE('O', true, DO_FIELD, control),
    KEYWORD('p', true, "Port", NULL),
    IGNORE('P', true),
    STORE('Q', true, DO_FIELD, query),
    KEYWORD('R', true, "RemoteForward", NULL),
    KEYWORD('S', true, "ControlPath", NULL),
    KEYWORD('w', true, "Tunnel", NULL),
    STORE('W', true, DO_FIELD, stdio_forward),
};

static bool fail(char message[SSH_MESSAGE_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool fail(char message[SSH_MESSAGE_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, SSH_MESSAGE_BYTES, format, args);
    va_end(args);
    return false;
}

static bool out_of_memory(char message[SSH_MESSAGE_BYTES])
{
    return fail(message, "out of memory");
}

/* ---- values -------------------------------------------------------------------------------------
 */

bool ssh_words_add(struct ssh_words *words, const char *text, size_t size)
{
    char *copy = strndup(text, size);
    char **longer =
        copy == NULL ? NULL : reallocarray(words->at, words->count + 2, sizeof *words->at);
    if (longer == NULL) {
        free(copy);
        return false;
    }
    words->at = longer;
    longer[words->count++] = copy;
    longer[words->count] = NULL;
    return true;
}

bool ssh_options_assume(struct ssh_options *options, enum ssh_value which, const char *text,
                        size_t size, char message[SSH_MESSAGE_BYTES])
{
    if (options->value[which] != NULL)
        return true;
    options->value[which] = strndup(text, size);
    return options->value[which] != NULL || out_of_memory(message);
}

bool ssh_options_is_yes(const struct ssh_options *options, enum ssh_value which)
{
    const char *value = options->value[which];
    return value != NULL && (strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool is_number(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (isdigit((unsigned char)text[i]) == 0)
            return false;
    }
    return size > 0 && size <= 9;
}

bool ssh_time_parse(const char *text, int64_t *ms)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    const int64_t most_s = INT64_C(1) << 40;
    int64_t sum = 0;
    if (*text == '\0')
        return false;
    while (*text != '\0') {
        char *end = NULL;
        if (isdigit((unsigned char)*text) == 0)
            return false;
        int64_t number = strtoll(text, &end, 10);
        int64_t seconds = *end == '\0' ? 1 : 0;
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
            seconds = tolower((unsigned char)*end) == units[i].unit ? units[i].seconds : seconds;
        if (seconds == 0 || number > most_s / seconds || sum + number * seconds > most_s)
            return false;
        sum += number * seconds;
        text = end + (*end == '\0' ? 0 : 1);
    }
    *ms = sum * 1000;
    return true;
}

static bool is_time(const char *text, size_t size)
{
    char copy[32];
    int64_t ms = 0;
    if (size >= sizeof copy)
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    return ssh_time_parse(copy, &ms) && ms <= INT64_C(1000) * INT32_MAX;
}

static bool is_word(const char *text, size_t size, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strlen(*words) == size && strncasecmp(*words, text, size) == 0)
            return true;
    }
    return false;
}

/* For check_value: the value of a letter, whose messages name no line. */
static const char by_letter[] = "command-line";

/* True if the keyword takes any value, or this one. */
static bool is_choice(const struct ssh_keyword *keyword, const char *text, size_t size)
{
    static const struct {
        enum ssh_value which;
        const char *values[11];
    } choices[] = {
        {SSH_CONTROL_MASTER, {"yes", "true", "no", "false", "auto", "ask", "autoask"}},
        {SSH_LOG_LEVEL,
         {"quiet", "fatal", "error", "info", "verbose", "debug", "debug1", "debug2", "debug3"}},
        {SSH_REQUEST_TTY, {"yes", "true", "no", "false", "auto", "force"}},
        {SSH_SESSION_TYPE, {"none", "subsystem", "default"}},
    };
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        if (choices[i].which == keyword->which)
            return is_word(text, size, choices[i].values);
    }
    return true;
}

/* Checks that a value fits the keyword's kind. False: see `message`. */
static bool check_value(const struct ssh_keyword *keyword, const char *text, size_t size,
                        const char *where, char message[SSH_MESSAGE_BYTES])
{
    static const char *const yes_no[] = {"yes", "no", "true", "false", NULL};
    static const char *const none[] = {"none", NULL};
    bool good = true;
    if (keyword->kind == SSH_KIND_TEXT && !is_choice(keyword, text, size))
        return fail(message, "%s: unsupported option \"%.*s\".", where, (int)size, text);
    if (keyword->kind == SSH_KIND_YES_NO)
        good = is_word(text, size, yes_no);
    else if (keyword->kind == SSH_KIND_NUMBER)
        good = is_number(text, size) || is_word(text, size, none);
    else if (keyword->kind == SSH_KIND_TIME)
        good = is_time(text, size) || is_word(text, size, none);
    else if (keyword->kind == SSH_KIND_PORT &&
             !(is_number(text, size) && strtol(text, NULL, 10) > 0 &&
               strtol(text, NULL, 10) <= 65535))
        return fail(message, "%s%sBad port '%.*s'", where == by_letter ? "" : where,
                    where == by_letter ? "" : ": ", (int)size, text);
    return good ||
           fail(message, "%s: '%.*s' is not a value of %s", where, (int)size, text, keyword->name);
}

/* Copies the next word into `word`, without quotes: as in ssh_config(5), "…" and '…' may be
 * anywhere in it, and a backslash may precede a quote, a backslash or a blank. Returns the word's
 * end. */
static const char *next_word(const char *text, const char *end, char *word, size_t *size)
{
    char quote = '\0';
    *size = 0;
    for (; text < end && (quote != '\0' || !is_blank(*text)); text++) {
        const char following = text + 1 < end ? text[1] : '\0';
        if (text[0] == '\\' && (following == '"' || following == '\'' || following == '\\' ||
                                (quote == '\0' && following == ' ')))
            word[(*size)++] = *++text;
        else if (*text == quote)
            quote = '\0';
        else if (quote == '\0' && (*text == '"' || *text == '\''))
            quote = *text;
        else
            word[(*size)++] = *text;
    }
    return text;
}

/* True if the list already has a variable of the word's name. */
static bool names_variable(const struct ssh_words *words, const char *word, size_t size)
{
    const char *equals = memchr(word, '=', size);
    size_t name_size = equals != NULL ? (size_t)(equals - word) + 1 : size;
    for (size_t i = 0; equals != NULL && i < words->count; i++) {
        if (strncmp(words->at[i], word, name_size) == 0)
            return true;
    }
    return false;
}

/* Adds each word of the text. `first_counts`: skips a variable that the list has already. */
static bool add_words(struct ssh_words *words, const char *text, size_t size, bool first_counts)
{
    const char *end = text + size;
    char *word = malloc(size + 1);
    bool added = word != NULL;
    while (added && text < end) {
        size_t word_size = 0;
        if (is_blank(*text)) {
            text++;
            continue;
        }
        text = next_word(text, end, word, &word_size);
        if (!first_counts || !names_variable(words, word, word_size))
            added = ssh_words_add(words, word, word_size);
    }
    free(word);
    return added;
}

static bool take(struct ssh_options *options, const struct ssh_keyword *keyword, const char *text,
                 size_t size, char message[SSH_MESSAGE_BYTES])
{
    bool taken = false;
    switch (keyword->kind) {
    case SSH_KIND_TEXT:
    case SSH_KIND_YES_NO:
    case SSH_KIND_NUMBER:
    case SSH_KIND_TIME:
    case SSH_KIND_PORT:
        return ssh_options_assume(options, (enum ssh_value)keyword->which, text, size, message);
    case SSH_KIND_WORDS:
        taken =
            add_words(&options->list[keyword->which], text, size, keyword->which == SSH_SET_ENV);
        break;
    case SSH_KIND_LINE:
        taken = ssh_words_add(&options->list[keyword->which], text, size);
        break;
    case SSH_KIND_IGNORED:
        taken = ssh_words_add(&options->list[SSH_IGNORED], keyword->name, strlen(keyword->name));
        break;
    }
    return taken || out_of_memory(message);
}

static const char *skip_blanks(const char *text)
{
    while (is_blank(*text))
        text++;
    return text;
}

bool ssh_options_set(struct ssh_options *options, const char *line, const char *where,
                     char message[SSH_MESSAGE_BYTES])
{
    const char *key = skip_blanks(line);
    size_t key_size = strcspn(key, " \t=");
    const char *text = skip_blanks(key + key_size);
    if (*text == '=')
        text = skip_blanks(text + 1);
    size_t size = strlen(text);
    while (size > 0 && (is_blank(text[size - 1]) || text[size - 1] == '\r'))
        size--;
    /* Ansible runs `ssh -o ControlPersist` and searches its output for two other messages of
     * OpenSSH. They must not appear here. */
    if (size == 0) {
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", (int)key_size, key);
        for (char *at = name; *at != '\0'; at++)
            *at = (char)tolower((unsigned char)*at);
        return fail(message, "%s: no argument after keyword \"%s\"", where, name);
    }
    const struct ssh_keyword *keyword = ssh_keyword_find(key, key_size);
    if (keyword == NULL)
        return ssh_words_add(&options->list[SSH_UNKNOWN], key, key_size) || out_of_memory(message);
    if (keyword->kind != SSH_KIND_WORDS && size > 1 && text[0] == '"' && text[size - 1] == '"') {
        text++;
        size -= 2;
    }
    return check_value(keyword, text, size, where, message) &&
           take(options, keyword, text, size, message);
}

/* ---- letters ------------------------------------------------------------------------------------
 */

static const struct letter *find_letter(char wanted)
{
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        if (letters[i].letter == wanted)
            return &letters[i];
    }
    return NULL;
}

static bool set_keyword(struct ssh_options *options, const struct letter *letter, const char *value,
                        char message[SSH_MESSAGE_BYTES])
{
    const struct ssh_keyword *keyword = ssh_keyword_find(letter->keyword, strlen(letter->keyword));
    const char *text = letter->text != NULL ? letter->text : value;
    if (keyword == NULL)
        return fail(message, "-%c: '%s' is not known", letter->letter, letter->keyword);
    return check_value(keyword, text, strlen(text), by_letter, message) &&
           take(options, keyword, text, strlen(text), message);
}

/* The last of -t and -T counts. -t asks for a terminal if there is one here, a second -t in any
 * case. */
static bool set_tty(struct ssh_options *options, bool wanted, char message[SSH_MESSAGE_BYTES])
{
    char *before = options->value[SSH_REQUEST_TTY];
    const char *text = !wanted                                              ? "no"
                       : before != NULL && strcasecmp(before, "yes") == 0   ? "force"
                       : before != NULL && strcasecmp(before, "force") == 0 ? "force"
                                                                            : "yes";
    options->value[SSH_REQUEST_TTY] = NULL;
    free(before);
    return ssh_options_assume(options, SSH_REQUEST_TTY, text, strlen(text), message);
}

static bool apply(struct ssh_options *options, const struct letter *letter, const char *value,
                  char message[SSH_MESSAGE_BYTES])
{
    char *member = (char *)options + letter->offset;
    char name[3] = {'-', letter->letter, '\0'};
    switch (letter->action) {
    case DO_KEYWORD:
        return set_keyword(options, letter, value, message);
    case DO_IGNORE:
        return ssh_words_add(&options->list[SSH_IGNORED], name, 2) || out_of_memory(message);
    case DO_TTY:
        return set_tty(options, true, message);
    case DO_NO_TTY:
        return set_tty(options, false, message);
    case DO_VERBOSE:
        options->verbose++;
        return true;
    case DO_QUIET:
        options->quiet = true;
        return true;
    case DO_OPTION:
        return ssh_options_set(options, value, "command-line line 0", message);
    case DO_FIELD:
        memcpy(member, &value, sizeof value);
        return true;
    case DO_FLAG:
        *(bool *)member = true;
        return true;
    }
    return true;
}

/* Parses the letters of one word, such as -Txaqp22. *at is the word; moves on to the next word if
 * that is the value. */
static bool parse_letters(struct ssh_options *options, char ***at, char message[SSH_MESSAGE_BYTES])
{
    for (const char *text = **at + 1; *text != '\0'; text++) {
        const struct letter *letter = find_letter(*text);
        if (letter == NULL)
            return fail(message, "unknown option -- %c\n%s", *text, usage);
        if (!letter->has_value) {
            if (!apply(options, letter, "", message))
                return false;
            continue;
        }
        const char *value = text[1] != '\0' ? text + 1 : *++*at;
        if (value == NULL)
            return fail(message, "option requires an argument -- %c\n%s", *text, usage);
        return apply(options, letter, value, message);
    }
    return true;
}

/* Parses options up to the next other word, where *at is left. *ended: "--" was there. */
static bool parse_some(struct ssh_options *options, char ***at, bool *ended,
                       char message[SSH_MESSAGE_BYTES])
{
    for (; **at != NULL && (**at)[0] == '-' && (**at)[1] != '\0'; ++*at) {
        if (strcmp(**at, "--") == 0) {
            *ended = true;
            ++*at;
            return true;
        }
        if (!parse_letters(options, at, message))
            return false;
    }
    return true;
}

/* True if nothing is connected to. */
static bool needs_no_destination(const struct ssh_options *options)
{
    return options->show_version || options->query != NULL;
}

bool ssh_options_parse(struct ssh_options *options, struct ssh_destination *destination, int argc,
                       char **argv, char message[SSH_MESSAGE_BYTES])
{
    *options = (struct ssh_options){0};
    *destination = (struct ssh_destination){0};
    message[0] = '\0';
    char **at = argv + (argc > 0 ? 1 : 0);
    bool ended = false;
    if (!parse_some(options, &at, &ended, message))
        return false;
    options->words = at;
    if (*at == NULL)
        return needs_no_destination(options) || fail(message, "%s", usage);
    options->destination = strdup(*at++);
    if (options->destination == NULL)
        return out_of_memory(message);
    /* Before the options behind it: its user and port are the first. */
    if (!needs_no_destination(options) && !ssh_destination_parse(destination, options, message))
        return false;
    if (!ended && !parse_some(options, &at, &ended, message))
        return false;
    options->words = at;
    return true;
}

void ssh_words_close(struct ssh_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->at[i]);
    free(words->at);
    *words = (struct ssh_words){0};
}

void ssh_options_close(struct ssh_options *options)
{
    for (size_t i = 0; i < SSH_VALUES; i++)
        free(options->value[i]);
    for (size_t i = 0; i < SSH_LISTS; i++)
        ssh_words_close(&options->list[i]);
    free(options->destination);
    *options = (struct ssh_options){0};
}
