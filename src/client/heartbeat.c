/* Signs of life while a command runs in silence. */
#include "base/clock.h"
#include "client/client.h"

/* A beat is due this often; a server that has been silent for the second is given up. */
enum { BEAT_MS = 30000, SILENCE_MS = 120000 };

void heartbeat_init(struct heartbeat *heartbeat)
{
    *heartbeat = (struct heartbeat){.beat_ms = BEAT_MS, .silence_ms = SILENCE_MS};
}

void heartbeat_heard(struct heartbeat *heartbeat)
{
    heartbeat->heard_ms = heartbeat->beaten_ms = clock_now_ms();
}

static bool is_waiting(const struct afar_client *client)
{
    return !client->broken && client->command.running && !client->command.ended;
}

int64_t heartbeat_deadline_ms(const struct afar_client *client)
{
    const struct heartbeat *heartbeat = &client->heartbeat;
    if (!is_waiting(client) || heartbeat->beat_ms == 0)
        return DEADLINE_NEVER;
    int64_t beat_ms = heartbeat->beaten_ms + heartbeat->beat_ms;
    int64_t silence_ms =
        heartbeat->silence_ms == 0 ? DEADLINE_NEVER : heartbeat->heard_ms + heartbeat->silence_ms;
    return beat_ms < silence_ms ? beat_ms : silence_ms;
}

enum afar_status heartbeat_beat(struct afar_client *client, struct afar_error *err)
{
    struct heartbeat *heartbeat = &client->heartbeat;
    int64_t now_ms = clock_now_ms();
    if (now_ms < heartbeat_deadline_ms(client))
        return AFAR_OK;
    if (heartbeat->silence_ms > 0 && now_ms >= heartbeat->heard_ms + heartbeat->silence_ms)
        return afar_fail(err, AFAR_ECLOSED,
                         "%s has given no sign of life for %lld s; whether the command finished is "
                         "unknown",
                         client->name, (long long)(now_ms - heartbeat->heard_ms) / 1000);
    heartbeat->beaten_ms = now_ms;
    client->last_id++;
    return message_put_ping(&client->out, client->last_id, err);
}

void afar_set_heartbeat(struct afar_client *client, int64_t beat_ms, int64_t silence_ms)
{
    client->heartbeat.beat_ms = beat_ms;
    client->heartbeat.silence_ms = silence_ms;
}
