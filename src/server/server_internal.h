/* Shared by server.c (making and freeing), reload.c (SIGHUP), renew.c (new certificates), ends.c
 * (when certificates end), describe.c (log lines at the start) and kept_stop.c. For those only. */
#ifndef SERVER_SERVER_INTERNAL_H
#define SERVER_SERVER_INTERNAL_H

#include "net/inherited.h"
#include "server/acceptor.h"
#include "server/file_watch.h"
#include "server/watch/health.h"
#include "server/separation.h"
#include "server/server.h"
#include "server/watch/service.h"

/* A listener. */
struct listening {
    struct endpoint configured; /* as in the configuration */
    struct endpoint endpoint;   /* with its real port */
    bool local;
    bool private;      /* a Unix socket that only its owner can use */
    struct door *door; /* NULL: a datagram socket */
};

struct listenings {
    struct listening at[CONFIG_LISTEN_MAX];
    unsigned count;
};

struct server {
    struct server_shared shared;
    struct acceptor *acceptor;
    struct inherited *inherited; /* NULL: nothing was handed over */
    struct listenings listening;

    server_load *load; /* NULL: SIGHUP changes nothing */
    void *load_user;
    struct config *loaded;     /* owned; NULL: the first one is in use, which is the caller's */
    bool settling;             /* a reload is on its way to the workers, which until then use: */
    struct config *old_config; /* owned, may be NULL */
    struct tls_context *old_tls;
    struct separation separation; /* its fence is that of the settings */
    struct separation old_separation;
    bool again; /* another SIGHUP came meanwhile */

    int64_t kept_end_ms;   /* in a stop: when kept jobs that end with the server are ended */
    bool cgroups_tried;    /* cgroups_open has been tried */
    bool cgroups_prepared; /* they are ready for limits */

    struct service service;
    struct remains *remains; /* of killed servers; NULL: not looked for */

    struct listener *http_listener; /* NULL: no http */
    struct http *http;
    struct metrics_source metrics;

    struct file_watch watch; /* of the files that the TLS context was made from */
    struct timer watch_timer;
    struct timer ends_timer; /* checks when certificates end */
    int64_t renew_at_ms;     /* when to try again to renew certificates; or DEADLINE_NEVER */
    int64_t renew_wait_ms;   /* the last wait for that; 0: none */
    int64_t ends_told_at;    /* Unix time of the last log line about ends; 0: none yet */
    struct afar_error renew_trouble; /* the last failure to renew that was logged */
    bool watching;                   /* watch_timer is attached */
    bool watching_ends;              /* ends_timer is attached */
    bool renewed;                    /* what settles are new certificates alone, not a SIGHUP */
};

/* kept_stop.c */

/* The server begins to stop: sets when kept jobs are ended, if they are to end with it. */
void server_stop_kept(struct server *server);

/* After a second signal: the kept jobs that end with the server are ended now. */
void server_hurry_kept(struct server *server);

/* Once all else has ended: waits for the kept jobs that end with the server, for a limited time.
 * AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status server_wait_for_kept(struct server *server, struct afar_error *err);

/* server.c */

/* Tells the service manager that the server is ready (again). `trouble`: what went wrong in a
 * reload; NULL: nothing. */
void server_tell_ready(struct server *server, const char *trouble);

/* *tls is NULL if the configuration has no TLS listener. Errors as tls_context_server_new, and
 * those of trusted_check_path for the CA and revocation files. */
enum afar_status server_open_tls(struct tls_context **tls, const struct config *config,
                                 struct afar_error *err);

/* The same, but fails if clients cannot accept the server's certificate (tls_context_check_own);
 * *tls is NULL then. */
enum afar_status server_open_good_tls(struct tls_context **tls, const struct config *config,
                                      struct afar_error *err);

/* Opens the cgroups unless they are open, and prepares them for the limits of rules; logs what is
 * not possible. */
void server_open_cgroups(struct server *server, const struct config *config);

/* Opens one listener, or takes the inherited socket of that name, accepts from it, and fills in
 * *listening. AFAR_EINVAL, AFAR_ESYSTEM, AFAR_ENOMEM. */
enum afar_status server_open_listener(struct server *server, const struct config *config,
                                      struct tls_context *tls, const struct endpoint *endpoint,
                                      struct listening *listening, struct afar_error *err);

/* Logs which of the server's own files commands can reach, and which the fence keeps them from. */
void server_describe_separation(const struct server *server);

/* Logs who can now run what at that listener. */
void server_describe_one(const struct server *server, const struct listening *listening);

/* For --check, which opens no listener: adds the line of one of them, if there are no rules and
 * commands run as root. AFAR_ENOMEM. */
enum afar_status server_warn_of_root(const struct config *config, struct words *warnings,
                                     struct afar_error *err);

/* The files that the TLS context is made from. */
void server_tls_files(const struct config *config, const char *paths[FILE_WATCH_MAX]);

/* renew.c: looks at these files every tls_watch_ms, and renews the TLS context. AFAR_ENOMEM. */
enum afar_status server_watch(struct server *server, struct afar_error *err);
/* After a change of the configuration. */
void server_watch_again(struct server *server);
void server_unwatch(struct server *server);

/* ends.c: logs warnings before certificates and revocation lists expire. AFAR_ENOMEM. */
enum afar_status server_watch_ends(struct server *server, struct afar_error *err);
void server_unwatch_ends(struct server *server);
/* The TLS context has changed: updates the figures and logs what is due. */
void server_note_ends(struct server *server);
/* The same warnings for --check. AFAR_ENOMEM. */
enum afar_status server_warn_of_ends(const struct tls_context *tls, const struct config *config,
                                     struct words *warnings, struct afar_error *err);

/* Updates the figures: the settings have changed, or (NULL) could not be changed. */
void server_note_reload(struct server *server, const struct server_settings *settings);

/* reload.c: the acceptor's hooks hang_up and settled */
void server_reload(void *user);
void server_settled(void *user);

#endif
