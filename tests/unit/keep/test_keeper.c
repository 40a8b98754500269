// A keeper without a server: started, read by several, taken over, killed, and read when it is gone.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "keep/keeper.h"
#include "support/keeper_client.h"
#include "support/process_wait.h"
#include "wire/frame.h"

enum { DEADLINE_MS = 30000, SPOOL_BYTES = 4 << 20 };

static void say(const struct keeper_client *client, const char *text, bool eof)
{
    struct buffer out;
    buffer_init(&out, 65536);
    assert_int_equal(message_put_stdin(&out, 7, 0, text, strlen(text), eof, NULL), AFAR_OK);
    keeper_client_send(client->fd, &out);
    buffer_close(&out);
}

static void wait_for_end(int folder_fd, struct jobdir_end *end)
{
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (jobdir_read_end(folder_fd, end, NULL) != AFAR_OK) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(10000);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void input_output_and_receipt(void **state)
{
    struct jobdir_request request;
    struct jobdir_end end;
    struct keeper_client client;
    (void)state;
    int fd = keeper_client_start(&request,
                                 "read x; echo got $x as $AFAR_JOB$PATH; echo oops >&2; exit 3",
                                 WHEN_FULL_CUT, SPOOL_BYTES);
    keeper_client_open(&client, fd);
    const struct message_attach attach = keeper_client_driver(0);
    keeper_client_attach(&client, &attach);
    keeper_client_until(&client, MESSAGE_ATTACHED);
    assert_true(client.last.kept);
    assert_string_equal(client.last.job, request.job);
    say(&client, "hello\n", true);
    keeper_client_until(&client, MESSAGE_EXIT);
    assert_int_equal(client.last.receipt.code, 3);
    assert_int_equal(client.last.receipt.stdout_bytes, client.bytes[0]);
    assert_int_equal(client.bytes[1], 5);
    assert_string_equal(client.text, "got hello as /usr/bin:/bin\n");
    keeper_client_close(&client);
    wait_for_end(fd, &end);
    assert_int_equal(end.receipt.code, 3);
    assert_string_equal(end.holder, keeper_client_holder);
    (void)close(fd);
}

static void several_read_and_one_takes_over(void **state)
{
    struct jobdir_request request;
    struct keeper_client first;
    struct keeper_client other;
    struct keeper_client readers[3];
    (void)state;
    int fd =
        keeper_client_start(&request, "seq 1 100000; cat; seq 1 5 >&2", WHEN_FULL_CUT, SPOOL_BYTES);
    keeper_client_open(&first, fd);
    struct message_attach attach = keeper_client_driver(0);
    keeper_client_attach(&first, &attach);
    keeper_client_until(&first, MESSAGE_STDOUT);
    for (int i = 0; i < 3; i++) {
        keeper_client_open(&readers[i], fd);
        attach.watch = true;
        attach.output = i != 2;
        keeper_client_attach(&readers[i], &attach);
        keeper_client_until(&readers[i], MESSAGE_ATTACHED);
    }
    /* Nothing is sent in part then: else its connection would be cut without a word. */
    while (first.bytes[0] < 588895)
        keeper_client_until(&first, MESSAGE_STDOUT);
    keeper_client_open(&other, fd);
    attach = keeper_client_driver(0);
    attach.holder[0] = 'x';
    keeper_client_attach(&other, &attach);
    keeper_client_until(&other, MESSAGE_STDOUT);
    keeper_client_until(&first, MESSAGE_ERROR);
    assert_string_equal(first.last.word, "superseded");
    say(&other, "the end\n", true);
    keeper_client_until(&other, MESSAGE_EXIT);
    assert_int_equal(other.last.receipt.code, 0);
    assert_int_equal(other.bytes[0], 588895 + 8);
    assert_int_equal(other.cut, 0);
    for (int i = 0; i < 3; i++) {
        keeper_client_until(&readers[i], MESSAGE_EXIT);
        assert_int_equal(readers[i].bytes[0], 588895 + 8);
        assert_int_equal(readers[i].bytes[1], 10);
        keeper_client_close(&readers[i]);
    }
    keeper_client_close(&first);
    keeper_client_close(&other);
    (void)close(fd);
}

/* More than the spool holds, with nobody there; then read, twice. */
static void nobody_reads(void **state)
{
    struct jobdir_request request;
    struct jobdir_end end;
    struct keeper_client client;
    (void)state;
    int fd = keeper_client_start(&request, "head -c 20000000 /dev/zero; echo done >&2",
                                 WHEN_FULL_CUT, SPOOL_BYTES);
    wait_for_end(fd, &end);
    for (int i = 0; i < 2; i++) {
        keeper_client_open(&client, fd);
        struct message_attach attach = keeper_client_driver(0);
        attach.watch = true;
        keeper_client_attach(&client, &attach);
        keeper_client_until(&client, MESSAGE_EXIT);
        assert_int_equal(client.bytes[0], 20000000);
        assert_int_equal(client.bytes[1], 5);
        assert_true(client.cut > 15000000 && client.cut < 18000000);
        keeper_client_close(&client);
    }
    (void)close(fd);
}

static void what_blocks_loses_nothing(void **state)
{
    struct jobdir_request request;
    struct keeper_client client;
    (void)state;
    int fd =
        keeper_client_start(&request, "head -c 20000000 /dev/zero", WHEN_FULL_BLOCK, SPOOL_BYTES);
    keeper_client_open(&client, fd);
    const struct message_attach attach = keeper_client_driver(0);
    keeper_client_attach(&client, &attach);
    keeper_client_until(&client, MESSAGE_EXIT);
    assert_int_equal(client.bytes[0], 20000000);
    assert_int_equal(client.cut, 0);
    keeper_client_close(&client);
    (void)close(fd);
}

/* The keeper is killed: its command goes with it, and the folder says that it is lost. */
static void killed(void **state)
{
    struct jobdir_request request;
    struct jobdir_end end;
    struct keeper_client client;
    int lock_fd = -1;
    (void)state;
    int fd =
        keeper_client_start(&request, "echo $$ $PPID; exec sleep 1000", WHEN_FULL_CUT, SPOOL_BYTES);
    keeper_client_open(&client, fd);
    const struct message_attach attach = keeper_client_driver(0);
    keeper_client_attach(&client, &attach);
    while (!client.ended && strchr(client.text, '\n') == NULL)
        keeper_client_until(&client, MESSAGE_STDOUT);
    int command = atoi(client.text);
    int keeper = atoi(strchr(client.text, ' '));
    assert_int_equal(jobdir_lock(fd, &lock_fd, NULL), AFAR_EAGAIN);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    int64_t deadline_ms = clock_deadline_ms(DEADLINE_MS);
    while (kill(command, 0) == 0 || jobdir_lock(fd, &lock_fd, NULL) != AFAR_OK) {
        assert_true(clock_now_ms() < deadline_ms);
        (void)usleep(10000);
    }
    assert_true(jobdir_has_begun(fd));
    assert_int_equal(jobdir_read_end(fd, &end, NULL), AFAR_EAGAIN);
    (void)close(lock_fd);
    keeper_client_close(&client);
    (void)close(fd);
}

/* A keeper that cannot accept waits, which costs nothing, and then accepts. */
static void out_of_descriptors(void **state)
{
    struct jobdir_request request;
    struct keeper_client first;
    struct keeper_client second;
    struct rlimit was;
    (void)state;
    int fd =
        keeper_client_start(&request, "echo $PPID; exec sleep 1000", WHEN_FULL_CUT, SPOOL_BYTES);
    keeper_client_open(&first, fd);
    struct message_attach attach = keeper_client_driver(0);
    keeper_client_attach(&first, &attach);
    while (!first.ended && strchr(first.text, '\n') == NULL)
        keeper_client_until(&first, MESSAGE_STDOUT);
    pid_t keeper = (pid_t)atoi(first.text);
    assert_int_equal(prlimit(keeper, RLIMIT_NOFILE, NULL, &was), 0);
    const struct rlimit none = {.rlim_cur = 1, .rlim_max = was.rlim_max};
    assert_int_equal(prlimit(keeper, RLIMIT_NOFILE, &none, NULL), 0);
    keeper_client_open(&second, fd);
    attach.watch = true;
    keeper_client_attach(&second, &attach);
    expect_process_rests(keeper);
    struct pollfd answer = {.fd = second.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 0), 0);
    assert_int_equal(prlimit(keeper, RLIMIT_NOFILE, &was, NULL), 0);
    keeper_client_until(&second, MESSAGE_ATTACHED);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    keeper_client_close(&first);
    keeper_client_close(&second);
    (void)close(fd);
}

static void not_to_be_started(void **state)
{
    struct jobdir_request request;
    struct keeper_client client;
    (void)state;
    char token[JOBDIR_TOKEN_BYTES] = "";
    int fd = keeper_client_start(&request, "exec /no/such/program", WHEN_FULL_CUT, SPOOL_BYTES);
    struct jobdir_end end;
    wait_for_end(fd, &end);
    assert_int_equal(end.receipt.code, 127);
    /* Without the token nobody is heard. */
    int door = -1;
    char byte = 0;
    assert_int_equal(jobdir_connect(fd, &door, NULL), AFAR_OK);
    memset(token, 'a', sizeof token);
    assert_int_equal(send(door, token, sizeof token - 1, MSG_NOSIGNAL), sizeof token - 1);
    struct pollfd waiting = {.fd = door, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, DEADLINE_MS), 1);
    assert_true(recv(door, &byte, 1, 0) <= 0);
    (void)close(door);
    keeper_client_open(&client, fd);
    keeper_client_close(&client);
    assert_int_equal(jobdir_remove(keeper_client_jobs_fd, request.job, NULL), AFAR_OK);
    (void)close(fd);
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], KEEPER_NAME) == 0)
        return keeper_main(argc, argv);
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: as a keeper valgrind would be started, and not this\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(input_output_and_receipt, keeper_client_set_up,
                                        keeper_client_tear_down),
        cmocka_unit_test_setup_teardown(several_read_and_one_takes_over, keeper_client_set_up,
                                        keeper_client_tear_down),
        cmocka_unit_test_setup_teardown(nobody_reads, keeper_client_set_up,
                                        keeper_client_tear_down),
        cmocka_unit_test_setup_teardown(what_blocks_loses_nothing, keeper_client_set_up,
                                        keeper_client_tear_down),
        cmocka_unit_test_setup_teardown(killed, keeper_client_set_up, keeper_client_tear_down),
        cmocka_unit_test_setup_teardown(out_of_descriptors, keeper_client_set_up,
                                        keeper_client_tear_down),
        cmocka_unit_test_setup_teardown(not_to_be_started, keeper_client_set_up,
                                        keeper_client_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
