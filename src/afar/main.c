#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <afar/afar.h>

#include "afar/commands.h"
#include "afar/options.h"
#include "afar/report.h"
#include "base/suggest.h"

static const char help[] =
    "usage: afar SUBCOMMAND [options] HOST ...\n"
    "\n"
    "  run HOST COMMAND...   run a command on HOST\n"
    "  shell HOST            open your login shell on HOST, on a terminal\n"
    "  repl HOST             run each line that is read\n"
    "  cp SOURCE... TARGET   copy files to, from or between hosts: HOST:PATH\n"
    "  sftp HOST             be an SFTP server on HOST, for sftp -D and others\n"
    "  ping HOST             see whether it answers, and how fast\n"
    "  echo URL TEXT         send text to a server of the protocol upper\n"
    "  keygen                make a key, and the line that lets it in\n"
    "  pin FILE              show the pin of a certificate's key\n"
    "  forget HOST           forget a server's key\n"
    "  ssh HOST [COMMAND]    as OpenSSH's ssh, for programs that call it\n"
    "  forward HOST PORT:HOST:PORT...\n"
    "                        lead ports here to where HOST can connect\n"
    "  share HOST            keep connections to HOST ready for others\n"
    "  config HOST           show how a connection to HOST would be made\n"
    "\n"
    "  ps HOST               list kept jobs (run -d, --keep, --once)\n"
    "  logs HOST JOB         write a job's output\n"
    "  attach HOST JOB       take part in a job: its output, and its input\n"
    "  wait HOST JOB         wait for a job's end; its exit status\n"
    "  kill HOST JOB         signal a job\n"
    "  rm HOST JOB           remove a job that has ended\n"
    "\n"
    "  help [SUBCOMMAND], --version\n"
    "                        'afar help SUBCOMMAND' says more, as does 'afar SUBCOMMAND --help'\n"
    "\n"
    "HOST is tls://host:port, tcp://host:port, unix:///path or host[:port], which means tls.\n"
    "\n"
    "  afar run build-7 -- make test\n"
    "  echo hello | afar run tcp://127.0.0.1 -- tr a-z A-Z\n";

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} subcommands[] = {
    {"run", run_main},       {"shell", shell_main},     {"repl", repl_main},
    {"cp", cp_main},         {"sftp", sftp_main},       {"ping", ping_main},
    {"echo", echo_main},     {"keygen", keygen_main},   {"pin", pin_main},
    {"forget", forget_main}, {"ssh", ssh_main},         {"config", config_main},
    {"ps", ps_main},         {"logs", logs_main},       {"attach", attach_main},
    {"wait", wait_main},     {"kill", kill_main},       {"rm", rm_main},
    {"share", share_main},   {"forward", forward_main},
};

/* If descriptor 0, 1 or 2 is closed, the connection would get its number, and output would be
 * written into it. Opened like this, stdin is empty and writing to the others fails, as it should.
 * As ssh, output is discarded instead: programs that call ssh without these descriptors rely on
 * that. */
static int occupy_standard_streams(bool throw_away)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (open("/dev/null", throw_away ? O_RDWR : O_RDONLY) != fd)
            return -1;
    }
    return 0;
}

static int print(const char *text)
{
    return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? STATUS_FAILED : 0;
}

/* Runs the subcommand argv[0]. True: it exists, and *status is its exit status. */
static bool run_subcommand(int argc, char **argv, int *status)
{
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++) {
        if (strcmp(argv[0], subcommands[i].name) == 0) {
            *status = subcommands[i].main(argc, argv);
            return true;
        }
    }
    return false;
}

static int unknown_subcommand(const char *name)
{
    struct suggestion meant = {0};
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        suggest(&meant, name, subcommands[i].name);
    static const char *const others[] = {"help", "--help", "--version"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        suggest(&meant, name, others[i]);
    if (meant.word != NULL)
        report("unknown subcommand '%s'; did you mean '%s'? Try 'afar --help'", name, meant.word);
    else
        report("unknown subcommand '%s'; try 'afar --help'", name);
    return STATUS_FAILED;
}

/* `afar help` and `afar help SUBCOMMAND`. */
static int show_help(int argc, char **argv)
{
    static char option[] = "--help";
    char *words[] = {argc > 1 ? argv[1] : NULL, option, NULL};
    int status = STATUS_FAILED;
    if (argc < 2 || strcmp(argv[1], "help") == 0)
        return print(help);
    return run_subcommand(2, words, &status) ? status : unknown_subcommand(argv[1]);
}

static bool is_ssh(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash == NULL ? program : slash + 1;
    return strcmp(name, "ssh") == 0 || strcmp(name, "afar-ssh") == 0;
}

int main(int argc, char **argv)
{
    int status = STATUS_FAILED;
    const bool called_ssh = argc > 0 && is_ssh(argv[0]);
    if (occupy_standard_streams(called_ssh || (argc > 1 && strcmp(argv[1], "ssh") == 0)) != 0)
        return STATUS_FAILED;
    /* A write to a closed pipe must fail, not end the program. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* A umask that takes rights from the owner would make keys and sessions unreadable for the
     * owner. */
    (void)umask(umask(S_IRWXG | S_IRWXO) & (S_IRWXG | S_IRWXO));

    /* For programs that run the ssh in PATH and have no option for another one. */
    if (called_ssh)
        return ssh_main(argc, argv);
    if (argc < 2) {
        report("which subcommand: run, shell, repl, cp, sftp, forward, ping, echo, keygen, pin, "
               "forget, ssh, share, config, ps, logs, attach, wait, kill or rm? Try 'afar --help'");
        return STATUS_FAILED;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print(help);
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("afar %s\n", afar_version());
        return print("");
    }
    if (strcmp(argv[1], "help") == 0)
        return show_help(argc - 1, argv + 1);
    return run_subcommand(argc - 1, argv + 1, &status) ? status : unknown_subcommand(argv[1]);
}
