/* SIGHUP: reads certificates and configuration again, as a whole or not at all.
 *
 *   load and check ─▶ open what is new ─▶ close what is gone ─▶ tell the workers ─▶ free the old
 *   any failure here: nothing has changed    no failure possible from here on
 *
 * Jobs and connections stay; each connection's client is judged again before its next job. */
#include "server/kept.h"
#include "server/left.h"
#include "server/server_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A reload that has been prepared. */
struct fresh {
    struct config *config;
    struct tls_context *tls;
    struct separation separation;
    struct listenings listening; /* old ones that stay, and new ones */
    bool is_new[CONFIG_LISTEN_MAX];
    struct file_watch watch;
};

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    char first[ENDPOINT_URL_BYTES];
    char second[ENDPOINT_URL_BYTES];
    endpoint_format(a, first, sizeof first);
    endpoint_format(b, second, sizeof second);
    return strcmp(first, second) == 0;
}

static const struct listening *find(const struct listenings *listening,
                                    const struct endpoint *endpoint)
{
    for (unsigned i = 0; i < listening->count; i++) {
        if (same_endpoint(&listening->at[i].configured, endpoint))
            return &listening->at[i];
    }
    return NULL;
}

/* Either may be NULL. */
static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Refuses changes of what is fixed once the threads run. */
static enum afar_status check_fixed(const struct server *server, const struct config *config,
                                    struct afar_error *err)
{
    const struct config *old = server->shared.settings.config;
    if (config->http_wanted != old->http_wanted ||
        (config->http_wanted && !same_endpoint(&config->http, &old->http)))
        return afar_fail(err, AFAR_EINVAL, "http: changing it needs a restart");
    if (config->workers != old->workers)
        return afar_fail(err, AFAR_EINVAL, "workers: changing it needs a restart");
    if (config->bulk_workers != old->bulk_workers)
        return afar_fail(err, AFAR_EINVAL, "bulk_workers: changing it needs a restart");
    if (!same_text(config->state_directory, old->state_directory))
        return afar_fail(err, AFAR_EINVAL, "state_directory: changing it needs a restart");
    if (!same_text(config->audit_log, old->audit_log) || config->audit != old->audit ||
        config->audit_chain != old->audit_chain)
        return afar_fail(err, AFAR_EINVAL,
                         "audit_log, audit, audit_chain: changing them needs a restart");
    for (unsigned i = 0; i < config->listen_count; i++) {
        const struct endpoint *endpoint = &config->listen[i];
        if (endpoint->scheme == ENDPOINT_UDP && find(&server->listening, endpoint) == NULL)
            return afar_fail(err, AFAR_EINVAL, "listen: adding udp needs a restart");
    }
    for (unsigned i = 0; i < server->listening.count; i++) {
        const struct listening *listening = &server->listening.at[i];
        bool kept = false;
        for (unsigned j = 0; j < config->listen_count && !kept; j++)
            kept = same_endpoint(&listening->configured, &config->listen[j]);
        if (!kept && listening->door == NULL)
            return afar_fail(err, AFAR_EINVAL, "listen: removing udp needs a restart");
    }
    return AFAR_OK;
}

static void give_up(struct fresh *fresh)
{
    for (unsigned i = 0; i < fresh->listening.count; i++) {
        if (fresh->is_new[i])
            acceptor_remove(fresh->listening.at[i].door);
    }
    tls_context_free(fresh->tls);
    separation_close(&fresh->separation);
    config_free(fresh->config);
}

static enum afar_status prepare(struct server *server, struct fresh *fresh, struct afar_error *err)
{
    *fresh = (struct fresh){0};
    enum afar_status status = server->load(server->load_user, &fresh->config, err);
    if (status == AFAR_OK)
        status = check_fixed(server, fresh->config, err);
    if (status == AFAR_OK) {
        const char *files[FILE_WATCH_MAX];
        server_tls_files(fresh->config, files);
        file_watch_note(&fresh->watch, files);
    }
    if (status == AFAR_OK)
        status = server_open_good_tls(&fresh->tls, fresh->config, err);
    if (status == AFAR_OK)
        status = separation_make(&fresh->separation, fresh->config, err);
    for (unsigned i = 0; status == AFAR_OK && i < fresh->config->listen_count; i++) {
        struct listening *at = &fresh->listening.at[i];
        const struct listening *old = find(&server->listening, &fresh->config->listen[i]);
        fresh->is_new[i] = old == NULL;
        if (old != NULL)
            *at = *old;
        else
            status = server_open_listener(server, fresh->config, fresh->tls,
                                          &fresh->config->listen[i], at, err);
        if (status == AFAR_OK)
            fresh->listening.count++;
    }
    /* The last step that can fail. It changes nothing unless the file was moved away. */
    if (status == AFAR_OK && server->shared.audit != NULL)
        status = audit_reopen(server->shared.audit, err);
    return status;
}

static void close_what_is_gone(struct server *server, const struct fresh *fresh)
{
    for (unsigned i = 0; i < server->listening.count; i++) {
        const struct listening *old = &server->listening.at[i];
        char url[ENDPOINT_URL_BYTES];
        if (find(&fresh->listening, &old->configured) != NULL)
            continue;
        endpoint_format(&old->endpoint, url, sizeof url);
        log_write(server->shared.log, LOG_LEVEL_INFO, "%s: closed", url);
        acceptor_remove(old->door);
    }
}

static void commit(struct server *server, struct fresh *fresh)
{
    close_what_is_gone(server, fresh);
    server->listening = fresh->listening;
    server->old_config = server->loaded;
    server->old_tls = server->shared.settings.tls;
    server->loaded = fresh->config;
    server->watch = fresh->watch;
    server->renew_at_ms = DEADLINE_NEVER; /* the new context has just been made */
    server->old_separation = server->separation;
    server->separation = fresh->separation;
    server->shared.settings = (struct server_settings){
        .config = fresh->config, .tls = fresh->tls, .fence = fresh->separation.fence};
    log_set(server->shared.log, fresh->config->log_level, fresh->config->log_format);
    registry_set_limits(server->shared.registry, fresh->config);
    kept_set_limits(server->shared.kept, fresh->config);
    left_set_limits(server->shared.left, fresh->config);
    server_open_cgroups(server, fresh->config);
    server_watch_again(server);
    server_note_reload(server, &server->shared.settings);
    server->settling = true;
    acceptor_settle(server->acceptor);
    server_describe_separation(server);
    for (unsigned i = 0; i < server->listening.count; i++) {
        if (fresh->is_new[i])
            server_describe_one(server, &server->listening.at[i]);
    }
}

void server_reload(void *user)
{
    struct server *server = user;
    struct counters *counters = &server->shared.counters;
    struct fresh fresh;
    struct afar_error err;
    if (server->settling) { /* begins when all workers use the current one */
        server->again = true;
        return;
    }
    service_reloading(&server->service);
    if (server->load == NULL) {
        log_write(server->shared.log, LOG_LEVEL_WARN, "SIGHUP: there is nothing to reload");
        server_tell_ready(server, NULL);
        return;
    }
    if (prepare(server, &fresh, &err) != AFAR_OK) {
        counters_count(counters, COUNTER_RELOADS_FAILED);
        server_note_reload(server, NULL);
        log_write(server->shared.log, LOG_LEVEL_ERROR, "SIGHUP: not reloaded, nothing changed: %s",
                  err.message);
        server_tell_ready(server, err.message);
        give_up(&fresh);
        return;
    }
    commit(server, &fresh);
}

void server_settled(void *user)
{
    struct server *server = user;
    counters_count(&server->shared.counters, COUNTER_RELOADS);
    log_write(server->shared.log, LOG_LEVEL_INFO,
              server->renewed ? "certificates: they were replaced, and have been read anew"
                              : "SIGHUP: reloaded configuration and certificates");
    if (!server->renewed)
        server_tell_ready(server, NULL);
    server->settling = false;
    server->renewed = false;
    config_free(server->old_config);
    tls_context_free(server->old_tls);
    server->old_config = NULL;
    server->old_tls = NULL;
    separation_close(&server->old_separation);
    /* A SIGHUP came meanwhile; ignored if the server is stopping. */
    bool again = server->again && !acceptor_is_draining(server->acceptor);
    server->again = false;
    if (again)
        server_reload(server);
}
