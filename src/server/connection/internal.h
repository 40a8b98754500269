/* Shared by connection.c (its life), hand_on.c and move.c (to another worker), time.c (its
 * deadlines), io.c (its bytes) and line.c (its log lines). For those only. */
#ifndef SERVER_CONNECTION_INTERNAL_H
#define SERVER_CONNECTION_INTERNAL_H

#include "server/connection/connection.h"

/* Small frames leave together in one TLS record (RFC 8446 §5.1: 2^14). */
enum { CONNECTION_TOGETHER_BYTES = 16384 };

/* connection.c */

/* The only way to change the state: HANDSHAKE, OPEN, CLOSING, GONE, in this order; any but GONE may
 * be skipped. On its worker's thread. */
void connection_become(struct connection *connection, enum connection_state state);

/* Ends the connection: no event of it is handled any more; it is freed at the end of the turn. */
void connection_end(struct connection *connection);

/* The socket is ready, or input that was left is to be handled. */
void connection_ready(struct loop_source *source, uint32_t events);

/* hand_on.c */

void connection_run_hand_on(struct loop_deferred *deferred);

/* move.c */

void connection_run_move(struct loop_deferred *deferred);

/* On any move to worker `to`: remembers the worker to return to. */
void connection_set_home(struct connection *connection, const struct worker *to);

/* Counts bytes sent or received; moves the connection to a bulk worker if it carries much. */
void connection_weigh(struct connection *connection, size_t size, int64_t now_ms);

/* line.c */

/* Logs "connection 7 …: text", unless there are too many lines of that kind. */
void connection_say(const struct connection *connection, enum summary_kind kind,
                    enum log_level level, const char *text);

/* A client was not let in: logs it, and `event` in the audit log. connection_note: the line has
 * been counted. */
void connection_note(struct connection *connection, const char *event, const char *why);
void connection_not_let_in(struct connection *connection, enum summary_kind kind, const char *event,
                           const char *why);

/* It has just been opened: delays reading if other connections of the same client were slowed down.
 */
void connection_begin_slowly(struct connection *connection);

/* The delay is over. */
void connection_go_on(struct connection *connection);

/* time.c */

/* connection_set_timer sets the timer to the earliest deadline; connection_watch_time only if that
 * is earlier than what it is set to. */
void connection_set_timer(struct connection *connection);
void connection_watch_time(struct connection *connection);

void connection_timer_fired(struct timer *timer);

/* io.c */

/* Sets the events and the deadline to wait for. */
void connection_wait(struct connection *connection);

/* Whether input is read now. */
bool connection_takes_input(const struct connection *connection);

/* Sends what waits, as far as the socket and this turn's share allow. connection_run_flush: at the
 * end of the turn. */
void connection_flush(struct connection *connection);
void connection_run_flush(struct loop_deferred *deferred);

/* Reads what has come, as far as there is room, up to this turn's share. */
void connection_receive(struct connection *connection);

/* While CLOSING: reads and drops, until the peer has closed, too. */
void connection_receive_rest(struct connection *connection);

/* All is sent, or nothing more can be: sends FIN and closes the conversation. */
void connection_begin_closing(struct connection *connection);

#endif
