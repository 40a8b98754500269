#include "server/server.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/listener.h"
#include "net/tls.h"
#include "server/acceptor.h"

enum { BACKLOG = 1024, WORKERS_MIN = 4 };

struct server {
    struct server_shared shared;
    struct acceptor *acceptor;
    struct tls_context *tls; /* NULL: no TLS listener */
    struct {
        struct endpoint endpoint; /* with its real port */
        bool local;
    } listening[CONFIG_LISTEN_MAX];
    unsigned listening_count;
};

enum afar_status server_block_signals(struct afar_error *err)
{
    sigset_t signals;
    acceptor_signals(&signals);
    int failed = pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (failed != 0)
        return afar_fail_errno(err, failed, "cannot block signals");
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return afar_fail_errno(err, errno, "cannot ignore SIGPIPE");
    return AFAR_OK;
}

static unsigned worker_count(const struct config *config)
{
    if (config->workers > 0)
        return (unsigned)config->workers;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = processors > 0 ? 2 * (unsigned)processors : WORKERS_MIN;
    return count < WORKERS_MIN ? WORKERS_MIN : count;
}

/* What may not be offered to strangers. The address is known only now, when names are resolved. */
static enum afar_status check_exposure(const struct listener *listener, const struct config *config,
                                       struct afar_error *err)
{
    const struct endpoint *endpoint = listener_endpoint(listener);
    char url[ENDPOINT_URL_BYTES];
    endpoint_format(endpoint, url, sizeof url);
    if (listener_is_local(listener) || endpoint->scheme == ENDPOINT_TLS)
        return AFAR_OK;
    if (endpoint->protocol == PROTOCOL_HEADED || endpoint->protocol == PROTOCOL_SIZED)
        return afar_fail(err, AFAR_EINVAL,
                         "%s can be reached from other machines, and this protocol lets whoever "
                         "connects run commands: use tls:// or a loopback address",
                         url);
    if (!config->allow_plaintext)
        return afar_fail(err, AFAR_EINVAL,
                         "%s can be reached from other machines without encryption: use tls://, a "
                         "loopback address, or --allow-plaintext",
                         url);
    return AFAR_OK;
}

static enum afar_status open_listener(struct server *server, const struct endpoint *endpoint,
                                      struct afar_error *err)
{
    struct listener *listener = NULL;
    enum afar_status status = listener_open(&listener, endpoint, BACKLOG, err);
    if (status == AFAR_OK)
        status = check_exposure(listener, server->shared.config, err);
    if (status != AFAR_OK) {
        listener_free(listener);
        return status;
    }
    server->listening[server->listening_count].endpoint = *listener_endpoint(listener);
    server->listening[server->listening_count].local = listener_is_local(listener);
    server->listening_count++;
    return acceptor_add(server->acceptor, listener,
                        endpoint->scheme == ENDPOINT_TLS ? server->tls : NULL, err);
}

static enum afar_status open_tls(struct server *server, struct afar_error *err)
{
    const struct config *config = server->shared.config;
    const struct tls_server_options options = {.cert_file = config->tls_cert,
                                               .key_file = config->tls_key,
                                               .client_ca_file = config->tls_client_ca,
                                               .allow_tls12 = config->tls_allow_12};
    for (unsigned i = 0; i < config->listen_count; i++) {
        if (config->listen[i].scheme == ENDPOINT_TLS)
            return tls_context_server_new(&server->tls, &options, err);
    }
    return AFAR_OK;
}

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder != NULL && folder[0] == '/' ? folder : "/tmp";
}

enum afar_status server_new(struct server **server, const struct config *config,
                            const struct log *log, struct afar_error *err)
{
    *server = NULL;
    struct server *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for the server");
    made->shared.config = config;
    made->shared.log = log;
    made->shared.environment = environ;
    made->shared.temporary = temporary_folder();
    made->shared.registry = registry_new(config->max_jobs);

    enum afar_status status = made->shared.registry != NULL
                                  ? AFAR_OK
                                  : afar_fail(err, AFAR_ENOMEM, "out of memory for the server");
    if (status == AFAR_OK)
        status = config_check(config, err);
    if (status == AFAR_OK)
        status = open_tls(made, err);
    if (status == AFAR_OK)
        status = acceptor_new(&made->acceptor, &made->shared, err);
    if (status == AFAR_OK)
        status = acceptor_start_workers(made->acceptor, worker_count(config), err);
    for (unsigned i = 0; status == AFAR_OK && i < config->listen_count; i++)
        status = open_listener(made, &config->listen[i], err);
    if (status != AFAR_OK) {
        server_free(made);
        return status;
    }
    *server = made;
    return AFAR_OK;
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    acceptor_free(server->acceptor);
    tls_context_free(server->tls);
    registry_free(server->shared.registry);
    free(server);
}

enum afar_status server_print_endpoints(const struct server *server, FILE *out,
                                        struct afar_error *err)
{
    for (unsigned i = 0; i < server->listening_count; i++) {
        char url[ENDPOINT_URL_BYTES];
        endpoint_format(&server->listening[i].endpoint, url, sizeof url);
        if (fprintf(out, "listening %s\n", url) < 0)
            return afar_fail_errno(err, errno, "cannot print the endpoints");
    }
    if (fflush(out) != 0)
        return afar_fail_errno(err, errno, "cannot print the endpoints");
    return AFAR_OK;
}

static void describe_one(const struct server *server, const struct endpoint *endpoint, bool local,
                         const char *user)
{
    const struct log *log = server->shared.log;
    char url[ENDPOINT_URL_BYTES];
    endpoint_format(endpoint, url, sizeof url);
    if (endpoint->protocol == PROTOCOL_UPPER)
        log_write(log, LOG_LEVEL_INFO, "%s: answers in upper case; nobody can run anything there",
                  url);
    else if (endpoint->scheme == ENDPOINT_TLS)
        log_write(log, LOG_LEVEL_INFO,
                  "%s: whoever has a client certificate from %s can run any command as user %s",
                  url, server->shared.config->tls_client_ca, user);
    else if (endpoint->scheme == ENDPOINT_UNIX)
        log_write(log, LOG_LEVEL_INFO,
                  "%s: user %s on this machine (and root) can run any command as user %s", url,
                  user, user);
    else if (local)
        log_write(log, LOG_LEVEL_WARN,
                  "%s: everyone on this machine can run any command as user %s, unencrypted and "
                  "without a certificate: for development only",
                  url, user);
    else
        log_write(
            log, LOG_LEVEL_WARN,
            "%s: EVERYONE WHO CAN REACH THIS PORT can run any command as user %s, unencrypted "
            "and without a certificate",
            url, user);
}

void server_describe(const struct server *server)
{
    char number[24];
    const struct passwd *entry = getpwuid(geteuid()); /* before any other thread looks one up */
    (void)snprintf(number, sizeof number, "%ld", (long)geteuid());
    const char *user = entry != NULL ? entry->pw_name : number;
    for (unsigned i = 0; i < server->listening_count; i++)
        describe_one(server, &server->listening[i].endpoint, server->listening[i].local, user);
}

enum afar_status server_run(struct server *server, struct afar_error *err)
{
    return acceptor_run(server->acceptor, err);
}
