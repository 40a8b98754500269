/* The table of calls, and the wrappers for memory, threads and processes. The Makefile reads the
 * "wrap:" lines; the linker requires the names with __. */
// wrap: malloc calloc realloc strdup strndup free RAND_bytes pthread_create clone __clone syscall
// wrap: clone_into_cgroup kill waitid wait4 getpwuid prctl
#include "support/inject_internal.h"

#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <openssl/crypto.h>

#include "exec/clone.h"
#include "support/inject_internal.h"

const struct inject_call inject_calls[CALLS] = {
    [CALL_MALLOC] = {"malloc", {ENOMEM}},
    [CALL_CALLOC] = {"calloc", {ENOMEM}},
    [CALL_REALLOC] = {"realloc", {ENOMEM}},
    [CALL_STRDUP] = {"strdup", {ENOMEM}},
    [CALL_CJSON] = {"cJSON's malloc", {ENOMEM}},
    [CALL_RAND_BYTES] = {"RAND_bytes", {EIO}},
    [CALL_PTHREAD_CREATE] = {"pthread_create", {EAGAIN}},
    [CALL_CLONE] = {"clone", {EAGAIN, ENOMEM}},
    [CALL_IN_CHILD] = {"syscall before execve", {EACCES, EIO}},
    [CALL_EXECVE] = {"execve", {ENOMEM, EAGAIN, E2BIG}},
    [CALL_PIDFD_OPEN] = {"pidfd_open", {EMFILE}},
    [CALL_PIDFD_SEND_SIGNAL] = {"pidfd_send_signal", {ESRCH}},
    [CALL_EPOLL_CREATE1] = {"epoll_create1", {EMFILE, ENOMEM}},
    [CALL_EPOLL_CTL] = {"epoll_ctl", {ENOMEM, ENOSPC}},
    [CALL_EPOLL_WAIT] = {"epoll_wait", {EINTR}},
    [CALL_EVENTFD] = {"eventfd", {EMFILE}},
    [CALL_SIGNALFD] = {"signalfd", {EMFILE}},
    [CALL_POLL] = {"poll", {EINTR, ENOMEM}},
    [CALL_SOCKET] = {"socket", {EMFILE, EAFNOSUPPORT}},
    [CALL_BIND] = {"bind", {EADDRINUSE, EACCES}},
    [CALL_LISTEN] = {"listen", {EADDRINUSE}},
    [CALL_CONNECT] = {"connect", {ECONNREFUSED, ENOMEM}},
    [CALL_ACCEPT4] = {"accept4", {EMFILE, ENFILE, ENOMEM, ECONNABORTED, EINTR}},
    [CALL_SETSOCKOPT] = {"setsockopt", {ENOBUFS}},
    [CALL_GETSOCKOPT] = {"getsockopt", {ENOBUFS}},
    [CALL_GETSOCKNAME] = {"getsockname", {ENOBUFS}},
    [CALL_SHUTDOWN] = {"shutdown", {ENOTCONN}},
    [CALL_RECV] = {"recv", {ECONNRESET, ENOMEM, EINTR, EAGAIN}},
    [CALL_RECVFROM] = {"recvfrom", {ECONNREFUSED, ENOMEM, EINTR, EAGAIN}},
    [CALL_SEND] = {"send", {ECONNRESET, EPIPE, ENOBUFS, EINTR, EAGAIN}},
    [CALL_SENDTO] = {"sendto", {EPERM, ENOBUFS, EINTR, EAGAIN}},
    [CALL_GETADDRINFO] = {"getaddrinfo", {ENOMEM}},
    [CALL_GETNAMEINFO] = {"getnameinfo", {ENOMEM}},
    [CALL_READ] = {"read", {EIO, EINTR, EAGAIN}},
    [CALL_WRITE] = {"write", {EINTR, EAGAIN}},
    [CALL_PREAD] = {"pread", {EIO, EINTR}},
    [CALL_PWRITE] = {"pwrite", {ENOSPC, EIO, EINTR}},
    [CALL_PIPE2] = {"pipe2", {EMFILE, ENFILE}},
    [CALL_FCNTL] = {"fcntl", {ENOMEM}},
    [CALL_DUP3] = {"dup3", {EBUSY, EINTR}},
    [CALL_GETRLIMIT] = {"getrlimit", {EPERM}},
    [CALL_SETRLIMIT] = {"setrlimit", {EPERM}},
    [CALL_OPEN] = {"open", {EMFILE, ENFILE, EOPNOTSUPP}},
    [CALL_CLOSE] = {"close", {EINTR}},
    [CALL_MKOSTEMP] = {"mkostemp", {ENOSPC}},
    [CALL_REALPATH] = {"realpath", {ENOENT, EACCES, ENOMEM}},
    [CALL_FSTATAT] = {"fstatat", {ENOENT, EACCES}},
    [CALL_GETCWD] = {"getcwd", {ENOENT}},
    [CALL_LOOK_UP] = {"getpwnam_r and its like", {EIO, ENOMEM}},
    [CALL_FDATASYNC] = {"fdatasync", {EIO, ENOSPC}},
    [CALL_FTRUNCATE] = {"ftruncate", {EIO}},
    [CALL_MEMFD_CREATE] = {"memfd_create", {EMFILE, ENOMEM}},
    [CALL_OPENAT] = {"openat", {EMFILE, EACCES}},
    [CALL_MKDIRAT] = {"mkdirat", {EACCES, ENOSPC}},
    [CALL_UNLINKAT] = {"unlinkat", {EBUSY}},
    [CALL_STATVFS] = {"statvfs and fstatvfs", {EIO, ENOSYS}},
    [CALL_GLOB] = {"glob", {GLOB_NOSPACE, GLOB_ABORTED, GLOB_NOMATCH}},
    [CALL_FCHMOD] = {"fchmod", {EROFS}},
    [CALL_IOCTL] = {"ioctl", {EIO, ENOSPC}},
    [CALL_TCGETATTR] = {"tcgetattr", {EIO}},
    [CALL_TCSETATTR] = {"tcsetattr", {EIO}},
    [CALL_FCHOWN] = {"fchown", {EPERM}},
    [CALL_NEWLOCALE] = {"newlocale", {ENOENT}},
    [CALL_FLOCK] = {"flock", {EWOULDBLOCK}},
    [CALL_STAT] = {"stat", {ENOENT, EIO}},
    [CALL_LSTAT] = {"lstat", {ENOENT, EIO}},
    [CALL_UNLINK] = {"unlink", {EACCES}},
    [CALL_FOPEN] = {"fopen", {EMFILE, ENOENT}},
    [CALL_FREAD] = {"fread", {EIO}},
    [CALL_OPENDIR] = {"opendir", {EMFILE}},
    [CALL_KILL] = {"kill", {ESRCH}},
    [CALL_WAITID] = {"waitid", {EINTR}},
    [CALL_WAIT4] = {"wait4", {ECHILD}},
    [CALL_GETPWUID] = {"getpwuid", {EMFILE}},
    [CALL_PRCTL] = {"prctl", {EINVAL}},
    [CALL_FDOPEN] = {"fdopen", {ENOMEM}},
    [CALL_READLINK] = {"readlink", {ENOENT}},
    [CALL_LSEEK] = {"lseek", {EINVAL}},
};
/* ---- memory ---------------------------------------------------------------------------------- */

WRAPS(void *, malloc, size_t size);
WRAPS(void *, calloc, size_t count, size_t size);
WRAPS(void *, realloc, void *old, size_t size);
WRAPS(char *, strdup, const char *text);
WRAPS(char *, strndup, const char *text, size_t size);
WRAPS(void, free, void *memory);

static void *counted(void *memory)
{
    if (memory != NULL)
        inject_allocated(1);
    return memory;
}

void *__wrap_malloc(size_t size)
{
    int failure = FAILURE(CALL_MALLOC);
    return failure != 0 ? inject_fail_null(failure) : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    int failure = FAILURE(CALL_CALLOC);
    return failure != 0 ? inject_fail_null(failure) : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    int failure = FAILURE(CALL_REALLOC);
    if (failure != 0)
        return inject_fail_null(failure);
    return old == NULL ? counted(__real_realloc(old, size)) : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    int failure = FAILURE(CALL_STRDUP);
    return failure != 0 ? inject_fail_null(failure) : counted(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t size)
{
    int failure = FAILURE(CALL_STRDUP);
    return failure != 0 ? inject_fail_null(failure) : counted(__real_strndup(text, size));
}

void __wrap_free(void *memory)
{
    if (memory != NULL)
        inject_allocated(-1);
    __real_free(memory);
}

static void *cjson_malloc(size_t size)
{
    int failure = FAILURE(CALL_CJSON);
    return failure != 0 ? inject_fail_null(failure) : counted(__real_malloc(size));
}

void inject_hook_cjson(void)
{
    cJSON_Hooks hooks = {.malloc_fn = cjson_malloc, .free_fn = __wrap_free};
    cJSON_InitHooks(&hooks);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    void *memory = inject_openssl_fails() ? NULL : __real_malloc(size);
    inject_openssl_allocated(memory != NULL);
    return memory;
}

static void *openssl_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    void *memory = inject_openssl_fails() ? NULL : __real_realloc(old, size);
    inject_openssl_allocated(memory != NULL && old == NULL);
    return memory;
}

static void openssl_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    inject_openssl_allocated(memory != NULL ? -1 : 0);
    __real_free(memory);
}

bool inject_hook_openssl(void)
{
    return CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) == 1;
}

WRAPS(int, RAND_bytes, unsigned char *bytes, int count);

int __wrap_RAND_bytes(unsigned char *bytes, int count)
{
    return FAILURE(CALL_RAND_BYTES) != 0 ? 0 : __real_RAND_bytes(bytes, count);
}

/* ---- threads and processes ------------------------------------------------------------------- */

WRAPS(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes,
      void *(*run)(void *), void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument)
{
    int failure = FAILURE(CALL_PTHREAD_CREATE);
    return failure != 0 ? failure : __real_pthread_create(thread, attributes, run, argument);
}

/* Used with CLONE_PIDFD only, so one more argument follows. */
WRAPS(int, clone, int (*run)(void *), void *stack, int flags, void *argument, ...);
WRAPS(int, __clone, int (*run)(void *), void *stack, int flags, void *argument, ...);

static void *first_pointer(va_list arguments)
{
    return va_arg(arguments, void *);
}

int __wrap_clone(int (*run)(void *), void *stack, int flags, void *argument, ...)
{
    int failure = FAILURE(CALL_CLONE);
    va_list arguments;
    va_start(arguments, argument);
    void *pidfd = first_pointer(arguments);
    va_end(arguments);
    return failure != 0 ? inject_fail(failure) : __real_clone(run, stack, flags, argument, pidfd);
}

int __wrap___clone(int (*run)(void *), void *stack, int flags, void *argument, ...)
{
    int failure = FAILURE(CALL_CLONE);
    va_list arguments;
    va_start(arguments, argument);
    void *pidfd = first_pointer(arguments);
    va_end(arguments);
    return failure != 0 ? inject_fail(failure) : __real___clone(run, stack, flags, argument, pidfd);
}

/* If it fails, the caller tries clone next. */
WRAPS(pid_t, clone_into_cgroup, const struct clone_order *order);
pid_t __wrap_clone_into_cgroup(const struct clone_order *order)
{
    int failure = FAILURE(CALL_CLONE);
    return failure != 0 ? inject_fail(failure) : __real_clone_into_cgroup(order);
}

WRAPS(long, syscall, long number, ...);

/* -1: a call that never fails, or whose failure has no effect. */
__attribute__((no_sanitize("address", "undefined", "thread"))) static int call_of(long number)
{
    switch (number) {
    case SYS_setsid:
    case SYS_dup3:
    case SYS_close_range:
    case SYS_chdir:
    case SYS_ioctl:
        return CALL_IN_CHILD;
    case SYS_execve:
        return CALL_EXECVE;
    case SYS_pidfd_open:
        return CALL_PIDFD_OPEN;
    case SYS_pidfd_send_signal:
        return CALL_PIDFD_SEND_SIGNAL;
    default:
        return -1;
    }
}

/* Also called between clone and execve, in the server's memory: see exec/spawn.c. */
__attribute__((no_sanitize("address", "undefined", "thread"))) long __wrap_syscall(long number, ...)
{
    long a[5];
    int call = call_of(number);
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 5; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    int failure =
        call >= 0 ? inject_failure_in_child((unsigned)call, __builtin_return_address(0)) : 0;
    long result = 0;
    /* The signal is sent nevertheless: the failure to simulate is that the process has gone. */
    if (failure == 0 || call == CALL_PIDFD_SEND_SIGNAL)
        result = __real_syscall(number, a[0], a[1], a[2], a[3], a[4]);
    if (failure != 0) {
        errno = failure;
        return -1;
    }
    return result;
}

WRAPS(int, kill, pid_t pid, int number);
WRAPS(int, waitid, idtype_t type, id_t id, siginfo_t *info, int options);
WRAPS(pid_t, wait4, pid_t pid, int *status, int options, struct rusage *usage);
WRAPS(struct passwd *, getpwuid, uid_t uid);

/* As above. */
int __wrap_kill(pid_t pid, int number)
{
    int failure = FAILURE(CALL_KILL);
    int result = __real_kill(pid, number);
    return failure != 0 ? inject_fail(failure) : result;
}

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    int failure = FAILURE(CALL_WAITID);
    return failure != 0 ? inject_fail(failure) : __real_waitid(type, id, info, options);
}

/* ECHILD: reaped elsewhere. */
pid_t __wrap_wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    int failure = FAILURE(CALL_WAIT4);
    pid_t result = __real_wait4(pid, status, options, usage);
    return failure != 0 ? inject_fail(failure) : result;
}

/* No call here has more arguments. */
WRAPS(int, prctl, int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);

int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    int failure = FAILURE(CALL_PRCTL);
    return failure != 0 ? inject_fail(failure) : __real_prctl(option, a, b, c, d);
}

struct passwd *__wrap_getpwuid(uid_t uid)
{
    int failure = FAILURE(CALL_GETPWUID);
    return failure != 0 ? inject_fail_null(failure) : __real_getpwuid(uid);
}
