#include "server/watch/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum afar_status read_address(struct notify *notify, const char *name,
                                     struct afar_error *err)
{
    size_t size = strlen(name);
    bool abstract = name[0] == '@';
    if ((name[0] != '/' && !abstract) || size < 2)
        return afar_fail(err, AFAR_EINVAL,
                         "NOTIFY_SOCKET=%.100s: expected an absolute path, or '@' and a name",
                         name);
    if (size >= sizeof notify->address.sun_path)
        return afar_fail(err, AFAR_EINVAL, "NOTIFY_SOCKET has more than %zu bytes",
                         sizeof notify->address.sun_path - 1);
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, name, size);
    if (abstract)
        notify->address.sun_path[0] = '\0';
    else
        size++; /* a path includes its NUL; an abstract name has none */
    notify->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return AFAR_OK;
}

enum afar_status notify_open(struct notify *notify, struct afar_error *err)
{
    const char *name = getenv("NOTIFY_SOCKET"); // NOLINT(concurrency-mt-unsafe)
    *notify = (struct notify){.fd = -1};
    if (name == NULL)
        return AFAR_OK;
    enum afar_status status = read_address(notify, name, err);
    (void)unsetenv("NOTIFY_SOCKET"); // NOLINT(concurrency-mt-unsafe)
    if (status != AFAR_OK)
        return status;
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (notify->fd < 0)
        return afar_fail_errno(err, errno, "cannot make a socket for NOTIFY_SOCKET");
    return AFAR_OK;
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        (void)close(notify->fd);
    notify->fd = -1;
}

enum afar_status notify_send(const struct notify *notify, const char *text, struct afar_error *err)
{
    ssize_t sent = 0;
    if (notify->fd < 0)
        return AFAR_OK;
    do {
        sent = sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL,
                      (const struct sockaddr *)&notify->address, notify->address_size);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return AFAR_OK;
    if (errno == EAGAIN || errno == ENOBUFS)
        return afar_fail(err, AFAR_EAGAIN, "the service manager has not read the last messages");
    return afar_fail_errno(err, errno, "cannot send to NOTIFY_SOCKET");
}
