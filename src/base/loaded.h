/* Functions of a library that dlopen(3) has loaded.
 *
 * Owns:    nothing.
 * Threads: any.
 * Blocks:  never.
 * Limits:  none. */
#ifndef BASE_LOADED_H
#define BASE_LOADED_H

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

/* Sets *function, which is a function pointer, to the function of that name. ISO C cannot convert
 * the `void *` of dlsym(3) to one, hence memcpy. False: there is none. */
static inline bool loaded_find(void *handle, const char *name, void *function)
{
    void *address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

#endif
