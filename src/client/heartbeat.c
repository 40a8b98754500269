/* Pings a silent server while a command runs, and gives it up after a long silence. */
#include "base/clock.h"
#include "client/client.h"

/* How often to ping a silent server, and after how long a silence to give it up. */
enum { BEAT_MS = 30000, SILENCE_MS = 120000 };

/* The same if the command can be resumed: then giving up a server that was only slow costs
 * little. */
enum { QUICK_BEAT_MS = 10000, QUICK_SILENCE_MS = 25000 };

void heartbeat_init(struct heartbeat *heartbeat)
{
    *heartbeat = (struct heartbeat){.beat_ms = BEAT_MS,
                                    .silence_ms = SILENCE_MS,
                                    .answer_by_ms = DEADLINE_NEVER,
                                    .ask_at_ms = DEADLINE_NEVER};
}

void heartbeat_be_quick(struct heartbeat *heartbeat)
{
    if (heartbeat->chosen)
        return;
    heartbeat->beat_ms = QUICK_BEAT_MS;
    heartbeat->silence_ms = QUICK_SILENCE_MS;
}

void heartbeat_heard(struct heartbeat *heartbeat)
{
    heartbeat->by_message = false;
    heartbeat_received(heartbeat);
}

void heartbeat_received(struct heartbeat *heartbeat)
{
    heartbeat->heard_ms = heartbeat->beaten_ms = clock_now_ms();
    if (!heartbeat->by_message)
        heartbeat->answer_by_ms = heartbeat->ask_at_ms = DEADLINE_NEVER;
}

void client_unpause(struct afar_client *client)
{
    if (!client->heartbeat.paused)
        return;
    client->heartbeat.paused = false;
    heartbeat_heard(&client->heartbeat);
}

void heartbeat_want_answer(struct heartbeat *heartbeat, int64_t within_ms)
{
    heartbeat->answer_by_ms = clock_deadline_ms(within_ms);
    heartbeat->ask_at_ms = clock_deadline_ms(within_ms / 2);
}

void heartbeat_want_message(struct heartbeat *heartbeat, int64_t within_ms)
{
    heartbeat_want_answer(heartbeat, within_ms);
    heartbeat->by_message = true;
}

static bool is_waiting(const struct afar_client *client)
{
    return !client->broken && client->transport != NULL && client->command.running &&
           !client->command.ended && !client->heartbeat.paused;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When the server's silence becomes too long. */
static int64_t end_ms(const struct heartbeat *heartbeat)
{
    bool bounded = heartbeat->beat_ms > 0 && heartbeat->silence_ms > 0;
    return earlier(bounded ? heartbeat->heard_ms + heartbeat->silence_ms : DEADLINE_NEVER,
                   heartbeat->answer_by_ms);
}

/* When a ping is due. */
static int64_t next_beat_ms(const struct heartbeat *heartbeat)
{
    return earlier(heartbeat->beat_ms > 0 ? heartbeat->beaten_ms + heartbeat->beat_ms
                                          : DEADLINE_NEVER,
                   heartbeat->ask_at_ms);
}

int64_t heartbeat_deadline_ms(const struct afar_client *client)
{
    const struct heartbeat *heartbeat = &client->heartbeat;
    if (!is_waiting(client))
        return DEADLINE_NEVER;
    return earlier(next_beat_ms(heartbeat), end_ms(heartbeat));
}

static enum afar_status give_up(const struct afar_client *client, int64_t now_ms,
                                struct afar_error *err)
{
    const long long silent_ms = (long long)(now_ms - client->heartbeat.heard_ms);
    const long long silent_s = (silent_ms + 500) / 1000;
    if (resume_is_possible(client) && client->met)
        return afar_fail(err, AFAR_ECLOSED, "%s has given no sign of life for %lld s", client->name,
                         silent_s);
    if (!client->heard)
        return afar_fail(err, AFAR_ECLOSED,
                         "%s has not answered for %lld %s; %s Whether the command ran is unknown",
                         client->name, silent_s > 0 ? silent_s : silent_ms,
                         silent_s > 0 ? "s" : "ms", client_doubt(client));
    return afar_fail(err, AFAR_ECLOSED,
                     "%s has given no sign of life for %lld s; whether the command finished is "
                     "unknown",
                     client->name, silent_s);
}

enum afar_status heartbeat_beat(struct afar_client *client, struct afar_error *err)
{
    struct heartbeat *heartbeat = &client->heartbeat;
    int64_t now_ms = clock_now_ms();
    if (now_ms < heartbeat_deadline_ms(client))
        return AFAR_OK;
    if (now_ms >= end_ms(heartbeat))
        return give_up(client, now_ms, err);
    heartbeat->beaten_ms = now_ms;
    heartbeat->ask_at_ms = DEADLINE_NEVER;
    client->last_id++;
    return message_put_ping(&client->out, client->last_id, err);
}

void afar_set_heartbeat(struct afar_client *client, int64_t beat_ms, int64_t silence_ms)
{
    if (client == NULL)
        return;
    client->heartbeat.chosen = true;
    client->heartbeat.beat_ms = beat_ms;
    client->heartbeat.silence_ms = silence_ms;
}

enum afar_status afar_probe(struct afar_client *client, int64_t within_ms, struct afar_error *err)
{
    struct afar_error why = {0};
    enum afar_status status = client_check(client, PROTOCOL_AFAR, &why);
    if (status == AFAR_OK && !client->command.running)
        status = afar_fail(&why, AFAR_EINVAL, "no command is running");
    if (status == AFAR_OK && !client->command.ended && client->transport != NULL) {
        client_unpause(client);
        heartbeat_want_answer(&client->heartbeat, within_ms);
        client->heartbeat.ask_at_ms = DEADLINE_NEVER;
        client->last_id++;
        status = message_put_ping(&client->out, client->last_id, &why);
    }
    return client_tell(status, &why, err);
}
