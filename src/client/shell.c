#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/digest.h"
#include "client/client.h"
#include "client/sized.h"
#include "wire/tutorial.h"

struct shell_exchange {
    struct tutorial_decoder decoder;
    struct digest *md5; /* NULL: not headed, or OpenSSL offers none (FIPS) */
    void (*on_output)(void *user, const void *data, size_t size);
    void *user;
};

static enum afar_status take_reply(void *user, const uint8_t *data, size_t size,
                                   struct afar_error *err)
{
    struct shell_exchange *exchange = user;
    const uint8_t *body = NULL;
    size_t body_size = 0;
    size_t used = 0;
    enum afar_status status =
        tutorial_decoder_take(&exchange->decoder, data, size, &used, &body, &body_size, err);
    if (status != AFAR_OK && status != AFAR_EAGAIN)
        return status;
    if (body_size > 0) {
        if (exchange->on_output != NULL)
            exchange->on_output(exchange->user, body, body_size);
        if (exchange->md5 != NULL && digest_update(exchange->md5, body, body_size, err) != AFAR_OK)
            return err->code;
    }
    if (status == AFAR_OK && used < size)
        return afar_fail(err, AFAR_EPEER, "more came than the reply said");
    return status;
}

static enum afar_status verify(struct shell_exchange *exchange, struct afar_shell_reply *reply,
                               struct afar_error *err)
{
    char hex[DIGEST_HEX_BYTES];
    reply->output_bytes = exchange->decoder.total;
    if (exchange->md5 == NULL) /* what nobody can verify must not look as if it were wrong */
        return AFAR_OK;
    memcpy(reply->md5, exchange->decoder.md5, sizeof reply->md5);
    enum afar_status status = digest_finish(exchange->md5, hex, err);
    if (status == AFAR_OK)
        reply->md5_verified = strcasecmp(hex, reply->md5) == 0;
    return status;
}

static enum afar_status run_line(struct afar_client *client, const char *line,
                                 void (*on_output)(void *user, const void *data, size_t size),
                                 void *user, int64_t timeout_ms, struct afar_shell_reply *reply,
                                 struct afar_error *err)
{
    struct afar_shell_reply got = AFAR_SHELL_REPLY_INIT();
    bool headed = client != NULL && client->protocol == PROTOCOL_HEADED;
    enum afar_status status = sized_clear(reply, "afar_shell_reply", err);
    if (status == AFAR_OK)
        status = client_check(client, headed ? PROTOCOL_HEADED : PROTOCOL_SIZED, err);
    if (status != AFAR_OK)
        return status;
    if (line == NULL || line[0] == '\0')
        return afar_fail(err, AFAR_EINVAL, "an empty line: these protocols cannot send nothing");

    struct shell_exchange exchange = {.on_output = on_output, .user = user};
    tutorial_decoder_init(&exchange.decoder, headed ? TUTORIAL_HEADED : TUTORIAL_SIZED);
    if (headed)
        status = digest_new(&exchange.md5, "md5", err);
    if (status == AFAR_EINVAL)
        status = AFAR_OK;
    if (status == AFAR_OK)
        status = duplex_exchange(client, line, strlen(line), take_reply, &exchange,
                                 clock_deadline_ms(timeout_ms), err);
    if (status == AFAR_OK)
        status = verify(&exchange, &got, err);
    sized_give(reply, &got, sizeof got);
    tutorial_decoder_close(&exchange.decoder);
    digest_free(exchange.md5);
    return status;
}

enum afar_status afar_shell_run(struct afar_client *client, const char *line,
                                void (*on_output)(void *user, const void *data, size_t size),
                                void *user, int64_t timeout_ms, struct afar_shell_reply *reply,
                                struct afar_error *err)
{
    struct afar_error why = {0};
    return client_tell(run_line(client, line, on_output, user, timeout_ms, reply, &why), &why, err);
}
