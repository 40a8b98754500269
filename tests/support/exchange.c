#include "support/exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

enum {
    STDERR_LINES_MOST = 1 << 12,
    WRITE_MOST = 1 << 16,
    LINE_BYTES = 8 /* of EXCHANGE_LINES_MAX, with newline and NUL */
};

void known_make(struct known *known)
{
    struct seeded seeded = {0};
    size_t used = 0;
    known->lines = malloc((size_t)EXCHANGE_LINES_MAX * LINE_BYTES);
    known->line_end = calloc(EXCHANGE_LINES_MAX + 1, sizeof *known->line_end);
    known->noise = malloc(2 * (size_t)EXCHANGE_INPUT_MAX);
    assert_non_null(known->lines);
    assert_non_null(known->line_end);
    assert_non_null(known->noise);
    for (unsigned i = 1; i <= EXCHANGE_LINES_MAX; i++) {
        used += (size_t)snprintf(known->lines + used, LINE_BYTES, "%u\n", i);
        known->line_end[i] = used;
    }
    seeded_fill(&seeded, known->noise, 2 * (size_t)EXCHANGE_INPUT_MAX);
}

void known_free(struct known *known)
{
    free(known->lines);
    free(known->line_end);
    free(known->noise);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void wrong(struct exchange *exchange, const char *what)
{
    if (exchange->end != EXCHANGE_WRONG)
        (void)snprintf(exchange->problem, sizeof exchange->problem,
                       "%s: command of kind %d, stdout %zu of %zu bytes, stderr %zu of %zu, stdin "
                       "%zu of %zu",
                       what, (int)exchange->command.kind, exchange->got[0],
                       exchange->expected_size[0], exchange->got[1], exchange->expected_size[1],
                       exchange->written, exchange->command.input_size);
    exchange->end = EXCHANGE_WRONG;
}

static size_t take(struct exchange *exchange, int stream, const void *data, size_t size)
{
    size_t left = exchange->expected_size[stream] - exchange->got[stream];
    size_t now = size < exchange->taken_at_once ? size : exchange->taken_at_once;
    if (size > left)
        wrong(exchange, "more output than there is");
    else if (memcmp(data, (const char *)exchange->expected[stream] + exchange->got[stream], size) !=
             0)
        wrong(exchange, "output that is not the command's");
    else
        exchange->got[stream] += now;
    exchange->took_less = exchange->took_less || now < size;
    return now;
}

static size_t take_stdout(void *user, const void *data, size_t size)
{
    return take(user, 0, data, size);
}

static size_t take_stderr(void *user, const void *data, size_t size)
{
    return take(user, 1, data, size);
}

static bool outcome_is_right(const struct exchange_command *command,
                             const struct afar_receipt *receipt)
{
    if (command->kind == EXCHANGE_SIGNAL)
        return receipt->outcome == AFAR_OUTCOME_SIGNALED && strcmp(receipt->signal, "USR1") == 0;
    if (command->kind == EXCHANGE_NOT_FOUND)
        return receipt->outcome == AFAR_OUTCOME_SPAWN_FAILED &&
               strcmp(receipt->error_name, "ENOENT") == 0;
    return receipt->outcome == AFAR_OUTCOME_EXITED && receipt->code == command->code;
}

static void check_receipt(struct exchange *exchange, const struct afar_receipt *receipt)
{
    const struct exchange_command *command = &exchange->command;
    if (exchange->got[0] != exchange->expected_size[0] ||
        exchange->got[1] != exchange->expected_size[1])
        wrong(exchange, "a receipt, but output is missing");
    else if (receipt->stdout_bytes != exchange->got[0] || receipt->stderr_bytes != exchange->got[1])
        wrong(exchange, "a receipt with other byte counts");
    else if (receipt->stdin_bytes != command->input_size)
        wrong(exchange, "a receipt with another count of stdin");
    else if (strlen(receipt->stdout_sha256) != 64 || strlen(receipt->stderr_sha256) != 64)
        wrong(exchange, "a receipt without digests");
    else if (!outcome_is_right(command, receipt))
        wrong(exchange, afar_outcome_name(receipt->outcome));
}

/* ---- what goes ------------------------------------------------------------------------------- */

static void expect(struct exchange *exchange)
{
    const struct exchange_command *command = &exchange->command;
    for (int s = 0; s < 2; s++) {
        exchange->expected[s] = exchange->known->lines;
        exchange->expected_size[s] = exchange->known->line_end[command->lines[s]];
    }
    if (command->kind != EXCHANGE_ECHO)
        return;
    exchange->expected[0] = exchange->known->noise + command->input_at;
    exchange->expected_size[0] = command->input_size;
}

static void choose(struct exchange *exchange)
{
    struct seeded *seeded = &exchange->seeded;
    struct exchange_command *command = &exchange->command;
    *command =
        (struct exchange_command){.kind = (enum exchange_kind)seeded_below(seeded, EXCHANGE_KINDS)};
    switch (command->kind) {
    case EXCHANGE_OUTPUT:
        command->lines[0] = seeded_size(seeded, EXCHANGE_LINES_MAX);
        command->lines[1] = seeded_size(seeded, STDERR_LINES_MOST);
        command->code = (int)seeded_below(seeded, 256);
        break;
    case EXCHANGE_ECHO:
        command->input_at = seeded_below(seeded, EXCHANGE_INPUT_MAX);
        command->input_size = seeded_size(seeded, EXCHANGE_INPUT_MAX);
        break;
    case EXCHANGE_STATUS:
        command->code = (int)seeded_below(seeded, 256);
        break;
    case EXCHANGE_SIGNAL:
        command->lines[0] = seeded_size(seeded, EXCHANGE_LINES_MAX);
        break;
    case EXCHANGE_NOT_FOUND:
    case EXCHANGE_KINDS:
        break;
    }
    exchange->taken_at_once = seeded_below(seeded, 4) > 0 ? SIZE_MAX : seeded_size(seeded, 4096);
}

static void request(struct exchange *exchange)
{
    const struct exchange_command *command = &exchange->command;
    static const char *const cat[] = {"cat", NULL};
    static const char *const missing[] = {"/nonexistent/program", NULL};
    char shell[128];
    struct afar_command wanted = AFAR_COMMAND_INIT(.with_digest = true);
    switch (command->kind) {
    case EXCHANGE_OUTPUT:
    case EXCHANGE_STATUS:
        (void)snprintf(shell, sizeof shell, "seq 1 %u; seq 1 %u >&2; exit %d", command->lines[0],
                       command->lines[1], command->code);
        wanted.shell = command->kind == EXCHANGE_STATUS ? strstr(shell, "exit") : shell;
        break;
    case EXCHANGE_SIGNAL:
        (void)snprintf(shell, sizeof shell, "seq 1 %u; exec sleep 1000", command->lines[0]);
        wanted.shell = shell;
        break;
    case EXCHANGE_ECHO:
        wanted.argv = cat;
        wanted.with_stdin = true;
        break;
    case EXCHANGE_NOT_FOUND:
    case EXCHANGE_KINDS:
        wanted.argv = missing;
        break;
    }
    expect(exchange);
    exchange->got[0] = exchange->got[1] = exchange->written = 0;
    exchange->input_ended = exchange->signalled = false;
    const struct afar_callbacks callbacks =
        AFAR_CALLBACKS_INIT(.on_stdout = take_stdout, .on_stderr = take_stderr, .user = exchange);
    if (afar_start(exchange->client, &wanted, &callbacks, &exchange->err) != AFAR_OK)
        exchange->end = EXCHANGE_ERROR;
}

/* A failure here also fails in afar_process, which reports it. */
static void feed(struct exchange *exchange)
{
    const struct exchange_command *command = &exchange->command;
    while (exchange->written < command->input_size) {
        size_t left = command->input_size - exchange->written;
        size_t piece = seeded_size(&exchange->seeded, WRITE_MOST);
        size_t taken = 0;
        if (afar_write_stdin(exchange->client,
                             exchange->known->noise + command->input_at + exchange->written,
                             piece < left ? piece : left, &taken, NULL) != AFAR_OK)
            return;
        exchange->written += taken;
    }
    if (command->kind == EXCHANGE_ECHO && !exchange->input_ended) {
        (void)afar_close_stdin(exchange->client, NULL);
        exchange->input_ended = true;
    }
}

static void send_signal(struct exchange *exchange)
{
    if (exchange->command.kind != EXCHANGE_SIGNAL || exchange->signalled ||
        exchange->got[0] < exchange->expected_size[0])
        return;
    (void)afar_signal(exchange->client, "USR1", NULL);
    exchange->signalled = true;
}

/* ---- steps ----------------------------------------------------------------------------------- */

void exchange_start(struct exchange *exchange, const struct known *known, uint64_t seed,
                    unsigned most_commands)
{
    *exchange = (struct exchange){.known = known, .seeded = {seed}};
    exchange->commands = seeded_below(&exchange->seeded, most_commands);
    choose(exchange);
}

void exchange_start_with(struct exchange *exchange, const struct known *known,
                         const struct exchange_command *command)
{
    *exchange = (struct exchange){.known = known, .command = *command, .taken_at_once = SIZE_MAX};
}

void exchange_connect(struct exchange *exchange, struct afar_context *context, const char *url,
                      int64_t timeout_ms)
{
    if (afar_connect(&exchange->client, context, url, timeout_ms, &exchange->err) == AFAR_OK)
        request(exchange);
    else
        exchange->end = EXCHANGE_ERROR;
}

bool exchange_step(struct exchange *exchange)
{
    if (exchange->end != EXCHANGE_RUNS)
        return true;
    exchange->took_less = false;
    feed(exchange);
    enum afar_status status = afar_process(exchange->client, &exchange->err);
    if (status == AFAR_OK)
        send_signal(exchange);
    else if (exchange->end == EXCHANGE_RUNS)
        exchange->end = EXCHANGE_ERROR;
    const struct afar_receipt *receipt = afar_receipt(exchange->client);
    if (exchange->end != EXCHANGE_RUNS || receipt == NULL)
        return exchange->end != EXCHANGE_RUNS;
    check_receipt(exchange, receipt);
    if (exchange->end == EXCHANGE_RUNS && exchange->commands == 0) {
        exchange->end = EXCHANGE_RIGHT;
    } else if (exchange->end == EXCHANGE_RUNS) {
        exchange->commands--;
        choose(exchange);
        request(exchange);
    }
    return exchange->end != EXCHANGE_RUNS;
}

int exchange_timeout(const struct exchange *exchange)
{
    bool at_once = exchange->took_less || exchange->end != EXCHANGE_RUNS;
    return at_once ? 0 : afar_timeout(exchange->client);
}

void exchange_close(struct exchange *exchange)
{
    afar_close(exchange->client);
    exchange->client = NULL;
}
