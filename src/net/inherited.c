#include "net/inherited.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"

enum {
    FIRST_FD = 3,     /* SD_LISTEN_FDS_START */
    NAMES_BYTES = 200 /* room for all names in a message */
};

static const char unnamed[] = "unknown"; /* as sd_listen_fds_with_names(3) calls it */

struct inherited {
    unsigned count;
    int fd[INHERITED_MAX]; /* -1: taken, or closed */
    const char *name[INHERITED_MAX];
    char *names; /* LISTEN_FDNAMES, with NULs instead of colons */
};

static void forget_variables(void)
{
    (void)unsetenv("LISTEN_PID"); // NOLINT(concurrency-mt-unsafe)
    (void)unsetenv("LISTEN_PIDFDID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
}

/* Sets *count to the number of descriptors; 0: none were passed to this process. */
static enum afar_status read_count(uint64_t *count, struct afar_error *err)
{
    const char *pid = getenv("LISTEN_PID"); // NOLINT(concurrency-mt-unsafe)
    const char *fds = getenv("LISTEN_FDS"); // NOLINT(concurrency-mt-unsafe)
    uint64_t number = 0;
    *count = 0;
    if (pid == NULL || fds == NULL)
        return AFAR_OK;
    if (number_parse(pid, 1, INT32_MAX, &number, err) != AFAR_OK)
        return afar_prefix(err, "LISTEN_PID in the environment");
    if (number != (uint64_t)getpid())
        return AFAR_OK;
    if (number_parse(fds, 0, INHERITED_MAX, count, err) != AFAR_OK)
        return afar_prefix(err, "LISTEN_FDS in the environment");
    return AFAR_OK;
}

static enum afar_status read_names(struct inherited *inherited, struct afar_error *err)
{
    const char *names = getenv("LISTEN_FDNAMES"); // NOLINT(concurrency-mt-unsafe)
    unsigned count = 0;
    for (unsigned i = 0; i < inherited->count; i++)
        inherited->name[i] = unnamed;
    if (names == NULL)
        return AFAR_OK;
    inherited->names = strdup(names);
    if (inherited->names == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for the names of sockets");
    for (char *rest = inherited->names; rest != NULL; count++) {
        const char *name = strsep(&rest, ":");
        if (count < inherited->count)
            inherited->name[count] = name;
    }
    if (count != inherited->count)
        return afar_fail(err, AFAR_EINVAL,
                         "LISTEN_FDNAMES in the environment has %u names for %u descriptors", count,
                         inherited->count);
    return AFAR_OK;
}

static enum afar_status read_descriptors(struct inherited *inherited, struct afar_error *err)
{
    for (unsigned i = 0; i < inherited->count; i++) {
        int fd = FIRST_FD + (int)i;
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
            return afar_fail(err, AFAR_EINVAL,
                             "LISTEN_FDS=%u in the environment, but descriptor %d cannot be used",
                             inherited->count, fd);
        inherited->fd[i] = fd;
    }
    return AFAR_OK;
}

enum afar_status inherited_open(struct inherited **inherited, struct afar_error *err)
{
    uint64_t count = 0;
    *inherited = NULL;
    enum afar_status status = read_count(&count, err);
    if (status != AFAR_OK || count == 0)
        goto out;
    struct inherited *made = calloc(1, sizeof *made);
    if (made == NULL) {
        status = afar_fail(err, AFAR_ENOMEM, "out of memory for the sockets handed over");
        goto out;
    }
    made->count = (unsigned)count;
    status = read_names(made, err);
    if (status == AFAR_OK)
        status = read_descriptors(made, err);
    if (status == AFAR_OK) {
        *inherited = made;
    } else {
        free(made->names);
        free(made);
    }
out:
    forget_variables();
    return status;
}

void inherited_free(struct inherited *inherited)
{
    if (inherited == NULL)
        return;
    while (inherited_close_next(inherited) != NULL)
        ;
    free(inherited->names);
    free(inherited);
}

/* Writes "admin, afard.socket". */
static void list_names(const struct inherited *inherited, char text[NAMES_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; inherited != NULL && i < inherited->count && used < NAMES_BYTES; i++) {
        if (inherited->fd[i] < 0)
            continue;
        int more = snprintf(text + used, NAMES_BYTES - used, "%s%s", used > 0 ? ", " : "",
                            inherited->name[i]);
        used += more > 0 ? (size_t)more : 0;
    }
}

enum afar_status inherited_take(struct inherited *inherited, const struct endpoint *endpoint,
                                int *fd, struct afar_error *err)
{
    char url[ENDPOINT_URL_BYTES];
    char names[NAMES_BYTES];
    unsigned seen = 0;
    *fd = -1;
    for (unsigned i = 0; inherited != NULL && i < inherited->count; i++) {
        if (strcmp(inherited->name[i], endpoint->host) != 0 || ++seen != endpoint->port)
            continue;
        *fd = inherited->fd[i];
        inherited->fd[i] = -1;
        break;
    }
    if (*fd >= 0)
        return AFAR_OK;
    endpoint_format(endpoint, url, sizeof url);
    list_names(inherited, names);
    if (names[0] == '\0')
        return afar_fail(err, AFAR_EINVAL,
                         "%s: no such socket: none was handed over at the start (LISTEN_FDS), or "
                         "none is left",
                         url);
    return afar_fail(err, AFAR_EINVAL, "%s: no such socket: those handed over are %s", url, names);
}

const char *inherited_close_next(struct inherited *inherited)
{
    for (unsigned i = 0; inherited != NULL && i < inherited->count; i++) {
        if (inherited->fd[i] < 0)
            continue;
        (void)close(inherited->fd[i]);
        inherited->fd[i] = -1;
        return inherited->name[i];
    }
    return NULL;
}
