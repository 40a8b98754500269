#include "policy/config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/number.h"
#include "policy/config_table.h"
#include "policy/include.h"

enum { SHOWN_BYTES = 120 }; /* of a value that is quoted in a message */

/* The member of *config that the key sets. Its type depends on the key's kind. */
static void *member(struct config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

void config_init(struct config *config)
{
    size_t count = 0;
    const struct config_key *keys = config_keys(&count);
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < count; i++) {
        switch (keys[i].kind) {
        case CONFIG_LISTEN: /* none */
        case CONFIG_HTTP:
        case CONFIG_PATH: /* NULL */
        case CONFIG_NAME:
        case CONFIG_WORDS:
            break;
        case CONFIG_FLAG:
            *(bool *)member(config, &keys[i]) = keys[i].preset != 0;
            break;
        case CONFIG_LEVEL:
            *(enum log_level *)member(config, &keys[i]) = (enum log_level)keys[i].preset;
            break;
        case CONFIG_FORMAT:
            *(enum log_format *)member(config, &keys[i]) = (enum log_format)keys[i].preset;
            break;
        case CONFIG_CHOICE:
            *(unsigned *)member(config, &keys[i]) = (unsigned)keys[i].preset;
            break;
        case CONFIG_NUMBER:
            *(uint64_t *)member(config, &keys[i]) = keys[i].preset;
            break;
        }
    }
}

void config_close(struct config *config)
{
    size_t count = 0;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].kind == CONFIG_WORDS)
            words_close(member(config, &keys[i]));
        if (keys[i].kind != CONFIG_PATH && keys[i].kind != CONFIG_NAME)
            continue;
        char **text = member(config, &keys[i]);
        free(*text);
        *text = NULL;
    }
    words_close(&config->files);
    rules_free(config->rules);
    config->rules = NULL;
}

struct config *config_new(void)
{
    struct config *config = malloc(sizeof *config);
    if (config != NULL)
        config_init(config);
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    config_close(config);
    free(config);
}

static enum afar_status add_listener(struct config *config, const char *value,
                                     struct afar_error *err)
{
    struct endpoint endpoint;
    if (config->listen_count >= CONFIG_LISTEN_MAX)
        return afar_fail(err, AFAR_EINVAL, "there can be at most %d", CONFIG_LISTEN_MAX);
    enum afar_status status = endpoint_parse(&endpoint, value, err);
    if (status == AFAR_OK)
        config->listen[config->listen_count++] = endpoint;
    return status;
}

static enum afar_status set_http(struct config *config, const char *value, struct afar_error *err)
{
    struct endpoint endpoint;
    enum afar_status status = endpoint_parse(&endpoint, value, err);
    if (status != AFAR_OK)
        return status;
    if ((endpoint.scheme != ENDPOINT_TCP && endpoint.scheme != ENDPOINT_UNIX) ||
        endpoint.protocol != PROTOCOL_AFAR)
        return afar_fail(err, AFAR_EINVAL, "'%.*s': expected tcp://HOST:PORT or unix:///PATH",
                         SHOWN_BYTES, value);
    config->http = endpoint;
    config->http_wanted = true;
    return AFAR_OK;
}

static enum afar_status set_text(char **text, const char *what, const char *value,
                                 struct afar_error *err)
{
    if (value[0] == '\0')
        return afar_fail(err, AFAR_EINVAL, "expected the name of a %s", what);
    char *copy = strdup(value);
    if (copy == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory");
    free(*text);
    *text = copy;
    return AFAR_OK;
}

static enum afar_status add_text(struct words *words, const char *value, struct afar_error *err)
{
    if (value[0] == '\0')
        return afar_fail(err, AFAR_EINVAL, "expected the name of a file");
    return words_add(words, value, strlen(value), err);
}

static enum afar_status set_flag(bool *flag, const char *value, struct afar_error *err)
{
    if (strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0)
        *flag = true;
    else if (strcasecmp(value, "no") == 0 || strcasecmp(value, "false") == 0)
        *flag = false;
    else
        return afar_fail(err, AFAR_EINVAL, "'%.*s' is neither yes nor no", SHOWN_BYTES, value);
    return AFAR_OK;
}

/* `words`: the choices, as "full or brief". */
static enum afar_status set_choice(unsigned *choice, const char *words, const char *value,
                                   struct afar_error *err)
{
    static const char separator[] = " or ";
    const char *at = words;
    for (unsigned i = 0; at != NULL; i++) {
        const char *end = strstr(at, separator);
        size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        if (strncasecmp(value, at, size) == 0 && value[size] == '\0') {
            *choice = i;
            return AFAR_OK;
        }
        at = end != NULL ? end + sizeof separator - 1 : NULL;
    }
    return afar_fail(err, AFAR_EINVAL, "'%.*s': expected %s", SHOWN_BYTES, value, words);
}

enum afar_status config_set(struct config *config, const char *key, const char *value,
                            struct afar_error *err)
{
    const struct config_key *found = config_key_find(key);
    if (found == NULL) {
        char text[AFAR_ERROR_MESSAGE_BYTES];
        config_key_unknown(key, text, sizeof text);
        return afar_fail(err, AFAR_EINVAL, "%s", text);
    }

    enum afar_status status = AFAR_EBUG;
    void *target = member(config, found);
    switch (found->kind) {
    case CONFIG_LISTEN:
        status = add_listener(config, value, err);
        break;
    case CONFIG_HTTP:
        status = set_http(config, value, err);
        break;
    case CONFIG_PATH:
        status = set_text(target, "file", value, err);
        if (target == (void *)&config->state_directory)
            config->state_preset = false;
        break;
    case CONFIG_NAME:
        status = set_text(target, "user", value, err);
        config->user_preset = false;
        break;
    case CONFIG_WORDS:
        status = add_text(target, value, err);
        break;
    case CONFIG_FLAG:
        status = set_flag(target, value, err);
        break;
    case CONFIG_LEVEL:
        status = log_level_parse(value, target, err);
        break;
    case CONFIG_FORMAT:
        status = log_format_parse(value, target, err);
        break;
    case CONFIG_CHOICE:
        status = set_choice(target, found->help, value, err);
        break;
    case CONFIG_NUMBER:
        status = number_parse(value, found->min, found->max, target, err);
        break;
    }
    if (status != AFAR_OK)
        (void)afar_prefix(err, "%s", found->name);
    return status;
}

/* Whether the second bind(2) would fail. TCP and TLS make no difference to it. */
static bool same_place(const struct endpoint *a, const struct endpoint *b)
{
    if ((a->scheme == ENDPOINT_UNIX) != (b->scheme == ENDPOINT_UNIX) ||
        (a->scheme == ENDPOINT_UDP) != (b->scheme == ENDPOINT_UDP))
        return false;
    if (a->inherited || b->inherited) /* `host` is a name of a socket unit: case matters */
        return a->inherited && b->inherited && a->port == b->port && strcmp(a->host, b->host) == 0;
    if (a->scheme == ENDPOINT_UNIX)
        return strcmp(a->path, b->path) == 0;
    return a->port != 0 && a->port == b->port && strcasecmp(a->host, b->host) == 0;
}

static enum afar_status check_tls(const struct config *config, const char *url,
                                  struct afar_error *err)
{
    const char *missing = NULL;
    const char *what = NULL;
    if (config->tls_cert == NULL) {
        missing = "tls_cert (--tls-cert FILE)";
        what = "the server's certificate";
    } else if (config->tls_key == NULL) {
        missing = "tls_key (--tls-key FILE)";
        what = "its private key";
    } else if (config->tls_client_ca == NULL && !rules_have_pin(config->rules)) {
        missing = "tls_client_ca (--tls-client-ca FILE), or rules with client = pin:sha256:…";
        what = "the CA of the clients' certificates";
    }
    if (missing == NULL)
        return AFAR_OK;
    return afar_fail(err, AFAR_EINVAL, "%s needs %s, %s", url, missing, what);
}

/* Gives `user` to the rules that name none, and to commands that run without rules. */
static enum afar_status apply_user(struct config *config, struct afar_error *err)
{
    struct user user;
    const uid_t own = geteuid();
    if (config->user == NULL || (own != 0 && config->user_preset))
        return AFAR_OK;
    enum afar_status status = users_find(&user, config->user, err);
    if (status == AFAR_OK && config->rules == NULL) {
        config->rules = rules_new("");
        if (config->rules == NULL)
            status = afar_fail(err, AFAR_ENOMEM, "out of memory for a user");
    }
    /* If `user` is the server's own, which is not root, commands run as that user anyway. */
    if (status == AFAR_OK && !(own != 0 && user.uid == own))
        status = rules_set_user(config->rules, &user, err);
    if (status != AFAR_OK)
        (void)afar_prefix(err, "user");
    user_close(&user);
    return status;
}

enum afar_status config_finish(struct config *config, struct afar_error *err)
{
    enum afar_status status = include_read(config, err);
    return status == AFAR_OK ? apply_user(config, err) : status;
}

enum afar_status config_check(const struct config *config, struct afar_error *err)
{
    if (config->listen_count == 0)
        return afar_fail(err, AFAR_EINVAL,
                         "no listener: add --listen tcp://127.0.0.1, or a line listen = URL to the "
                         "configuration");

    for (unsigned i = 0; i < config->listen_count; i++) {
        const struct endpoint *endpoint = &config->listen[i];
        char url[ENDPOINT_URL_BYTES];
        endpoint_format(endpoint, url, sizeof url);
        for (unsigned j = 0; j < i; j++) {
            if (same_place(endpoint, &config->listen[j]))
                return afar_fail(err, AFAR_EINVAL, "%s: another listener has this address already",
                                 url);
        }
        if (config->http_wanted && same_place(endpoint, &config->http))
            return afar_fail(err, AFAR_EINVAL,
                             "http: %s is already the address of a listener: choose another port",
                             url);
        if (endpoint->scheme == ENDPOINT_UDP && endpoint->protocol != PROTOCOL_UPPER)
            return afar_fail(err, AFAR_EINVAL, "%s: udp carries only ?protocol=upper", url);
        if (endpoint->scheme == ENDPOINT_TLS) {
            enum afar_status status = check_tls(config, url, err);
            if (status != AFAR_OK)
                return status;
        }
    }
    bool to_syslog = config->audit_log != NULL && strcmp(config->audit_log, "syslog") == 0;
    if ((config->audit_log == NULL || to_syslog) && config->audit_chain)
        return afar_fail(err, AFAR_EINVAL, "audit_chain needs audit_log, the name of a file");
    if (to_syslog && config->audit == AUDIT_REQUIRED)
        return afar_fail(err, AFAR_EINVAL,
                         "audit_log = syslog: syslog does not confirm what is on disk, so audit = "
                         "counted must be given too");
    return config->rules == NULL ? AFAR_OK : rules_check(config->rules, err);
}
