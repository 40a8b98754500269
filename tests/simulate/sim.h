/* A world in memory around the core of runs that come back: clients, links that are cut, servers,
 * keepers with their folders on a disk. The core (src/wire/run_host, run_guest, output_log, the
 * messages and frames) is the real one; all else here is a model of what is planned around it.
 *
 * One schedule is one world, made from one seed: in each step somebody who can do something does a
 * random amount of it, and now and then something goes wrong. When nobody can do anything the clock
 * goes on to the next deadline. After a while nothing goes wrong any more, and then everything must
 * come to its end.
 *
 *   main.c      the program; runner.c: many schedules in several processes
 *   world.c     a schedule: settings, steps, time, and what must hold at its end
 *   disturb.c   what goes wrong
 *   network.c   links
 *   client.c    a client process: run_guest, its input, its consumer; client_take.c: what comes
 *   session.c   a connection on the server's side: run_host, or a relay to where that is
 *   server.c    servers: jobs, keys, what restarts
 *   run.c       a run: run_host and its command
 *   make.c      making a kept job, step by step; recovery
 *   keeper.c    the keeper's process: spool and receipt
 *   fault.c     faults, planted one at a time
 *
 * Owns everything in `sim`. Threads: one. Blocks: never. Limits: the numbers below; STEPS_MAX. */
#ifndef SIMULATE_SIM_H
#define SIMULATE_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "simulate/fault.h"
#include "support/seeded.h"
#include "wire/frame.h"
#include "wire/run_guest.h"
#include "wire/run_host.h"

#define NEVER INT64_MAX

enum {
    CLIENTS_MAX = 4,
    LINKS_MAX = 32,
    SESSIONS_MAX = 40,
    RUNS_MAX = 12,
    FACTS_MAX = 16,
    KEEPERS_MAX = 8,
    FOLDERS_MAX = 4,
    MAKES_MAX = 4,
    RECORDS_MAX = 400,
    SERVERS = 2, /* the second is what a balancer may lead to */
    PIPE_BYTES = 700,
    RELAY_BYTES = 500,
    QUEUE_MAX = 128,
    STEPS_MAX = 20000,
    CREDIT_GROWS = 4 /* times */
};

/* ---- network --------------------------------------------------------------------------------- */

/* One direction. What lies in it has been given to the sender's kernel. */
struct pipe {
    struct buffer data;
    bool dead;             /* what is sent from now on is lost */
    bool closed;           /* the end follows what lies in it */
    int64_t not_before_ms; /* it is held up on the way */
    int64_t notice_ms;     /* when the receiver notices by itself that nothing comes any more */
};

struct link {
    bool used;
    unsigned number;
    struct client *client; /* its upper end, or … */
    struct session *outer; /* … of a relay; NULL both: closed */
    struct session *session;
    struct pipe up;   /* to the server */
    struct pipe down; /* to the client */
};

struct link *link_new(void);
size_t link_room(const struct pipe *pipe);
void link_send(struct pipe *pipe, const void *data, size_t size);
/* One end is closed by its owner; `reset`: what it had sent may be lost. */
void link_close_upper(struct link *link, bool reset);
void link_close_lower(struct link *link, bool reset);
bool link_deliver(struct link *link);
int64_t link_deadline_ms(const struct link *link);

/* ---- what became of a command, for the checks ------------------------------------------------ */

struct fact {
    unsigned number;
    char job[MESSAGE_JOB_ID_BYTES];
    char holder[MESSAGE_HOLDER_BYTES]; /* of the exec */
    unsigned key;                      /* 0: none */
    char server[MESSAGE_SERVER_BYTES]; /* which began it */
    unsigned salt;                     /* of its output */
    unsigned starts;
    unsigned takeovers;
    unsigned signals; /* that arrived */
    bool kept;
    bool never;   /* recovery has said that it never started */
    bool lost;    /* recovery has said server_lost */
    bool crashed; /* its server or keeper went down with it */
    bool torn;    /* the power failed, and some of its output is gone */
    bool expired; /* nobody came back in time, or all were sent away */
    bool left;    /* its client said detach */
    bool receipted;
    bool acked;
    unsigned end_lines; /* in the audit log */
    struct afar_receipt receipt;
    /* Who was attached last, for the check of attempts. */
    char last_holder[MESSAGE_HOLDER_BYTES];
    uint64_t last_attempt;
};

/* ---- the command ----------------------------------------------------------------------------- */

struct command {
    bool runs;
    bool ended;
    bool killed;
    struct buffer input; /* given, not read yet */
    bool input_eof;
    bool eof_read;
    uint64_t read;
    uint64_t written[2];
    uint64_t total[2];
    bool endless; /* writes to stdout until that is closed */
    bool needs_eof;
    bool closed[2];
};

struct run {
    bool used;
    struct run_host host;
    struct command command;
    struct fact *fact;
    struct server *server; /* of a run in memory */
    struct keeper *keeper; /* of a kept one */
    bool receipt_waits;
    bool stopping;
    uint64_t first_id; /* for a fault */
    uint64_t epoch;    /* likewise */
};

uint8_t output_byte(unsigned salt, unsigned stream, uint64_t offset);
uint8_t input_byte(uint64_t offset);

struct run *run_new(struct fact *fact);
/* Never more of its input may wait. */
uint64_t run_most_credit(const struct run *run);
bool run_step(struct run *run);
void run_act(struct run *run, enum run_host_after after);
void run_free(struct run *run);
void run_kill(struct run *run, enum afar_outcome outcome);
struct run *run_of_host(const struct run_host *host);
struct run *run_of_log(const struct output_log *log);

/* ---- servers --------------------------------------------------------------------------------- */

struct make;

struct session {
    bool used;
    unsigned number;
    struct link *link; /* NULL: it is closing */
    struct server *server;
    struct keeper *keeper; /* where it is one of a keeper's */
    bool inner;            /* of a relay: the run is here */
    struct buffer in;
    struct buffer out;
    struct decoder decoder;
    bool turned_away; /* reads nothing */
    bool finishing;   /* closes when `out` is empty */
    uint64_t id;      /* of the request that is under way, or was the last */
    struct run *run;
    uint64_t attempt;
    char holder[MESSAGE_HOLDER_BYTES];
    struct run *former; /* from which it was displaced; … */
    struct fact *former_fact;
    bool blocked; /* the frame that has come has to wait */
    bool detaching;
    bool starting; /* `started` is to be sent when the command runs */
    /* As a relay. */
    struct link *relay;
    struct buffer back; /* from there */
    struct decoder back_decoder;
    bool answered; /* the request has ended: nothing is lost with the inner connection */
    uint64_t exit_seq;
    bool has_exit;
    struct make *make;   /* it waits for this job to be made, … */
    struct fact *made;   /* … and then for its run to be found */
    struct fact *wanted; /* inner: whose run it is for */
};

struct server {
    bool alive;
    bool listening;
    bool draining;
    unsigned number;
    unsigned instance;
    char name[MESSAGE_SERVER_BYTES];
    unsigned places;
    int64_t restart_ms; /* NEVER: it runs */
    int64_t drained_ms;
    unsigned recovered; /* folders that recovery has been through */
};

struct session *session_new(struct link *link, struct server *server, struct keeper *keeper);
void session_receive(struct session *session, const void *data, size_t size);
void session_relay_back(struct session *session, const void *data, size_t size);
bool session_takes(const struct session *session);
bool session_relay_takes(const struct session *session);
bool session_step(struct session *session);
void session_end(struct session *session); /* its connection is gone */
void session_relay_ended(struct session *session);
void session_close(struct session *session, bool reset);
/* Its process has died: nothing is told to the run. */
void session_die(struct session *session);
void session_error(struct session *session, uint64_t id, const char *code);
/* Opens the inner connection to the run, and sends the frame there. */
void session_relay_to(struct session *session, struct fact *fact, uint64_t id, const void *frame,
                      size_t size);
/* The same with an attach that the server makes of an exec. */
void session_relay_exec(struct session *session, struct fact *fact, uint64_t id,
                        const char *holder);

void server_start(struct server *server);
bool server_step(struct server *server);
void server_crash(struct server *server, int64_t restart_ms);
void server_drain(struct server *server);
int64_t server_deadline_ms(const struct server *server);
/* The job that an attach is for; NULL: there is none. */
struct fact *server_find(const struct server *server, const char *job, const char *holder);
/* False: the frame has to wait. */
bool server_exec(struct session *session, const struct message *message);
/* Whether a run is there that can be connected to. */
bool server_ready(const struct fact *fact);
struct run *run_of_fact(const struct fact *fact);
void server_free_run(struct run *run);

/* ---- kept jobs ------------------------------------------------------------------------------- */

struct record {
    uint64_t seq;
    uint64_t next;
    unsigned stream; /* 2: a cut */
    size_t size;
    uint64_t lost[2];
    uint64_t before[2];
    bool evicted;
};

struct folder {
    bool used;
    struct fact *fact;
    char holder[MESSAGE_HOLDER_BYTES];
    unsigned key;
    unsigned boot;
    bool renamed; /* the intent stands */
    bool rename_synced;
    unsigned lockers; /* processes that have the lock's descriptor, locked */
    bool begun;
    bool receipt;
    bool receipt_synced;
    bool audited;
    unsigned line_by;    /* the server's instance that has written the line, … */
    unsigned touched_by; /* … and that has made `audited` */
    struct run_spool spool;
    struct record records[RECORDS_MAX];
    size_t count;
    size_t synced;
    uint64_t end;       /* one beyond the newest record */
    uint64_t bytes[2];  /* before that */
    size_t limit_bytes; /* of the spool */
    size_t held_bytes;
    bool blocks; /* when it is full; otherwise it cuts */
};

struct keeper {
    bool used;
    struct folder *folder;
    struct fact *fact;
    struct run *run;
    bool reader; /* of a folder that is finished */
    bool locks;
    unsigned asleep; /* so many steps it gets no processor */
    unsigned step;
    uint64_t dropped[2]; /* while the disk was full */
    int64_t exit_ms;     /* NEVER: it has something to do */
    unsigned receipt_step;
};

struct make {
    bool used;
    struct server *server;
    struct session *session; /* NULL: it has gone */
    uint64_t id;
    struct folder *folder;
    struct keeper *keeper;
    bool locks;
    unsigned step;
};

struct make *make_new(struct session *session, uint64_t id, struct fact *fact);
bool make_step(struct make *make);
void make_drop(struct make *make);
struct make *make_of(const struct folder *folder);
/* What a server does about a folder that it finds. */
void recover_folder(struct server *server, struct folder *folder);
bool audit_step(struct server *server, struct folder *folder);
struct folder *folder_of(const struct fact *fact);
struct keeper *keeper_of(const struct folder *folder);
struct keeper *keeper_new(struct folder *folder, bool reader);
bool keeper_step(struct keeper *keeper);
/* It dies, by itself or not, and its command with it. */
void keeper_end(struct keeper *keeper);
bool keeper_write(struct keeper *keeper, unsigned stream, size_t size);
int64_t keeper_deadline_ms(const struct keeper *keeper);
void folder_evict(struct folder *folder);
void disk_power_loss(void);

/* ---- clients --------------------------------------------------------------------------------- */

enum outcome {
    OUTCOME_NONE,
    OUTCOME_RECEIPT,
    OUTCOME_UNKNOWN,
    OUTCOME_SUPERSEDED,
    OUTCOME_REFUSED,
    OUTCOME_NOT_SENT,
    OUTCOME_LEFT,
    OUTCOME_CRASHED
};

/* A frame that the consumer has not taken. */
struct queued {
    uint64_t seq;
    uint64_t next;
    size_t wire_bytes;
};

struct client {
    bool used;
    unsigned number;
    enum outcome outcome;
    struct run_guest guest;
    char holder[MESSAGE_HOLDER_BYTES];
    struct fact *takes_over; /* NULL: it begins by an exec */
    unsigned key;
    bool keep;
    bool detaches;
    bool patient; /* takes part in nothing until this: … */
    int64_t begins_ms;
    struct link *link;
    struct buffer in;
    struct buffer out;
    struct decoder decoder;
    uint64_t last_id;
    unsigned begun;   /* times that it has put an exec */
    bool second_exec; /* a fault: an exec was sent again */
    uint64_t input_total;
    uint64_t input_given;
    bool input_closed;
    size_t window;
    bool old; /* it knows nothing of windows that grow */
    struct queued queue[QUEUE_MAX];
    size_t queue_first;
    size_t queue_count;
    size_t kept_bytes;
    uint64_t offset[2]; /* of the next byte of output */
    int64_t stalled_until_ms;
    bool stalled;         /* until the storm is over */
    uint64_t close_at[2]; /* it closes the stream at this offset; UINT64_MAX: never */
    unsigned signals_raised;
    bool eof_was_put;
    bool close_was_put[2];
    uint64_t epoch;
    struct fact *fact; /* which command it has; known once it is attached */
    struct afar_receipt receipt;
    bool again;          /* a second exec on the same connection follows */
    struct client *same; /* the process whose key and input it has */
};

struct client *client_new(void);
void client_receive(struct client *client, const void *data, size_t size);
void client_link_ended(struct client *client);
bool client_step(struct client *client);
void client_crash(struct client *client);
int64_t client_deadline_ms(const struct client *client);
void client_finish(struct client *client, enum outcome outcome);
void client_drop(struct client *client, enum run_guest_loss loss);
/* It says that nobody knows what became of its command: somebody must have had a reason. */
void client_check_unknown(const struct client *client);
/* The client whose frames are being put, for faults; NULL: none. */
struct client *client_current(void);
void client_enter(struct client *client);

/* ---- the world ------------------------------------------------------------------------------- */

struct world {
    uint64_t seed;
    struct seeded chance;
    bool trace;
    char problem[400]; /* "": all is well */
    int64_t now_ms;
    unsigned steps;
    unsigned storm_steps; /* so many steps something may go wrong */
    bool calm;            /* nothing goes wrong any more */
    /* settings */
    bool kept;
    bool balanced;
    bool delicate;     /* much dies in the middle of what is done in steps */
    bool resends_more; /* servers say that they have less of stdin than they have */
    size_t window_bytes;
    size_t window_most; /* it may grow up to this; 0: it does not */
    uint64_t credit;
    uint64_t more_credit;
    uint64_t resume_ms;
    unsigned weight[20]; /* of disturbances */
    bool disk_full;
    unsigned boot;
    unsigned links_made;
    unsigned sessions_made;
    unsigned links_high; /* slots that were ever used: those below this */
    unsigned sessions_high;
    struct client client[CLIENTS_MAX];
    struct link link[LINKS_MAX];
    struct session session[SESSIONS_MAX];
    struct run run[RUNS_MAX];
    struct fact fact[FACTS_MAX];
    unsigned facts;
    struct server server[SERVERS];
    struct folder folder[FOLDERS_MAX];
    struct keeper keeper[KEEPERS_MAX];
    struct make make[MAKES_MAX];
};

extern struct world sim;

/* Runs the schedule of this seed. False: sim.problem says what did not hold. */
bool world_run(uint64_t seed, bool trace);

void disturb(void);

/* The first problem counts. */
void problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define TRACE(...)              \
    do {                        \
        if (sim.trace)          \
            trace(__VA_ARGS__); \
    } while (0)

unsigned any(unsigned below); /* 0 … below - 1 */
bool chance(unsigned of);     /* one in `of` */
size_t some(size_t most);     /* 1 … most, often little */
struct fact *fact_new(const char *holder, unsigned key, bool kept);

#endif
