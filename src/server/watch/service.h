/* Tells the service manager, if there is one (notify.h), that we are ready, reload or drain; and
 * feeds its watchdog as long as all loops turn (pulse.h).
 *
 * Owns:    the socket to it, and timers in the acceptor's loop.
 * Threads: the acceptor's. service_open changes the environment.
 * Blocks:  never: a message that the manager has no room for is sent again a little later.
 * Limits:  none. The first failure is logged; failures have no other effect. */
#ifndef SERVER_WATCH_SERVICE_H
#define SERVER_WATCH_SERVICE_H

#include "server/acceptor.h"
#include "server/watch/notify.h"

enum { SERVICE_TEXT_BYTES = 512 };

struct service {
    struct notify notify;
    struct acceptor *acceptor;
    struct server_shared *shared;
    struct timer watchdog_timer;
    struct timer drain_timer;
    struct timer owed_timer;
    int64_t watchdog_ms;           /* between two signs of life; 0: no watchdog */
    bool attached;                 /* the timers are attached */
    bool complained;               /* a failure has been logged */
    bool stuck;                    /* a loop hangs; it has been logged */
    char owed[SERVICE_TEXT_BYTES]; /* the last state, to be sent again if there was no room */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them from the environment; logs
 * invalid ones. `acceptor` and `shared` are *kept*. AFAR_ENOMEM. */
enum afar_status service_open(struct service *service, struct acceptor *acceptor,
                              struct server_shared *shared, struct afar_error *err);

/* Must be called before the acceptor is freed. A service that is all zero is fine. */
void service_close(struct service *service);

/* READY=1: at the start, and after each reload, successful or not. `text`, its status line, may
 * contain any bytes. The watchdog is fed from the first call on. */
void service_ready(struct service *service, const char *text);

/* RELOADING=1. */
void service_reloading(struct service *service);

/* STOPPING=1, and asks for more time again and again until the jobs have been killed. */
void service_draining(struct service *service);

#endif
