/* Which file a name means: here, and within another root directory. */
// wrap: asprintf __asprintf_chk
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/resolve.h"
#include "support/decider.h"

static bool no_memory;

int __wrap_asprintf(char **text, const char *format, ...);
int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    if (no_memory)
        return -1;
    va_start(arguments, format);
    int size = vasprintf(text, format, arguments);
    va_end(arguments);
    return size;
}

int __wrap___asprintf_chk(char **text, int flag, const char *format, ...);
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
{
    va_list arguments;
    (void)flag;
    if (no_memory)
        return -1;
    va_start(arguments, format);
    int size = vasprintf(text, format, arguments);
    va_end(arguments);
    return size;
}

struct asking {
    const char *name;
    const char *root;
    const char *path;
    const char *expected; /* NULL: there is none */
};

static void assert_resolves(const struct asking *asking)
{
    char name[512];
    char root[512];
    char path[512];
    char expected[512];
    char *found = NULL;
    struct afar_error err;
    decider_expand(name, sizeof name, asking->name);
    decider_expand(root, sizeof root, asking->root != NULL ? asking->root : "");
    decider_expand(path, sizeof path, asking->path != NULL ? asking->path : "@/bin");
    enum afar_status status =
        resolve_name(name, path, asking->root != NULL ? root : NULL, &found, &err);
    if (asking->expected == NULL) {
        if (found != NULL)
            fail_msg("%s became %s", name, found);
        assert_int_equal(status, AFAR_EINVAL);
        assert_non_null(strstr(err.message, "there is no program"));
        return;
    }
    decider_expand(expected, sizeof expected, asking->expected);
    if (status != AFAR_OK)
        fail_msg("%s: %s", name, err.message);
    assert_string_equal(found, expected);
    free(found);
}

static void test_here(void **state)
{
    static const struct asking cases[] = {
        {"git", NULL, NULL, "@/bin/git"},
        {"git", NULL, "@/evil:@/bin", "@/evil/git"},
        {"multi", NULL, "@/evil:@/bin", "@/bin/multi"},
        {"git", NULL, "", NULL},
        {"git", NULL, ":", NULL}, /* an empty one is the working directory elsewhere */
        {"git", NULL, "bin:./bin", NULL},
        {"git", NULL, "/nowhere:@/link", "@/bin/git"},
        {"git", NULL, "@/link/../bin//.", "@/bin/git"},
        {"sh", NULL, NULL, "@/bin/sh"},
        {"data", NULL, NULL, NULL},
        {"bin", NULL, "@", NULL},
        /* Not names: such a path may hang, and the client has chosen it. */
        {"@/bin/git", NULL, NULL, NULL},
        {"bin/git", NULL, "@", NULL},
        {"./git", NULL, NULL, NULL},
        {"git/", NULL, NULL, NULL},
        {"/", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
        {".", NULL, NULL, NULL},
        {"..", NULL, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_resolves(&cases[i]);
    /* Wherever this system has it. */
    char *found = NULL;
    assert_int_equal(resolve_name("sh", "/bin", NULL, &found, NULL), AFAR_OK);
    assert_non_null(strstr(found, "bin/sh"));
    free(found);
}

/* Nothing that is outside can be meant, whatever links there are. */
static void test_in_another_root(void **state)
{
    static const struct asking cases[] = {
        {"tool", "@/jail", "/bin", "/bin/tool"},
        {"tool", "@/jail", "@/bin", NULL},
        {"git", "@/jail", "/bin", NULL},
        {"git", "@/jail", "/../bin", NULL},
        {"tool", "@/jail", "/../bin", "/bin/tool"},
        {"tool", "@/jail", "/up/bin", "/bin/tool"},
        {"git", "@/jail", "/up/bin", NULL},
        {"tool", "@/jail", "/abin", "/bin/tool"},
        {"sh", "@/jail", "/abin", NULL},
        {"tool", "@/link/../jail", "/bin", "/bin/tool"},
        {"tool", "/nowhere", "/bin", NULL},
        {"git", "/", "@/bin", "@/bin/git"},
    };
    (void)state;
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind knows no openat2\n");
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_resolves(&cases[i]);
}

static void assert_is(const char *path, const char *root, const char *expected)
{
    char asked[512];
    char where[512];
    char wanted[512];
    decider_expand(asked, sizeof asked, path);
    decider_expand(where, sizeof where, root != NULL ? root : "");
    char *found = resolve_path(asked, root != NULL ? where : NULL);
    if (expected == NULL) {
        assert_null(found);
        return;
    }
    decider_expand(wanted, sizeof wanted, expected);
    assert_non_null(found);
    assert_string_equal(found, wanted);
    free(found);
}

/* A rule's path need not be a program, nor be there; its directory must. */
static void test_paths(void **state)
{
    (void)state;
    assert_is("@/link/../bin//./git", NULL, "@/bin/git");
    assert_is("@/evil/alias", NULL, "@/evil/alias");
    assert_is("@/bin/nothing", NULL, "@/bin/nothing");
    assert_is("@/nowhere/git", NULL, NULL);
    assert_is("@/bin/", NULL, NULL);
    assert_is("@/bin/..", NULL, NULL);
    assert_is("@/bin/.", NULL, NULL);
    if (getenv("VALGRIND") != NULL)
        return; /* which knows no openat2 */
    assert_is("/up/bin/tool", "@/jail", "/bin/tool");
    assert_is("@/bin/git", "@/jail", NULL);
}

static void test_long_names(void **state)
{
    static char longest[3 * 4096];
    (void)state;
    char *found = NULL;
    memset(longest, 'a', sizeof longest - 1);
    assert_int_equal(resolve_name(longest, "/bin", NULL, &found, NULL), AFAR_EINVAL);
    assert_null(found);
    for (size_t i = 0; i + 1 < sizeof longest; i += 2)
        longest[i] = '/';
    assert_null(resolve_path(longest, NULL));
    assert_int_equal(resolve_name("sh", longest, NULL, &found, NULL), AFAR_EINVAL);
    assert_null(found);
}

static void test_out_of_memory(void **state)
{
    char *found = NULL;
    struct afar_error err;
    (void)state;
    no_memory = true;
    assert_int_equal(resolve_name("sh", "/bin", NULL, &found, &err), AFAR_ENOMEM);
    assert_null(found);
    no_memory = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_here),          cmocka_unit_test(test_in_another_root),
        cmocka_unit_test(test_paths),         cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, decider_make_tree, decider_remove_tree);
}
