#include "afar/commands.h"

#include <stdio.h>

#include <afar/keygen.h>

#include "afar/options.h"
#include "afar/pin_text.h"
#include "afar/report.h"

static const char help[] =
    "usage: afar pin FILE\n"
    "\n"
    "Shows the pin of a certificate (PEM): the SHA-256 of its public key, by which --pin and\n"
    "known_hosts know a server, and 'client = pin:...' in afard.conf a client.\n"
    "\n"
    "  afar pin /etc/afar/server.pem\n";

int pin_main(int argc, char **argv)
{
    struct options options;
    struct afar_error err = {0};
    char pin[AFAR_PIN_BYTES];
    int status = STATUS_FAILED;
    afar_begin_program();
    enum options_result result = options_parse(&options, OPTIONS_NO_HOST, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        return status;
    if (options.words[0] == NULL || options.words[1] != NULL) {
        report("pin: give one certificate file; try 'afar pin --help'");
        return status;
    }
    if (afar_pin(options.words[0], pin, &err) != AFAR_OK) {
        report("pin: %s", err.message);
        return status;
    }
    if (printf(PIN_PREFIX "%s\n", pin) < 0 || fflush(stdout) != 0) {
        report("cannot write to standard output");
        return status;
    }
    return 0;
}
