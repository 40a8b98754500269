#include "afar/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "afar/known_hosts.h"
#include "afar/options.h"
#include "afar/paths.h"
#include "afar/report.h"

static const char help[] =
    "usage: afar forget HOST\n"
    "\n"
    "Removes a server's keys from ~/.config/afar/known_hosts. HOST is written as for 'afar run'.\n"
    "\n"
    "  afar forget build-7\n"
    "  afar forget build-7:7421\n";

static int forget(const char *host)
{
    char name[KNOWN_HOSTS_NAME_BYTES];
    char *file = NULL;
    size_t removed = 0;
    int status = STATUS_FAILED;
    if (!known_hosts_name(host, name)) {
        report("forget: '%s' is not a TLS server: expected host, host:port or tls://host:port",
               host);
        return status;
    }
    if (!config_file_path("known_hosts", &file)) {
        report("out of memory");
        return status;
    }
    if (file != NULL && !known_hosts_remove(file, name, &removed))
        goto out;
    if (removed == 0) {
        report("forget: %s is not known%s%s", name, file != NULL ? " in " : "",
               file != NULL ? file : "");
        goto out;
    }
    report("%s: its key is forgotten", name);
    status = 0;
out:
    free(file);
    return status;
}

int forget_main(int argc, char **argv)
{
    struct options options;
    int status = STATUS_FAILED;
    enum options_result result = options_parse(&options, 0, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    if (result != OPTIONS_OK)
        return status;
    if (options.words[0] != NULL) {
        report("forget: unexpected argument '%s'; try 'afar forget --help'", options.words[0]);
        return status;
    }
    return forget(options.host);
}
