/* Which file a word means: here, and within another root directory. */
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
    const char *cwd;
    const char *path;
    const char *expected; /* NULL: there is none */
};

static void assert_resolves(const struct asking *asking)
{
    char name[512];
    char root[512];
    char cwd[512];
    char path[512];
    char expected[512];
    char *found = NULL;
    struct afar_error err;
    decider_expand(name, sizeof name, asking->name);
    decider_expand(root, sizeof root, asking->root != NULL ? asking->root : "");
    decider_expand(cwd, sizeof cwd, asking->cwd != NULL ? asking->cwd : "");
    decider_expand(path, sizeof path, asking->path != NULL ? asking->path : "@/bin");
    const struct resolve_place place = {.root = asking->root != NULL ? root : NULL,
                                        .cwd = asking->cwd != NULL ? cwd : NULL,
                                        .path = path};
    enum afar_status status = resolve_program(name, &place, &found, &err);
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
        {"@/bin/git", NULL, NULL, NULL, "@/bin/git"},
        {"git", NULL, NULL, NULL, "@/bin/git"},
        {"git", NULL, NULL, "@/evil:@/bin", "@/evil/git"},
        {"multi", NULL, NULL, "@/evil:@/bin", "@/bin/multi"},
        {"git", NULL, NULL, "", NULL},
        {"git", NULL, NULL, ":", NULL}, /* an empty one is the working directory elsewhere */
        {"git", NULL, NULL, "bin:./bin", NULL},
        {"git", NULL, NULL, "/nowhere:@/link", "@/bin/git"},
        {"bin/git", NULL, NULL, NULL, "@/bin/git"},
        {"./git", NULL, "@/evil", NULL, "@/evil/git"},
        {"bin/git", NULL, "@/evil", NULL, "@/bin/git"},
        {"./git", NULL, "relative", NULL, NULL},
        {"./git", NULL, "/nowhere", NULL, NULL},
        {"@/link/../bin//./git", NULL, NULL, NULL, "@/bin/git"},
        {"@/bin/sh", NULL, NULL, NULL, "@/bin/sh"},
        {"@/evil/alias", NULL, NULL, NULL, "@/evil/alias"},
        {"@/bin/data", NULL, NULL, NULL, NULL},
        {"@/bin", NULL, NULL, NULL, NULL},
        {"@/bin/", NULL, NULL, NULL, NULL},
        {"@/bin/..", NULL, NULL, NULL, NULL},
        {"@/bin/.", NULL, NULL, NULL, NULL},
        {"/", NULL, NULL, NULL, NULL},
        {"", NULL, NULL, NULL, NULL},
        {".", NULL, NULL, NULL, NULL},
        {"..", NULL, NULL, NULL, NULL},
        {"@/bin/git/", NULL, NULL, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_resolves(&cases[i]);
    /* Wherever this system has it. */
    char *found = NULL;
    const struct resolve_place place = {.path = "/bin"};
    assert_int_equal(resolve_program("sh", &place, &found, NULL), AFAR_OK);
    assert_non_null(strstr(found, "bin/sh"));
    free(found);
}

/* Nothing that is outside can be meant, whatever links there are. */
static void test_in_another_root(void **state)
{
    static const struct asking cases[] = {
        {"/bin/tool", "@/jail", NULL, "/bin", "/bin/tool"},
        {"tool", "@/jail", NULL, "/bin", "/bin/tool"},
        {"tool", "@/jail", NULL, "@/bin", NULL},
        {"git", "@/jail", NULL, "/bin", NULL},
        {"@/bin/git", "@/jail", NULL, "/bin", NULL},
        {"/../bin/git", "@/jail", NULL, "/bin", NULL},
        {"/../bin/tool", "@/jail", NULL, "/bin", "/bin/tool"},
        {"/up/bin/tool", "@/jail", NULL, "/bin", "/bin/tool"},
        {"/up/bin/git", "@/jail", NULL, "/bin", NULL},
        {"/abin/tool", "@/jail", NULL, "/bin", "/bin/tool"},
        {"/abin/sh", "@/jail", NULL, "/bin", NULL},
        {"./tool", "@/jail", "/bin", "/bin", "/bin/tool"},
        {"./tool", "@/jail", "/abin", "/bin", "/bin/tool"},
        {"./tool", "@/jail", "@/bin", "/bin", NULL},
        {"bin/tool", "@/jail", NULL, "/bin", "/bin/tool"},
        {"tool", "@/link/../jail", NULL, "/bin", "/bin/tool"},
        {"tool", "/nowhere", NULL, "/bin", NULL},
        {"@/bin/git", "/", NULL, "/bin", "@/bin/git"},
    };
    (void)state;
    if (getenv("VALGRIND") != NULL) {
        print_message("skipped: valgrind knows no openat2\n");
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_resolves(&cases[i]);
}

static void test_long_names(void **state)
{
    static char longest[3 * 4096];
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    char name[sizeof longest];
    char *found = NULL;
    const struct resolve_place place = {.path = "/bin"};
    for (size_t i = 0; i + 1 < sizeof longest; i += 2)
        longest[i] = '/';
    memcpy(name, longest, sizeof name);
    assert_int_equal(resolve_program(name, &place, &found, NULL), AFAR_EINVAL);
    assert_null(found);
}

static void test_out_of_memory(void **state)
{
    char *found = NULL;
    const struct resolve_place place = {.path = "/bin"};
    struct afar_error err;
    (void)state;
    no_memory = true;
    assert_int_equal(resolve_program("sh", &place, &found, &err), AFAR_ENOMEM);
    assert_null(found);
    no_memory = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_here),
        cmocka_unit_test(test_in_another_root),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, decider_make_tree, decider_remove_tree);
}
