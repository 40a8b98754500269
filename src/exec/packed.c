#include "exec/packed.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum afar_status packed_put(int fd, const void *data, size_t size, const char *whom,
                            struct afar_error *err)
{
    const char *at = data;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return afar_fail_errno(err, errno, "cannot tell %s what to do", whom);
        at += written;
        size -= (size_t)written;
    }
    return AFAR_OK;
}

enum afar_status packed_put_words(int fd, char *const *words, const char *whom,
                                  struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    for (; *words != NULL && status == AFAR_OK; words++)
        status = packed_put(fd, *words, strlen(*words) + 1, whom, err);
    return status;
}

size_t packed_count(char *const *words)
{
    size_t count = 0;
    while (words[count] != NULL)
        count++;
    return count;
}

char *packed_take(char **at, const char *end)
{
    char *begin = *at;
    char *nul = begin < end ? memchr(begin, 0, (size_t)(end - begin)) : NULL;
    if (nul == NULL)
        return NULL;
    *at = nul + 1;
    return begin;
}
