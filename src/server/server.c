#include "server/server_internal.h"

#include "server/kept.h"
#include "server/left.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "exec/allowance.h"
#include "exec/inheritance.h"
#include "exec/own_program.h"
#include "exec/spawn.h"
#include "policy/review.h"
#include "policy/trusted.h"
#include "job/job.h"

enum { BACKLOG = 1024, WORKERS_MIN = 4, BULK_WORKERS_MIN = 2 };

enum afar_status server_block_signals(struct afar_error *err)
{
    sigset_t signals;
    acceptor_signals(&signals);
    int failed = pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (failed != 0)
        return afar_fail_errno(err, failed, "cannot block signals");
    /* Both then show as errors of write(2), which its callers handle. */
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
        return afar_fail_errno(err, errno, "cannot ignore SIGPIPE and SIGXFSZ");
    return AFAR_OK;
}

static unsigned worker_count(const struct config *config)
{
    if (config->workers > 0)
        return (unsigned)config->workers;
    const unsigned count = 2 * allowance_processors("");
    return count < WORKERS_MIN ? WORKERS_MIN : count;
}

/* More than one for each processor would only compete for it; two are allowed even on one
 * processor. */
static unsigned bulk_worker_count(const struct config *config)
{
    const unsigned processors = allowance_processors("");
    const unsigned most = processors > BULK_WORKERS_MIN ? processors : BULK_WORKERS_MIN;
    return config->bulk_workers < most ? (unsigned)config->bulk_workers : most;
}

/* Refuses protocols that must not be reachable from other machines. Only now are names resolved and
 * the address known. */
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
                         "%s can be reached from other machines, and this protocol lets everyone "
                         "who connects run commands: use tls:// or a loopback address",
                         url);
    if (!config->allow_plaintext)
        return afar_fail(err, AFAR_EINVAL,
                         "%s can be reached from other machines without encryption: use tls://, a "
                         "loopback address, or --allow-plaintext",
                         url);
    return AFAR_OK;
}

/* Whether another listener has the same port on all IPv4 addresses, so that this one, on all IPv6
 * addresses, must be IPv6 only. */
static bool shares_port(const struct config *config, const struct endpoint *endpoint)
{
    for (unsigned i = 0; i < config->listen_count; i++) {
        const struct endpoint *other = &config->listen[i];
        if (other->port == endpoint->port && strcmp(other->host, "0.0.0.0") == 0 &&
            other->scheme != ENDPOINT_UNIX && !other->inherited &&
            (other->scheme == ENDPOINT_UDP) == (endpoint->scheme == ENDPOINT_UDP))
            return true;
    }
    return false;
}

/* Opens a socket, or takes the inherited one of that name. */
static enum afar_status open_socket(struct server *server, const struct config *config,
                                    const struct endpoint *endpoint, struct listener **listener,
                                    struct afar_error *err)
{
    int fd = -1;
    if (!endpoint->inherited) {
        struct endpoint bound = *endpoint;
        bound.ipv6_only = bound.ipv6_only || (endpoint->port != 0 && endpoint_is_any6(endpoint) &&
                                              shares_port(config, endpoint));
        return listener_open(listener, &bound, BACKLOG, err);
    }
    enum afar_status status = inherited_take(server->inherited, endpoint, &fd, err);
    return status == AFAR_OK ? listener_adopt(listener, fd, endpoint, err) : status;
}

enum afar_status server_open_listener(struct server *server, const struct config *config,
                                      struct tls_context *tls, const struct endpoint *endpoint,
                                      struct listening *listening, struct afar_error *err)
{
    struct listener *listener = NULL;
    enum afar_status status = open_socket(server, config, endpoint, &listener, err);
    if (status == AFAR_OK)
        status = check_exposure(listener, config, err);
    if (status != AFAR_OK) {
        listener_free(listener);
        return status;
    }
    *listening = (struct listening){.configured = *endpoint,
                                    .endpoint = *listener_endpoint(listener),
                                    .local = listener_is_local(listener),
                                    .private = listener_is_private(listener)};
    return acceptor_add(server->acceptor, listener, tls, &listening->door, err);
}

void server_tls_files(const struct config *config, const char *paths[FILE_WATCH_MAX])
{
    paths[0] = config->tls_cert;
    paths[1] = config->tls_key;
    paths[2] = config->tls_client_ca;
    paths[3] = config->tls_crl;
}

/* A user who can change these files decides which clients are let in. */
static enum afar_status check_trusted(const struct config *config, struct afar_error *err)
{
    const struct {
        const char *key;
        const char *path;
    } files[] = {{"tls_client_ca", config->tls_client_ca}, {"tls_crl", config->tls_crl}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        enum afar_status status =
            files[i].path == NULL ? AFAR_OK : trusted_check_path(files[i].path, err);
        if (status != AFAR_OK)
            return afar_prefix(err, "%s", files[i].key);
    }
    return AFAR_OK;
}

enum afar_status server_open_tls(struct tls_context **tls, const struct config *config,
                                 struct afar_error *err)
{
    struct words pins = {0};
    bool wanted = false;
    *tls = NULL;
    for (unsigned i = 0; i < config->listen_count; i++)
        wanted = wanted || config->listen[i].scheme == ENDPOINT_TLS;
    if (!wanted)
        return AFAR_OK;
    enum afar_status status = rules_pins(config->rules, &pins, err);
    const struct tls_server_options options = {.cert_file = config->tls_cert,
                                               .key_file = config->tls_key,
                                               .client_ca_file = config->tls_client_ca,
                                               .crl_file = config->tls_crl,
                                               .allow_tls12 = config->tls_allow_12,
                                               .chain_bytes = (size_t)config->tls_chain_bytes,
                                               .pins = pins.at,
                                               .pin_count = pins.count};
    if (status == AFAR_OK)
        status = check_trusted(config, err);
    if (status == AFAR_OK)
        status = tls_context_server_new(tls, &options, err);
    words_close(&pins);
    return status;
}

enum afar_status server_open_good_tls(struct tls_context **tls, const struct config *config,
                                      struct afar_error *err)
{
    enum afar_status status = server_open_tls(tls, config, err);
    if (status == AFAR_OK && *tls != NULL)
        status = tls_context_check_own(*tls, err);
    if (status == AFAR_OK)
        return status;
    tls_context_free(*tls);
    *tls = NULL;
    return status;
}

enum afar_status server_check(const struct config *config, struct words *warnings,
                              struct afar_error *err)
{
    struct tls_context *tls = NULL;
    struct separation separation = {.fence = NULL};
    enum afar_status status = server_open_good_tls(&tls, config, err);
    if (status == AFAR_OK)
        status = separation_make(&separation, config, err);
    *warnings = separation.warnings;
    separation.warnings = (struct words){0};
    separation_close(&separation);
    if (status == AFAR_OK)
        status = server_warn_of_root(config, warnings, err);
    if (status == AFAR_OK)
        status = review_rules(config->rules, warnings, err);
    if (status == AFAR_OK && tls != NULL)
        status = server_warn_of_ends(tls, config, warnings, err);
    tls_context_free(tls);
    return status;
}

/* At the start, a certificate that is not valid yet is only logged: the clock may still be wrong.
 */
static enum afar_status open_first_tls(struct server *server, const struct config *config,
                                       struct afar_error *err)
{
    struct tls_context **tls = &server->shared.settings.tls;
    enum afar_status status = server_open_tls(tls, config, err);
    if (status == AFAR_OK && *tls != NULL)
        status = tls_context_check_own(*tls, err);
    if (status != AFAR_EAGAIN)
        return status;
    log_write(server->shared.log, LOG_LEVEL_WARN, "%s", err->message);
    return AFAR_OK;
}

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder != NULL && folder[0] == '/' ? folder : "/tmp";
}

/* The usual soft limit of 1024 exists for programs that call select(2). Commands may be such: they
 * get the old limit back. */
static enum afar_status set_own_limits(struct server_shared *shared, const struct config *config,
                                       struct afar_error *err)
{
    if (getrlimit(RLIMIT_NOFILE, &shared->base.descriptors) != 0)
        return afar_fail_errno(err, errno, "cannot read the limit on descriptors");
    struct rlimit raised = shared->base.descriptors;
    raised.rlim_cur = raised.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0)
        return afar_fail_errno(err, errno, "cannot raise the limit on descriptors");
    /* A core dump would contain the private key. */
    if (getrlimit(RLIMIT_CORE, &shared->base.core) != 0)
        return afar_fail_errno(err, errno, "cannot read the limit on core dumps");
    struct rlimit none = {.rlim_cur = 0, .rlim_max = shared->base.core.rlim_max};
    if (!config->dumpable && setrlimit(RLIMIT_CORE, &none) != 0)
        return afar_fail_errno(err, errno, "cannot forbid core dumps");
    return AFAR_OK;
}

/* A umask that takes rights from the owner would make sockets and files that the server itself, and
 * clients of its user, cannot open. Commands get the original one. */
static void set_own_umask(struct server_shared *shared)
{
    shared->base.umask = umask(S_IRWXG | S_IRWXO);
    (void)umask(shared->base.umask & (S_IRWXG | S_IRWXO));
    shared->base.umask_changed = (shared->base.umask & S_IRWXU) != 0;
}

/* getpwuid(3) is called once, before there are other threads. */
static void describe_user(struct server_shared *shared)
{
    const struct passwd *entry = getpwuid(geteuid()); // NOLINT(concurrency-mt-unsafe)
    (void)snprintf(shared->user, sizeof shared->user, "%ld", (long)geteuid());
    if (entry != NULL)
        utf8_copy(shared->user, sizeof shared->user, entry->pw_name);
    shared->self = (struct user){.uid = geteuid(), .gid = getegid(), .name = strdup(shared->user)};
    if (entry == NULL)
        return;
    shared->self.home = strdup(entry->pw_dir);
    shared->self.shell = strdup(entry->pw_shell);
}

static enum afar_status open_audit(struct server_shared *shared, const struct config *config,
                                   struct afar_error *err)
{
    const struct audit_options options = {.path = config->audit_log,
                                          .chain = config->audit_chain,
                                          .sync = config->audit == AUDIT_REQUIRED};
    return config->audit_log == NULL ? AFAR_OK : audit_open(&shared->audit, &options, err);
}

/* Opens cgroups, one for each command, if that is possible; otherwise logs why, once. */
static void open_cgroups(struct server *server, const struct config *config)
{
    struct server_shared *shared = &server->shared;
    struct afar_error err;
    struct cgroups *cgroups = atomic_load(&shared->cgroups);
    if (config->cgroup == CGROUP_NO || cgroups != NULL || server->cgroups_tried)
        return;
    server->cgroups_tried = true;
    if (cgroups_open(&cgroups, &err) == AFAR_OK)
        atomic_store(&shared->cgroups, cgroups);
    else
        log_write(shared->log, LOG_LEVEL_INFO,
                  "no cgroups: processes of commands are found through /proc instead: "
                  "%s",
                  err.message);
}

void server_open_cgroups(struct server *server, const struct config *config)
{
    struct server_shared *shared = &server->shared;
    struct afar_error err;
    open_cgroups(server, config);
    for (size_t i = 0; i < rules_count(config->rules); i++) {
        const struct rule *rule = rules_at(config->rules, i);
        const struct cgroup_limits limits = {.memory_bytes = rule->memory_bytes.value,
                                             .cpu_millis = rule->cpu_millis.value,
                                             .pids = rule->pids.value};
        struct cgroups *cgroups = atomic_load(&shared->cgroups);
        enum afar_status status = AFAR_OK;
        if (!rule_wants_cgroup(rule))
            continue;
        if (cgroups == NULL)
            status = cgroups_open(&cgroups, &err);
        atomic_store(&shared->cgroups, cgroups);
        if (status == AFAR_OK && !server->cgroups_prepared)
            status = cgroups_prepare(cgroups, &err);
        server->cgroups_prepared = server->cgroups_prepared || status == AFAR_OK;
        if (status == AFAR_OK)
            status = cgroups_check(cgroups, &limits, &err);
        if (status != AFAR_OK)
            log_write(shared->log, LOG_LEVEL_WARN,
                      "rule '%s' needs a cgroup: its commands will fail: %s", rule->name,
                      err.message);
    }
}

static enum afar_status make_shared(struct server *server, const struct config *config,
                                    struct afar_error *err)
{
    struct server_shared *shared = &server->shared;
    shared->base.seats = seats_open(); /* first, so that they get low descriptors */
    shared->base.default_signals = spawn_default_signals();
    shared->base.program_fd = own_program_open();
    shared->base.oom_protected = inheritance_oom_protected();
    shared->environment = environ;
    shared->memory_bytes = allowance_memory_bytes("");
    window_pool_set(&shared->windows, config->window_total_bytes, shared->memory_bytes);
    shared->temporary = temporary_folder();
    describe_user(shared);
    set_own_umask(shared);
    partials_init(&shared->partials);
    shared->registry = registry_new(config);
    shared->left = left_new(config);
    shared->admission = admission_new();
    shared->summary = summary_new();
    shared->orphans = orphans_new(JOB_VARIABLE);
    if (shared->registry == NULL || shared->left == NULL || shared->admission == NULL ||
        shared->summary == NULL || shared->orphans == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for the server");
    enum afar_status status = random_hex(shared->instance, (INSTANCE_BYTES - 1) / 2, err);
    remains_name(shared->variable, shared->instance);
    return status == AFAR_OK ? set_own_limits(shared, config, err) : status;
}

/* Closes inherited sockets that no listener names. */
static void close_unwanted(struct server *server)
{
    for (const char *name = inherited_close_next(server->inherited); name != NULL;
         name = inherited_close_next(server->inherited))
        log_write(server->shared.log, LOG_LEVEL_WARN,
                  "the socket '%s' was handed over, but no listener has a URL for it: closed",
                  name);
}

static enum afar_status open_http(struct server *server, const struct config *config,
                                  struct afar_error *err)
{
    server->metrics =
        (struct metrics_source){.shared = &server->shared, .acceptor = server->acceptor};
    if (!config->http_wanted)
        return AFAR_OK;
    enum afar_status status =
        open_socket(server, config, &config->http, &server->http_listener, err);
    if (status == AFAR_OK)
        status = http_start(&server->http, server->http_listener, health_page, &server->metrics,
                            server->shared.log, err);
    return status == AFAR_OK ? status : afar_prefix(err, "http");
}

void server_note_reload(struct server *server, const struct server_settings *settings)
{
    struct figures *figures = &server->shared.figures;
    atomic_store(&figures->reload_failed, settings == NULL);
    if (settings == NULL)
        return;
    atomic_store(&figures->exposed_users, (long long)server->separation.warnings.count);
    atomic_store(&figures->reloaded_at, (long long)time(NULL));
    server_note_ends(server);
}

static void begin_drain(void *user)
{
    struct server *server = user;
    server_stop_kept(server);
    atomic_store(&server->shared.figures.phase, PHASE_DRAINING);
    service_draining(&server->service);
}

static void begin_kill(void *user)
{
    server_hurry_kept(user);
}

static enum afar_status open_kept(struct server_shared *shared, const struct config *config,
                                  struct afar_error *err)
{
    const struct kept_setup setup = {.log = shared->log,
                                     .audit = shared->audit,
                                     .registry = shared->registry,
                                     .program_fd = shared->base.program_fd};
    enum afar_status status = kept_open(&shared->kept, config, &setup, err);
    if (status == AFAR_OK || !config->state_preset)
        return status;
    /* state_directory is only preset, not configured: go on without kept commands. */
    log_write(shared->log, LOG_LEVEL_INFO, "no commands are kept: %s", err->message);
    return AFAR_OK;
}

enum afar_status server_new(struct server **server, const struct config *config, struct log *log,
                            struct afar_error *err)
{
    *server = NULL;
    struct server *made = calloc(1, sizeof *made);
    if (made == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for the server");
    const struct acceptor_hooks hooks = {.hang_up = server_reload,
                                         .settled = server_settled,
                                         .draining = begin_drain,
                                         .killing = begin_kill,
                                         .user = made};
    struct server_settings *settings = &made->shared.settings;
    const char *files[FILE_WATCH_MAX];
    settings->config = config;
    made->shared.log = log;

    enum afar_status status = inherited_open(&made->inherited, err);
    if (status == AFAR_OK)
        status = make_shared(made, config, err);
    if (status == AFAR_OK)
        status = config_check(config, err);
    server_tls_files(config, files);
    file_watch_note(&made->watch, files);
    if (status == AFAR_OK)
        status = open_first_tls(made, config, err);
    if (status == AFAR_OK)
        status = open_audit(&made->shared, config, err);
    if (status == AFAR_OK)
        server_open_cgroups(made, config);
    if (status == AFAR_OK)
        status = open_kept(&made->shared, config, err);
    if (status == AFAR_OK)
        made->remains = remains_sweep(log, made->shared.kept, atomic_load(&made->shared.cgroups));
    if (status == AFAR_OK)
        status = separation_make(&made->separation, config, err);
    settings->fence = made->separation.fence;
    if (status == AFAR_OK)
        status = acceptor_new(&made->acceptor, &made->shared, &hooks, err);
    if (status == AFAR_OK)
        status = service_open(&made->service, made->acceptor, &made->shared, err);
    if (status == AFAR_OK)
        status = server_watch(made, err);
    if (status == AFAR_OK)
        status = server_watch_ends(made, err);
    if (status == AFAR_OK)
        status = acceptor_start_workers(made->acceptor, worker_count(config),
                                        bulk_worker_count(config), err);
    for (unsigned i = 0; status == AFAR_OK && i < config->listen_count; i++) {
        status = server_open_listener(made, config, settings->tls, &config->listen[i],
                                      &made->listening.at[i], err);
        if (status == AFAR_OK)
            made->listening.count++;
    }
    if (status == AFAR_OK)
        status = open_http(made, config, err);
    if (status == AFAR_OK)
        close_unwanted(made);
    if (status != AFAR_OK) {
        (void)server_free(made);
        return status;
    }
    server_note_reload(made, settings);
    /* Everything is open and the workers run. Set before the endpoints are printed, so that /readyz
     * never denies what a reader of them was told. */
    atomic_store(&made->shared.figures.phase, PHASE_READY);
    *server = made;
    return AFAR_OK;
}

void server_on_hang_up(struct server *server, server_load *load, void *user)
{
    server->load = load;
    server->load_user = user;
}

bool server_free(struct server *server)
{
    if (server == NULL)
        return true;
    http_stop(server->http);
    listener_free(server->http_listener);
    server_unwatch(server);
    server_unwatch_ends(server);
    service_close(&server->service);
    acceptor_free(server->acceptor);
    summary_end(server->shared.summary, &server->shared);
    bool looks = !remains_stop(server->remains);
    long long stuck = atomic_load(&server->shared.figures.stuck);
    if (stuck > 0)
        log_write(server->shared.log, LOG_LEVEL_WARN,
                  "%lld commands could not be killed and still run", stuck);
    if (stuck > 0 || looks || atomic_load(&server->shared.figures.hung_looks) > 0)
        return false;
    summary_free(server->shared.summary);
    tls_context_free(server->shared.settings.tls);
    tls_context_free(server->old_tls);
    inherited_free(server->inherited);
    user_close(&server->shared.self);
    seats_close(server->shared.base.seats);
    if (server->shared.base.program_fd > 0)
        (void)close(server->shared.base.program_fd);
    kept_free(server->shared.kept);
    left_free(server->shared.left);
    registry_free(server->shared.registry);
    partials_close(&server->shared.partials);
    admission_free(server->shared.admission);
    user_close(&server->shared.self);
    orphans_free(server->shared.orphans);
    separation_close(&server->separation);
    separation_close(&server->old_separation);
    audit_close(server->shared.audit);
    cgroups_close(server->shared.cgroups);
    config_free(server->loaded);
    config_free(server->old_config);
    free(server);
    return true;
}

enum afar_status server_print_endpoints(const struct server *server, FILE *out,
                                        struct afar_error *err)
{
    for (unsigned i = 0; i < server->listening.count; i++) {
        char url[ENDPOINT_URL_BYTES];
        endpoint_format(&server->listening.at[i].endpoint, url, sizeof url);
        if (fprintf(out, "listening %s\n", url) < 0)
            return afar_fail_errno(err, errno, "cannot print the endpoints");
    }
    if (server->http_listener != NULL) {
        char url[ENDPOINT_URL_BYTES];
        endpoint_format(listener_endpoint(server->http_listener), url, sizeof url);
        if (fprintf(out, "http %s\n", url) < 0)
            return afar_fail_errno(err, errno, "cannot print the endpoints");
    }
    if (fflush(out) != 0)
        return afar_fail_errno(err, errno, "cannot print the endpoints");
    return AFAR_OK;
}

void server_tell_ready(struct server *server, const char *trouble)
{
    char text[AFAR_ERROR_MESSAGE_BYTES + 64];
    if (trouble != NULL)
        (void)snprintf(text, sizeof text, "running as before, not reloaded: %s", trouble);
    else
        (void)snprintf(text, sizeof text, "%u listeners%s", server->listening.count,
                       server->separation.warnings.count > 0
                           ? "; commands can get at the server's own files, see the log"
                           : "");
    service_ready(&server->service, text);
}

enum afar_status server_run(struct server *server, struct afar_error *err)
{
    server_tell_ready(server, NULL);
    enum afar_status status = acceptor_run(server->acceptor, err);
    return status == AFAR_OK ? server_wait_for_kept(server, err) : status;
}
