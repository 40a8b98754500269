#include "afar/share/track.h"

/* A client whose ids are below counts up from 1; the next client may do so too. */
#define CHANCE_ID (UINT64_C(1) << 32)

static bool wants_none(void *user, const struct message *message)
{
    (void)user;
    (void)message;
    return false;
}

void track_init(struct track *track)
{
    *track = (struct track){0};
    decoder_init(&track->from_client);
    decoder_init(&track->from_server);
    decoder_ask(&track->from_client, wants_none, NULL);
    decoder_ask(&track->from_server, wants_none, NULL);
}

void track_close(struct track *track)
{
    decoder_close(&track->from_client);
    decoder_close(&track->from_server);
}

static void see_client(struct track *track, const struct message *message)
{
    switch (message->type) {
    case MESSAGE_EXEC:
    case MESSAGE_ATTACH:
    case MESSAGE_KILL:
    case MESSAGE_JOBS:
    case MESSAGE_FORGET:
    case MESSAGE_PING:
        track->open++;
        track->odd = track->odd || message->id < CHANCE_ID;
        return;
    case MESSAGE_STDIN:
    case MESSAGE_CLOSE:
    case MESSAGE_SIGNAL:
    case MESSAGE_RESIZE:
    case MESSAGE_PAUSE:
    case MESSAGE_DETACH:
    case MESSAGE_ACK:
    case MESSAGE_PONG:
        return;
    default: /* of a later version, or not a client's: unknown effect */
        track->odd = true;
    }
}

static void see_server(struct track *track, const struct message *message)
{
    switch (message->type) {
    case MESSAGE_ERROR:
        track->odd = track->odd || !message->has_id;
        if (!message->has_id)
            return;
        break;
    case MESSAGE_EXIT:
    case MESSAGE_DETACHED:
    case MESSAGE_DONE:
    case MESSAGE_JOBS:
    case MESSAGE_PONG:
        break;
    case MESSAGE_CLOSING:
    case MESSAGE_BAD:
    case MESSAGE_UNKNOWN:
        track->odd = true;
        return;
    default:
        return;
    }
    if (track->open > 0)
        track->open--;
    else
        track->odd = true;
}

static size_t follow(struct track *track, struct decoder *decoder,
                     void (*see)(struct track *track, const struct message *message),
                     const uint8_t *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        struct message message;
        struct afar_error err;
        const uint8_t *payload = NULL;
        size_t used = 0;
        done += decoder_skip(decoder, size - done);
        if (done == size)
            break;
        enum afar_status status =
            decoder_next(decoder, data + done, size - done, &message, &payload, &used, &err);
        if (status == AFAR_EAGAIN)
            break;
        if (status != AFAR_OK) { /* the other side will refuse it */
            track->odd = true;
            return size;
        }
        see(track, &message);
        message_close(&message);
        done += used;
    }
    return done;
}

size_t track_from_client(struct track *track, const uint8_t *data, size_t size)
{
    return follow(track, &track->from_client, see_client, data, size);
}

size_t track_from_server(struct track *track, const uint8_t *data, size_t size)
{
    return follow(track, &track->from_server, see_server, data, size);
}

bool track_is_idle(const struct track *track)
{
    return track->open == 0 && !track->odd && track->from_client.unwanted == 0 &&
           track->from_server.unwanted == 0;
}
