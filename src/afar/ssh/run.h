/* `afar ssh`, from its options to its exit status: turns ssh's command line into a request of
 * Afar's.
 *
 * Owns:    see the struct.
 * Threads: one.
 * Blocks:  as the command and the connection do.
 * Limits:  none of its own. */
#ifndef AFAR_SSH_RUN_H
#define AFAR_SSH_RUN_H

#include "afar/forwards.h"
#include "afar/hosts.h"
#include "afar/jump.h"
#include "afar/options.h"
#include "afar/remote.h"
#include "afar/ssh/destination.h"
#include "afar/ssh/options.h"
#include "afar/ssh/proxy.h"

struct ssh_run {
    struct ssh_options options; /* owned */
    struct ssh_destination destination;
    char url[SSH_URL_BYTES];
    struct options connect; /* as for other subcommands; its strings are borrowed */
    struct remote remote;   /* owned */
    struct host entry;      /* owned; from the file of hosts */
    struct remote_route route;
    struct proxy proxy;
    struct options asked; /* for jump hosts: as `connect`, without the host's entry */
    struct jump jump;
    struct forwards forwards;
    char proxy_host[SSH_HOST_BYTES];
    char proxy_port[16];
    int stderr_fd;  /* for the command's standard error; 0: ours */
    bool is_master; /* -N with ControlMaster and ControlPath: keeps a share alive */
    bool verbose;
    int escape;                  /* see afar/escape.h */
    bool no_terminal;            /* a terminal was asked for, but the server allows none */
    char *line;                  /* owned; the command's words, joined; NULL: none */
    struct ssh_words send_env;   /* owned */
    char *key_file;              /* owned; the file of -i that is used; NULL: none */
    char *cert_file;             /* owned; the certificate beside it */
    struct afar_command command; /* points into the other members */
};

/* Writes one line, with -v only. */
void ssh_debug(const struct ssh_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reports a message of the parsers, line by line. */
void ssh_say(const char *message);

/* command.c: sends the request, once connected, or holds the connection (-N). Returns the exit
 * status. */
int ssh_command(struct ssh_run *run);

/* identity.c: sets the key and certificate in run->connect: of the first file of -i that is a key
 * which TLS can use, with its certificate beside it. Ignores the others. */
void ssh_identity(struct ssh_run *run);

/* Replaces "~" and "~user" at the beginning, ${NAME}, and the %-letters of ssh_config(5) but %C and
 * %j; needs ssh_split_url. The caller frees it; NULL: out of memory. */
char *ssh_identity_path(const struct ssh_run *run, const char *text);

/* route.c: sets how the server is reached: address family, local address, ProxyCommand, ProxyJump.
 * False: the reason was reported. */
bool ssh_route(struct ssh_run *run);

/* route.c: sets proxy_host and proxy_port from the URL. */
void ssh_split_url(struct ssh_run *run);

/* share.c: applies ControlMaster, ControlPersist and ControlPath to a remote that is open. False:
 * the reason was reported. */
bool ssh_share(struct ssh_run *run);

/* For -N with ControlMaster, once connected: waits until its share can be found. Returns a
 * descriptor that can be read when the share has ended, and that the caller closes; -1: no
 * share. */
int ssh_share_watch(const struct ssh_run *run);

/* After a command with ControlMaster and ControlPersist: waits shortly until its share can be
 * found, so that the next call finds it, as that of ssh(1) does. */
void ssh_share_settle(const struct ssh_run *run);

/* Keeps the share from becoming idle. */
void ssh_share_use(const struct ssh_run *run);

/* Parses ControlPersist; *ms 0: no. False: not a valid value. */
bool ssh_share_persist(const char *text, int64_t *ms);

/* -O: sends the command to the share. Returns the exit status. */
int ssh_share_control(struct ssh_run *run);

/* forwarding.c: parses what is to be forwarded; and listens and starts to serve. False: the reason
 * was reported. */
bool ssh_forwards_parse(struct ssh_run *run);
bool ssh_forwards_open(struct ssh_run *run);

/* -W: standard input and output are the forwarded connection. Returns the exit status. */
int ssh_stdio_forward(struct ssh_run *run);

/* terminal.c: true if the command gets a terminal. Reports if one was asked for but cannot be
 * had. */
bool ssh_terminal_wanted(const struct ssh_run *run);

/* Sets run->escape. False: `message` says what is wrong. */
bool ssh_terminal_escape(struct ssh_run *run, char message[SSH_MESSAGE_BYTES]);

/* show.c: -V, -Q and -G. */
int ssh_show_version(void);
int ssh_show_query(const char *query);
int ssh_show_config(struct ssh_run *run);

/* The local user's name. Borrowed until the next call. */
const char *ssh_own_name(void);

#endif
