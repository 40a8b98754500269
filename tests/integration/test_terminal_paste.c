/* Much that is typed at once, as a paste is: into programs that read lines, keys or bytes, and into
 * one that does not read; and output that is held by ^S. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/afard.h"
#include "support/folder.h"
#include "support/pane.h"
#include "support/terminal.h"

enum {
    PASTE_BYTES = 2 << 20,
    VIM_TLS_BYTES = 128 << 10, /* (an editor is slow) */
    IDLE_MS = 1000,            /* after that a paste stands still */
    CREDIT_KIB = 256,          /* stdin_bytes of this server */
    SPARE_KIB = 128,           /* on the way, and what a connection touches first */
    LINES = 20000,             /* more than a terminal and its ways hold is not needed */
};

static struct afard server;
static int way; /* of the server's URLs */
static char folder[64];
static char file[96];
static char *bytes;
static struct terminal person;

static int set_up(void **state)
{
    (void)state;
    const char *args[] = {"--listen", "tcp://127.0.0.1:0",  "--listen", "tls://localhost:0",
                          "--set",    "kill_grace_ms=300",  "--set",    "resume_ms=0",
                          "--set",    "stdin_bytes=262144", NULL};
    (void)snprintf(folder, sizeof folder, "/tmp/afar-test-paste-XXXXXX");
    bytes = malloc(PASTE_BYTES);
    if (bytes == NULL || mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(file, sizeof file, "%s/file", folder);
    (void)setenv("FILE", file, 1);
    afard_start_tls(&server, args);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(bytes);
    assert_int_equal(folder_remove(folder), 0);
    return afard_stop(&server);
}

static int calm(void **state)
{
    (void)state;
    (void)unlink(file);
    afard_expect_calm(&server);
    return 0;
}

/* Lines of 80 bytes with `end` behind each, no two the same. */
static void make_lines(size_t size, char end)
{
    char line[96];
    for (size_t at = 0, number = 0; at < size; number++) {
        int length = snprintf(line, sizeof line, "%07zu ~%066zu.", number, number * number * 7919);
        line[length++] = end;
        size_t part = (size_t)length < size - at ? (size_t)length : size - at;
        memcpy(bytes + at, line, part);
        at += part;
    }
    bytes[size - 1] = end;
}

/* All bytes there are, in no simple order. */
static void make_noise(size_t size)
{
    uint64_t random = 15;
    for (size_t i = 0; i < size; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        bytes[i] = (char)(random >> 56);
    }
}

/* What is in the file is what was made. */
static void expect_file(size_t size)
{
    static char found[PASTE_BYTES + 1];
    FILE *from = fopen(file, "re");
    assert_non_null(from);
    size_t got = fread(found, 1, sizeof found, from);
    (void)fclose(from);
    assert_int_equal(got, size);
    for (size_t i = 0; i < size; i++) {
        if (found[i] != bytes[i])
            fail_msg("byte %zu is another", i);
    }
}

/* `afar run -t … sh -c LINE`; no key is afar's. */
static void sit_down(const char *line)
{
    const char *argv[] = {"afar", "run", "-t", "--escape", "none", "-e", "TERM=xterm", "-e",
                          NULL,   NULL,  "--", "sh",       "-c",   line, NULL};
    char variable[128];
    (void)snprintf(variable, sizeof variable, "FILE=%s", file);
    argv[8] = variable;
    argv[9] = server.url[way];
    terminal_start_at(&person, argv, 24, 80);
}

static void expect_end(int status)
{
    int ended = terminal_finish(&person);
    if (ended != status)
        fail_msg("status %d, not %d: %s", ended, status, person.text);
}

/* ---- pastes ---------------------------------------------------------------------------------- */

static void into_lines(void **state)
{
    (void)state;
    sit_down("echo rea\"\"dy; cat >$FILE");
    terminal_await(&person, "ready\r\n");
    make_lines(PASTE_BYTES, '\r'); /* as the Enter key */
    terminal_paste(&person, bytes, PASTE_BYTES);
    terminal_type(&person, "\004");
    expect_end(0);
    make_lines(PASTE_BYTES, '\n');
    expect_file(PASTE_BYTES);
}

static void into_bytes(void **state)
{
    (void)state;
    sit_down("stty raw -echo; printf ready; "
             "dd of=$FILE bs=65536 count=32 iflag=fullblock 2>/dev/null");
    terminal_await(&person, "ready");
    make_noise(PASTE_BYTES);
    terminal_paste(&person, bytes, PASTE_BYTES);
    expect_end(0);
    expect_file(PASTE_BYTES);
}

static void into_an_editor(void **state)
{
    (void)state;
    const size_t size = way == 0 ? PASTE_BYTES : VIM_TLS_BYTES;
    if (!pane_has("vim")) {
        print_message("skipped: no vim here\n");
        skip();
    }
    sit_down("vim -N -u NONE -i NONE -n $FILE");
    terminal_await(&person, "[New");
    terminal_type(&person, ":set paste\r:echo 'se'.'t'\r");
    terminal_await(&person, "set");
    terminal_type(&person, "i");
    terminal_await(&person, "-- INSERT (paste) --");
    make_lines(size, '\r');
    terminal_paste(&person, bytes, size - 1);
    terminal_paste(&person, "\033:wq\r", 5);
    expect_end(0);
    make_lines(size, '\n');
    expect_file(size);
}

static long resident_kib(void)
{
    char path[64];
    char line[256];
    long kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)server.program.pid);
    FILE *from = fopen(path, "re");
    assert_non_null(from);
    while (fgets(line, sizeof line, from) != NULL && sscanf(line, "VmRSS: %ld", &kib) != 1)
        continue;
    (void)fclose(from);
    assert_true(kib > 0);
    return kib;
}

static bool is_sanitized(void)
{
    const char *san = getenv("SAN");
    return (san != NULL && san[0] != '\0') || getenv("VALGRIND") != NULL;
}

/* By SIGSTOP. */
static void expect_stopped(pid_t pid)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    char path[64];
    char state = '?';
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    while (state != 'T') {
        assert_true(clock_now_ms() < deadline_ms);
        FILE *from = fopen(path, "re");
        assert_non_null(from);
        assert_int_equal(fscanf(from, "%*d (%*[^)]) %c", &state), 1);
        (void)fclose(from);
        (void)usleep(1000);
    }
}

/* A program that is stopped does not read: the server holds as much as its credit, the rest waits
 * on the way; and nothing of it is lost. */
static void into_one_that_is_stopped(void **state)
{
    (void)state;
    sit_down("stty raw -echo; echo p=$$.; kill -STOP $$; exec "
             "dd of=$FILE bs=65536 count=32 iflag=fullblock 2>/dev/null");
    terminal_await(&person, "p=");
    const size_t at = person.seen;
    terminal_await(&person, ".");
    const pid_t pid = (pid_t)strtol(person.text + at, NULL, 10);
    assert_true(pid > 1);
    expect_stopped(pid);
    make_noise(PASTE_BYTES);
    const long before_kib = resident_kib();
    const size_t given = terminal_paste_some(&person, bytes, PASTE_BYTES, IDLE_MS);
    const long grown_kib = resident_kib() - before_kib;
    print_message("%zu KiB were taken, %ld KiB are held\n", given >> 10, grown_kib);
    assert_true(given >> 10 <= CREDIT_KIB + SPARE_KIB);
    if (!is_sanitized()) /* a buffer may be twice its contents, and leaves holes as it grows */
        assert_true(grown_kib <= 3 * CREDIT_KIB + SPARE_KIB);
    assert_int_equal(kill(pid, SIGCONT), 0);
    terminal_paste(&person, bytes + given, PASTE_BYTES - given);
    expect_end(0);
    expect_file(PASTE_BYTES);
}

/* ---- held ------------------------------------------------------------------------------------ */

/* Reads lines of `cat -n`, of which none may be missing, until nothing has come for so long, or so
 * many more have come. The number of the last one. */
static unsigned read_lines(unsigned last, unsigned more, int64_t idle_ms)
{
    static char line[64];
    static size_t used;
    const unsigned end = more > 0 ? last + more : 0;
    const int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    struct pollfd watched = {.fd = person.fd, .events = POLLIN};
    char piece[4096];
    char expected[64];
    while (last != end && poll(&watched, 1, (int)idle_ms) > 0) {
        const size_t want = end != 0 ? 1 : sizeof piece;
        const ssize_t got = read(person.fd, piece, want);
        assert_true(got > 0);
        assert_true(clock_now_ms() < deadline_ms); /* it never stands still */
        for (ssize_t i = 0; i < got; i++) {
            assert_true(used < sizeof line - 1);
            line[used++] = piece[i];
            if (piece[i] != '\n')
                continue;
            line[used] = '\0';
            (void)snprintf(expected, sizeof expected, "%6u\ty\n", ++last);
            assert_string_equal(line, expected);
            used = 0;
        }
    }
    return last;
}

/* Ctrl-S and Ctrl-Q are the terminal's: it holds what writes, and no byte is lost. With opost Linux
 * itself loses some: it does not look at what writing a '\n' or a tab returned (seen on 6.18, with
 * a pty and nothing of ours; n_tty.c, do_output_char). */
static void held_and_let_go(void **state)
{
    (void)state;
    sit_down("stty ixon -echo -opost; echo rea\"\"dy; read x; yes | cat -n");
    terminal_await(&person, "ready\n");
    assert_int_equal(person.size, person.seen);
    terminal_type(&person, "\r");
    unsigned last = 0;
    for (int turn = 0; turn < 2; turn++) {
        last = read_lines(last, LINES, test_deadline_ms());
        terminal_type(&person, "\023");
        last = read_lines(last, 0, IDLE_MS);
        terminal_type(&person, "\021");
    }
    last = read_lines(last, LINES, test_deadline_ms());
    assert_true(last >= 3 * LINES);
    person.forgets = true;
    terminal_type(&person, "\003");
    expect_end(130);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(into_one_that_is_stopped, calm),
        cmocka_unit_test_teardown(into_lines, calm),
        cmocka_unit_test_teardown(into_bytes, calm),
        cmocka_unit_test_teardown(into_an_editor, calm),
        cmocka_unit_test_teardown(held_and_let_go, calm),
    };
    int failed = 0;
    for (way = 0; way < 2; way++)
        failed += cmocka_run_group_tests_name(way == 0 ? "tcp" : "tls", tests, set_up, tear_down);
    return failed;
}
