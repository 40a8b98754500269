/* A command's terminal: the request, its size, pauses. */
#include <string.h>

#include "client/client.h"
#include "client/sized.h"

/* Copies the caller's value if it is valid. NULL: the default stays. */
static enum afar_status take_text(char *out, const char *text, bool (*is_right)(const char *),
                                  const char *what, struct afar_error *err)
{
    if (text == NULL)
        return AFAR_OK;
    if (!is_right(text))
        return afar_fail(err, AFAR_EINVAL, "'%.80s' is no %s of a terminal", text, what);
    memcpy(out, text, strlen(text) + 1);
    return AFAR_OK;
}

static enum afar_status take_locale(struct pty_request *request, const char *entry,
                                    struct afar_error *err)
{
    const char *equals = strchr(entry, '=');
    char name[PTY_LOCALE_NAME_BYTES] = "";
    if (equals != NULL && (size_t)(equals - entry) < sizeof name)
        memcpy(name, entry, (size_t)(equals - entry));
    if (request->locale_count == PTY_LOCALES_MAX)
        return afar_fail(err, AFAR_EINVAL, "a terminal has at most %d locales", PTY_LOCALES_MAX);
    if (equals == NULL || !pty_is_locale_name(name) || !pty_is_value(equals + 1))
        return afar_fail(err, AFAR_EINVAL, "'%.80s' is not LANG=… or LC_…=…", entry);
    struct pty_locale *locale = &request->locale[request->locale_count++];
    memcpy(locale->name, name, sizeof name);
    memcpy(locale->value, equals + 1, strlen(equals + 1) + 1);
    return AFAR_OK;
}

enum afar_status client_take_pty(struct pty_request *request, const struct afar_pty *given,
                                 struct afar_error *err)
{
    struct afar_pty pty;
    pty_request_init(request);
    enum afar_status status = sized_take(&pty, sizeof pty, given, "afar_pty", err);
    if (status != AFAR_OK)
        return status;
    status = take_text(request->term, pty.term, pty_is_term, "name", err);
    if (status == AFAR_OK)
        status = take_text(request->color, pty.color, pty_is_value, "COLORTERM", err);
    for (const char *const *at = pty.locale; status == AFAR_OK && at != NULL && *at != NULL; at++)
        status = take_locale(request, *at, err);
    request->utf8 = !pty.no_utf8;
    request->size = (struct screen_size){
        .rows = pty.rows, .cols = pty.cols, .xpixel = pty.xpixel, .ypixel = pty.ypixel};
    return status;
}

/* Checks that a command runs on a terminal, or did: the caller may not know yet that it has ended.
 * *runs: there is something to do. */
static enum afar_status check(const struct afar_client *client, bool *runs, struct afar_error *err)
{
    enum afar_status status = client_check(client, PROTOCOL_AFAR, err);
    if (status == AFAR_OK && !client->command.on_pty)
        status = afar_fail(err, AFAR_EINVAL, "no command runs on a terminal");
    *runs = status == AFAR_OK && client->command.running && !client->command.ended;
    return status;
}

enum afar_status afar_resize(struct afar_client *client, const struct afar_pty *pty,
                             struct afar_error *err)
{
    struct afar_error why = {0};
    struct pty_request request;
    bool runs = false;
    enum afar_status status = client_take_pty(&request, pty, &why);
    if (status == AFAR_OK)
        status = check(client, &runs, &why);
    if (runs && client->transport != NULL)
        status = message_put_resize(&client->out, client->command.guest.id, &request.size, &why);
    if (runs && status == AFAR_OK)
        client_unpause(client);
    return client_tell(status, &why, err);
}

enum afar_status afar_pause(struct afar_client *client, struct afar_error *err)
{
    struct afar_error why = {0};
    bool runs = false;
    enum afar_status status = check(client, &runs, &why);
    if (runs && client->transport != NULL)
        status = message_put_pause(&client->out, client->command.guest.id, &why);
    if (runs && status == AFAR_OK)
        client->heartbeat.paused = true;
    return client_tell(status, &why, err);
}
