#include "afar/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "afar/report.h"

enum { RECONNECT_MS = 60000 }; /* where nothing is said */

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

static bool open_context(struct remote *remote, const struct options *options)
{
    struct afar_error err = {0};
    remote->secure = needs_credentials(remote->url);
    if (remote->secure && !credential_paths_find(&remote->paths, options))
        return false;
    if (!trust_open(&remote->trust, remote->paths.known_hosts, remote->url))
        return false;
    if (make_context(remote, &remote->context, &err) == AFAR_OK)
        return true;
    report("%s", err.message);
    return false;
}

void remote_renew(struct remote *remote)
{
    struct afar_context *context = NULL;
    if (!remote->secure || make_context(remote, &context, NULL) != AFAR_OK)
        return;
    afar_context_free(remote->context);
    remote->context = context;
}

/* Over a Unix socket an end means that one of the two has ended. */
static int64_t reconnect_ms(const char *url, const struct options *options)
{
    if (options->reconnect_ms >= 0)
        return options->reconnect_ms;
    return strncasecmp(url, "unix:", 5) == 0 ? 0 : RECONNECT_MS;
}

bool remote_open(struct remote *remote, const struct options *options, const char *assumed)
{
    *remote = (struct remote){.host = options->host,
                              .connect_timeout_ms = options->connect_timeout_ms,
                              .silence_ms = options->silence_ms};
    remote->url = make_url(options->host, options->protocol, assumed);
    if (remote->url == NULL) {
        report("out of memory");
        return false;
    }
    remote->reconnect_ms = reconnect_ms(remote->url, options);
    return open_context(remote, options);
}

void remote_close(struct remote *remote)
{
    afar_close(remote->client);
    afar_context_free(remote->context);
    trust_close(&remote->trust);
    credential_paths_close(&remote->paths);
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

bool remote_connect(struct remote *remote)
{
    struct afar_error err = {0};
    if (remote->client != NULL)
        return true;
    for (;;) {
        if (afar_connect(&remote->client, remote->context, remote->url, remote->connect_timeout_ms,
                         &err) == AFAR_OK) {
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
