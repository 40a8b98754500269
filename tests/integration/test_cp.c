/* afar cp: what arrives, under which name, and what is said. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/copying.h"
#include "support/folder.h"
#include "support/ruled.h"

static void expect_output(struct copying *c, const char *text)
{
    if (strstr(c->program.stdout_data, text) == NULL)
        fail_msg("'%s' is not in: %s", text, c->program.stdout_data);
}

/* ---- what arrives ---------------------------------------------------------------------------- */

static void test_sizes(void **state)
{
    (void)state;
    static const unsigned sizes[] = {0,      1,      65535,   65536,   65537,   261119,
                                     261120, 261121, 1048575, 1048576, 1048577, 3000000};
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL, "mkdir a b c");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        copying_expect(&c, 0, NULL,
                       "head -c %u /dev/urandom > a/%zu && chmod %o a/%zu && "
                       "touch -d '2001-02-03 04:05:%02zu.123456789' a/%zu",
                       sizes[i], i, 0600 + (unsigned)i, i, i, i);
    copying_expect(&c, 0, NULL, "$A cp a/* $U:$D/b/ && diff -r a b");
    copying_expect(&c, 0, NULL, "$A cp \"$U:$D/b/*\" c/ && diff -r a c");
    copying_expect(&c, 0, NULL,
                   "for d in a b c; do (cd $d && stat -c '%%n %%a %%s %%.9Y' *) > $d.stat; done; "
                   "cmp a.stat b.stat && cmp a.stat c.stat");
    copying_expect(&c, 0, NULL, "test -z \"$(ls -A b c | grep afar-)\"");
    copying_close(&c);
}

static void test_tls(void **state)
{
    (void)state;
    struct afard server;
    struct program program;
    char target[600];
    afard_start_tls(&server, WORDS("--listen", "tls://127.0.0.1:0"));
    (void)snprintf(target, sizeof target, "%s:%s/copied", server.url[0], server.folder);
    assert_int_equal(program_run(&program, WORDS("afar", "cp", "-", target), "hello", 5), 0);
    program_close(&program);
    assert_int_equal(program_run(&program, WORDS("afar", "cp", target, "-"), NULL, 0), 0);
    assert_string_equal(program.stdout_data, "hello");
    program_close(&program);
    afard_expect_calm(&server);
    assert_int_equal(afard_stop(&server), 0);
}

/* 300 MiB of which 3 are there. */
static void test_holes(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "truncate -s 300M a && head -c 1M /dev/urandom | dd of=a bs=1M seek=7 "
                   "conv=notrunc status=none && head -c 2M /dev/urandom | dd of=a bs=1M seek=200 "
                   "conv=notrunc status=none");
    copying_expect(&c, 0, NULL, "$A cp a $U:$D/b && cmp a b && test $(du -k b | cut -f1) -lt 8192");
    copying_expect(&c, 0, NULL, "$A cp $U:$D/a c && cmp a c && test $(du -k c | cut -f1) -lt 8192");
    copying_close(&c);
}

static void test_kinds(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "mkdir -p a/d && echo x > a/d/f && ln -s d/f a/l && ln -s nowhere a/dangling && "
                   "ln -s . a/d/loop && mkfifo a/fifo && echo y > a/z");
    copying_expect(&c, 0, "fifo: skipped: a FIFO", "$A cp -r a $U:$D/up");
    copying_expect(&c, 0, "fifo: skipped: a FIFO", "$A cp -r $U:$D/a down");
    copying_expect(&c, 0, NULL,
                   "rm a/fifo; diff -r --no-dereference a up && diff -r --no-dereference a down");
    copying_expect(&c, 0, "l: skipped: a link", "$A cp -r --links skip a $U:$D/up2");
    copying_expect(&c, 0, NULL, "test -e up2/z && test ! -L up2/l");
    /* Links that are followed: a loop is found, and what leads nowhere fails. */
    copying_expect(&c, 1, "dangling: No such file", "$A cp -r --links follow a $U:$D/up3");
    copying_expect(&c, 0, NULL, "test -f up3/l && test ! -L up3/l && test ! -e up3/d/loop/loop");
    copying_expect(&c, 1, "link leads out; '--links all'",
                   "ln -s /etc/passwd a/out; $A cp -r $U:$D/a down2");
    copying_expect(&c, 0, NULL, "test ! -L down2/out && test -L down2/l");
    copying_expect(&c, 0, NULL, "$A cp -r --links all $U:$D/a down3 && test -L down3/out");
    /* Links come last, so that nothing is written through them. */
    copying_expect(&c, 0, NULL,
                   "mkdir -p o/9; ln -s z o/0; ln -s nowhere o/1; touch o/2 o/9/x; ln -s x o/9/0; "
                   "$A cp -rv o $U:$D/oup 2>up.log && $A cp -rv $U:$D/o odown 2>down.log && "
                   "diff -r --no-dereference o oup && diff -r --no-dereference o odown && "
                   "for l in up.log down.log; do sed -E 's#.*(oup|odown)/##' $l > names; "
                   "tail -n 2 names | sort | tr '\\n' ' '; grep '^9' names | tr '\\n' ' '; done");
    expect_output(&c, "0 1 9/x 9/0 0 1 9/x 9/0 ");
    /* Files that tell no size. */
    copying_expect(&c, 0, NULL, "$A cp $U:/proc/self/status s && grep -q afard s");
    copying_expect(&c, 0, NULL, "$A cp /proc/self/status $U:$D/t && grep -q afar t");
    copying_expect(&c, 1, "is a directory; -r", "$A cp a $U:$D/up4");
    copying_close(&c);
}

/* New ones come without; what a file had that is replaced is gone. */
static void test_setuid(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL, "echo a > a; chmod 6755 a; echo b > b; chmod 4711 b; cp -p b b2");
    copying_expect(
        &c, 0, NULL,
        "$A cp $U:$D/a new && $A cp $U:$D/a b && $A cp a $U:$D/new2 && $A cp a $U:$D/b2");
    copying_expect(&c, 0, NULL,
                   "test \"$(stat -c %%a new b new2 b2 | tr '\\n' ' ')\" = "
                   "'755 711 755 711 '");
    copying_close(&c);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "mkdir a && cd a && for n in 'a b' a:b '*' '[0]' -x \"$(printf 'n\\nl')\" "
                   "\"$(printf 'bad\\377')\" \"$(printf '%%0255d' 7)\" .hidden 'q\"s' \"a'b\"; do "
                   "echo \"$n\" > \"./$n\"; done");
    copying_expect(&c, 0, NULL, "$A cp -r a $U:$D/up && diff -r a up");
    copying_expect(&c, 0, NULL, "$A cp -r $U:$D/a down && diff -r a down");
    copying_expect(&c, 0, NULL, "mkdir one && $A cp \"$U:$D/a/*\" one/ && ls -A one | wc -l");
    expect_output(&c, "1\n"); /* the file of that very name */
    copying_expect(&c, 0, NULL,
                   "rm 'a/*'; mkdir some && $A cp \"$U:$D/a/a?b\" some/ && ls -A some | wc -l");
    expect_output(&c, "3\n");
    copying_expect(&c, 1, "No such file", "$A cp \"$U:$D/a/nothing*\" some/");
    copying_expect(&c, 0, NULL, "$A cp ./a/a:b $U:$D/c && cmp a/a:b c");
    copying_close(&c);
}

/* As cp -r has it. */
/* What stands behind a pattern: only what exists, as in a shell. */
static void test_patterns(void **state)
{
    (void)state;
    /* The pattern, and how many it matches: each is told, for want of -r or of room. */
    static const struct {
        const char *pattern;
        unsigned matches;
    } cases[] = {{"*/f", 3},          {"a?/b[12]/c", 2}, {"*/b*/d", 1},   {"*/b1", 2},
                 {"a1/../*/b2/d", 1}, {"a*/../x", 3},    {".*/f", 1},     {"*/", 4},
                 {"*/b?/", 3},        {"a*//f", 2},      {"[!a]/b1/c", 1}};
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "mkdir -p s/a1/b1 s/a2/b2 s/a3 s/.h && touch s/x s/a1/f s/a2/f s/.h/f "
                   "s/a1/b1/c s/a2/b2/c s/a2/b2/d && ln -s a1 s/l");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        copying_expect(&c, 0, NULL,
                       "rm -rf t; mkdir t; $A cp --json \"$U:$D/s/%s\" t > said; "
                       "! grep ENOENT said && test $(grep -c '\"file\"' said) = %u",
                       cases[i].pattern, cases[i].matches);
    }
    copying_expect(&c, 1, "s/*/g: No such file", "$A cp \"$U:$D/s/*/g\" t");
    copying_close(&c);
}

static void test_where(void **state)
{
    (void)state;
    static const char *const sources[] = {"src", "src/", "src/.", "src/d", "src/f"};
    static const char *const targets[] = {"new", "there", "there/", "there/new"};
    struct copying c;
    copying_open(&c, NULL);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        for (size_t j = 0; j < sizeof targets / sizeof targets[0]; j++) {
            copying_expect(&c, 0, NULL,
                           "rm -rf src want up down; mkdir -p src/d want/there/src up/there/src "
                           "down/there/src; echo f > src/f; echo g > src/d/g; cp -r '%s' 'want/%s'",
                           sources[i], targets[j]);
            copying_expect(&c, 0, NULL, "$A cp -r '%s' \"$U:$D/up/%s\" && diff -r want up",
                           sources[i], targets[j]);
            copying_expect(&c, 0, NULL, "$A cp -r \"$U:$D/%s\" 'down/%s' && diff -r want down",
                           sources[i], targets[j]);
        }
    }
    copying_expect(&c, 1, "no such directory: ", "$A cp src/f $U:$D/none/");
    copying_expect(&c, 1, "--mkdir makes it", "$A cp src/f $U:$D/none/x");
    copying_expect(&c, 1, "no such directory: none; --mkdir", "$A cp $U:$D/src/f none/x");
    copying_expect(&c, 0, NULL,
                   "$A cp --mkdir src/f $U:$D/p/q/ && $A cp --mkdir $U:$D/src/f r/s/x && "
                   "cmp src/f p/q/f && cmp src/f r/s/x");
    copying_expect(&c, 1, "no such directory", "$A cp src/f src/d/g $U:$D/none");
    copying_expect(&c, 1, "same file", "$A cp $U:$D/src/f $U:$D/src/");
    copying_close(&c);
}

/* Relative to the home of whom the server's rule says, and the homes that "~" stands for. */
static void test_homes(void **state)
{
    (void)state;
    static const char *const homes[] = {"", "~/", "~/./"};
    struct copying c;
    char home[] = "/tmp/afar-home-XXXXXX";
    const char *kept = getenv("HOME");
    char *before = kept != NULL ? strdup(kept) : NULL;
    assert_non_null(mkdtemp(home));
    assert_int_equal(setenv("HOME", home, 1), 0);
    copying_open(&c, NULL);
    if (before != NULL)
        (void)setenv("HOME", before, 1);
    free(before);
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++)
        copying_expect(&c, 0, NULL,
                       "echo %zu > a; mkdir %s/d; $A cp a \"$U:%sb\" && $A cp \"$U:%sb\" c && "
                       "$A cp a \"$U:%sd/\" && $A cp \"$U:%sd/*\" e && "
                       "cmp a %s/b && cmp a c && cmp a %s/d/a && cmp a e && rm -r e %s/d",
                       i, home, homes[i], homes[i], homes[i], homes[i], home, home, home);
    copying_expect(&c, 0, NULL, "$A cp a $U: && cmp a %s/a && $A cp a $U:~ && echo x > '%s/~'",
                   home, home);
    copying_expect(&c, 0, NULL, "$A cp \"$U:./~\" f && grep x f");
    copying_expect(&c, 1, "~nosuchuser/x: No such file", "$A cp \"$U:~nosuchuser/x\" .");
    copying_close(&c);
    assert_int_equal(folder_remove(home), 0);
}

/* The entry's user holds for files as it does for commands: else they would be somebody else's. */
static void test_user_of_entry(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "echo a > a; umask 077; "
                   "printf '[h]\\nendpoint = %%s\\nuser = nosuchuser\\n' $U > hosts");
    copying_expect(&c, 125, "nosuchuser", "AFAR_HOSTS=$D/hosts $A run h true");
    copying_expect(&c, 125, "nosuchuser", "AFAR_HOSTS=$D/hosts $A cp a h:$D/b");
    copying_expect(&c, 125, "nosuchuser", "AFAR_HOSTS=$D/hosts $A sftp h < /dev/null");
    copying_expect(&c, 1, NULL, "test -e b");
    copying_close(&c);
}

/* ---- what is said ---------------------------------------------------------------------------- */

static void test_statuses(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL, "echo a > a; echo b > b; mkdir t");
    copying_expect(&c, 1, "none: No such file or directory", "$A cp none $U:$D/t/");
    copying_expect(&c, 1, "/none: No such file or directory", "$A cp $U:$D/none t/");
    copying_expect(&c, 1, "1 of 3 files were not copied", "$A cp a none b $U:$D/t/");
    copying_expect(&c, 0, NULL, "cmp a t/a && cmp b t/b");
    copying_expect(&c, 125, "neither", "$A cp a b");
    copying_expect(&c, 1, "'': No such file", "$A cp $U:$D/a ''");
    copying_expect(&c, 1, "No such file", "$A cp '' $U:$D/t/");
    copying_expect(&c, 125, "a SOURCE and a TARGET", "$A cp a");
    copying_expect(&c, 125, "is none of safe", "$A cp --links some a $U:$D/t/");
    copying_expect(&c, 125, "127.0.0.1:1", "$A cp a tcp://127.0.0.1:1:/x");
    copying_expect(&c, 124, "timed out", "$A cp --timeout 500ms - $U:$D/t/slow < /dev/zero");
    copying_expect(&c, 0, NULL, "test ! -e t/slow");
    copying_expect(&c, 0, "a -> ", "$A cp -v a $U:$D/t/");
    copying_expect(&c, 0, NULL, "$A cp --json a $U:$D/t/");
    expect_output(&c, "{\"type\":\"file\",\"source\":\"a\",\"target\":\"tcp://");
    expect_output(&c,
                  "\"size\":2,\"sha256\":\"87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60"
                  "c4cf25c7\",\"mode\":\"0644\",\"resumed_from\":0,\"result\":\"copied\"}\n");
    expect_output(&c, "{\"type\":\"total\",\"files\":1,\"copied\":1,\"unchanged\":0,\"skipped\":0,"
                      "\"failed\":0,\"bytes\":2,\"ms\":");
    copying_expect(&c, 1, NULL, "$A cp --json none $U:$D/t/");
    expect_output(
        &c, "\"result\":\"failed\",\"error\":{\"code\":\"ENOENT\",\"message\":\"No such file or "
            "directory\"}}");
    copying_expect(&c, 0, NULL,
                   "echo x > \"$(printf 'x\\033[2J\\377')\"; $A cp --json x* $U:$D/t/");
    expect_output(&c, "\"source_base64\":\"eBtbMkr/\"");
    copying_expect(&c, 0, "x\\u001b[2J", "$A cp -v x* $U:$D/t/");
    copying_close(&c);
}

static void test_streams(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "head -c 20000000 /dev/urandom > a; $A cp - $U:$D/b < a && cmp a b");
    copying_expect(&c, 0, NULL, "cat a | $A cp - $U:$D/c && cmp a c");
    copying_expect(&c, 0, NULL, "$A cp $U:$D/a - | cmp a -");
    copying_expect(&c, 0, NULL, "$A cp $U:$D/a - > d && cmp a d");
    copying_expect(&c, 0, NULL, "$A cp $U:$D/a - | (sleep 0.2; cat) | cmp a -"); /* a slow reader */
    copying_expect(&c, 0, NULL, "$A cp $U:$D/a $U:$D/e && cmp a e");
    copying_expect(&c, 1, "is a directory", "$A cp - $U:$D/ < a");
    copying_expect(&c, 125, "only one", "$A cp $U:$D/a $U:$D/b -");
    copying_expect(&c, 125, "neither", "$A cp a - > f");
    copying_close(&c);
}

static void test_update(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL, "mkdir -p a/d; echo a > a/a; echo b > a/d/b; $A cp -r a $U:$D/up");
    copying_expect(&c, 0, NULL, "$A cp -ru --json a/. $U:$D/up");
    expect_output(&c, "\"copied\":0,\"unchanged\":2,");
    copying_expect(&c, 0, NULL, "echo cc > a/a; $A cp -ru --json a/. $U:$D/up && diff -r a up");
    expect_output(&c, "\"copied\":1,\"unchanged\":1,");
    copying_expect(&c, 0, NULL, "$A cp -r $U:$D/a down; $A cp -ru --json $U:$D/a/. down");
    expect_output(&c, "\"copied\":0,\"unchanged\":2,");
    copying_close(&c);
}

static void test_in_place(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "echo small > s; head -c 3000000 /dev/urandom > l; echo longer than small > t; "
                   "ln t t2; head -c 4000000 /dev/urandom > m; ln m m2; chmod 600 t m");
    copying_expect(&c, 0, NULL, "$A cp --in-place s $U:$D/t && $A cp --in-place l $U:$D/m");
    copying_expect(&c, 0, NULL,
                   "cmp s t2 && cmp l m2 && test $(stat -c %%a%%a t m | tr -d '\\n') = "
                   "600600600600");
    copying_expect(
        &c, 0, NULL,
        "$A cp --in-place --fsync $U:$D/l t && $A cp --in-place $U:$D/s m && cmp l t2 && "
        "cmp s m2");
    for (int up = 0; up < 2; up++) {
        copying_expect(&c, 0, "l: interrupted",
                       "timeout -s INT 1 $A cp --in-place --limit 1M %sl %sm; test $? = 124",
                       up != 0 ? "" : "$U:$D/", up != 0 ? "$U:$D/" : "");
        assert_non_null(strstr(c.program.stderr_data, "is damaged"));
        assert_null(strstr(c.program.stderr_data, "not replaced"));
    }
    /* One file by two paths would be emptied before it is read. */
    copying_expect(&c, 0, NULL, "mkdir d; cp l d/f; ln d/f d/hard; ln -s f d/soft; ln -s d e");
    for (int i = 0; i < 4; i++) {
        static const char *const paths[] = {"d/../d/f", "d/hard", "d/soft", "e/f"};
        copying_expect(&c, 1, "same file", "$A cp --in-place $U:$D/%s $U:$D/d/f", paths[i]);
    }
    copying_expect(&c, 1, "same file", "$A cp -r --in-place $U:$D/d/. $U:$D/e/");
    copying_expect(&c, 0, NULL, "cmp l d/f && $A cp --in-place $U:$D/s $U:$D/d/f && cmp s d/hard");
    /* A new file has the source's mode, as without --in-place. */
    copying_expect(&c, 0, NULL,
                   "chmod 754 s l; $A cp --in-place $U:$D/s n1 && $A cp --in-place $U:$D/l n2 && "
                   "$A cp --in-place s $U:$D/n3 && $A cp --in-place l $U:$D/n4 && "
                   "test $(stat -c %%a n1 n2 n3 n4 | tr -d '\\n') = 754754754754");
    copying_close(&c);
}

/* A source that cannot be copied is told, and the others are copied. */
static void test_sources_left_out(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "mkdir a b t g; echo 1 > a/f; echo 2 > b/f; echo x > x; echo y > g/y");
    copying_expect(&c, 1, "same file", "$A cp $U:$D/x $U:$D/a/f $U:$D/g/y $U:$D/a/");
    copying_expect(&c, 0, NULL, "cmp x a/x && cmp g/y a/y && test $(cat a/f) = 1");
    copying_expect(&c, 1, NULL, "$A cp --json $U:$D/x $U:$D/a/f $U:$D/a/");
    assert_non_null(strstr(c.program.stdout_data, "\"files\":2,\"copied\":1,"));
    assert_non_null(strstr(c.program.stdout_data, "same file"));
    copying_expect(&c, 1, "just copied", "$A cp a/f b/f x $U:$D/t/");
    copying_expect(&c, 1, "just copied", "$A cp $U:$D/a/f $U:$D/b/f $U:$D/x t/");
    copying_expect(&c, 0, NULL, "test $(cat t/f) = 1 && cmp x t/x");
    copying_expect(&c, 1, "just copied", "rm t/*; $A cp -r a/f b/f $U:$D/t/");
    copying_expect(&c, 1, "just copied", "test $(cat t/f) = 1 && $A cp -r $U:$D/b/f $U:$D/a/f t/");
    copying_expect(&c, 0, NULL, "test $(cat t/f) = 2 && $A cp -r a a/. b $U:$D/t && cmp a/f t/a/f");
    copying_expect(&c, 125, "not told completely", "$A cp --json a/f $U:$D/t/ > /dev/full");
    copying_expect(&c, 1, "into itself", "$A cp -r $U:$D/g $U:$D/g/in");
    copying_expect(&c, 0, NULL, "test $(ls -A g) = y");
    copying_expect(&c, 125, "--json writes", "$A cp --json $U:$D/x -");
    copying_close(&c);
}

/* What is neither a file nor a link is not replaced by one. */
static void test_devices_stay(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL, "echo s > s; head -c 3M /dev/zero > l; mkfifo f; ln -s f to-f");
    for (int i = 0; i < 4; i++)
        copying_expect(&c, 1, "is a fifo", "$A cp %s%s%s %sf", i % 2 == 0 ? "$U:$D/" : "",
                       i < 2 ? "s" : "l", "", i % 2 == 0 ? "" : "$U:$D/");
    for (int i = 0; i < 4; i++) {
        const char *to = i % 2 == 0 ? "" : "$U:$D/";
        const char *from = i % 2 == 0 ? "$U:$D/" : "";
        copying_expect(&c, 1, "the target is a fifo; nothing was written",
                       "$A cp --in-place %s%s %sf", from, i < 2 ? "s" : "l", to);
        assert_null(strstr(c.program.stderr_data, "damaged"));
        /* Nor is what could not be opened: a program that runs. */
        copying_expect(&c, 1, "Text file busy",
                       "mkdir b; cp $(command -v sleep) b/b; b/b 9 & sleep 0.1; "
                       "$A cp --in-place %s%s %sb/b; s=$?; kill $!; rm -r b; exit $s",
                       from, i < 2 ? "s" : "l", to);
        assert_null(strstr(c.program.stderr_data, "damaged"));
    }
    copying_expect(&c, 0, NULL, "test -p f && test $(ls -A | wc -l) = 4");
    if (geteuid() == 0)
        copying_expect(&c, 0, NULL,
                       "mknod n c 1 3 || exit 0; ! $A cp s $U:$D/n && ! $A cp l $U:$D/n && "
                       "! $A cp $U:$D/s n && ! $A cp $U:$D/l n && test -c n");
    copying_close(&c);
}

/* What went to standard output cannot be taken back, so there is no second try. */
static void test_grows_under_a_stream(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 1, "changed while it was copied",
                   "head -c 3M /dev/zero > g; ($A cp --limit 1M $U:$D/g - > o; echo $? > s) & "
                   "while [ ! -s o ]; do sleep 0.05; done; echo more >> g; wait; exit $(cat s)");
    copying_expect(&c, 0, NULL, "test $(stat -c %%s o) -le $(stat -c %%s g)");
    copying_close(&c);
}

/* 2 MiB by 1 MiB a second: most of it has to wait. */
static void test_limit(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL, "head -c 2M /dev/zero > a; $A cp --json --limit 1M a $U:$D/b");
    const char *ms = strstr(c.program.stdout_data, "\"ms\":");
    assert_non_null(ms);
    assert_in_range(strtol(ms + 5, NULL, 10), 1000, 100000);
    copying_expect(&c, 0, NULL, "$A cp --json --limit 1M $U:$D/a c");
    ms = strstr(c.program.stdout_data, "\"ms\":");
    assert_non_null(ms);
    assert_in_range(strtol(ms + 5, NULL, 10), 1000, 100000);
    /* So low that a tenth of a second is no byte; and so high that it is more than numbers hold. */
    copying_expect(&c, 0, NULL, "echo > s; $A cp --limit 1 s $U:$D/t && $A cp --limit 9 $U:$D/s u");
    copying_expect(&c, 0, NULL, "cmp s t && cmp s u && $A cp --limit 999999999G s $U:$D/t");
    copying_close(&c);
}

/* What cannot be written says why, the old file stays, and the others are copied. */
static void test_too_large(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL, "head -c 2M /dev/urandom > a; echo b > b; mkdir t; echo old > t/a");
    copying_expect(&c, 1, "a: File too large", "ulimit -f 1024; $A cp $U:$D/a $U:$D/b t/");
    copying_expect(&c, 0, NULL,
                   "test $(cat t/a) = old && cmp b t/b && test $(ls -A t | wc -l) = 2");
    copying_close(&c);
}

static void test_rules(void **state)
{
    (void)state;
    struct ruled ruled;
    struct program program;
    char to[700];
    ruled_open(&ruled, "[allow commands]\nclient = any\ncommand = /bin/true\n", "warn");
    (void)snprintf(to, sizeof to, "%s:/tmp/afar-denied", ruled.afard.url[0]);
    assert_int_equal(program_run(&program, WORDS("afar", "cp", "-", to), "x", 1), 125);
    if (strstr(program.stderr_data, "denied") == NULL &&
        strstr(program.stderr_data, "rule") == NULL)
        fail_msg("%s", program.stderr_data);
    program_close(&program);
    ruled_close(&ruled);
}

/* Standard input has no mode: a new file's is what both umasks leave. */
static void test_umask_of_the_rule(void **state)
{
    (void)state;
    struct ruled rules;
    struct copying c;
    ruled_make_file(&rules, "[allow x]\nclient = any\nmay = files\numask = 027\n");
    copying_open(&c, WORDS("-c", rules.file));
    copying_expect(&c, 0, NULL,
                   "umask 022; echo a | $A cp - $U:$D/a && echo b | $A cp --in-place - $U:$D/b && "
                   "umask 077 && echo c | $A cp - $U:$D/c; umask 0; echo d | $A cp - $U:$D/d; "
                   "echo e > e; chmod 604 e; echo f | $A cp - $U:$D/e; echo g > g; "
                   "$A cp g $U:$D/h; $A cp $U:$D/g $U:$D/i; stat -c %%a a b c d e h i | xargs");
    expect_output(&c, "640 640 600 640 604 666 666\n");
    copying_close(&c);
    assert_int_equal(unlink(rules.file), 0);
}

static void test_many(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(
        &c, 0, NULL,
        "mkdir a; for i in $(seq 300); do mkdir -p a/$i/x/y; echo $i > a/$i/f; echo $i > "
        "a/$i/x/y/g; done; mkdir a/w; cd a/w; seq 5000 | xargs touch");
    copying_expect(&c, 0, NULL, "$A cp -r a $U:$D/up && diff -r a up");
    /* Memory does not grow with the tree; what a sanitizer adds does. */
    const char *sanitizers = getenv("SAN");
    if (sanitizers == NULL || sanitizers[0] == '\0')
        assert_in_range(c.program.max_rss_kib, 1, 24 * 1024);
    copying_expect(&c, 0, NULL, "$A cp -r $U:$D/a down && diff -r a down");
    copying_expect(&c, 0, NULL, "$A cp -r $U:$D/a $U:$D/other && diff -r a other");
    copying_close(&c);
}

/* Numeric owners, for root; for others the whole copy of the file fails, and says so. */
static void test_owner(void **state)
{
    (void)state;
    struct copying c;
    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: only root may give files away\n");
        skip();
    }
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "mkdir a; echo s > a/s; head -c 100k /dev/zero > a/l; chown 12:34 a a/s a/l");
    copying_expect(&c, 0, NULL,
                   "$A cp -r --owner a $U:$D/up && $A cp -r --owner $U:$D/a down && "
                   "test \"$(stat -c %%u:%%g up up/s up/l down down/s down/l | uniq)\" = "
                   "12:34");
    copying_expect(&c, 0, NULL, "$A cp -r a $U:$D/up2 && test $(stat -c %%u:%%g up2/s) = 0:0");
    copying_expect(&c, 0, NULL, "chmod 755 . && mkdir -m 777 mine");
    copying_expect(&c, 1, "s: Operation not permitted",
                   "setpriv --reuid 65534 --regid 65534 --clear-groups $A cp -r --owner $U:$D/a "
                   "mine/");
    copying_expect(&c, 0, NULL, "test ! -e mine/a/s");
    copying_close(&c);
}

/* From one server to another, and nothing of it is written here. */
static void test_two_servers(void **state)
{
    (void)state;
    struct copying c;
    struct afard other;
    copying_open(&c, NULL);
    afard_start(&other, WORDS("--listen", "tcp://127.0.0.1:0"));
    copying_expect(&c, 0, NULL,
                   "mkdir -p a/d/e; echo x > a/d/e/f; ln -s d a/l; : > a/z; truncate -s 20M a/h; "
                   "head -c 30M /dev/urandom > a/b; printf x | dd of=a/h bs=1M seek=9 conv=notrunc "
                   "status=none; chmod 640 a/b");
    copying_expect(&c, 0, NULL,
                   "$A cp -r $U:$D/a %s:$D/up && diff -r --no-dereference a up && "
                   "test $(stat -c %%a up/b) = 640",
                   other.url[0]);
    copying_expect(&c, 0, NULL, "$A cp $U:$D/a/b %s:$D/a/z %s:$D/a/d/ && cmp a/b a/d/b",
                   other.url[0], other.url[0]);
    copying_close(&c);
    afard_expect_calm(&other);
    assert_int_equal(afard_stop(&other), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_setuid),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_where),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_devices_stay),
        cmocka_unit_test(test_sources_left_out),
        cmocka_unit_test(test_grows_under_a_stream),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_umask_of_the_rule),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_two_servers),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_homes),
        cmocka_unit_test(test_user_of_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
