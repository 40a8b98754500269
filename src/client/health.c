/* Asks a server's health page (`http` of afard.conf(5)) by a minimal HTTP/1.0 (RFC 1945): a request
 * line, and the answer's status line and first line of text. For containers, which have no other
 * HTTP client. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "client/client.h"
#include "client/sized.h"
#include "net/dial.h"

enum {
    HTTP_PORT = 7421, /* as in afard(8) and the examples */
    ANSWER_BYTES = 4096,
    PATH_BYTES = 256,
    STATUS_OK = 200
};

static const char scheme[] = "http://";
static const char usual_path[] = "/healthz";

/* "http://host[:port][/path]" */
static enum afar_status parse(const char *url, struct endpoint *endpoint, char path[PATH_BYTES],
                              struct afar_error *err)
{
    char tcp[ENDPOINT_URL_BYTES];
    if (url == NULL)
        return afar_fail(err, AFAR_EINVAL, "there is no URL: it is NULL");
    const char *host = url + strlen(scheme);
    if (strncmp(url, scheme, strlen(scheme)) != 0 || strpbrk(url, " \r\n\t") != NULL)
        return afar_fail(err, AFAR_EINVAL, "'%s' is not http://HOST[:PORT][/PATH]", url);
    int host_size = (int)strcspn(host, "/");
    const char *rest = host + host_size;
    if (rest[0] == '\0' || rest[1] == '\0')
        rest = usual_path;
    const char *colon = memrchr(host, ':', (size_t)host_size);
    bool has_port = colon != NULL && memchr(colon, ']', (size_t)(host + host_size - colon)) == NULL;
    int length = has_port ? snprintf(tcp, sizeof tcp, "tcp://%.*s", host_size, host)
                          : snprintf(tcp, sizeof tcp, "tcp://%.*s:%d", host_size, host, HTTP_PORT);
    if (host_size == 0 || length >= (int)sizeof tcp || strlen(rest) >= PATH_BYTES)
        return afar_fail(err, AFAR_EINVAL, "'%.100s' is not http://HOST[:PORT][/PATH]", url);
    (void)snprintf(path, PATH_BYTES, "%s", rest);
    return endpoint_parse(endpoint, tcp, err);
}

/* Sends the request, and reads until the answer's end or until `answer` is full. */
static enum afar_status ask(struct transport *transport, const char *path, int64_t deadline_ms,
                            char answer[ANSWER_BYTES], struct afar_error *err)
{
    char request[PATH_BYTES + 64];
    size_t used = 0;
    /* HTTP/1.0 does not need Host; the server takes its absence to mean itself. */
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    enum afar_status status =
        transport_sendall(transport, request, (size_t)length, deadline_ms, err);
    while (status == AFAR_OK && used < ANSWER_BYTES - 1) {
        status = transport_recvall(transport, answer + used, 1, deadline_ms, err);
        used += status == AFAR_OK ? 1 : 0;
    }
    answer[used] = '\0';
    return status == AFAR_ECLOSED && used > 0 ? AFAR_OK : status;
}

/* The status in "HTTP/1.1 503 …"; -1: the line is not of that form. */
static int status_of(const char *answer)
{
    int status = -1;
    return sscanf(answer, "HTTP/1.%*1[01] %3d", &status) == 1 ? status : -1;
}

static enum afar_status judge(const char *url, const char *answer, char *words, size_t size,
                              struct afar_error *err)
{
    char line[ANSWER_BYTES];
    const int status = status_of(answer);
    const char *body = strstr(answer, "\r\n\r\n");
    if (status < 0 || body == NULL)
        return afar_fail(err, AFAR_EPEER, "%s: the answer is not HTTP", url);
    (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(body + 4, "\r\n"), body + 4);
    utf8_copy(words, size, line);
    if (status == STATUS_OK)
        return AFAR_OK;
    return afar_fail(err, AFAR_EREFUSED, "%s: status %d: %s", url, status, words);
}

enum afar_status afar_health(const char *url, int64_t timeout_ms, struct afar_health *health,
                             struct afar_error *err)
{
    struct afar_error why = {0};
    struct endpoint endpoint;
    char path[PATH_BYTES];
    char answer[ANSWER_BYTES];
    struct transport *transport = NULL;
    int fd = -1;
    const int64_t deadline_ms = clock_deadline_ms(timeout_ms);
    const int64_t start_us = clock_now_us();

    struct afar_health found = AFAR_HEALTH_INIT();
    enum afar_status status = sized_clear(health, "afar_health", &why);
    if (status != AFAR_OK)
        return client_tell(status, &why, err);
    status = parse(url, &endpoint, path, &why);
    if (status == AFAR_OK)
        status = dial(&endpoint, deadline_ms, &fd, &why);
    if (status == AFAR_OK)
        status = transport_plain_new(&transport, fd, &why);
    if (status == AFAR_OK) {
        status = ask(transport, path, deadline_ms, answer, &why);
        if (status != AFAR_OK)
            (void)afar_prefix(&why, "%s", url);
    }
    if (status == AFAR_OK)
        status = judge(url, answer, found.words, sizeof found.words, &why);
    found.round_trip_us = (uint64_t)(clock_now_us() - start_us);
    sized_give(health, &found, sizeof found);
    transport_free(transport);
    return client_tell(status, &why, err);
}
