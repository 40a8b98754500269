/* What a service manager hears of us, where there is one (notify.h): that we are ready, read our
 * configuration anew, drain; and, as its watchdog, that all loops turn (pulse.h).
 *
 * Owns:    the socket to it, timers in the acceptor's loop.
 * Threads: the acceptor's. service_open changes the environment.
 * Blocks:  never: what the manager has no room for is sent again a little later.
 * Limits:  none. What goes wrong is logged once, and harms nothing. */
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
    int64_t watchdog_ms;           /* between two signs of life; 0: nobody waits for them */
    bool attached;                 /* the timers are */
    bool complained;               /* a message could not be sent, and the log has said so */
    bool stuck;                    /* a loop hangs, and the log has said so */
    char owed[SERVICE_TEXT_BYTES]; /* the message that there was no room for */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment; where
 * they make no sense, the log says so. Both are *kept*. AFAR_ENOMEM. */
enum afar_status service_open(struct service *service, struct acceptor *acceptor,
                              struct server_shared *shared, struct afar_error *err);

/* Before the acceptor is freed. One that was never opened (all zero) is fine. */
void service_close(struct service *service);

/* READY=1: at the start, and when a reload is over, well or not. `text`, its status line, may have
 * any bytes in it. From the first call on the watchdog is fed. */
void service_ready(struct service *service, const char *text);

void service_reloading(struct service *service);

/* STOPPING=1, and more time again and again, until the jobs have been killed. */
void service_draining(struct service *service);

#endif
