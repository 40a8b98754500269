#include "afar/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "afar/paths.h"
#include "afar/report.h"

static const char parameter[] = "protocol=";

/* What stands behind "?protocol=", or NULL. */
static const char *protocol_of(const char *url)
{
    const char *query = strchr(url, '?');
    if (query == NULL || strncmp(query + 1, parameter, strlen(parameter)) != 0)
        return NULL;
    return query + 1 + strlen(parameter);
}

/* --protocol replaces the URL's; what else may be wrong with the URL is for the library to say. */
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

static bool make_context(struct remote *remote, const struct options *options)
{
    struct credential_paths paths = {0};
    struct afar_credentials credentials = AFAR_CREDENTIALS_INIT();
    struct afar_error err = {0};
    enum afar_status status = AFAR_EINVAL;
    bool secure = needs_credentials(remote->url);
    if (secure && !credential_paths_find(&paths, options))
        return false;
    if (!trust_open(&remote->trust, paths.known_hosts, remote->url))
        goto out;
    credentials.ca_file = paths.ca;
    credentials.cert_file = paths.cert;
    credentials.key_file = paths.key;
    credentials.session_folder = paths.sessions;
    credentials.pin = paths.pin[0] != '\0' ? paths.pin : NULL;
    if (paths.by_known_hosts) {
        if (remote->trust.has_keys)
            credentials.trust_alone = trust_check;
        else
            credentials.trust = trust_check;
        credentials.trust_user = &remote->trust;
    }
    status = afar_context_new(&remote->context, secure ? &credentials : NULL, &err);
    if (status != AFAR_OK)
        report("%s", err.message);
out:
    credential_paths_close(&paths);
    return status == AFAR_OK;
}

bool remote_open(struct remote *remote, const struct options *options, const char *assumed)
{
    struct options own = *options; /* its lists are the caller's */
    *remote = (struct remote){.host = options->host,
                              .connect_timeout_ms = options->connect_timeout_ms,
                              .silence_ms = options->silence_ms};
    if (strstr(options->host, "://") == NULL &&
        !(host_find(&remote->entry, options->host) && host_apply(&remote->entry, &own)))
        return false;
    if (remote->entry.value[HOST_VIA].text != NULL) {
        report("%s: %s:%u: via: jump hosts are not supported", options->host, remote->entry.file,
               remote->entry.value[HOST_VIA].line);
        return false;
    }
    remote->url = make_url(own.host, own.protocol, assumed);
    if (remote->url == NULL) {
        report("out of memory");
        return false;
    }
    return make_context(remote, &own);
}

void remote_close(struct remote *remote)
{
    afar_close(remote->client);
    afar_context_free(remote->context);
    trust_close(&remote->trust);
    host_close(&remote->entry);
    free(remote->url);
    *remote = (struct remote){0};
}

/* Asked four times before it is given up, as by default. */
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

bool remote_connect(struct remote *remote)
{
    struct afar_error err = {0};
    if (remote->client != NULL)
        return true;
    for (;;) {
        struct afar_route by = AFAR_ROUTE_INIT(.timeout_ms = remote->connect_timeout_ms);
        if (!take_route(&by, remote->route))
            return false;
        if (afar_connect_by(&remote->client, remote->context, remote->url, &by, &err) == AFAR_OK) {
            set_silence(remote);
            return true;
        }
        switch (trust_settle(&remote->trust)) {
        case TRUST_SAY_WHY:
            report("%s", err.message);
            return false;
        case TRUST_STOP:
            return false;
        case TRUST_AGAIN: /* at most once: its key is known now, and another is refused */
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
