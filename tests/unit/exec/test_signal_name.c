#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>

#include "exec/signal_name.h"

static void names_and_numbers(void **state)
{
    (void)state;
    assert_int_equal(signal_by_name("INT"), SIGINT);
    assert_int_equal(signal_by_name("KILL"), SIGKILL);
    assert_int_equal(signal_by_name("USR2"), SIGUSR2);
    assert_int_equal(signal_by_name("SIGINT"), 0);
    assert_int_equal(signal_by_name("int"), 0);
    assert_int_equal(signal_by_name("9"), 0); /* that has a name */
    assert_int_equal(signal_by_name("40"), 40);
    assert_int_equal(signal_by_name("64"), 64);
    assert_int_equal(signal_by_name("65"), 0);
    assert_int_equal(signal_by_name("40x"), 0);
    assert_int_equal(signal_by_name(""), 0);
}

static void each_name_leads_back(void **state)
{
    (void)state;
    unsigned named = 0;
    for (int number = 1; number < 32; number++) {
        char name[16];
        signal_name(number, name, sizeof name);
        assert_int_equal(signal_by_name(name), number);
        named++;
    }
    assert_int_equal(named, 31);
    char name[16];
    signal_name(40, name, sizeof name);
    assert_string_equal(name, "40");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_numbers),
        cmocka_unit_test(each_name_leads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
