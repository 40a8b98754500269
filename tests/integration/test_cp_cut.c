/* afar cp that is cut, interrupted, or disturbed: the old file or the new one, and what goes on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/copying.h"
#include "support/cutter.h"
#include "support/ruled.h"
#include "support/terminal.h"

enum { MIB = 1 << 20 };

/* The size of the partial file in a folder; -1: there is none. */
static long partial_bytes(const struct copying *c, const char *folder)
{
    char path[512];
    struct stat info;
    long size = -1;
    (void)snprintf(path, sizeof path, "%s/%s", c->folder, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *at = readdir(dir); at != NULL; at = readdir(dir)) {
        if (strstr(at->d_name, ".afar-") != NULL && fstatat(dirfd(dir), at->d_name, &info, 0) == 0)
            size = (long)info.st_size;
    }
    (void)closedir(dir);
    return size;
}

static void wait_for_partial(const struct copying *c, const char *folder, long bytes)
{
    int64_t deadline_ms = clock_deadline_ms(test_deadline_ms());
    while (partial_bytes(c, folder) < bytes) {
        if (clock_now_ms() > deadline_ms)
            fail_msg("no partial file of %ld bytes in %s", bytes, folder);
        (void)usleep(10000);
    }
}

/* "resumed_from" of the file that the last run told. */
static long resumed_from(const struct copying *c)
{
    static const char key[] = "\"resumed_from\":";
    const char *at = strstr(c->program.stdout_data, key);
    assert_non_null(at);
    return strtol(at + strlen(key), NULL, 10);
}

/* Begins a copy of 8 MiB that takes seconds, and sends it a signal in its middle. */
static int cut(struct copying *c, const char *from, const char *to, int number)
{
    copying_start(c, "exec $A cp --limit 3M %s %s", from, to);
    wait_for_partial(c, "t", 2L * MIB);
    assert_int_equal(kill(c->program.pid, number), 0);
    program_finish(&c->program, NULL, 0);
    return program_exit_status(&c->program);
}

static void both_ways(void (*test)(struct copying *c, const char *from, const char *to))
{
    /* What is left of a client that was killed is looked for at the end. */
    static const char *const words[] = {"--set", "resume_ms=5000", NULL};
    struct copying c;
    copying_open(&c, words);
    copying_expect(&c, 0, NULL, "head -c 8M /dev/urandom > a; mkdir t; echo old > t/a");
    test(&c, "a", "$U:$D/t/a");
    copying_expect(&c, 0, NULL, "rm -rf t a; head -c 8M /dev/urandom > a; mkdir t; echo old > t/a");
    test(&c, "$U:$D/a", "t/a");
    copying_close(&c);
}

static void kill_and_resume(struct copying *c, const char *from, const char *to)
{
    assert_int_equal(cut(c, from, to, SIGKILL), 128 + SIGKILL);
    copying_expect(c, 0, NULL, "test $(cat t/a) = old");
    /* Its session on the server is away, may stay so for seconds, and holds the partial file. */
    copying_expect(c, 0, NULL, "$A cp --json %s %s", from, to);
    assert_in_range(resumed_from(c), MIB, 8L * MIB);
    copying_expect(c, 0, NULL, "cmp a t/a && test $(ls -A t | wc -l) = 1");
}

static void test_killed(void **state)
{
    (void)state;
    both_ways(kill_and_resume);
}

/* One whose client is there is not disturbed. */
static void two_at_once(struct copying *c, const char *from, const char *to)
{
    copying_expect(c, 0, NULL,
                   "$A cp --limit 3M %s %s & p=$!; "
                   "until test $(cat t/.a.afar-* 2> /dev/null | wc -c) -gt 1000000; do sleep 0.02; "
                   "done; kill -STOP $p; $A cp %s %s 2> said; s=$?; kill -CONT $p; cat said >&2; "
                   "wait $p && test $s = 1 && grep -q 'another copy is under way' said",
                   from, to, from, to);
    copying_expect(c, 0, NULL, "cmp a t/a && test $(ls -A t | wc -l) = 1");
}

static void test_two_at_once(void **state)
{
    (void)state;
    both_ways(two_at_once);
}

static void interrupt(struct copying *c, const char *from, const char *to)
{
    assert_int_equal(cut(c, from, to, SIGINT), 128 + SIGINT);
    if (strstr(c->program.stderr_data, "interrupted by INT") == NULL)
        fail_msg("%s", c->program.stderr_data);
    copying_expect(c, 0, NULL, "test $(cat t/a) = old");
    assert_in_range(partial_bytes(c, "t"), MIB, 8L * MIB);
    /* Another source: from its beginning. */
    copying_expect(c, 0, NULL, "touch -d 2001-01-01 a; $A cp --json %s %s && cmp a t/a", from, to);
    assert_int_equal(resumed_from(c), 0);
    copying_expect(c, 0, NULL, "rm t/.a*; echo old > t/a");
    /* A partial file that is not the source's beginning any more. */
    assert_int_equal(cut(c, from, to, SIGTERM), 128 + SIGTERM);
    copying_expect(c, 0, NULL,
                   "printf x | dd of=$(echo t/.a.afar-*) bs=1 seek=70000 conv=notrunc status=none; "
                   "$A cp --json %s %s && cmp a t/a",
                   from, to);
    assert_int_equal(resumed_from(c), 0);
    copying_expect(c, 0, NULL, "test $(ls -A t | wc -l) = 1; echo old > t/a");
    /* None is left where none is wanted. */
    copying_start(c, "exec $A cp --no-resume --limit 3M %s %s", from, to);
    wait_for_partial(c, "t", 2L * MIB);
    assert_int_equal(kill(c->program.pid, SIGHUP), 0);
    program_finish(&c->program, NULL, 0);
    assert_int_equal(program_exit_status(&c->program), 128 + SIGHUP);
    copying_expect(c, 0, NULL, "test $(cat t/a) = old && test $(ls -A t | wc -l) = 1");
}

static void test_interrupted(void **state)
{
    (void)state;
    both_ways(interrupt);
}

/* --timeout leaves what an interrupt leaves: only large files, which can be gone on with. */
static void time_out(struct copying *c, const char *from, const char *to)
{
    copying_expect(c, 124, "timed out after 1 s; files that were not whole",
                   "$A cp --limit 3M --timeout 1s %s %s", from, to);
    copying_expect(c, 0, NULL, "test $(cat t/a) = old && $A cp --json %s %s && cmp a t/a", from,
                   to);
    assert_in_range(resumed_from(c), MIB, 8L * MIB);
    copying_expect(c, 0, NULL, "test $(ls -A t | wc -l) = 1; echo old > t/a");
    copying_expect(c, 124, "timed out after 1 s", "$A cp --limit 3M --timeout 1s --no-resume %s %s",
                   from, to);
    copying_expect(c, 0, NULL, "test $(cat t/a) = old && test $(ls -A t | wc -l) = 1");
    copying_expect(c, 124, "what was there is damaged",
                   "$A cp --limit 3M --timeout 1s --in-place %s %s", from, to);
    copying_expect(c, 0, NULL, "test $(ls -A t | wc -l) = 1");
}

static void test_timed_out(void **state)
{
    (void)state;
    struct copying c;
    both_ways(time_out);
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "mkdir s t; for i in 1 2 3 4 5; do head -c 500K /dev/zero > s/$i; done");
    copying_expect(&c, 124, "timed out", "$A cp -r --limit 1M --timeout 1s s $U:$D/t/");
    copying_expect(&c, 124, "timed out", "sleep 3 | $A cp --timeout 500ms - $U:$D/t/x");
    copying_expect(&c, 0, NULL, "test -z \"$(find t -name '.*')\" && test -d t/s");
    /* Before the copy begins, and with a server that does not answer. */
    copying_expect(&c, 124, "timed out after 1 ms", "$A cp --timeout 1ms s/1 $U:$D/t/1");
    assert_int_equal(kill(c.afard.program.pid, SIGSTOP), 0);
    int status = copying_run(&c, "$A cp --timeout 500ms s/1 $U:$D/t/1");
    assert_int_equal(kill(c.afard.program.pid, SIGCONT), 0);
    assert_int_equal(status, 124);
    copying_close(&c);
}

/* Partial files of earlier versions go when the file is whole, if nobody would go on with them. */
static void sweep(struct copying *c, const char *from, const char *to)
{
    static const char tag[] = "0123456789abcdef";
    copying_expect(
        c, 0, NULL,
        "cd t; for i in .a.afar-0%s .a.afar-%s .a.afar-1%.15s .ab.afar-%s .a.afar-%.15sX "
        "a.afar-%s; do echo old > $i; touch -d '25 hours ago' $i; done; "
        "touch .a.afar-1%.15s; ls -A | sort > ../left",
        tag, tag, tag, tag, tag, tag, tag);
    copying_expect(c, 0, NULL, "$A cp %s %s && cmp a t/a", from, to);
    copying_expect(c, 0, NULL,
                   "ls -A t | sort > now; diff left now > gone; grep '^[<>]' gone > lines; "
                   "cat lines; test \"$(cat lines)\" = '< .a.afar-%s'",
                   tag);
}

static void test_swept(void **state)
{
    (void)state;
    both_ways(sweep);
}

/* Written to while it is read: read once more, and then given up. */
static void change(struct copying *c, const char *from, const char *to)
{
    copying_expect(c, 1, "changed while it was copied",
                   "(while test -e a; do printf x >> a; sleep 0.05; done) & "
                   "$A cp --limit 8M %s %s; s=$?; mv a b; wait; mv b a; exit $s",
                   from, to);
    copying_expect(c, 0, NULL, "test $(cat t/a) = old && test $(ls -A t | wc -l) = 1");
}

static void test_changed(void **state)
{
    (void)state;
    both_ways(change);
}

/* The connection ends in the middle of a tree. */
static void test_server_gone(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL, "mkdir s t; head -c 8M /dev/urandom > s/a; echo b > s/b");
    copying_start(&c, "exec $A cp -r --reconnect 0 --limit 3M s/. $U:$D/t");
    wait_for_partial(&c, "t", 2L * MIB);
    assert_int_equal(kill(c.afard.program.pid, SIGKILL), 0);
    program_finish(&c.program, NULL, 0);
    assert_int_equal(program_exit_status(&c.program), 125);
    copying_expect(&c, 0, NULL, "test ! -e t/a");
    program_close(&c.program);
    c.ran = false;
    program_close(&c.afard.program);
    copying_expect(&c, 0, NULL, "rm -rf \"$D\"; mkdir \"$D\"");
    program_close(&c.program);
    assert_int_equal(rmdir(c.folder), 0);
    (void)rmdir(c.afard.folder);
}

/* Cut again and again, and not a byte is lost: nothing is done twice either. */
static void test_connection_lost(void **state)
{
    (void)state;
    const struct cutter_plan plan = {.cuts = 40, .most_bytes = 600000, .seed = 7};
    struct cutter_result result = {.cuts = 0};
    struct copying c;
    copying_open(&c, NULL);
    struct cutter *cutter = cutter_start(afard_port(&c.afard, 0), &plan);
    const unsigned port = cutter_port(cutter);
    copying_expect(
        &c, 0, NULL,
        "mkdir a; head -c 3M /dev/urandom > a/l; for i in $(seq 40); do mkdir a/$i; for j "
        "in $(seq 20); do head -c 2000 /dev/urandom > a/$i/$j; done; done");
    copying_expect(&c, 0, NULL, "$A cp -r --json a tcp://127.0.0.1:%u:$D/up > out && diff -r a up",
                   port);
    copying_expect(&c, 0, NULL,
                   "$A cp -r --json tcp://127.0.0.1:%u:$D/a down > out2 && diff -r a down", port);
    copying_expect(&c, 0, NULL,
                   "for f in out out2; do test $(grep -c copied.} $f) = 801 && "
                   "grep -q '\"copied\":801,\"unchanged\":0,\"skipped\":0,\"failed\":0' "
                   "$f || exit 9; done");
    cutter_stop(cutter, &result);
    assert_in_range(result.cuts, 2, 40);
    copying_close(&c);
}

/* Each makes the whole file; what is there is one of theirs. */
static void test_crowd(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "for i in $(seq 8); do yes $i | head -c 2M > $i; done; mkdir t; "
                   "for i in $(seq 8); do $A cp $i $U:$D/t/a & p=\"$p $!\"; done; "
                   "for i in $p; do wait $i || exit 8; done; "
                   "for i in $(seq 8); do cmp -s $i t/a && exit 0; done; exit 9");
    copying_expect(&c, 0, NULL, "test $(ls -A t | wc -l) = 1");
    copying_close(&c);
}

static void test_progress(void **state)
{
    (void)state;
    struct copying c;
    struct terminal terminal;
    char from[512];
    char to[640];
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL, "head -c 4M /dev/zero > a");
    (void)snprintf(from, sizeof from, "%s/a", c.folder);
    (void)snprintf(to, sizeof to, "%s:%s/b", c.afard.url[0], c.folder);
    terminal_start(&terminal, WORDS("afar", "cp", "--limit", "2M", from, to));
    terminal_expect(&terminal, "%");
    terminal_expect(&terminal, "MiB/s");
    assert_int_equal(terminal_finish(&terminal), 0);
    /* It is taken away in the end. */
    assert_string_equal(terminal.text + terminal.size - 4, "\r\033[K");
    terminal_start(&terminal, WORDS("afar", "cp", "-q", "--limit", "2M", from, to));
    assert_int_equal(terminal_finish(&terminal), 0);
    assert_int_equal(terminal.size, 0);
    copying_expect(&c, 0, NULL, "$A cp --limit 2M a $U:$D/b");
    assert_int_equal(c.program.stderr_size, 0);
    copying_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),      cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_interrupted), cmocka_unit_test(test_timed_out),
        cmocka_unit_test(test_swept),       cmocka_unit_test(test_changed),
        cmocka_unit_test(test_server_gone), cmocka_unit_test(test_connection_lost),
        cmocka_unit_test(test_crowd),       cmocka_unit_test(test_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
