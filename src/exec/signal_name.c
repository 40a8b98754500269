#include "exec/signal_name.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

int signal_by_name(const char *name)
{
    for (int number = 1; number < NSIG; number++) {
        const char *known = sigabbrev_np(number);
        if (known != NULL && strcmp(known, name) == 0)
            return number;
    }
    uint64_t number = 0;
    bool nameless = number_parse(name, 1, NSIG - 1, &number, NULL) == AFAR_OK &&
                    sigabbrev_np((int)number) == NULL;
    return nameless ? (int)number : 0;
}

void signal_name(int number, char *name, size_t size)
{
    const char *known = sigabbrev_np(number);
    if (known != NULL)
        (void)snprintf(name, size, "%s", known);
    else
        (void)snprintf(name, size, "%d", number);
}
