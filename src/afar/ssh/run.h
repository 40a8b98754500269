/* `afar ssh` from its options to its exit status: what is asked for as a request of Afar's.
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
    struct options connect; /* as of another subcommand; what it points to is owned by the others */
    struct remote remote;   /* owned */
    struct host entry;      /* owned; of the file of hosts */
    struct remote_route route;
    struct proxy proxy;
    struct options asked; /* as `connect`, but for what the host's own entry says: for jump hosts */
    struct jump jump;
    struct forwards forwards;
    char proxy_host[SSH_HOST_BYTES];
    char proxy_port[16];
    int stderr_fd;  /* the command's standard error; 0: ours */
    bool is_master; /* -N with ControlMaster: has a share of its own */
    bool verbose;
    int escape;                  /* of afar/escape.h */
    bool no_terminal;            /* one was asked for, and the server has none for us */
    char *line;                  /* owned; the words of the command; NULL: none */
    struct ssh_words send_env;   /* owned */
    char *cert_file;             /* owned; beside the file of -i */
    struct afar_command command; /* points to the others */
};

/* One line for -v. */
void ssh_debug(const struct ssh_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says a message of the parsers, line by line. */
void ssh_say(const char *message);

/* command.c: what is asked for, once connected. Returns the exit status. */
int ssh_command(struct ssh_run *run);

/* identity.c: whether -i names a key that TLS can use, with a certificate beside it; then it is in
 * run->connect. */
void ssh_identity(struct ssh_run *run);

/* route.c: how the server is reached: address family, local address, ProxyCommand, ProxyJump. False: it has
 * been said what is wrong. */
bool ssh_route(struct ssh_run *run);

/* From its URL: proxy_host and proxy_port. */
void ssh_split_url(struct ssh_run *run);

/* share.c: ControlMaster, ControlPersist and ControlPath, for a remote that is open. False: it has
 * been said what is wrong. */
bool ssh_share(struct ssh_run *run);

/* For -N with ControlMaster, once connected: waits until its share is there. A descriptor that can be read
 * when that has ended; -1: there is none. */
int ssh_share_watch(const struct ssh_run *run);

/* It is not idle. */
void ssh_share_use(const struct ssh_run *run);

/* The time of ControlPersist; 0: no. False: it is none. */
bool ssh_share_persist(const char *text, int64_t *ms);

/* -O: the exit status. */
int ssh_share_control(struct ssh_run *run);

/* forwarding.c: what is to be forwarded, and ports for it. False: it has been said what is wrong. */
bool ssh_forwards_parse(struct ssh_run *run);
bool ssh_forwards_open(struct ssh_run *run);

/* -W, instead of a command: standard input and output. Returns the exit status. */
int ssh_stdio_forward(struct ssh_run *run);

/* terminal.c: whether the command gets a terminal; says where it was asked for in vain. */
bool ssh_terminal_wanted(const struct ssh_run *run);

/* Sets run->escape. False: `message` says why. */
bool ssh_terminal_escape(struct ssh_run *run, char message[SSH_MESSAGE_BYTES]);

/* show.c: -V, -Q and -G. */
int ssh_show_version(void);
int ssh_show_query(const char *query);
int ssh_show_config(struct ssh_run *run);

/* The name of the user here. Borrowed. */
const char *ssh_own_name(void);

#endif
