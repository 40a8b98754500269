/* What server.c (making and freeing), reload.c (SIGHUP), renew.c (new certificates) and ends.c (when
 * they end) share. For those four only. */
#ifndef SERVER_SERVER_INTERNAL_H
#define SERVER_SERVER_INTERNAL_H

#include "net/inherited.h"
#include "server/acceptor.h"
#include "server/file_watch.h"
#include "server/watch/health.h"
#include "server/separation.h"
#include "server/server.h"
#include "server/watch/service.h"

/* One that is listened at. */
struct listening {
    struct endpoint configured; /* as the configuration has it */
    struct endpoint endpoint;   /* with its real port */
    bool local;
    bool private;      /* a Unix socket for its owner alone */
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
    struct config *loaded; /* owned; NULL: still the first one, which is the caller's */
    bool settling;         /* a reload is on its way to the workers; what they go by until then: */
    struct config *old_config; /* owned, may be NULL */
    struct tls_context *old_tls;
    struct separation separation; /* its fence is that of the settings */
    struct separation old_separation;
    bool again; /* another SIGHUP has come meanwhile */

    int64_t kept_end_ms;   /* the server stops: until then kept jobs may go on that end with it */
    bool cgroups_tried;    /* whether there are any */
    bool cgroups_prepared; /* for limits */

    struct service service;
    struct remains *remains; /* of servers before; NULL: nobody looks for them */

    struct listener *http_listener; /* NULL: no http */
    struct http *http;
    struct metrics_source metrics;

    struct file_watch watch; /* of the files that the TLS context was made from */
    struct timer watch_timer;
    struct timer ends_timer; /* looks at when certificates end */
    int64_t renew_at_ms;     /* certificates could not be renewed: when to try again; or never */
    int64_t renew_wait_ms;   /* how long it was to wait for that */
    int64_t ends_told_at;    /* Unix time at which the log was told of ends last; 0: not yet */
    struct afar_error renew_trouble; /* what the log was told of it last */
    bool watching;                   /* the first timer is attached */
    bool watching_ends;              /* the second is */
    bool renewed; /* what settles is not a SIGHUP's, but new certificates alone */
};

/* kept_stop.c */

/* The server begins to stop. */
void server_stop_kept(struct server *server);

/* Once all else has ended: until the kept jobs have that end with it. AFAR_ESYSTEM. */
enum afar_status server_wait_for_kept(struct server *server, struct afar_error *err);

/* server.c */

/* Tells the service manager that the server is ready (again). `trouble`: what went wrong in a
 * reload; NULL: nothing. */
void server_tell_ready(struct server *server, const char *trouble);

/* NULL where the configuration has no TLS listener. As tls_context_server_new. */
enum afar_status server_open_tls(struct tls_context **tls, const struct config *config,
                                 struct afar_error *err);

/* The same, and only where clients can accept the server's certificate: tls_context_check_own. */
enum afar_status server_open_good_tls(struct tls_context **tls, const struct config *config,
                                      struct afar_error *err);

/* Sees to cgroups where there are none yet, and to limits of theirs where a rule has some; says where
 * these cannot be had. */
void server_open_cgroups(struct server *server, const struct config *config);

/* Opens one listener, or takes the one that was handed over by that name, and accepts from it;
 * *listening is filled in. */
enum afar_status server_open_listener(struct server *server, const struct config *config,
                                      struct tls_context *tls, const struct endpoint *endpoint,
                                      struct listening *listening, struct afar_error *err);

/* Logs what commands can get at, and what they are kept away from. */
void server_describe_separation(const struct server *server);

/* Logs who can now run what there. */
void server_describe_one(const struct server *server, const struct listening *listening);

/* The files that the TLS context is made from. */
void server_tls_files(const struct config *config, const char *paths[FILE_WATCH_MAX]);

/* renew.c: looks at them now and then, as tls_watch_ms says. AFAR_ENOMEM. */
enum afar_status server_watch(struct server *server, struct afar_error *err);
/* The configuration has changed. */
void server_watch_again(struct server *server);
void server_unwatch(struct server *server);

/* ends.c: says in time when certificates and revocation lists end. AFAR_ENOMEM. */
enum afar_status server_watch_ends(struct server *server, struct afar_error *err);
void server_unwatch_ends(struct server *server);
/* There are others: says it again where it is so. */
void server_note_ends(struct server *server);
/* The same in words, for --check. AFAR_ENOMEM. */
enum afar_status server_warn_of_ends(const struct tls_context *tls, const struct config *config,
                                     struct words *warnings, struct afar_error *err);

/* The settings have been changed, or (NULL) could not be. */
void server_note_reload(struct server *server, const struct server_settings *settings);

/* reload.c: what the acceptor calls. */
void server_reload(void *user);
void server_settled(void *user);

#endif
