/* What the server logs when it starts and after a reload: who can run what, and through which
 * listener. */
#include "server/server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WHAT_BYTES = 384, WHO_BYTES = 384 };

/* "can run any command as user root" */
static void describe_what(const struct config *config, const char *user, char what[WHAT_BYTES])
{
    const struct rule *otherwise = rules_otherwise(config->rules);
    size_t count = rules_count(config->rules);
    size_t files = count == 0 ? 0 : rules_file_count(config->rules);
    if (count == 0)
        (void)snprintf(what, WHAT_BYTES, "can run any command as user %.100s",
                       otherwise != NULL ? otherwise->user.name : user);
    else if (files == 1)
        (void)snprintf(what, WHAT_BYTES, "can run what %s of %.200s allow%s",
                       count == 1 ? "the one rule" : "the rules", rules_file(config->rules),
                       count == 1 ? "s" : "");
    else
        (void)snprintf(what, WHAT_BYTES,
                       "can run what the %zu rules of %.200s and %zu more file%s allow", count,
                       rules_file(config->rules), files - 1, files == 2 ? "" : "s");
}

/* "everyone with a client certificate from ca.pem" */
static void describe_who(const struct config *config, char who[WHO_BYTES])
{
    bool pins = rules_have_pin(config->rules);
    if (config->tls_client_ca == NULL)
        (void)snprintf(who, WHO_BYTES, "everyone with a key that a rule names");
    else
        (void)snprintf(who, WHO_BYTES, "everyone with a client certificate from %.200s%s",
                       config->tls_client_ca, pins ? ", or a key that a rule names," : "");
}

void server_describe_one(const struct server *server, const struct listening *listening)
{
    struct log *log = server->shared.log;
    const struct config *config = server->shared.settings.config;
    const struct endpoint *endpoint = &listening->endpoint;
    char url[ENDPOINT_URL_BYTES];
    char what[WHAT_BYTES];
    char who[WHO_BYTES];
    const char *user = server->shared.user;
    endpoint_format(endpoint, url, sizeof url);
    describe_what(config, user, what);
    describe_who(config, who);
    if (endpoint->protocol == PROTOCOL_UPPER)
        log_write(log, LOG_LEVEL_INFO, "%s: answers in upper case; nobody can run anything there",
                  url);
    else if (endpoint->scheme == ENDPOINT_TLS)
        log_write(log, LOG_LEVEL_INFO, "%s: %s %s", url, who, what);
    else if (endpoint->scheme == ENDPOINT_UNIX && !listening->private)
        log_write(log, LOG_LEVEL_WARN,
                  "%s: everyone on this machine who can write to that socket %s", url, what);
    else if (endpoint->scheme == ENDPOINT_UNIX)
        log_write(log, LOG_LEVEL_INFO, "%s: user %s on this machine (and root) %s", url, user,
                  what);
    else if (listening->local)
        log_write(log, LOG_LEVEL_WARN,
                  "%s: everyone on this machine %s, unencrypted and without a certificate: for "
                  "development only",
                  url, what);
    else
        log_write(log, LOG_LEVEL_WARN,
                  "%s: EVERYONE WHO CAN REACH THIS PORT %s, unencrypted and without a certificate",
                  url, what);
}

/* The listener that says most about who can run commands; NULL: nobody can. */
static const struct endpoint *widest(const struct config *config)
{
    const struct endpoint *found = NULL;
    for (unsigned i = 0; i < config->listen_count; i++) {
        const struct endpoint *endpoint = &config->listen[i];
        if (endpoint->protocol != PROTOCOL_UPPER &&
            (found == NULL || (endpoint->scheme == ENDPOINT_TLS && found->scheme != ENDPOINT_TLS)))
            found = endpoint;
    }
    return found;
}

enum afar_status server_warn_of_root(const struct config *config, struct words *warnings,
                                     struct afar_error *err)
{
    const struct rule *otherwise = rules_otherwise(config->rules);
    const uid_t uid = otherwise != NULL ? otherwise->user.uid : geteuid();
    const struct endpoint *endpoint = widest(config);
    char url[ENDPOINT_URL_BYTES];
    char what[WHAT_BYTES];
    char who[WHO_BYTES] = "everyone who can connect";
    char *text = NULL;
    if (rules_count(config->rules) > 0 || uid != 0 || endpoint == NULL)
        return AFAR_OK;
    endpoint_format(endpoint, url, sizeof url);
    describe_what(config, "root", what);
    if (endpoint->scheme == ENDPOINT_TLS)
        describe_who(config, who);
    const int size = asprintf(&text,
                              "%s: %s %s: rules ([allow NAME] in afard.conf(5)) say who may run "
                              "what, and user = NAME as whom",
                              url, who, what);
    if (size < 0)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a warning");
    enum afar_status status = words_add(warnings, text, (size_t)size, err);
    free(text);
    return status;
}

static void describe_http(const struct server *server)
{
    char url[ENDPOINT_URL_BYTES];
    endpoint_format(listener_endpoint(server->http_listener), url, sizeof url);
    log_write(server->shared.log, LOG_LEVEL_INFO, "%s: %s can read health and metrics over HTTP",
              url,
              listener_is_local(server->http_listener) ? "this machine"
                                                       : "everyone who can reach this port");
}

void server_describe_separation(const struct server *server)
{
    const struct separation *separation = &server->separation;
    struct log *log = server->shared.log;
    for (size_t i = 0; i < separation->closed.count; i++)
        log_write(log, LOG_LEVEL_INFO, "commands that run as this server's user cannot use %s",
                  separation->closed.at[i]);
    for (size_t i = 0; i < separation->warnings.count; i++)
        log_write(log, LOG_LEVEL_WARN, "%s", separation->warnings.at[i]);
}

void server_describe(const struct server *server)
{
    server_describe_separation(server);
    for (unsigned i = 0; i < server->listening.count; i++)
        server_describe_one(server, &server->listening.at[i]);
    if (server->http_listener != NULL)
        describe_http(server);
}
