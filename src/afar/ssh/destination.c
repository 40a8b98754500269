#include "afar/ssh/destination.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool fail(char message[SSH_MESSAGE_BYTES], const char *what, const char *text)
{
    (void)snprintf(message, SSH_MESSAGE_BYTES, "%s '%.200s'", what, text);
    return false;
}

static bool begins(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* Takes the host, and with `has_port` also the port. */
static bool take_host(struct ssh_destination *destination, struct ssh_options *options,
                      const char *text, size_t size, bool has_port, char message[SSH_MESSAGE_BYTES])
{
    const char *end = text + size;
    if (size > 1 && text[0] == '[') {
        const char *close = memchr(text, ']', size);
        if (close == NULL)
            return fail(message, "there is no ']' in", text);
        text++;
        size = (size_t)(close - text);
        has_port = has_port && close + 1 < end && close[1] == ':';
        if (!has_port && close + 1 != end)
            return fail(message, "more than an address in", text - 1);
        text = close + 1; /* where a port begins */
        if (size >= sizeof destination->host)
            return fail(message, "too long a host:", text);
        memcpy(destination->host, text - 1 - size, size);
    } else {
        const char *colon = has_port ? memchr(text, ':', size) : NULL;
        if (size >= sizeof destination->host)
            return fail(message, "too long a host:", text);
        size = colon != NULL ? (size_t)(colon - text) : size;
        memcpy(destination->host, text, size);
        text += size;
        has_port = colon != NULL;
    }
    destination->host[size] = '\0';
    if (size == 0)
        return fail(message, "there is no host in", options->destination);
    if (!has_port || end == text + 1)
        return true;
    char line[64];
    (void)snprintf(line, sizeof line, "Port=%.*s", (int)(end - text - 1), text + 1);
    return ssh_options_set(options, line, "the destination", message);
}

bool ssh_destination_parse(struct ssh_destination *destination, struct ssh_options *options,
                           char message[SSH_MESSAGE_BYTES])
{
    const char *text = options->destination;
    *destination = (struct ssh_destination){0};
    if (begins(text, "tls://") || begins(text, "tcp://") || begins(text, "unix://")) {
        destination->is_url = true;
        if (strlen(text) >= sizeof destination->host)
            return fail(message, "too long a URL:", text);
        memcpy(destination->host, text, strlen(text) + 1);
        return true;
    }
    bool is_ssh_url = begins(text, "ssh://");
    if (is_ssh_url)
        text += strlen("ssh://");
    size_t size = is_ssh_url ? strcspn(text, "/") : strlen(text);
    const char *at = memrchr(text, '@', size);
    if (at != NULL) {
        if (at == text)
            return fail(message, "there is no user in", options->destination);
        if (!ssh_options_assume(options, SSH_USER, text, (size_t)(at - text), message))
            return false;
        size -= (size_t)(at + 1 - text);
        text = at + 1;
    }
    return take_host(destination, options, text, size, is_ssh_url, message);
}

bool ssh_destination_url(char url[SSH_URL_BYTES], const char *host, const char *port)
{
    bool needs_brackets = strchr(host, ':') != NULL;
    int size =
        snprintf(url, SSH_URL_BYTES, "tls://%s%s%s%s%s", needs_brackets ? "[" : "", host,
                 needs_brackets ? "]" : "", port != NULL ? ":" : "", port != NULL ? port : "");
    return size > 0 && size < SSH_URL_BYTES;
}

bool ssh_destination_replace(char out[SSH_URL_BYTES], const char *url, const char *port)
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme != NULL ? scheme + 3 : url;
    size_t end = strcspn(host, "?/");
    const char *close = memrchr(host, ']', end);
    const char *colon = memrchr(host, ':', end);
    if (colon != NULL && close != NULL && colon < close)
        colon = NULL;
    bool has_port = port != NULL && strncasecmp(url, "unix", 4) != 0;
    size_t kept = !has_port || colon == NULL ? (size_t)(host - url) + end : (size_t)(colon - url);
    int size = snprintf(out, SSH_URL_BYTES, "%.*s%s%s%s", (int)kept, url, has_port ? ":" : "",
                        has_port ? port : "", host + end);
    return size > 0 && size < SSH_URL_BYTES;
}
