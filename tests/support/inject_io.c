/* The wrappers for descriptors, files and sockets. __read_chk and similar names are what
 * _FORTIFY_SOURCE makes of calls if the compiler knows the buffer's size. */
// wrap: epoll_create1 epoll_ctl epoll_wait eventfd signalfd poll
// wrap: socket bind listen connect accept4 setsockopt getsockopt getsockname shutdown
// wrap: recv recvfrom send sendto __recv_chk __recvfrom_chk getaddrinfo getnameinfo
// wrap: read write pread pwrite __read_chk __pread_chk pipe2 fcntl open close mkostemp fchmod
// wrap: dup3 getrlimit setrlimit
// wrap: flock stat lstat unlink readlink lseek fopen fdopen fread __fread_chk opendir
#include "support/inject_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/watched.h"

/* ---- waiting --------------------------------------------------------------------------------- */

WRAPS(int, epoll_create1, int flags);
WRAPS(int, epoll_ctl, int fd, int operation, int subject, struct epoll_event *event);
WRAPS(int, epoll_wait, int fd, struct epoll_event *events, int max, int timeout_ms);
WRAPS(int, eventfd, unsigned initial, int flags);
WRAPS(int, signalfd, int fd, const sigset_t *mask, int flags);
WRAPS(int, poll, struct pollfd *polls, nfds_t count, int timeout_ms);

int __wrap_epoll_create1(int flags)
{
    int failure = FAILURE(CALL_EPOLL_CREATE1);
    return failure != 0 ? inject_fail(failure) : __real_epoll_create1(flags);
}

/* Removing needs no memory, so it cannot fail. */
int __wrap_epoll_ctl(int fd, int operation, int subject, struct epoll_event *event)
{
    int failure = operation == EPOLL_CTL_DEL ? 0 : FAILURE(CALL_EPOLL_CTL);
    if (failure != 0)
        return inject_fail(failure);
    int result = __real_epoll_ctl(fd, operation, subject, event);
    if (result == 0)
        watched_note(fd, operation, subject);
    return result;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
    int failure = FAILURE(CALL_EPOLL_WAIT);
    return failure != 0 ? inject_fail(failure) : __real_epoll_wait(fd, events, max, timeout_ms);
}

int __wrap_eventfd(unsigned initial, int flags)
{
    int failure = FAILURE(CALL_EVENTFD);
    return failure != 0 ? inject_fail(failure) : __real_eventfd(initial, flags);
}

int __wrap_signalfd(int fd, const sigset_t *mask, int flags)
{
    int failure = FAILURE(CALL_SIGNALFD);
    return failure != 0 ? inject_fail(failure) : __real_signalfd(fd, mask, flags);
}

int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout_ms)
{
    int failure = FAILURE(CALL_POLL);
    return failure != 0 ? inject_fail(failure) : __real_poll(polls, count, timeout_ms);
}

/* ---- sockets --------------------------------------------------------------------------------- */

WRAPS(int, socket, int family, int type, int protocol);
WRAPS(int, bind, int fd, const struct sockaddr *address, socklen_t size);
WRAPS(int, listen, int fd, int backlog);
WRAPS(int, connect, int fd, const struct sockaddr *address, socklen_t size);
WRAPS(int, accept4, int fd, struct sockaddr *address, socklen_t *size, int flags);
WRAPS(int, setsockopt, int fd, int level, int option, const void *value, socklen_t size);
WRAPS(int, getsockopt, int fd, int level, int option, void *value, socklen_t *size);
WRAPS(int, getsockname, int fd, struct sockaddr *address, socklen_t *size);
WRAPS(int, shutdown, int fd, int how);
WRAPS(ssize_t, recv, int fd, void *data, size_t size, int flags);
WRAPS(ssize_t, __recv_chk, int fd, void *data, size_t size, size_t room, int flags);
WRAPS(ssize_t, recvfrom, int fd, void *data, size_t size, int flags, struct sockaddr *address,
      socklen_t *length);
WRAPS(ssize_t, __recvfrom_chk, int fd, void *data, size_t size, size_t room, int flags,
      struct sockaddr *address, socklen_t *length);
WRAPS(ssize_t, send, int fd, const void *data, size_t size, int flags);
WRAPS(ssize_t, sendto, int fd, const void *data, size_t size, int flags,
      const struct sockaddr *address, socklen_t length);
WRAPS(int, getaddrinfo, const char *node, const char *service, const struct addrinfo *hints,
      struct addrinfo **list);
WRAPS(int, getnameinfo, const struct sockaddr *address, socklen_t size, char *host,
      socklen_t host_size, char *service, socklen_t service_size, int flags);

int __wrap_socket(int family, int type, int protocol)
{
    int failure = FAILURE(CALL_SOCKET);
    return failure != 0 ? inject_fail(failure) : __real_socket(family, type, protocol);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    int failure = FAILURE(CALL_BIND);
    return failure != 0 ? inject_fail(failure) : __real_bind(fd, address, size);
}

int __wrap_listen(int fd, int backlog)
{
    int failure = FAILURE(CALL_LISTEN);
    return failure != 0 ? inject_fail(failure) : __real_listen(fd, backlog);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    int failure = FAILURE(CALL_CONNECT);
    return failure != 0 ? inject_fail(failure) : __real_connect(fd, address, size);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    int failure = FAILURE(CALL_ACCEPT4);
    return failure != 0 ? inject_fail(failure) : __real_accept4(fd, address, size, flags);
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    int failure = FAILURE(CALL_SETSOCKOPT);
    return failure != 0 ? inject_fail(failure) : __real_setsockopt(fd, level, option, value, size);
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    int failure = FAILURE(CALL_GETSOCKOPT);
    return failure != 0 ? inject_fail(failure) : __real_getsockopt(fd, level, option, value, size);
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    int failure = FAILURE(CALL_GETSOCKNAME);
    return failure != 0 ? inject_fail(failure) : __real_getsockname(fd, address, size);
}

/* ENOTCONN: the peer has closed already, and nothing is left to shut down. */
int __wrap_shutdown(int fd, int how)
{
    int failure = FAILURE(CALL_SHUTDOWN);
    int result = __real_shutdown(fd, how);
    return failure != 0 ? inject_fail(failure) : result;
}

ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    int failure = FAILURE(CALL_RECV);
    return failure != 0 ? inject_fail(failure) : __real_recv(fd, data, size, flags);
}

ssize_t __wrap___recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
    int failure = FAILURE(CALL_RECV);
    return failure != 0 ? inject_fail(failure) : __real___recv_chk(fd, data, size, room, flags);
}

ssize_t __wrap_recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *address,
                        socklen_t *length)
{
    int failure = FAILURE(CALL_RECVFROM);
    return failure != 0 ? inject_fail(failure)
                        : __real_recvfrom(fd, data, size, flags, address, length);
}

ssize_t __wrap___recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags,
                              struct sockaddr *address, socklen_t *length)
{
    int failure = FAILURE(CALL_RECVFROM);
    return failure != 0 ? inject_fail(failure)
                        : __real___recvfrom_chk(fd, data, size, room, flags, address, length);
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    int failure = FAILURE(CALL_SEND);
    return failure != 0 ? inject_fail(failure) : __real_send(fd, data, size, flags);
}

ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags,
                      const struct sockaddr *address, socklen_t length)
{
    int failure = FAILURE(CALL_SENDTO);
    return failure != 0 ? inject_fail(failure)
                        : __real_sendto(fd, data, size, flags, address, length);
}

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **list)
{
    return FAILURE(CALL_GETADDRINFO) != 0 ? EAI_MEMORY
                                          : __real_getaddrinfo(node, service, hints, list);
}

int __wrap_getnameinfo(const struct sockaddr *address, socklen_t size, char *host,
                       socklen_t host_size, char *service, socklen_t service_size, int flags)
{
    if (FAILURE(CALL_GETNAMEINFO) != 0)
        return EAI_MEMORY;
    return __real_getnameinfo(address, size, host, host_size, service, service_size, flags);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

WRAPS(ssize_t, read, int fd, void *data, size_t size);
WRAPS(ssize_t, __read_chk, int fd, void *data, size_t size, size_t room);
WRAPS(ssize_t, write, int fd, const void *data, size_t size);
WRAPS(ssize_t, pread, int fd, void *data, size_t size, off_t offset);
WRAPS(ssize_t, __pread_chk, int fd, void *data, size_t size, off_t offset, size_t room);
WRAPS(ssize_t, pwrite, int fd, const void *data, size_t size, off_t offset);
WRAPS(int, pipe2, int ends[2], int flags);
WRAPS(int, fcntl, int fd, int command, ...);
WRAPS(int, dup3, int fd, int place, int flags);
WRAPS(int, getrlimit, __rlimit_resource_t resource, struct rlimit *limit);
WRAPS(int, setrlimit, __rlimit_resource_t resource, const struct rlimit *limit);
WRAPS(int, open, const char *path, int flags, ...);
WRAPS(int, close, int fd);

ssize_t __wrap_read(int fd, void *data, size_t size)
{
    int failure = FAILURE(CALL_READ);
    return failure != 0 ? inject_fail(failure) : __real_read(fd, data, size);
}

ssize_t __wrap___read_chk(int fd, void *data, size_t size, size_t room)
{
    int failure = FAILURE(CALL_READ);
    return failure != 0 ? inject_fail(failure) : __real___read_chk(fd, data, size, room);
}

/* A write of eight bytes is to an eventfd. It fails only if the counter is full; then the reader
 * has been woken already. */
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    int failure = FAILURE(CALL_WRITE);
    ssize_t result = 0;
    if (failure == INJECT_SHORT)
        return __real_write(fd, data, (size + 1) / 2);
    if (failure == 0 || size == sizeof(uint64_t))
        result = __real_write(fd, data, size);
    return failure != 0 ? inject_fail(failure) : result;
}

ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset)
{
    int failure = FAILURE(CALL_PREAD);
    return failure != 0 ? inject_fail(failure) : __real_pread(fd, data, size, offset);
}

ssize_t __wrap___pread_chk(int fd, void *data, size_t size, off_t offset, size_t room)
{
    int failure = FAILURE(CALL_PREAD);
    return failure != 0 ? inject_fail(failure) : __real___pread_chk(fd, data, size, offset, room);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    int failure = FAILURE(CALL_PWRITE);
    return failure != 0 ? inject_fail(failure) : __real_pwrite(fd, data, size, offset);
}

int __wrap_pipe2(int ends[2], int flags)
{
    int failure = FAILURE(CALL_PIPE2);
    return failure != 0 ? inject_fail(failure) : __real_pipe2(ends, flags);
}

int __wrap_fcntl(int fd, int command, ...)
{
    int failure = FAILURE(CALL_FCNTL);
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    return failure != 0 ? inject_fail(failure) : __real_fcntl(fd, command, argument);
}

int __wrap_dup3(int fd, int place, int flags)
{
    int failure = FAILURE(CALL_DUP3);
    return failure != 0 ? inject_fail(failure) : __real_dup3(fd, place, flags);
}

int __wrap_getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    int failure = FAILURE(CALL_GETRLIMIT);
    return failure != 0 ? inject_fail(failure) : __real_getrlimit(resource, limit);
}

int __wrap_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    int failure = FAILURE(CALL_SETRLIMIT);
    return failure != 0 ? inject_fail(failure) : __real_setrlimit(resource, limit);
}

int __wrap_open(const char *path, int flags, ...)
{
    int failure = FAILURE(CALL_OPEN);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return failure != 0 ? inject_fail(failure) : __real_open(path, flags, mode);
}

/* Linux closes the descriptor whatever it returns (close(2)). */
int __wrap_close(int fd)
{
    int failure = FAILURE(CALL_CLOSE);
    watched_close(fd);
    int result = __real_close(fd);
    return failure != 0 ? inject_fail(failure) : result;
}

/* ---- files ----------------------------------------------------------------------------------- */

WRAPS(int, mkostemp, char *path, int flags);
WRAPS(int, fchmod, int fd, mode_t mode);
WRAPS(int, flock, int fd, int operation);
WRAPS(int, stat, const char *path, struct stat *found);
WRAPS(int, lstat, const char *path, struct stat *found);
WRAPS(int, unlink, const char *path);
WRAPS(FILE *, fopen, const char *path, const char *mode);
WRAPS(FILE *, fdopen, int fd, const char *mode);
WRAPS(off_t, lseek, int fd, off_t offset, int whence);
WRAPS(ssize_t, readlink, const char *path, char *text, size_t size);
WRAPS(size_t, fread, void *data, size_t size, size_t count, FILE *file);
WRAPS(size_t, __fread_chk, void *data, size_t room, size_t size, size_t count, FILE *file);
WRAPS(DIR *, opendir, const char *path);

int __wrap_mkostemp(char *path, int flags)
{
    int failure = FAILURE(CALL_MKOSTEMP);
    return failure != 0 ? inject_fail(failure) : __real_mkostemp(path, flags);
}

int __wrap_fchmod(int fd, mode_t mode)
{
    int failure = FAILURE(CALL_FCHMOD);
    return failure != 0 ? inject_fail(failure) : __real_fchmod(fd, mode);
}

int __wrap_flock(int fd, int operation)
{
    int failure = FAILURE(CALL_FLOCK);
    return failure != 0 ? inject_fail(failure) : __real_flock(fd, operation);
}

int __wrap_stat(const char *path, struct stat *found)
{
    int failure = FAILURE(CALL_STAT);
    return failure != 0 ? inject_fail(failure) : __real_stat(path, found);
}

int __wrap_lstat(const char *path, struct stat *found)
{
    int failure = FAILURE(CALL_LSTAT);
    return failure != 0 ? inject_fail(failure) : __real_lstat(path, found);
}

int __wrap_unlink(const char *path)
{
    int failure = FAILURE(CALL_UNLINK);
    return failure != 0 ? inject_fail(failure) : __real_unlink(path);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    int failure = FAILURE(CALL_FOPEN);
    return failure != 0 ? inject_fail_null(failure) : __real_fopen(path, mode);
}

FILE *__wrap_fdopen(int fd, const char *mode)
{
    int failure = FAILURE(CALL_FDOPEN);
    return failure != 0 ? inject_fail_null(failure) : __real_fdopen(fd, mode);
}

ssize_t __wrap_readlink(const char *path, char *text, size_t size)
{
    int failure = FAILURE(CALL_READLINK);
    return failure != 0 ? inject_fail(failure) : __real_readlink(path, text, size);
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
    int failure = FAILURE(CALL_LSEEK);
    return failure != 0 ? inject_fail(failure) : __real_lseek(fd, offset, whence);
}

size_t __wrap_fread(void *data, size_t size, size_t count, FILE *file)
{
    return FAILURE(CALL_FREAD) != 0 ? 0 : __real_fread(data, size, count, file);
}

size_t __wrap___fread_chk(void *data, size_t room, size_t size, size_t count, FILE *file)
{
    return FAILURE(CALL_FREAD) != 0 ? 0 : __real___fread_chk(data, room, size, count, file);
}

DIR *__wrap_opendir(const char *path)
{
    int failure = FAILURE(CALL_OPENDIR);
    return failure != 0 ? inject_fail_null(failure) : __real_opendir(path);
}
