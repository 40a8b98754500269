/* What session.c (the loop, the streams), session_ends.c (signals, a person who leaves) and
 * session_away.c (a connection that is lost) share. For these only. */
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

/* So long a lost connection is tried for, to deliver what ends its command. */
enum { SESSION_DELIVER_MS = 5000 };

struct session {
    struct remote *remote;
    struct afar_client *client;
    const struct afar_command *command;
    const struct session_options *options;
    int failed; /* the status where afar itself has failed */
    bool json;
    bool lost;  /* the connection is of no use any more, or its command is to be ended */
    bool retry; /* a command that was not sent may be sent again, once */
    bool again; /* … and that is to be done */
    bool started;
    bool stdin_blocked; /* the command has not read what it got before */
    bool stdin_done;
    bool stdin_hung; /* its other end is gone, of which poll(2) need not tell again */
    int interrupts;
    int taken_back;     /* the signal for which the request was taken back; 0: it was not */
    int leaving;        /* the signal that ends this program soon; 0: none */
    char job[64];       /* its id; "": not known yet */
    bool in_vain;       /* a lost connection was waited for, to deliver a signal */
    bool hanging_up;    /* the person at the terminal has left … */
    int hung_up;        /* … with this status … */
    int64_t hang_up_ms; /* … and it is not waited for longer than that */
    /* In the other cases, or away and interrupted: when to wait no longer; 0: not. */
    int64_t give_up_ms;
    int64_t wait_until_ms; /* then the job is left (session_options.wait_ms); 0: never */
    bool cut;              /* some output is missing */
    bool timeless;         /* nobody knows when it was written, which has been said */
    bool printed;          /* the job's id … */
    bool let_go;           /* … and the job is left */
    bool told_away;        /* the connection was lost, and it is not back … */
    int64_t away_say_ms;   /* … which is to be said then; 0: it has been, or need not be */
    bool away_said;
    char why_away[AFAR_ERROR_MESSAGE_BYTES];
    int status; /* -1: not over */
    struct input input;
    struct output output[2]; /* stdout, stderr */
    struct stamp *stamps;    /* owned, of both; NULL: none are wanted */
    bool told_closed[2];     /* the command has been told that nobody reads */
    struct json_queue lines;
    bool lines_refused; /* output was not taken because they were too many */
    struct signals signals;
    struct console console;
};

/* session.c */

/* Sends, receives, and sees whether it is over. */
void session_process(struct session *session, struct afar_error *err);

/* session_ends.c */

int64_t session_now_ms(void);

/* Ends without an answer; the connection is closed. */
void session_leave(struct session *session);

/* Its job does not end with it. */
bool session_is_kept(const struct session *session);

/* What a person at the terminal asks for. */
void session_act(struct session *session, enum escape_action action, struct afar_error *err);

/* Whoever sends this signal wants the program to end. */
bool session_is_end(int number);

void session_take_signals(struct session *session, struct afar_error *err);

/* give_up_ms may have come. */
void session_check_taken_back(struct session *session);
void session_check_leaving(struct session *session);
void session_check_wait(struct session *session);

/* session_away.c */

/* Says that nobody comes back, where the server would wait for that, until it is heard, for a while;
 * also over another connection, where this one is lost. */
void session_farewell(struct session *session);

/* Says it when the connection is lost, and when it is back. */
void session_note_presence(struct session *session);

/* away_say_ms may have come. */
void session_check_away(struct session *session);

/* give_up_ms may have come. */
void session_check_interrupted_away(struct session *session);

/* True: it was tried, and there is news for session_process. */
bool session_come_back(struct session *session);

#endif
