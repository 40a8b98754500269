#include "support/forwarded.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/afard.h"
#include "support/raw.h"
#include "support/ruled.h"

uint16_t forwarded_port(struct program *program, unsigned n)
{
    const char *line = NULL;
    size_t offset = 0;
    for (unsigned i = 0; i <= n; i++) {
        line = program_expect_after(program, 2, offset, " -> ");
        offset = (size_t)(line - program->stderr_data) + 4;
    }
    while (line > program->stderr_data && line[-1] != ':')
        line--;
    return (uint16_t)strtoul(line, NULL, 10);
}

struct program forwarded_start(const char *url, const char *reconnect,
                               const struct echo_server *target, uint16_t *port)
{
    char spec[128];
    struct program program;
    (void)snprintf(spec, sizeof spec, "0:127.0.0.1:%u", target->port);
    program_start(&program, WORDS("afar", "forward", "--reconnect", reconnect, url, spec), NULL);
    *port = forwarded_port(&program, 0);
    return program;
}

void forwarded_stop(struct program *program)
{
    assert_int_equal(kill(program->pid, SIGTERM), 0);
    program_finish(program, NULL, 0);
    assert_int_equal(program_exit_status(program), 128 + SIGTERM);
    program_close(program);
}

void forwarded_echo(int fd, const char *text)
{
    char data[64];
    raw_send(fd, text, strlen(text));
    assert_true(raw_read(fd, data, strlen(text)));
    assert_memory_equal(data, text, strlen(text));
}
