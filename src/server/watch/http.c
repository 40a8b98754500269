#include "server/watch/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "server/crowd.h"
#include "server/watch/microhttpd.h"

enum { MEMORY_BYTES = 16384, HOST_BYTES = 64 };

/* A connection. */
struct guest {
    struct crowd_member place; /* in no crowd: it was told to leave */
    struct address_group group;
    int fd;
};

struct http {
    struct microhttpd mhd;
    struct MHD_Daemon *daemon;
    http_page *page;
    void *user;
    struct log *log;
    bool local;
    struct crowd guests; /* by address; used by its own thread only */
};

/* ---- who is there; in its own thread --------------------------------------------------------- */

/* After the shutdown, libmicrohttpd reads the end of the stream and closes the connection. */
static void send_away(struct http *http, struct crowd_member *member)
{
    const struct guest *guest = list_object(member, struct guest, place);
    crowd_leave(&http->guests, member);
    (void)shutdown(guest->fd, SHUT_RDWR);
}

static void make_room(struct http *http, const struct address_group *group)
{
    struct crowd *guests = &http->guests;
    /* Connections to a Unix socket have no address; they are all from this machine. */
    if (group->size > 0 && crowd_size_of(guests, group->bytes, group->size) >= HTTP_PER_ADDRESS_MAX)
        send_away(http, crowd_oldest_of(guests, group->bytes, group->size));
    else if (guests->count >= HTTP_GUESTS_MAX)
        send_away(http, crowd_oldest_of_largest(guests));
}

static struct guest *enter(struct http *http, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *fd =
        http->mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *address =
        http->mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct guest *guest = fd != NULL ? calloc(1, sizeof *guest) : NULL;
    if (guest == NULL)
        return NULL;
    guest->fd = fd->connect_fd;
    if (address != NULL && address->client_addr != NULL)
        address_group(address->client_addr, &guest->group);
    make_room(http, &guest->group);
    /* Out of memory: then it is never told to leave, and only libmicrohttpd's own limit holds. */
    (void)crowd_join(&http->guests, &guest->place, guest->group.bytes, guest->group.size,
                     clock_now_ms());
    return guest;
}

/* An MHD_NotifyConnectionCallback. */
static void come_or_go(void *user, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode what)
{
    struct http *http = user;
    struct guest *guest = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = enter(http, connection);
    } else if (guest != NULL) {
        crowd_leave(&http->guests, &guest->place);
        free(guest);
        *context = NULL;
    }
}

/* ---- what is asked for ----------------------------------------------------------------------- */

bool http_host_is_here(const char *host)
{
    char name[HOST_BYTES];
    if (host == NULL || host[0] == '\0')
        return true;
    size_t size = strlen(host);
    /* Drops the port: what follows the last ':', unless that is part of an IPv6 address. */
    const char *colon = strrchr(host, ':');
    if (colon != NULL && strchr(colon, ']') == NULL)
        size = (size_t)(colon - host);
    if (size > 1 && host[0] == '[' && host[size - 1] == ']') {
        host++;
        size -= 2;
    } else if (size > 1 && host[size - 1] == '.') { /* a fully qualified name, as "localhost." */
        size--;
    }
    if (size >= sizeof name)
        return false;
    memcpy(name, host, size);
    name[size] = '\0';
    struct in6_addr address; /* large enough for either kind */
    return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &address) == 1 ||
           inet_pton(AF_INET6, name, &address) == 1;
}

/* Sends `body`, which is *moved* (malloc). */
static enum MHD_Result send_body(const struct microhttpd *mhd, struct MHD_Connection *connection,
                                 unsigned status, char *body, size_t size, const char *type)
{
    const struct {
        const char *name;
        const char *value;
    } headers[] = {
        {MHD_HTTP_HEADER_CONTENT_TYPE, type},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {MHD_HTTP_HEADER_ALLOW, status == MHD_HTTP_METHOD_NOT_ALLOWED ? "GET, HEAD" : NULL}};
    struct MHD_Response *response =
        mhd->create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(body);
        return MHD_NO;
    }
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (headers[i].value != NULL)
            (void)mhd->add_response_header(response, headers[i].name, headers[i].value);
    }
    enum MHD_Result result = mhd->queue_response(connection, status, response);
    mhd->destroy_response(response);
    return result;
}

/* What is wrong with the request itself; 0: nothing. */
static unsigned judge(const struct http *http, struct MHD_Connection *connection,
                      const char *method)
{
    const char *host =
        http->mhd.lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    if (http->local && !http_host_is_here(host))
        return MHD_HTTP_MISDIRECTED_REQUEST;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    return 0;
}

static void write_fault(FILE *body, unsigned status)
{
    if (status == MHD_HTTP_MISDIRECTED_REQUEST)
        (void)fputs("ask for this machine by its address, or as localhost\n", body);
    else if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)fputs("only GET and HEAD\n", body);
    else
        (void)fputs("there is no such page\n", body);
}

/* An MHD_AccessHandlerCallback. MHD_NO closes the connection without an answer. */
static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    const struct http *http = user;
    const char *type = "text/plain; charset=utf-8";
    char *text = NULL;
    size_t size = 0;
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)state;

    FILE *body = open_memstream(&text, &size);
    if (body == NULL)
        return MHD_NO;
    unsigned status = judge(http, connection, method);
    if (status == 0)
        status = http->page(http->user, url, body, &type);
    if (status != MHD_HTTP_OK && status != MHD_HTTP_SERVICE_UNAVAILABLE)
        write_fault(body, status);
    bool failed = ferror(body) != 0;
    if (fclose(body) != 0 || failed) {
        free(text);
        return MHD_NO;
    }
    return send_body(&http->mhd, connection, status, text, size, type);
}

static void complain(void *user, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Messages of libmicrohttpd; most are about its clients' mistakes. */
static void complain(void *user, const char *format, va_list args)
{
    const struct http *http = user;
    char text[AFAR_ERROR_MESSAGE_BYTES];
    char line[AFAR_ERROR_MESSAGE_BYTES];
    if (vsnprintf(text, sizeof text, format, args) < 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    utf8_copy(line, sizeof line, text);
    log_write(http->log, LOG_LEVEL_DEBUG, "http: %s", line);
}

enum afar_status http_start(struct http **http, const struct listener *listener, http_page *page,
                            void *user, struct log *log, struct afar_error *err)
{
    *http = NULL;
    struct http *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for http");
    *made =
        (struct http){.page = page, .user = user, .log = log, .local = listener_is_local(listener)};
    crowd_init(&made->guests);
    enum afar_status status = microhttpd_load(&made->mhd, err);
    if (status != AFAR_OK) {
        free(made);
        return status;
    }
    /* libmicrohttpd closes the descriptor that it is given: so give it a copy. If it cannot start,
     * it may or may not have closed it; closing it again could close another descriptor, and the
     * server ends anyway. */
    int fd = fcntl(listener_fd(listener), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        status = afar_fail_errno(err, errno, "no descriptor");
        free(made);
        return status;
    }
    made->daemon = made->mhd.start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, answer, made,
        MHD_OPTION_EXTERNAL_LOGGER, complain, (void *)made, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_NOTIFY_CONNECTION,
        come_or_go, (void *)made, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES, MHD_OPTION_END);
    if (made->daemon == NULL) {
        free(made);
        return afar_fail(err, AFAR_ESYSTEM, "libmicrohttpd could not start");
    }
    *http = made;
    return AFAR_OK;
}

void http_stop(struct http *http)
{
    if (http == NULL)
        return;
    http->mhd.stop_daemon(http->daemon);
    crowd_close(&http->guests);
    free(http);
}
