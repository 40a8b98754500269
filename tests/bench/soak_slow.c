/* A client that reads one byte a second of ten gigabytes. */
#include "bench/soak.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WINDOW_S = 10,
    SHORT_WINDOW_S = 4,
    FILLING_MS = 3000, /* until all buffers on the way are full */
    RECEIVE_BYTES = 4096,
    /* The output log (2 MiB by default), a read's worth, and what malloc keeps back. */
    MEMORY_MAX_KIB = 4096
};

static void ask(int fd)
{
    static const char header[] =
        "{\"type\":\"exec\",\"v\":1,\"id\":1,\"argv\":[\"head\",\"-c\",\"10G\",\"/dev/zero\"]}";
    char frame[4 + sizeof header];
    int size =
        snprintf(frame, sizeof frame, "%c%c%c%c%s", (int)(sizeof header - 1), 0, 0, 0, header);
    if (size < 0 || send(fd, frame, (size_t)size, MSG_NOSIGNAL) != size)
        soak_give_up("cannot ask for the stream");
}

void soak_slow(struct soak *soak)
{
    static const char *const args[] = {"--listen", "tcp://127.0.0.1:0", NULL};
    unsigned seconds = soak->is_short ? SHORT_WINDOW_S : WINDOW_S;
    struct soak_server server;
    soak_server_start(&server, soak, args);
    double before_kib = soak_pss_kib(server.pid);
    int fd = soak_connect(soak_port(server.url[0]), NULL, RECEIVE_BYTES);
    ask(fd);
    soak_sleep_ms(FILLING_MS);
    if (soak_children(server.pid) != 1)
        soak_give_up("the stream does not run");

    double cpu_ms = soak_cpu_ms(server.pid);
    unsigned read_bytes = 0;
    for (unsigned i = 0; i < seconds; i++) {
        char byte = 0;
        read_bytes += recv(fd, &byte, sizeof byte, 0) == 1;
        soak_sleep_ms(1000);
    }
    soak_at_least(soak, "slow: bytes read, one a second", read_bytes, seconds, "");
    soak_at_least(soak, "slow: the command still runs", soak_children(server.pid), 1, "");
    soak_at_most(soak, "slow: processor time meanwhile", soak_cpu_ms(server.pid) - cpu_ms, 20,
                 "ms");
    soak_at_most(soak, "slow: server memory for it", soak_pss_kib(server.pid) - before_kib,
                 MEMORY_MAX_KIB, "KiB");
    (void)close(fd);
    soak_server_stop(&server);
}
