#include "support/impostor.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/raw.h"

void impostor_open(struct impostor *impostor)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *impostor = (struct impostor){.fd = -1};
    impostor->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(impostor->listener >= 0);
    assert_int_equal(bind(impostor->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(impostor->listener, 8), 0);
    assert_int_equal(getsockname(impostor->listener, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(impostor->url, sizeof impostor->url, "tcp://127.0.0.1:%u",
                   ntohs(address.sin_port));
}

static void hang_up(struct impostor *impostor)
{
    if (impostor->fd >= 0)
        (void)close(impostor->fd);
    impostor->fd = -1;
}

void impostor_close(struct impostor *impostor)
{
    hang_up(impostor);
    (void)close(impostor->listener);
}

void impostor_accept(struct impostor *impostor)
{
    struct pollfd waiting = {.fd = impostor->listener, .events = POLLIN};
    hang_up(impostor);
    assert_int_equal(poll(&waiting, 1, (int)test_deadline_ms()), 1);
    impostor->fd = accept4(impostor->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(impostor->fd >= 0);
}

void impostor_start(struct impostor *impostor, const char *const *argv)
{
    program_start(&impostor->program, argv, NULL);
    impostor_accept(impostor);
}

void impostor_run(struct impostor *impostor, const char *const *options)
{
    /* Tests look at one connection, not at the next. */
    const char *argv[PROGRAM_ARGS_MAX] = {"afar", "run", "--reconnect", "0"};
    size_t count = 4;
    for (; options != NULL && *options != NULL; options++)
        argv[count++] = *options;
    argv[count++] = impostor->url;
    argv[count++] = "--";
    argv[count++] = "true";
    impostor_start(impostor, argv);
    impostor_expect(impostor, "\"type\":\"exec\"");
}

void impostor_expect(struct impostor *impostor, const char *text)
{
    bool found = false;
    while (!found) {
        char *header = raw_read_header(impostor->fd, NULL);
        if (header == NULL)
            fail_msg("the connection ended without %s", text);
        found = strstr(header, text) != NULL;
        free(header);
    }
}

void impostor_say(struct impostor *impostor, const char *header)
{
    raw_send_frame(impostor->fd, header);
}

void impostor_say_with(struct impostor *impostor, const char *header, const char *payload)
{
    raw_send_frame_with(impostor->fd, header, payload, strlen(payload));
}

int impostor_finish(struct impostor *impostor)
{
    hang_up(impostor);
    program_finish(&impostor->program, NULL, 0);
    return program_exit_status(&impostor->program);
}

void impostor_forget(struct impostor *impostor)
{
    program_close(&impostor->program);
}
