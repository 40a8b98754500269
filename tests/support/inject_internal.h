/* Shared by inject.c and the wrappers.
 *
 * Owns:    nothing.
 * Threads: any; inject_hook_…: once, while there is only one thread.
 * Blocks:  never.
 * Limits:  none. */
#ifndef SUPPORT_INJECT_INTERNAL_H
#define SUPPORT_INJECT_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "support/inject.h"

enum call {
    CALL_MALLOC,
    CALL_CALLOC,
    CALL_REALLOC,
    CALL_STRDUP,
    CALL_CJSON,
    CALL_RAND_BYTES,
    CALL_PTHREAD_CREATE,
    CALL_CLONE,
    CALL_IN_CHILD,
    CALL_EXECVE,
    CALL_PIDFD_OPEN,
    CALL_PIDFD_SEND_SIGNAL,
    CALL_EPOLL_CREATE1,
    CALL_EPOLL_CTL,
    CALL_EPOLL_WAIT,
    CALL_EVENTFD,
    CALL_SIGNALFD,
    CALL_POLL,
    CALL_SOCKET,
    CALL_BIND,
    CALL_LISTEN,
    CALL_CONNECT,
    CALL_ACCEPT4,
    CALL_SETSOCKOPT,
    CALL_GETSOCKOPT,
    CALL_GETSOCKNAME,
    CALL_SHUTDOWN,
    CALL_RECV,
    CALL_RECVFROM,
    CALL_SEND,
    CALL_SENDTO,
    CALL_GETADDRINFO,
    CALL_GETNAMEINFO,
    CALL_READ,
    CALL_WRITE,
    CALL_PREAD,
    CALL_PWRITE,
    CALL_PIPE2,
    CALL_FCNTL,
    CALL_DUP3,
    CALL_GETRLIMIT,
    CALL_SETRLIMIT,
    CALL_OPEN,
    CALL_CLOSE,
    CALL_MKOSTEMP,
    CALL_FCHMOD,
    CALL_FLOCK,
    CALL_STAT,
    CALL_LSTAT,
    CALL_UNLINK,
    CALL_FOPEN,
    CALL_FREAD,
    CALL_OPENDIR,
    CALL_KILL,
    CALL_WAITID,
    CALL_WAIT4,
    CALL_GETPWUID,
    CALL_PRCTL,
    CALL_FDOPEN,
    CALL_READLINK,
    CALL_LSEEK,
    CALL_REALPATH,
    CALL_FSTATAT,
    CALL_GETCWD,
    CALL_LOOK_UP,
    CALL_FDATASYNC,
    CALL_FTRUNCATE,
    CALL_MEMFD_CREATE,
    CALL_OPENAT,
    CALL_MKDIRAT,
    CALL_UNLINKAT,
    CALL_STATVFS,
    CALL_GLOB,
    CALL_IOCTL,
    CALL_TCGETATTR,
    CALL_TCSETATTR,
    CALL_FCHOWN,
    CALL_NEWLOCALE,
    CALLS
};

/* A call's name, and the ways in which it can fail, an errno each. */
enum { INJECT_WAYS_MAX = 6 };
struct inject_call {
    const char *name;
    int ways[INJECT_WAYS_MAX]; /* terminated by 0 */
};
extern const struct inject_call inject_calls[CALLS];

/* 0: the call does not fail; else how it fails. `caller`: the wrapper's return address. */
int inject_failure(enum call call, const void *caller);

/* The same for a child that shares its parent's memory after clone, on a stack of its own: must not
 * unwind, and must not run sanitizer code. */
int inject_failure_in_child(enum call call, const void *caller);

bool inject_openssl_fails(void);

/* Adds to the number of live allocations: ours and cJSON's; OpenSSL's. */
void inject_allocated(long count);
void inject_openssl_allocated(long count);

/* False: OpenSSL has allocated already. */
bool inject_hook_openssl(void);
void inject_hook_cjson(void);

#define WRAPS(type, name, ...)       \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

#define FAILURE(call) inject_failure(call, __builtin_return_address(0))

static inline int inject_fail(int failure)
{
    errno = failure;
    return -1;
}

static inline void *inject_fail_null(int failure)
{
    errno = failure;
    return NULL;
}

#endif
