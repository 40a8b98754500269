#include "client/sized.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

static size_t size_of(const void *sized)
{
    size_t size = 0;
    memcpy(&size, sized, sizeof size);
    return size;
}

static enum afar_status check(size_t size, const char *name, struct afar_error *err)
{
    char upper[64] = "";
    if (size > sizeof size && size <= SIZED_MAX_BYTES)
        return AFAR_OK;
    for (size_t i = 0; i < sizeof upper - 1 && name[i] != '\0'; i++)
        upper[i] = (char)toupper((unsigned char)name[i]);
    return afar_fail(err, AFAR_EINVAL, "struct %s has no size: start it with %s_INIT()", name,
                     upper);
}

enum afar_status sized_take(void *own, size_t own_size, const void *theirs, const char *name,
                            struct afar_error *err)
{
    const uint8_t *bytes = theirs;
    const size_t size = size_of(theirs);
    enum afar_status status = check(size, name, err);
    if (status != AFAR_OK)
        return status;
    for (size_t i = own_size; i < size; i++) {
        if (bytes[i] != 0)
            return afar_fail(err, AFAR_EINVAL,
                             "struct %s sets what this version of libafar does not know", name);
    }
    memset(own, 0, own_size);
    memcpy(own, theirs, size < own_size ? size : own_size);
    memcpy(own, &own_size, sizeof own_size);
    return AFAR_OK;
}

enum afar_status sized_clear(void *theirs, const char *name, struct afar_error *err)
{
    const size_t size = size_of(theirs);
    enum afar_status status = check(size, name, err);
    if (status == AFAR_OK)
        memset((uint8_t *)theirs + sizeof size, 0, size - sizeof size);
    return status;
}

void sized_give(void *theirs, const void *own, size_t own_size)
{
    const size_t size = size_of(theirs);
    const size_t known = size < own_size ? size : own_size;
    memcpy((uint8_t *)theirs + sizeof size, (const uint8_t *)own + sizeof size,
           known - sizeof size);
}
