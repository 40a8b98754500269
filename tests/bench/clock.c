/* What `make bench` times where a script's own speed would be in the way. It prints one line for each
 * measurement, "NAME microseconds", and leaves the arithmetic to others.
 *
 *   clock programs ROUNDS FILE     each line of FILE is NAME and a program's words, with tabs between:
 *                                  all are run in turn, so that noise hits all alike
 *   clock warm ROUNDS URL...       /bin/true: spawned here with three pipes ("local"), and on an open
 *                                  connection to each URL, in turn
 *   clock rate SECONDS local THREADS         spawned here …
 *   clock rate SECONDS URL CONNECTIONS       … and by so many connections at once: commands a second
 *   clock hold URL COUNT [COMMAND...]        keeps so many connections, with a command each, until its
 *                                            standard input ends
 *
 * Certificates: AFAR_CA, AFAR_CERT, AFAR_KEY. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <afar/afar.h>

#include "base/clock.h"

enum { WORDS_MAX = 40, PROGRAMS_MAX = 32, LINE_BYTES = 4096, URLS_MAX = 4, TIMEOUT_MS = 60000 };

static _Noreturn void give_up(const char *what, const char *why)
{
    (void)fprintf(stderr, "clock: %s: %s\n", what, why);
    exit(1);
}

static void check(enum afar_status status, const struct afar_error *err)
{
    if (status != AFAR_OK)
        give_up("afar", err->message);
}

/* ---- whole programs ---- */

struct program {
    char line[LINE_BYTES];
    char *words[WORDS_MAX]; /* the first is the name */
};

static int64_t run_program(const struct program *program)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int status = 0;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    int64_t begun_us = clock_now_us();
    int failed =
        posix_spawnp(&pid, program->words[1], &actions, NULL, program->words + 1, environ);
    if (failed != 0)
        give_up(program->words[0], strerror(failed));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    int64_t took_us = clock_now_us() - begun_us;
    (void)posix_spawn_file_actions_destroy(&actions);
    if (status != 0)
        give_up(program->words[0], "did not end with status 0");
    return took_us;
}

static void programs(int rounds, const char *path)
{
    static struct program table[PROGRAMS_MAX];
    int count = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        give_up(path, strerror(errno));
    while (count < PROGRAMS_MAX && fgets(table[count].line, LINE_BYTES, file) != NULL) {
        char *rest = table[count].line;
        char *word = NULL;
        table[count].line[strcspn(table[count].line, "\n")] = '\0';
        for (int i = 0; i < WORDS_MAX - 1 && (word = strsep(&rest, "\t")) != NULL; i++)
            table[count].words[i] = word;
        count++;
    }
    (void)fclose(file);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++)
            (void)printf("%s %lld\n", table[i].words[0], (long long)run_program(&table[i]));
    }
}

/* ---- one command ---- */

static void read_to_end(int out, int err)
{
    struct pollfd both[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    char data[4096];
    while (both[0].fd >= 0 || both[1].fd >= 0) {
        if (poll(both, 2, -1) < 0)
            continue;
        for (int i = 0; i < 2; i++) {
            if (both[i].fd >= 0 && both[i].revents != 0 &&
                read(both[i].fd, data, sizeof data) <= 0) {
                (void)close(both[i].fd);
                both[i].fd = -1;
            }
        }
    }
}

/* What any server has to do at least: three pipes, a process, its output to the end, its status. */
static void spawn_here(void)
{
    static char path[] = "/bin/true";
    char *argv[] = {path, NULL};
    posix_spawn_file_actions_t actions;
    int in[2];
    int out[2];
    int err[2];
    pid_t pid = 0;
    int status = -1;
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
        give_up("pipe2", strerror(errno));
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    (void)posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    if (posix_spawn(&pid, path, &actions, NULL, argv, environ) != 0)
        give_up("posix_spawn", path);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err[1]);
    (void)close(in[1]);
    read_to_end(out[0], err[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        give_up(path, "did not end with status 0");
}

static struct afar_client *dial(const char *url)
{
    const struct afar_credentials credentials = {.ca_file = getenv("AFAR_CA"),
                                                 .cert_file = getenv("AFAR_CERT"),
                                                 .key_file = getenv("AFAR_KEY")};
    static struct afar_context *context;
    struct afar_client *client = NULL;
    struct afar_error err;
    if (context == NULL)
        check(afar_context_new(&context, &credentials, &err), &err);
    check(afar_connect(&client, context, url, TIMEOUT_MS, &err), &err);
    return client;
}

static void run_there(struct afar_client *client, const char *const *argv)
{
    const struct afar_command command = {.argv = argv};
    const struct afar_callbacks callbacks = {0};
    struct afar_error err;
    check(afar_start(client, &command, &callbacks, &err), &err);
    check(afar_wait(client, TIMEOUT_MS, &err), &err);
    if (afar_exit_status(afar_receipt(client)) != 0)
        give_up(argv[0], "did not end with status 0");
}

static const char *const true_words[] = {"/bin/true", NULL};

static void warm(int rounds, char **urls)
{
    struct afar_client *clients[URLS_MAX] = {NULL};
    int count = 0;
    for (; count < URLS_MAX && urls[count] != NULL; count++)
        clients[count] = dial(urls[count]);
    for (int round = 0; round < rounds; round++) {
        int64_t begun_us = clock_now_us();
        spawn_here();
        (void)printf("local %lld\n", (long long)(clock_now_us() - begun_us));
        for (int i = 0; i < count; i++) {
            begun_us = clock_now_us();
            run_there(clients[i], true_words);
            (void)printf("%.3s %lld\n", urls[i], (long long)(clock_now_us() - begun_us));
        }
    }
    for (int i = 0; i < count; i++)
        afar_close(clients[i]);
}

/* ---- many at once ---- */

static atomic_bool enough;
static atomic_ullong done;

static void *spawn_on(void *unused)
{
    (void)unused;
    while (!atomic_load(&enough)) {
        spawn_here();
        (void)atomic_fetch_add(&done, 1);
    }
    return NULL;
}

/* All connections by one thread: their threads would take the server's processors. */
static void drive(struct afar_client **clients, struct pollfd *polled, int count)
{
    const struct afar_command command = {.argv = true_words};
    const struct afar_callbacks callbacks = {0};
    struct afar_error err;
    for (int i = 0; i < count; i++)
        check(afar_start(clients[i], &command, &callbacks, &err), &err);
    while (!atomic_load(&enough)) {
        for (int i = 0; i < count; i++)
            polled[i] = (struct pollfd){.fd = afar_fd(clients[i]),
                                        .events = afar_events(clients[i])};
        if (poll(polled, (nfds_t)count, 100) < 0)
            continue;
        for (int i = 0; i < count; i++) {
            if (polled[i].revents == 0)
                continue;
            check(afar_process(clients[i], &err), &err);
            if (afar_receipt(clients[i]) == NULL)
                continue;
            (void)atomic_fetch_add(&done, 1);
            check(afar_start(clients[i], &command, &callbacks, &err), &err);
        }
    }
}

static void *end_after(void *seconds)
{
    (void)sleep(*(unsigned *)seconds);
    atomic_store(&enough, true);
    return NULL;
}

static void rate(unsigned seconds, const char *where, int count)
{
    struct afar_client **clients = calloc((size_t)count, sizeof *clients);
    struct pollfd *polled = calloc((size_t)count, sizeof *polled);
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    bool here = strcmp(where, "local") == 0;
    pthread_t timer;
    if (clients == NULL || polled == NULL || threads == NULL)
        give_up("rate", "out of memory");
    for (int i = 0; i < count && !here; i++)
        clients[i] = dial(where);
    int64_t begun_us = clock_now_us();
    if (pthread_create(&timer, NULL, end_after, &seconds) != 0)
        give_up("rate", "no thread");
    for (int i = 0; i < count && here; i++) {
        if (pthread_create(&threads[i], NULL, spawn_on, NULL) != 0)
            give_up("rate", "no thread");
    }
    if (!here)
        drive(clients, polled, count);
    for (int i = 0; i < count && here; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_join(timer, NULL);
    double took_s = (double)(clock_now_us() - begun_us) / 1e6;
    (void)printf("rate %.1f\n", (double)atomic_load(&done) / took_s);
    for (int i = 0; i < count; i++)
        afar_close(clients[i]);
    free(clients);
    free(polled);
    free(threads);
}

/* ---- keeping ---- */

static void hold(const char *url, int count, char **words)
{
    const struct afar_command command = {.argv = (const char *const *)words};
    const struct afar_callbacks callbacks = {0};
    struct rlimit limit;
    struct afar_error err;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    struct afar_client **clients = calloc((size_t)count + 1, sizeof *clients);
    if (clients == NULL)
        give_up("hold", "out of memory");
    for (int i = 0; i < count; i++) {
        struct afar_pong pong;
        clients[i] = dial(url);
        if (words[0] != NULL)
            check(afar_start(clients[i], &command, &callbacks, &err), &err);
        else
            check(afar_ping(clients[i], TIMEOUT_MS, &pong, &err), &err);
        /* Until it has been sent, and nothing is left to be read. */
        for (int tries = 0; words[0] != NULL && tries < 2; tries++) {
            struct pollfd one = {.fd = afar_fd(clients[i]), .events = POLLIN};
            check(afar_process(clients[i], &err), &err);
            if (tries == 0)
                (void)poll(&one, 1, TIMEOUT_MS);
        }
    }
    (void)puts("held");
    (void)fflush(stdout);
    while (getchar() != EOF)
        continue;
    for (int i = 0; i < count; i++)
        afar_close(clients[i]);
    free(clients);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "programs") == 0)
        programs(atoi(argv[2]), argv[3]);
    else if (argc >= 4 && strcmp(argv[1], "warm") == 0)
        warm(atoi(argv[2]), argv + 3);
    else if (argc == 5 && strcmp(argv[1], "rate") == 0)
        rate((unsigned)atoi(argv[2]), argv[3], atoi(argv[4]));
    else if (argc >= 4 && strcmp(argv[1], "hold") == 0)
        hold(argv[2], atoi(argv[3]), argv + 4);
    else
        give_up("usage", "clock programs|warm|rate|hold …, see the source");
    return 0;
}
