#include "support/alloc_fault.h"

#include <stddef.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

/* Names that the linker's --wrap requires. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static int left; /* counts down to the allocation that fails; 0: none fails */
static bool fired;

static bool fails(void)
{
    if (left == 0)
        return false;
    left--;
    if (left > 0)
        return false;
    fired = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

void alloc_fault_arm(int nth)
{
    cJSON_Hooks hooks = {.malloc_fn = __wrap_malloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
    left = nth;
    fired = false;
}

bool alloc_fault_fired(void)
{
    bool was = fired;
    left = 0;
    fired = false;
    return was;
}
