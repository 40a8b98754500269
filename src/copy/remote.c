/* Requests and answers that both ends use. */
#include "copy/internal.h"

enum { SHORT_BYTES = 128 };

bool remote_is_expected(const struct requests_call *call, const struct requests_answer *answer)
{
    return answer->type != 0 && answer->type == call->expected;
}

const struct afar_error *remote_malformed(struct afar_error *err)
{
    return copy_error(err, "EBADMSG", "the server's answer is malformed");
}

void remote_ignore(const struct requests_call *call, struct requests_answer *answer)
{
    (void)call;
    (void)answer;
}

const uint8_t *remote_read_hash(const struct requests_call *call, struct requests_answer *answer,
                                struct afar_error *err)
{
    if (!remote_is_expected(call, answer)) {
        requests_explain(answer, err);
        return NULL;
    }
    struct sftp_text name = sftp_read_text(&answer->body);
    struct sftp_text algorithm = sftp_read_text(&answer->body);
    struct sftp_text hash = sftp_read_bytes(&answer->body, COPY_HASH_BYTES);
    bool sound = !answer->body.failed && sftp_text_is(&name, "check-file") &&
                 sftp_text_is(&algorithm, "sha256");
    if (!sound)
        (void)remote_malformed(err);
    return sound ? hash.bytes : NULL;
}

void remote_ask_hash(struct requests *requests, const uint8_t handle[SFTP_HANDLE_BYTES],
                     uint64_t size, const struct requests_call *call)
{
    struct sftp_writer writer;
    requests_begin(requests, &writer, SFTP_TYPE_EXTENDED, SHORT_BYTES);
    sftp_put_word(&writer, "check-file-handle");
    sftp_put_text(&writer, handle, SFTP_HANDLE_BYTES);
    sftp_put_word(&writer, "sha256");
    sftp_put_u64(&writer, 0);
    sftp_put_u64(&writer, size);
    sftp_put_u32(&writer, 0);
    requests_send(requests, &writer, call);
}
