/* afar cp -r: which directories are meant, what is in the way, and the sum. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "support/copying.h"

/* A slash at the end of a link to a directory means the directory, as with cp -r. */
static void test_slash_behind_a_link(void **state)
{
    (void)state;
    static const char *const names[] = {"link", "link/", "link//", "link/.", "real/", "two/"};
    static const char *const targets[] = {"t", "t/new"};
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "mkdir -p s/real/sub && echo 1 > s/real/f && echo 2 > s/real/sub/g && "
                   "ln -s real s/link && ln -s link s/two && ln -s real/f s/file");
    for (size_t i = 0; i < 2 * sizeof names / sizeof names[0]; i++) {
        const char *name = names[i / 2];
        const char *target = targets[i % 2];
        copying_expect(&c, 0, NULL,
                       "rm -rf t; mkdir t; cp -r s/%s %s; mv t wanted; mkdir t; "
                       "$A cp -r s/%s $U:$D/%s && diff -r --no-dereference wanted t && "
                       "rm -r t && mkdir t && "
                       "$A cp -r $U:$D/s/%s %s && diff -r --no-dereference wanted t; s=$?; "
                       "rm -r wanted; exit $s",
                       name, target, name, target, name, target);
    }
    copying_expect(&c, 1, "Not a directory", "$A cp -r s/file/ $U:$D/t");
    copying_expect(&c, 1, "s/file: Not a directory", "$A cp -r $U:$D/s/file/ t");
    copying_expect(&c, 1, "s/real/f: Not a directory", "$A cp $U:$D/s/real/f/ t");
    copying_close(&c);
}

/* A link is where a directory should be: nothing goes through it, and the sum adds up. */
static void test_link_in_the_way(void **state)
{
    (void)state;
    static const char *const ways[][2] = {
        {"s/.", "$U:$D/t"}, {"$U:$D/s/.", "t"}, {"$U:$D/s/.", "$U:$D/t"}};
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "mkdir -p s/sub/deep && echo 1 > s/sub/f && echo 2 > s/g && echo 3 > "
                   "s/sub/deep/h");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        copying_expect(&c, 1, NULL,
                       "rm -rf t else; mkdir -p t else/deep; ln -s ../else t/sub; "
                       "$A cp -r --json %s %s",
                       ways[i][0], ways[i][1]);
        assert_non_null(strstr(c.program.stdout_data,
                               "\"files\":2,\"copied\":1,\"unchanged\":0,\"skipped\":0,"
                               "\"failed\":1,"));
        copying_expect(&c, 0, NULL, "test -e t/g && test $(find else | wc -l) = 2");
        copying_expect(&c, 1, "1 of 2 files were not copied", "$A cp -r %s %s", ways[i][0],
                       ways[i][1]);
    }
    copying_close(&c);
}

/* Links that lead back, and are followed: told once for each way there, and not copied for ever. */
static void test_links_in_a_circle(void **state)
{
    (void)state;
    static const char *const ways[][2] = {
        {"s", "$U:$D/t/"}, {"$U:$D/s", "t/"}, {"$U:$D/s", "$U:$D/t/"}};
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "mkdir -p s/x/y; echo f > s/x/f; ln -s . s/here; ln -s here s/again; "
                   "ln -s ../.. s/x/y/up; ln -s x s/other");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        copying_expect(&c, 1, "4 of 6 files were not copied",
                       "rm -rf t; mkdir t; timeout 20 $A cp -r --links follow %s %s", ways[i][0],
                       ways[i][1]);
        copying_expect(&c, 0, NULL,
                       "cmp s/x/f t/s/x/f && cmp s/x/f t/s/other/f && test $(find t | wc -l) = 8");
    }
    copying_close(&c);
}

/* What is there already does not keep a tree from being put into it. */
static void test_again(void **state)
{
    (void)state;
    struct copying c;
    copying_open(&c, NULL);
    copying_expect(&c, 0, NULL,
                   "for i in $(seq 20); do mkdir -p s/$i/a/b; for j in 1 2 3; do echo $j > "
                   "s/$i/a/b/$j; done; done; mkdir -p t/s/3/a t/s/4");
    copying_expect(&c, 0, NULL, "$A cp -r s $U:$D/t && diff -r s t/s");
    copying_expect(&c, 0, NULL, "rm t/s/*/a/b/2; $A cp -r s $U:$D/t && diff -r s t/s");
    copying_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slash_behind_a_link),
        cmocka_unit_test(test_link_in_the_way),
        cmocka_unit_test(test_links_in_a_circle),
        cmocka_unit_test(test_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
