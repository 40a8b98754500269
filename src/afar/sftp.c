#include "afar/commands.h"

#include <stdio.h>

#include "afar/options.h"
#include "afar/remote.h"
#include "afar/report.h"
#include "afar/session.h"

static const char help[] =
    "usage: afar sftp [options] HOST\n"
    "\n"
    "Standard input and output are an SFTP server on HOST: for programs that speak SFTP.\n"
    "HOST is a URL (tls://, tcp://, unix://) or host[:port], which means tls.\n"
    "\n"
    "  -w, --cwd DIR         where relative paths begin\n"
    "  -t, --timeout TIME    end it after 10, 500ms, 10s, 5m or 2h\n"
    "      --ca, --cert, --key FILE\n"
    "                        credentials, PEM (else AFAR_CA, AFAR_CERT, AFAR_KEY,\n"
    "                        else ca.pem, cert.pem, key.pem in ~/.config/afar)\n"
    "      --pin sha256:HEX  the server is whoever has this key (else AFAR_PIN)\n"
    "      --connect-timeout TIME\n"
    "                        give up connecting, or waiting for a first answer, after this time "
    "(10s)\n"
    "      --silence TIME    give up a server that gives no sign of life for this time (2m)\n"
    "\n"
    "Exit status: 0; 1: what was sent is not SFTP; 125: afar failed, or no files may be used.\n"
    "\n"
    "  sftp -D 'afar sftp web.example.org'\n"
    "  restic -o sftp.command='afar sftp web.example.org' -r sftp::/srv/backup snapshots\n";

static int serve(const struct options *options)
{
    struct remote remote = {0};
    const struct session_options how = {.json = false};
    struct afar_command command =
        AFAR_COMMAND_INIT(.subsystem = "sftp", .cwd = options->cwd,
                          .timeout_ms = options->timeout_ms, .with_stdin = true);
    int status = STATUS_FAILED;
    bool opened = remote_open(&remote, options, NULL);
    remote.request_follows = true;
    command.user = remote.entry.value[HOST_USER].text;
    if (opened && remote_connect(&remote)) {
        if (remote_is_shell(&remote))
            report("sftp: files cannot be had with the protocols sized and headed");
        else
            status = session_run(&remote, &command, &how);
    }
    remote_close(&remote);
    return status;
}

int sftp_main(int argc, char **argv)
{
    struct options options;
    int status = STATUS_FAILED;
    enum options_result result =
        options_parse(&options, OPTIONS_CONNECT | OPTIONS_COMMAND, argc, argv);
    if (result == OPTIONS_HELP)
        status = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
    else if (result == OPTIONS_OK && options.words[0] != NULL)
        report("sftp: '%s' was not expected behind HOST; try 'afar sftp --help'", options.words[0]);
    else if (result == OPTIONS_OK && options.env != NULL)
        report("sftp: an SFTP server takes no --env; try 'afar sftp --help'");
    else if (result == OPTIONS_OK)
        status = serve(&options);
    options_close(&options);
    return status;
}
