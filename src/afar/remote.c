#include "afar/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "afar/report.h"
#include "afar/share/use.h"

enum { RECONNECT_MS = 60000 }; /* the default */

static const char parameter[] = "protocol=";

/* What follows "?protocol="; NULL: nothing. */
static const char *protocol_of(const char *url)
{
    const char *query = strchr(url, '?');
    if (query == NULL || strncmp(query + 1, parameter, strlen(parameter)) != 0)
        return NULL;
    return query + 1 + strlen(parameter);
}

/* Sets the protocol: --protocol, else the URL's, else `assumed`. The library reports what else is
 * wrong with the URL. NULL: out of memory. */
static char *make_url(const char *host, const char *protocol, const char *assumed)
{
    char *url = NULL;
    int length = (int)strcspn(host, "?");
    if (protocol == NULL && host[length] == '\0')
        protocol = assumed;
    if (protocol == NULL || (host[length] != '\0' && protocol_of(host) == NULL))
        return strdup(host);
    return asprintf(&url, "%.*s?%s%s", length, host, parameter, protocol) < 0 ? NULL : url;
}

static bool needs_credentials(const char *url)
{
    return strstr(url, "://") == NULL || strncasecmp(url, "tls://", 6) == 0;
}

static enum afar_status make_context(struct remote *remote, struct afar_context **context,
                                     struct afar_error *err)
{
    const struct credential_paths *paths = &remote->paths;
    struct afar_credentials credentials = AFAR_CREDENTIALS_INIT();
    credentials.ca_file = paths->ca;
    credentials.cert_file = paths->cert;
    credentials.key_file = paths->key;
    credentials.session_folder = paths->sessions;
    credentials.pin = paths->pin[0] != '\0' ? paths->pin : NULL;
    if (paths->by_known_hosts) {
        if (remote->trust.has_keys)
            credentials.trust_alone = trust_check;
        else
            credentials.trust = trust_check;
        credentials.trust_user = &remote->trust;
    }
    return afar_context_new(context, remote->secure ? &credentials : NULL, err);
}

static bool find_credentials(struct remote *remote, const struct options *options)
{
    remote->secure = needs_credentials(remote->url);
    if (remote->secure && !credential_paths_find(&remote->paths, options))
        return false;
    return trust_open(&remote->trust, remote->paths.known_hosts, remote->url);
}

bool remote_renew(struct remote *remote)
{
    struct afar_context *context = NULL;
    struct afar_error err = {0};
    if (!remote->secure)
        return true;
    if (remote->context == NULL)
        afar_begin_program();
    if (make_context(remote, &context, &err) == AFAR_OK) {
        afar_context_free(remote->context);
        remote->context = context;
    }
    if (remote->context == NULL)
        report("%s", err.message);
    return remote->context != NULL;
}

/* Over a Unix socket, a lost connection means that one side has ended. */
static int64_t reconnect_ms(const char *url, const struct options *options)
{
    if (options->reconnect_ms >= 0)
        return options->reconnect_ms;
    return strncasecmp(url, "unix:", 5) == 0 ? 0 : RECONNECT_MS;
}

/* The entry is "no" or a duration. */
bool remote_take_share(int64_t *share_ms, const struct host *entry)
{
    const char *said = entry->value[HOST_SHARE].text;
    if (*share_ms >= 0 || said == NULL)
        return true;
    *share_ms = 0;
    if (strcmp(said, "no") == 0 || options_duration(said, share_ms))
        return true;
    report("%s:%u: share: '%s' is not 'no' or a duration such as 10m", entry->file,
           entry->value[HOST_SHARE].line, said);
    return false;
}

/* For jump hosts: the credentials of the command line, but not the server's pin; their own entries
 * may name others. */
static bool take_via(struct remote *remote, const struct options *options, const char *via)
{
    remote->asked = *options;
    remote->asked.pin[0] = '\0';
    remote->asked.protocol = NULL;
    remote->via =
        (struct remote_route){.open = jump_open, .has_said = jump_has_said, .user = &remote->jump};
    remote->route = &remote->via;
    return jump_init(&remote->jump, &remote->asked, via, remote->url);
}

/* The default is for servers that answer at once. Those of sized and headed answer only when the
 * command has ended. */
static int64_t reply_timeout_ms(const struct remote *remote, const struct options *options)
{
    if (remote_is_shell(remote) && !options->connect_timeout_said)
        return 0;
    return options->connect_timeout_ms;
}

bool remote_open(struct remote *remote, const struct options *options, const char *assumed)
{
    struct options own = *options; /* its lists are borrowed */
    *remote = (struct remote){.host = options->host,
                              .connect_timeout_ms = options->connect_timeout_ms,
                              .silence_ms = options->silence_ms};
    if (strstr(options->host, "://") == NULL &&
        !(host_find(&remote->entry, options->host) && host_apply(&remote->entry, &own)))
        return false;
    if (!remote_take_share(&own.share_ms, &remote->entry))
        return false;
    remote->share_ms = own.share_ms > 0 ? own.share_ms : 0;
    remote->share_joins = remote->share_ms > 0;
    remote->url = make_url(own.host, own.protocol, assumed);
    if (remote->url == NULL) {
        report("out of memory");
        return false;
    }
    remote->reconnect_ms = reconnect_ms(remote->url, &own);
    remote->reply_timeout_ms = reply_timeout_ms(remote, options);
    const char *via = remote->entry.value[HOST_VIA].text;
    if (via != NULL && strcasecmp(via, "none") != 0 && !take_via(remote, options, via))
        return false;
    return find_credentials(remote, &own);
}

void remote_close(struct remote *remote)
{
    afar_close(remote->client);
    jump_close(&remote->jump);
    afar_context_free(remote->context);
    trust_close(&remote->trust);
    credential_paths_close(&remote->paths);
    host_close(&remote->entry);
    free(remote->url);
    *remote = (struct remote){0};
}

/* Ping four times before the server is given up, as by default. */
static void set_silence(const struct remote *remote)
{
    int64_t beat_ms = remote->silence_ms / 4;
    if (remote->silence_ms == 0)
        afar_set_heartbeat(remote->client, 0, 0);
    else if (remote->silence_ms > 0)
        afar_set_heartbeat(remote->client, beat_ms > 0 ? beat_ms : 1, remote->silence_ms);
}

static bool take_route(struct afar_route *by, const struct remote_route *route)
{
    if (route == NULL)
        return true;
    by->family = route->family;
    by->local_address = route->local_address;
    if (route->open == NULL)
        return true;
    by->stream = route->open(route->user);
    return by->stream > 0;
}

static enum afar_status dial(struct remote *remote, struct afar_route *by, struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    if (remote->context == NULL)
        status = make_context(remote, &remote->context, err);
    if (status == AFAR_OK)
        return afar_connect_by(&remote->client, remote->context, remote->url, by, err);
    if (by->stream > 0)
        (void)close(by->stream);
    return status;
}

enum afar_status remote_dial(struct remote *remote, struct afar_error *err)
{
    struct afar_route by = AFAR_ROUTE_INIT(.timeout_ms = remote->connect_timeout_ms);
    return dial(remote, &by, err);
}

static bool is_routed(const struct remote *remote)
{
    const struct remote_route *route = remote->route;
    return route != NULL &&
           (route->family != 0 || route->local_address != NULL || route->open != NULL);
}

/* Tries a share once; if its connection was unusable, the server itself is dialled. */
static bool connect_shared(struct remote *remote)
{
    if (!remote->share_joins || remote->shared || is_routed(remote))
        return false;
    remote->shared = share_connect(remote);
    return remote->shared;
}

void remote_forget_connection(struct remote *remote)
{
    if (remote->client == NULL)
        return;
    (void)close(afar_fd(remote->client));
    remote->client = NULL;
    remote->jump.pid = 0;
}

int remote_stream(const struct remote *remote)
{
    const struct remote_route *route = remote->route;
    return route != NULL && route->open != NULL ? route->open(route->user) : 0;
}

bool remote_connect(struct remote *remote)
{
    struct afar_error err = {0};
    if (remote->client != NULL)
        return true;
    if (connect_shared(remote)) {
        set_silence(remote);
        return true;
    }
    /* Start OpenSSL only here: a shared connection does not need it. */
    if (remote->context == NULL)
        afar_begin_program();
    for (;;) {
        struct afar_route by = AFAR_ROUTE_INIT(.timeout_ms = remote->connect_timeout_ms,
                                               .request_follows = remote->request_follows,
                                               .reply_timeout_ms = remote->reply_timeout_ms);
        if (!take_route(&by, remote->route))
            return false;
        if (dial(remote, &by, &err) == AFAR_OK) {
            set_silence(remote);
            if (remote->share_ms > 0 && !is_routed(remote))
                share_begin(remote);
            return true;
        }
        switch (trust_settle(&remote->trust)) {
        case TRUST_SAY_WHY:
            if (!remote->tries_again &&
                !(remote->route != NULL && remote->route->has_said != NULL &&
                  remote->route->has_said(remote->route->user)))
                report("%s", err.message);
            return false;
        case TRUST_STOP:
            return false;
        case TRUST_AGAIN: /* at most once: the key is known now, and another is refused */
            break;
        }
    }
}

void remote_disconnect(struct remote *remote)
{
    afar_close(remote->client);
    remote->client = NULL;
}

bool remote_is_shell(const struct remote *remote)
{
    const char *protocol = protocol_of(remote->url);
    return protocol != NULL && (strcmp(protocol, "sized") == 0 || strcmp(protocol, "headed") == 0);
}
