/* afard: from the command line to a running server. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "afard/options.h"
#include "afard/variables.h"
#include "base/escape.h"
#include "child/faces.h"
#include "exec/orphans.h"
#include "policy/audit_verify.h"
#include "server/server.h"

enum { EXIT_USAGE = 2, EXIT_DENIED = 3 };

/* If the process was started with descriptor 0, 1 or 2 closed, the next socket would get that
 * number, and a log line would go to a client. */
static enum afar_status open_standard_descriptors(struct afar_error *err)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO) {
        if (fcntl(fd, F_SETFD, 0) != 0)
            return afar_fail_errno(err, errno, "cannot keep descriptor %d open", fd);
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    }
    if (fd < 0)
        return afar_fail_errno(err, errno, "cannot open /dev/null");
    (void)close(fd);
    return AFAR_OK;
}

/* Prints one line, whatever bytes a file name or a value in the message contains. `usage`: the
 * command line was wrong. */
static void print_error(const struct afar_error *err, bool usage)
{
    char line[2 * sizeof err->message];
    escape_text(line, sizeof line, err->message, ESCAPE_TERMINAL);
    const size_t size = strlen(line);
    const bool asks = size > 0 && line[size - 1] == '?';
    const char *hint = !usage ? "" : asks ? " Try 'afard --help'" : "; try 'afard --help'";
    (void)fprintf(stderr, "afard: %s%s\n", line, hint);
}

static enum afar_status print_text(const char *text, struct afar_error *err)
{
    if (fputs(text, stdout) == EOF || fflush(stdout) != 0)
        return afar_fail_errno(err, errno, "cannot write to standard output");
    return AFAR_OK;
}

/* --check: checks all that can be checked without opening a socket or resolving a name. */
static enum afar_status check_only(const struct config *config, struct afar_error *err)
{
    struct words warnings = {0};
    enum afar_status status = server_check(config, &warnings, err);
    for (size_t i = 0; i < warnings.count && status == AFAR_OK; i++) {
        char line[AFAR_ERROR_MESSAGE_BYTES * 2];
        escape_text(line, sizeof line, warnings.at[i], ESCAPE_TERMINAL);
        (void)fprintf(stderr, "afard: warning: %s\n", line);
    }
    words_close(&warnings);
    return status == AFAR_OK ? print_text("configuration ok\n", err) : status;
}

/* The command line, kept to read the configuration again. */
struct command_line {
    int argc;
    char **argv;
    const char *config_file; /* NULL: none */
    const char *defaults;    /* NULL: none */
};

static enum afar_status read_files(struct config *config, const struct command_line *line,
                                   struct afar_error *err)
{
    enum afar_status status = AFAR_OK;
    if (line->defaults != NULL)
        status = config_load_defaults(config, line->defaults, err);
    if (status == AFAR_OK && line->config_file != NULL)
        status = config_load(config, line->config_file, err);
    return status;
}

/* Reads the files, then the environment, then the command line. *usage: the command line was
 * wrong. */
static enum afar_status read_settings(struct config *config, const struct command_line *line,
                                      bool *usage, struct afar_error *err)
{
    enum afar_status status = read_files(config, line, err);
    if (status == AFAR_OK)
        status = variables_apply(config, environ, err);
    if (status == AFAR_OK) {
        status = options_apply(config, line->argc, line->argv, err);
        *usage = status == AFAR_EINVAL;
    }
    return status == AFAR_OK ? config_finish(config, err) : status;
}

static enum afar_status read_config(struct config *config, const struct command_line *line,
                                    bool *usage, struct afar_error *err)
{
    enum afar_status status = read_settings(config, line, usage, err);
    return status == AFAR_OK ? config_check(config, err) : status;
}

static enum afar_status reload(void *user, struct config **config, struct afar_error *err)
{
    bool usage = false;
    *config = config_new();
    if (*config == NULL)
        return afar_fail(err, AFAR_ENOMEM, "out of memory for a configuration");
    return read_config(*config, user, &usage, err);
}

static enum afar_status serve(const struct config *config, const struct options *options,
                              struct command_line *line, struct afar_error *err)
{
    struct server *server = NULL;
    struct log *log = log_new(STDERR_FILENO, config->log_level, config->log_format);
    enum afar_status status = AFAR_OK;
    if (log == NULL)
        status = afar_fail(err, AFAR_ENOMEM, "out of memory for the log");
    /* Only root may inspect a process with keys in its memory. Commands become dumpable again by
     * execve. */
    if (!config->dumpable)
        (void)prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
    (void)orphans_adopt(); /* before the signals are blocked: SIGCHLD is then one of them */
    if (status == AFAR_OK)
        status = server_block_signals(err);
    if (status == AFAR_OK)
        status = server_new(&server, config, log, err);
    if (status != AFAR_OK)
        goto out;

    server_on_hang_up(server, reload, line);
    server_describe(server);
    if (options->print_endpoints)
        status = server_print_endpoints(server, stdout, err);
    if (status == AFAR_OK)
        status = server_run(server, err);
out:
    if (server_free(server))
        log_free(log);
    return status;
}

/* --explain: needs the rules of the files, but no listener. */
static enum afar_status explain_only(struct config *config, const struct options *options,
                                     const struct command_line *line, bool *usage,
                                     struct afar_error *err)
{
    enum afar_status status = read_settings(config, line, usage, err);
    if (status == AFAR_OK && config->rules != NULL)
        status = rules_check(config->rules, err);
    return status == AFAR_OK ? explain(config, &options->question, stdout, err) : status;
}

/* --verify-audit */
static enum afar_status verify_only(const struct options *options, struct afar_error *err)
{
    struct audit_verdict verdict;
    enum afar_status status = audit_verify(options->verify_audit, options->expect, &verdict, err);
    if (status != AFAR_OK)
        return status;
    if (verdict.lines == 0)
        return print_text("no lines\n", err);
    (void)printf("%llu lines, seq %llu to %llu, last hash %s: ok\n",
                 (unsigned long long)verdict.lines, (unsigned long long)verdict.first_seq,
                 (unsigned long long)verdict.last_seq, verdict.last_hash);
    if (verdict.first_seq > 0)
        (void)printf("the log before it ends with %s\n", verdict.first_prev);
    if (verdict.recordings > 0)
        (void)printf("%llu recordings are as they were written\n",
                     (unsigned long long)verdict.recordings);
    return print_text("", err);
}

/* Does what the command line asks for. */
static enum afar_status act(const struct options *options, struct command_line *line, bool *usage,
                            struct afar_error *err)
{
    struct config config;
    if (options->help || options->version)
        return print_text(options->help ? options_help() : "afard " AFAR_VERSION "\n", err);
    if (options->verify_audit != NULL)
        return verify_only(options, err);

    config_init(&config);
    enum afar_status status = AFAR_OK;
    if (options->question.identity != NULL) {
        status = explain_only(&config, options, line, usage, err);
    } else {
        status = read_config(&config, line, usage, err);
        if (status == AFAR_OK)
            status = options->check ? check_only(&config, err) : serve(&config, options, line, err);
    }
    config_close(&config);
    return status;
}

int main(int argc, char **argv)
{
    faces_take(argc, argv);
    struct options options = {.config_file = NULL};
    struct command_line line = {.argc = argc, .argv = argv};
    struct afar_error err = {.code = AFAR_OK};
    bool usage = false;

    variables_trim(environ);
    enum afar_status status = open_standard_descriptors(&err);
    if (status == AFAR_OK) {
        status = options_parse(&options, argc, argv, &err);
        usage = status != AFAR_OK;
    }
    if (status == AFAR_OK) {
        line.config_file =
            options.config_file != NULL ? options.config_file : variables_config_file(environ);
        line.defaults = variables_defaults_file(environ);
        status = act(&options, &line, &usage, &err);
    }
    if (status == AFAR_EREFUSED && options.question.identity != NULL) /* the reason was printed */
        return EXIT_DENIED;
    if (status != AFAR_OK)
        print_error(&err, usage);
    if (usage)
        return EXIT_USAGE;
    return status == AFAR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
