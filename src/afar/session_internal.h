/* Shared by session.c (the loop, the streams), session_ends.c (signals, escape commands),
 * session_away.c (a lost connection) and session_tell.c (failures) only. */
#ifndef AFAR_SESSION_INTERNAL_H
#define AFAR_SESSION_INTERNAL_H

#include <stdint.h>

#include "afar/console.h"
#include "afar/input.h"
#include "afar/json_queue.h"
#include "afar/output.h"
#include "afar/session.h"
#include "afar/signals.h"
#include "afar/stamp.h"

/* How long to retry a lost connection only to deliver what ends its command. */
enum { SESSION_DELIVER_MS = 5000 };

struct session {
    struct remote *remote;
    struct afar_client *client;
    const struct afar_command *command;
    const struct session_options *options;
    int failed; /* exit status if afar itself fails */
    bool json;
    bool lost;  /* close the connection at the end: it is unusable, or its command must end */
    bool retry; /* a command that was not sent may be sent again, once … */
    bool again; /* … and must be, now */
    bool started;
    bool stdin_blocked; /* the command takes no more input now */
    bool stdin_done;
    bool stdin_hung; /* its other end is gone: do not poll it again */
    int interrupts;
    int taken_back;     /* the signal that withdrew the request; 0: none */
    int leaving;        /* the signal after which this program ends soon; 0: none */
    char job[64];       /* the job's id; "": not known yet */
    bool in_vain;       /* delivering a signal over a lost connection has failed */
    bool hanging_up;    /* the user has left … */
    int hung_up;        /* … with this exit status … */
    int64_t hang_up_ms; /* … and we wait for the server until this time */
    /* When to give up after taken_back or leaving, or when interrupted while away; 0: never. */
    int64_t give_up_ms;
    int64_t wait_until_ms; /* when to leave the job (session_options.wait_ms); 0: never */
    bool cut;              /* some output is no longer kept */
    bool timeless;         /* that times are not known was reported */
    bool printed;          /* the job's id was printed … */
    bool let_go;           /* … and we have asked to detach from the job */
    bool told_away;        /* the connection is lost */
    int64_t away_say_ms;   /* when to report that; 0: done, or not needed */
    bool away_said;
    char why_away[AFAR_ERROR_MESSAGE_BYTES];
    int status; /* the exit status; -1: not over */
    struct input input;
    struct output output[2]; /* stdout, stderr */
    struct stamp *stamps;    /* owned; for both outputs; NULL: no times */
    bool told_closed[2];     /* the server was told that the reader is gone */
    struct json_queue lines;
    bool lines_refused; /* output was refused because the queue was full */
    struct signals signals;
    struct console console;
};

/* session.c */

/* Sends and receives, and sets the status if the run is over. */
void session_process(struct session *session, struct afar_error *err);

/* session_tell.c */

/* Reports why the library's last call failed. */
void session_tell_failure(struct session *session, enum afar_status status,
                          const struct afar_error *err);

/* True if the server is too old for terminals or login shells. */
bool session_is_unknown_terminal(const struct session *session, const struct afar_error *err);

/* session_ends.c */

int64_t session_now_ms(void);

/* Ends the run without waiting for an answer; the connection will be closed. */
void session_leave(struct session *session);

/* True if the job does not end with the connection. */
bool session_is_kept(const struct session *session);

/* Leaves the job that was attached to, which runs on, as this signal would. */
void session_leave_job(struct session *session, int number);

/* Carries out an escape command. */
void session_act(struct session *session, enum escape_action action, struct afar_error *err);

/* True for signals that ask the program to end. */
bool session_is_end(int number);

void session_take_signals(struct session *session, struct afar_error *err);

/* Each ends the run if its time has come: hang_up_ms, give_up_ms, wait_until_ms. */
void session_check_taken_back(struct session *session);
void session_check_leaving(struct session *session);
void session_check_wait(struct session *session);

/* session_away.c */

/* Tells a server that would wait for us that we do not come back, and waits a while until it has
 * heard; reconnects for that if needed. */
void session_farewell(struct session *session);

/* Reports that the connection is lost, and that it is back. */
void session_note_presence(struct session *session);

/* Reports the lost connection if away_say_ms has come. */
void session_check_away(struct session *session);

/* Ends the run if it was interrupted while away and give_up_ms has come. */
void session_check_interrupted_away(struct session *session);

/* Tries to reconnect if that is due. True: it was tried; call session_process. */
bool session_come_back(struct session *session);

#endif
