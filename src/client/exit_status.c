#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/number.h"
#include "client/client.h"

/* As timeout(1), env(1) and the shells use them. */
enum {
    STATUS_TIMED_OUT = 124,
    STATUS_FAILED = 125,
    STATUS_CANNOT_EXECUTE = 126,
    STATUS_NOT_FOUND = 127,
    STATUS_SIGNAL = 128
};

int client_signal_number(const char *name)
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

int afar_exit_status(const struct afar_receipt *receipt)
{
    if (receipt == NULL)
        return STATUS_FAILED;
    switch (receipt->outcome) {
    case AFAR_OUTCOME_EXITED:
        return receipt->code;
    case AFAR_OUTCOME_SIGNALED:
        return STATUS_SIGNAL + client_signal_number(receipt->signal);
    case AFAR_OUTCOME_TIMED_OUT:
        return STATUS_TIMED_OUT;
    case AFAR_OUTCOME_SPAWN_FAILED:
        if (strcmp(receipt->error_stage, "exec") == 0 && strcmp(receipt->error_name, "ENOENT") == 0)
            return STATUS_NOT_FOUND;
        return STATUS_CANNOT_EXECUTE;
    case AFAR_OUTCOME_OUTPUT_LIMIT:
    case AFAR_OUTCOME_KILLED:
    case AFAR_OUTCOME_DISCONNECTED:
    case AFAR_OUTCOME_SERVER_LOST:
        break;
    }
    return STATUS_FAILED;
}

const char *afar_outcome_name(enum afar_outcome outcome)
{
    return message_outcome_name(outcome);
}

const char *afar_version(void)
{
    return AFAR_VERSION;
}
