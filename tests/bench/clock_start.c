#include "bench/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { RETRY_US = 100 };

/* It ends as it likes: an answer has come. */
static void stop(pid_t pid)
{
    (void)kill(pid, SIGTERM);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* "listening tcp://127.0.0.1:N", whatever comes before it. */
static void read_url(int fd, char *url, size_t size)
{
    static const char wanted[] = "listening tcp://";
    FILE *file = fdopen(fd, "r");
    char line[256] = "";
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, wanted, sizeof wanted - 1) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(url, size, "%s", line + sizeof "listening " - 1);
        (void)fclose(file);
        return;
    }
    clock_give_up("start", "no server listens by TCP");
}

static int64_t until_pong(char *const *words)
{
    char url[256] = "";
    int ends[2];
    struct afar_pong pong = AFAR_PONG_INIT();
    struct afar_error err;
    if (pipe2(ends, O_CLOEXEC) != 0)
        clock_give_up("start", "no pipe");
    (void)clock_context(); /* not the server's time */
    int64_t begun_us = clock_now_us();
    pid_t pid = clock_program_start(words, environ, ends[1]);
    (void)close(ends[1]);
    read_url(ends[0], url, sizeof url);
    struct afar_client *client = clock_dial(url);
    clock_check(afar_ping(client, CLOCK_PATIENCE_MS, &pong, &err), &err);
    int64_t took_us = clock_now_us() - begun_us;
    afar_close(client);
    stop(pid);
    return took_us;
}

/* A byte of what it says unasked. */
static bool is_greeted(uint16_t port)
{
    char byte = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        clock_give_up("start", "no socket");
    bool greeted = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
                   recv(fd, &byte, sizeof byte, 0) == 1;
    (void)close(fd);
    return greeted;
}

static int64_t until_greeted(uint16_t port, char *const *words)
{
    const struct timespec pause = {.tv_nsec = RETRY_US * 1000};
    int64_t begun_us = clock_now_us();
    pid_t pid = clock_program_start(words, environ, -1);
    while (!is_greeted(port)) {
        if (clock_now_us() - begun_us > (int64_t)CLOCK_PATIENCE_MS * 1000)
            clock_give_up(words[0], "does not listen");
        (void)nanosleep(&pause, NULL);
    }
    int64_t took_us = clock_now_us() - begun_us;
    stop(pid);
    return took_us;
}

void clock_start(int rounds, char **words)
{
    bool listening = strcmp(words[0], "listening") == 0;
    uint16_t port = listening ? 0 : (uint16_t)strtoul(words[1], NULL, 10);
    for (int round = 0; round < rounds; round++)
        (void)printf("start %lld\n", (long long)(listening ? until_pong(words + 1)
                                                           : until_greeted(port, words + 2)));
}
