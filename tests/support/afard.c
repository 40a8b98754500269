#include "support/afard.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "support/raw.h"

static void make_folder(struct afard *afard)
{
    (void)snprintf(afard->folder, sizeof afard->folder, "/tmp/afar-test-XXXXXX");
    assert_non_null(mkdtemp(afard->folder));
}

/* Parses the endpoint lines that have come so far; returns how many there are. */
static unsigned take_endpoints(struct afard *afard)
{
    static const char listening[] = "listening ";
    static const char http[] = "http ";
    unsigned lines = 0;
    const char *line = afard->program.stdout_data;
    const char *end = strchr(line, '\n');
    afard->url_count = 0;
    for (; end != NULL && afard->url_count < AFARD_URLS_MAX; end = strchr(line, '\n')) {
        int size = (int)(end - line);
        if (strncmp(line, http, sizeof http - 1) == 0) {
            (void)snprintf(afard->http, sizeof afard->http, "%.*s", size - 5, line + 5);
        } else {
            assert_int_equal(strncmp(line, listening, sizeof listening - 1), 0);
            (void)snprintf(afard->url[afard->url_count++], sizeof afard->url[0], "%.*s", size - 10,
                           line + 10);
        }
        lines++;
        line = end + 1;
    }
    return lines;
}

static void start(struct afard *afard, const char *const *before, const char *const *args)
{
    const char *argv[PROGRAM_ARGS_MAX] = {"afard", "--print-endpoints"};
    unsigned count = 2;
    unsigned expected = 0;
    if (geteuid() != 0) { /* otherwise only root may count its descriptors */
        argv[count++] = "--set";
        argv[count++] = "dumpable=yes";
    }
    for (; before != NULL && *before != NULL; before++)
        argv[count++] = *before;
    for (; *args != NULL; args++) {
        expected += strcmp(*args, "--listen") == 0 || strcmp(*args, "--http") == 0;
        argv[count++] = *args;
    }
    argv[count] = NULL;
    program_start(&afard->program, argv, NULL);

    size_t offset = 0;
    for (unsigned lines = 0; lines < expected; lines = take_endpoints(afard)) {
        const char *end = program_expect_after(&afard->program, 1, offset, "\n");
        offset = (size_t)(end - afard->program.stdout_data) + 1;
    }
    afard->descriptors = afard_descriptors(afard);
}

void afard_start(struct afard *afard, const char *const *args)
{
    *afard = (struct afard){.url_count = 0};
    make_folder(afard);
    start(afard, NULL, args);
}

void afard_start_tls(struct afard *afard, const char *const *args)
{
    char cert[128];
    char key[128];
    struct program maker;
    *afard = (struct afard){.url_count = 0};
    make_folder(afard);
    const char *make[] = {"certs/make-certs", afard->folder, NULL};
    assert_int_equal(program_run(&maker, make, NULL, 0), 0);
    program_close(&maker);
    (void)snprintf(cert, sizeof cert, "%s/server.pem", afard->folder);
    (void)snprintf(key, sizeof key, "%s/server-key.pem", afard->folder);
    (void)snprintf(afard->ca, sizeof afard->ca, "%s/ca.pem", afard->folder);
    (void)snprintf(afard->client_cert, sizeof afard->client_cert, "%s/client.pem", afard->folder);
    (void)snprintf(afard->client_key, sizeof afard->client_key, "%s/client-key.pem", afard->folder);
    (void)setenv("AFAR_CA", afard->ca, 1);
    (void)setenv("AFAR_CERT", afard->client_cert, 1);
    (void)setenv("AFAR_KEY", afard->client_key, 1);
    char sessions[96];
    (void)snprintf(sessions, sizeof sessions, "%s/sessions", afard->folder);
    (void)setenv("AFAR_SESSIONS", sessions, 1);
    const char *tls[] = {"--tls-cert", cert, "--tls-key", key, "--tls-client-ca", afard->ca, NULL};
    start(afard, tls, args);
}

static void remove_folder(const struct afard *afard)
{
    struct program remover;
    const char *argv[] = {"rm", "-rf", afard->folder, NULL};
    (void)program_run(&remover, argv, NULL, 0);
    program_close(&remover);
}

int afard_stop(struct afard *afard)
{
    if (!afard->program.ended) /* its pid may have been reused */
        (void)kill(afard->program.pid, SIGTERM);
    program_finish(&afard->program, NULL, 0);
    int status = program_exit_status(&afard->program);
    if (status != 0)
        print_error("afard: %s\n", afard->program.stderr_data);
    program_close(&afard->program);
    remove_folder(afard);
    return status;
}

void afard_expect_log(struct afard *afard, const char *text)
{
    program_expect(&afard->program, 2, text);
}

uint16_t afard_port(const struct afard *afard, unsigned url)
{
    const char *end = strrchr(afard->url[url], ':');
    assert_non_null(end);
    return (uint16_t)atoi(end + 1);
}

unsigned afard_descriptors(const struct afard *afard)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)afard->program.pid);
    DIR *folder = opendir(path);
    if (folder == NULL && errno == EACCES && geteuid() != 0)
        return 0;
    assert_non_null(folder);
    unsigned count = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

unsigned afard_children(const struct afard *afard)
{
    char command[160];
    struct program counter;
    (void)snprintf(command, sizeof command, "cat /proc/%d/task/*/children 2>/dev/null | wc -w",
                   (int)afard->program.pid);
    const char *argv[] = {"sh", "-c", command, NULL};
    assert_int_equal(program_run(&counter, argv, NULL, 0), 0);
    unsigned count = (unsigned)atoi(counter.stdout_data);
    program_close(&counter);
    return count;
}

long afard_peak_kib(const struct afard *afard)
{
    char path[64];
    char line[256];
    long peak_kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)afard->program.pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmHWM: %ld", &peak_kib) == 1)
            break;
    }
    (void)fclose(file);
    return peak_kib;
}

double afard_metric(const struct afard *afard, const char *name)
{
    static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
    char line[128];
    size_t size = 0;
    int fd = raw_connect((uint16_t)atoi(strrchr(afard->http, ':') + 1));
    raw_send(fd, request, sizeof request - 1);
    char *answer = raw_read_rest(fd, &size);
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(answer, line);
    double value = at != NULL ? strtod(at + strlen(line), NULL) : -1;
    free(answer);
    (void)close(fd);
    return value;
}

void afard_expect_calm(const struct afard *afard)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (afard_descriptors(afard) != afard->descriptors || afard_children(afard) != 0) {
        if (clock_now_ms() > deadline_ms)
            fail_msg("afard has %u descriptors (%u expected) and %u children",
                     afard_descriptors(afard), afard->descriptors, afard_children(afard));
        (void)poll(NULL, 0, 20);
    }
}
