#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct list link;
};

static void test_order_and_removal(void **state)
{
    (void)state;
    struct list head;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    list_init(&head);
    assert_true(list_empty(&head));
    for (size_t i = 0; i < 3; i++)
        list_append(&head, &items[i].link);
    assert_false(list_empty(&head));
    int expected = 0;
    for (struct list *link = head.next; link != &head; link = link->next)
        assert_int_equal(list_object(link, struct item, link)->number, expected++);
    assert_int_equal(expected, 3);

    list_remove(&items[1].link);
    assert_ptr_equal(head.next->next, &items[2].link);
    assert_ptr_equal(items[2].link.previous, &items[0].link);
    list_remove(&items[1].link); /* again: no harm */
    list_remove(&items[2].link);
    assert_ptr_equal(head.previous, &items[0].link);
    list_remove(&items[0].link);
    assert_true(list_empty(&head));
    list_append(&head, &items[1].link);
    assert_ptr_equal(head.next, &items[1].link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order_and_removal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
