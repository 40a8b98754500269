/* What connection.c (its life), hand_on.c and move.c (to another worker), time.c (its deadlines), io.c
 * (its bytes) and line.c (what is said of it) share. For those only. */
#ifndef SERVER_CONNECTION_INTERNAL_H
#define SERVER_CONNECTION_INTERNAL_H

#include "server/connection/connection.h"

/* Small frames leave together in one TLS record (RFC 8446 §5.1: 2^14). */
enum { CONNECTION_TOGETHER_BYTES = 16384 };

/* connection.c */

/* The only way to change its state: HANDSHAKE, OPEN, CLOSING, GONE, in this order, each may be left
 * out but the last. On its worker's thread. */
void connection_become(struct connection *connection, enum connection_state state);

/* From here on nothing of it happens any more; its memory goes at the end of the turn. */
void connection_end(struct connection *connection);

/* The socket is ready, or what it gave before is to be looked at again. */
void connection_ready(struct loop_source *source, uint32_t events);

/* hand_on.c */

void connection_run_hand_on(struct loop_deferred *deferred);

/* move.c */

void connection_run_move(struct loop_deferred *deferred);

/* It is going there, by whichever way: remembers where it is to come back to. */
void connection_set_home(struct connection *connection, const struct worker *to);

/* So many bytes went out or came in: it may have become one that carries much. */
void connection_weigh(struct connection *connection, size_t size, int64_t now_ms);

/* line.c */

/* Logs "connection 7 …: text", as far as there are not too many lines of that kind. */
void connection_say(const struct connection *connection, enum summary_kind kind,
                    enum log_level level, const char *text);

/* The same also to the audit log, with that event: somebody was not let in. connection_note: it has
 * been counted. */
void connection_note(struct connection *connection, const char *event, const char *why);
void connection_not_let_in(struct connection *connection, enum summary_kind kind, const char *event,
                           const char *why);

/* It has just been opened: not at once where others of the same client have been slowed down. */
void connection_begin_slowly(struct connection *connection);

/* It has waited long enough. */
void connection_go_on(struct connection *connection);

/* time.c */

/* Sets the timer to the earliest deadline; or only where that is earlier than what it is set to. */
void connection_set_timer(struct connection *connection);
void connection_watch_time(struct connection *connection);

void connection_timer_fired(struct timer *timer);

/* io.c */

/* Waits for what can go on next. */
void connection_wait(struct connection *connection);

bool connection_takes_input(const struct connection *connection);

/* Sends what waits, as far as the socket and this turn's share allow. */
void connection_flush(struct connection *connection);
void connection_run_flush(struct loop_deferred *deferred);

/* Reads while there is something, room, and patience. */
void connection_receive(struct connection *connection);

/* While CLOSING: reads and forgets, until the peer has closed too. */
void connection_receive_rest(struct connection *connection);

/* All is sent, or nothing more can be: last words, FIN, and the session is closed. */
void connection_begin_closing(struct connection *connection);

#endif
