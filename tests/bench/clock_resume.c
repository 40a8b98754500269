/* A command whose connection is cut: how long until there is new output, how fast that is, and
 * whether all of it has come. */
#include "bench/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { RESUME_MS = 60000 };

struct watched {
    uint64_t taken;    /* bytes so far */
    uint64_t next_cut; /* taken at least so many: cut */
    uint64_t step;
    int cuts; /* that are still to come */
    int64_t cut_us;
    bool waiting;         /* away, and nothing has come since */
    int64_t measured_us;  /* since then the rate is measured; 0: not yet */
    uint64_t measured_at; /* bytes by then */
};

static size_t take(void *user, const void *data, size_t size)
{
    struct watched *watched = user;
    int64_t now_us = clock_now_us();
    (void)data;
    if (watched->waiting)
        (void)printf("gap %lld\n", (long long)(now_us - watched->cut_us));
    watched->waiting = false;
    watched->taken += size;
    if (watched->measured_us == 0 && watched->taken >= watched->step &&
        (watched->cuts == 0 || watched->next_cut > watched->step)) {
        watched->measured_us = now_us;
        watched->measured_at = watched->taken;
    }
    return size;
}

/* In the place of its socket is one whose other end has gone: what is on its way is lost, and the
 * server is sent a reset. */
static void cut(struct afar_client *client, struct watched *watched)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        clock_give_up("resume", strerror(errno));
    (void)close(ends[1]);
    watched->cut_us = clock_now_us();
    if (dup3(ends[0], afar_fd(client), O_CLOEXEC) < 0)
        clock_give_up("resume", strerror(errno));
    (void)close(ends[0]);
    watched->cuts--;
    watched->next_cut = watched->taken + watched->step;
}

static void come_back(struct afar_client *client, struct watched *watched)
{
    const struct afar_resume_options how =
        AFAR_RESUME_OPTIONS_INIT(.context = clock_context(), .timeout_ms = CLOCK_PATIENCE_MS);
    struct afar_error err;
    enum afar_status status = AFAR_OK;
    watched->waiting = true;
    do {
        (void)poll(NULL, 0, afar_timeout(client));
        status = afar_resume(client, &how, &err);
    } while (status == AFAR_EAGAIN);
    clock_check(status, &err);
}

static void follow(struct afar_client *client, struct watched *watched)
{
    struct afar_error err;
    while (afar_receipt(client) == NULL) {
        struct pollfd one = {.fd = afar_fd(client), .events = afar_events(client)};
        (void)poll(&one, 1, afar_timeout(client));
        clock_check(afar_process(client, &err), &err);
        if (afar_away(client))
            come_back(client, watched);
        else if (watched->cuts > 0 && !watched->waiting && watched->taken >= watched->next_cut &&
                 afar_receipt(client) == NULL)
            cut(client, watched);
    }
}

void clock_resume(const char *url, int mebibytes, int cuts, char **words)
{
    struct watched watched = {.step = (uint64_t)mebibytes << 20, .cuts = cuts};
    const struct afar_command command =
        AFAR_COMMAND_INIT(.argv = (const char *const *)words, .resume_ms = RESUME_MS,
                          .with_digest = cuts > 1);
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_stdout = take, .user = &watched);
    struct afar_pong pong = AFAR_PONG_INIT();
    struct afar_error err;
    watched.next_cut = watched.step;
    (void)clock_context();
    int64_t begun_us = clock_now_us();
    struct afar_client *client = clock_dial(url);
    (void)printf("connect %lld\n", (long long)(clock_now_us() - begun_us));
    clock_check(afar_ping(client, CLOCK_PATIENCE_MS, &pong, &err), &err);
    (void)printf("trip %llu\n", (unsigned long long)pong.round_trip_us);
    clock_check(afar_start(client, &command, &callbacks, &err), &err);
    follow(client, &watched);
    if (afar_exit_status(afar_receipt(client)) != 0)
        clock_give_up(words[0], "did not end with status 0");
    double took_s = (double)(clock_now_us() - watched.measured_us) / 1e6;
    if (watched.measured_us != 0)
        (void)printf("rate %.1f\n",
                     (double)(watched.taken - watched.measured_at) / took_s / 1048576);
    (void)printf("lost %lld\n", (long long)(afar_receipt(client)->stdout_bytes - watched.taken));
    (void)printf("uncut %d\n", watched.cuts);
    afar_close(client);
}
