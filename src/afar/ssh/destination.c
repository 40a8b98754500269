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

/* The ":" before the port of "host:port" or "[address]:port"; NULL: there is none. */
static const char *find_colon(const char *host, size_t size)
{
    const char *close = memrchr(host, ']', size);
    const char *colon = memrchr(host, ':', size);
    return colon != NULL && close != NULL && colon < close ? NULL : colon;
}

/* Takes the port, which begins at `text`. */
static bool take_port(struct ssh_options *options, const char *text, size_t size,
                      char message[SSH_MESSAGE_BYTES])
{
    char line[64];
    (void)snprintf(line, sizeof line, "Port=%.*s", (int)size, text);
    return ssh_options_set(options, line, "the destination", message);
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
    return take_port(options, text + 1, (size_t)(end - text - 1), message);
}

static bool take_user(struct ssh_options *options, const char *text, size_t size,
                      char message[SSH_MESSAGE_BYTES])
{
    if (size == 0)
        return fail(message, "there is no user in", options->destination);
    return ssh_options_assume(options, SSH_USER, text, size, message);
}

/* Where a URL of Afar's begins: at the text, or behind the first "@" that one follows. A Unix
 * socket's path may have an "@" itself. NULL: there is none. */
static const char *find_url(const char *text)
{
    for (const char *url = text;;) {
        if (begins(url, "tls://") || begins(url, "tcp://") || begins(url, "unix://") ||
            begins(url, "udp://"))
            return url;
        const char *at = strchr(url, '@');
        if (at == NULL)
            return NULL;
        url = at + 1;
    }
}

/* Takes a URL of Afar's as the host. Its port is the first that is given, or not, like any other. */
static bool take_url(struct ssh_destination *destination, struct ssh_options *options,
                     const char *url, char message[SSH_MESSAGE_BYTES])
{
    const char *text = options->destination;
    const char *host = strstr(url, "://") + 3;
    size_t size = strcspn(host, "?/");
    const char *colon = find_colon(host, size);
    destination->is_url = true;
    if (strlen(url) >= sizeof destination->host)
        return fail(message, "too long a URL:", url);
    memcpy(destination->host, url, strlen(url) + 1);
    if (url != text && !take_user(options, text, (size_t)(url - text - 1), message))
        return false;
    if (begins(url, "unix://") || colon == NULL || colon + 1 == host + size)
        return true;
    return take_port(options, colon + 1, (size_t)(host + size - colon - 1), message);
}

bool ssh_destination_parse(struct ssh_destination *destination, struct ssh_options *options,
                           char message[SSH_MESSAGE_BYTES])
{
    const char *text = options->destination;
    const char *own_url = find_url(text);
    *destination = (struct ssh_destination){0};
    if (own_url != NULL)
        return take_url(destination, options, own_url, message);
    bool is_ssh_url = begins(text, "ssh://");
    if (is_ssh_url)
        text += strlen("ssh://");
    size_t size = is_ssh_url ? strcspn(text, "/") : strlen(text);
    const char *at = memrchr(text, '@', size);
    if (at != NULL) {
        if (!take_user(options, text, (size_t)(at - text), message))
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
    const char *colon = find_colon(host, end);
    bool has_port = port != NULL && strncasecmp(url, "unix", 4) != 0;
    size_t kept = !has_port || colon == NULL ? (size_t)(host - url) + end : (size_t)(colon - url);
    int size = snprintf(out, SSH_URL_BYTES, "%.*s%s%s%s", (int)kept, url, has_port ? ":" : "",
                        has_port ? port : "", host + end);
    return size > 0 && size < SSH_URL_BYTES;
}
