#include "afar/commands.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "afar/cp_plan.h"
#include "afar/options.h"
#include "afar/report.h"

static const char help[] =
    "usage: afar cp [options] SOURCE... TARGET\n"
    "\n"
    "Copies files to, from or between hosts, whole or not at all. HOST:PATH is remote, all else\n"
    "local; '-' is standard input or output. A copy that was cut is resumed when you run the\n"
    "command again.\n"
    "\n"
    "  -r, --recursive       directories with all that is in them; 'DIR/.': only its contents\n"
    "  -u, --update          leave out files whose size and time are the same\n"
    "      --links LINKS     safe (from a server), all (to one), follow, skip\n"
    "      --owner           keep numeric owners and groups (needs root at the target)\n"
    "      --in-place        write into the file that is there (keeps its links and ACLs; a copy\n"
    "                        that is cut leaves it damaged)\n"
    "      --fsync           on the disk before it counts\n"
    "      --mkdir           make missing parents\n"
    "      --no-verify       do not compare SHA-256\n"
    "      --no-resume       begin anew, and leave no partial files\n"
    "      --limit RATE      bytes a second, such as 10M\n"
    "      --json            write one JSON object for each file, the sum last\n"
    "  -v, --verbose         name each file\n"
    "  -q, --quiet           no progress\n"
    "      --timeout TIME    end it after 10, 500ms, 10s, 5m or 2h\n"
    "      --ca, --cert, --key FILE\n"
    "                        credentials, PEM (else AFAR_CA, AFAR_CERT, AFAR_KEY,\n"
    "                        else ca.pem, cert.pem, key.pem in ~/.config/afar)\n"
    "      --pin sha256:HEX  the server is whoever has this key (else AFAR_PIN)\n"
    "      --connect-timeout TIME\n"
    "                        give up connecting, or waiting for a first answer, after this time "
    "(10s)\n"
    "      --silence TIME    give up a connection without a sign of life for this time (25s, or\n"
    "                        2m with --reconnect 0)\n"
    "      --reconnect TIME  go on after a lost connection that is back within this time (1m)\n"
    "\n"
    "Exit status: 0; 1: a file was not copied; 124: timed out; 125: afar failed, or no files may\n"
    "be used; 128+N: interrupted by signal N.\n"
    "\n"
    "  afar cp build.tar.gz web:/srv/releases/\n"
    "  afar cp -r web:/var/log/nginx ./logs\n"
    "  pg_dump shop | afar cp - backup:/srv/shop.sql\n";

static int copy(const struct options *options)
{
    struct cp_run *run = calloc(1, sizeof *run);
    int status = STATUS_FAILED;
    if (run == NULL) {
        report("out of memory");
        return status;
    }
    (void)signal(SIGXFSZ, SIG_IGN); /* then a write beyond the size limit fails with EFBIG */
    if (cp_run_open(run, options)) {
        status = cp_plan(run, options->words);
        if (status == 0)
            status = cp_run_copy(run);
    }
    cp_run_close(run);
    free(run);
    return status;
}

int cp_main(int argc, char **argv)
{
    struct options options;
    int status = STATUS_FAILED;
    enum options_result result = options_parse(
        &options, OPTIONS_CONNECT | OPTIONS_TIMEOUT | OPTIONS_JSON | OPTIONS_CP | OPTIONS_NO_HOST,
        argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    else if (result == OPTIONS_OK && (options.words[0] == NULL || options.words[1] == NULL))
        report("cp: a SOURCE and a TARGET are needed; try 'afar cp --help'");
    else if (result == OPTIONS_OK)
        status = copy(&options);
    options_close(&options);
    return status;
}
