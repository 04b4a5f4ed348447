// SPDX-License-Identifier: Apache-2.0
/*
 * Intrusive lists and queues (L1, L2).
 */
#include "unit/dies.h"
#include "unit/unit.h"

#include "base/list.h"

struct item {
	int value;
	struct list_link link;
	struct queue_link queue_link;
};

/* The values in order as a decimal number. */
static int list_number(struct list *list)
{
	struct item *item;
	int number = 0;

	list_for_each(item, list, link)
		number = number * 10 + item->value;
	return number;
}

static int list_number_backwards(struct list *list)
{
	struct item *item;
	int number = 0;

	list_for_each_reverse(item, list, link) number = number * 10 + item->value;
	return number;
}

static void an_empty_list_has_no_elements(void **state)
{
	struct list list;

	list_init(&list);
	assert_true(list_empty(&list));
	assert_null(list_first(&list, struct item, link));
	assert_null(list_last(&list, struct item, link));
	assert_null(list_pop_front(&list, struct item, link));
	assert_int_equal(list_number(&list), 0);
	assert_int_equal(list_number_backwards(&list), 0);
}

static void elements_go_to_either_end_or_before_another(void **state)
{
	struct item a = { 1 }, b = { 2 }, c = { 3 }, d = { 4 };
	struct list list;

	list_init(&list);
	list_add_tail(&list, &b.link);
	list_add(&list, &a.link);
	list_add_tail(&list, &d.link);
	list_add_before(&d.link, &c.link);
	assert_int_equal(list_number(&list), 1234);
	assert_int_equal(list_number_backwards(&list), 4321);
	assert_ptr_equal(list_first(&list, struct item, link), &a);
	assert_ptr_equal(list_last(&list, struct item, link), &d);
	assert_ptr_equal(list_next(&a, &list, link), &b);
	assert_null(list_next(&d, &list, link));
	list_move_tail(&list, &a.link);
	assert_int_equal(list_number(&list), 2341);
	assert_ptr_equal(list_pop_front(&list, struct item, link), &b);
	assert_false(list_is_linked(&b.link));
	assert_int_equal(list_number(&list), 341);
}

static void a_link_knows_whether_it_is_linked(void **state)
{
	struct item item = { 1 };
	struct list list;

	list_init(&list);
	assert_false(list_is_linked(&item.link)); /* L1: all zero */
	list_del(&item.link);
	assert_false(list_is_linked(&item.link));
	list_add(&list, &item.link);
	assert_true(list_is_linked(&item.link));
	assert_dies(list_add(&list, &item.link));
	list_del(&item.link);
	list_del(&item.link);
	assert_false(list_is_linked(&item.link));
	assert_true(list_empty(&list));
	list_add(&list, &item.link);
	assert_int_equal(list_number(&list), 1);
}

static void elements_may_be_removed_while_walking(void **state)
{
	struct item items[9] = { 0 }, *item, *after;
	struct list list;

	list_init(&list);
	list_for_each_safe(item, after, &list, link)
		fail();
	for (int i = 0; i < 9; i++) {
		items[i].value = i + 1;
		list_add_tail(&list, &items[i].link);
	}
	list_for_each_safe(item, after, &list, link)
		if (item->value % 2)
			list_del(&item->link);
	assert_int_equal(list_number(&list), 2468);
}

static void a_list_is_spliced_behind_another(void **state)
{
	struct item a = { 1 }, b = { 2 }, c = { 3 }, d = { 4 };
	struct list to, from;

	list_init(&to);
	list_init(&from);
	list_splice_tail(&to, &from);
	assert_true(list_empty(&to));
	list_add_tail(&from, &a.link);
	list_add_tail(&from, &b.link);
	list_splice_tail(&to, &from);
	assert_true(list_empty(&from));
	assert_int_equal(list_number(&to), 12);
	list_add_tail(&from, &c.link);
	list_add_tail(&from, &d.link);
	list_splice_tail(&to, &from);
	assert_int_equal(list_number(&to), 1234);
	assert_int_equal(list_number_backwards(&to), 4321);
}

static int queue_number(struct queue *queue)
{
	struct item *item;
	int number = 0;

	while ((item = queue_pop_entry(queue, struct item, queue_link)))
		number = number * 10 + item->value;
	return number;
}

static void a_queue_is_first_in_first_out(void **state)
{
	struct item a = { 1 }, b = { 2 }, c = { 3 };
	struct queue queue = { 0 }; /* L2 */

	assert_true(queue_empty(&queue));
	assert_null(queue_pop(&queue));
	assert_null(queue_first(&queue, struct item, queue_link));
	queue_push(&queue, &b.queue_link);
	queue_push(&queue, &c.queue_link);
	queue_push_front(&queue, &a.queue_link);
	assert_false(queue_empty(&queue));
	assert_ptr_equal(queue_first(&queue, struct item, queue_link), &a);
	assert_int_equal(queue_number(&queue), 123);
	queue_push_front(&queue, &a.queue_link);
	queue_push(&queue, &b.queue_link);
	assert_int_equal(queue_number(&queue), 12);
}

static void a_queue_is_spliced_behind_another(void **state)
{
	struct item a = { 1 }, b = { 2 }, c = { 3 };
	struct queue to, from;

	queue_init(&to);
	queue_init(&from);
	queue_splice(&to, &from);
	assert_true(queue_empty(&to));
	queue_push(&from, &a.queue_link);
	queue_splice(&to, &from);
	assert_true(queue_empty(&from));
	queue_push(&from, &b.queue_link);
	queue_push(&from, &c.queue_link);
	queue_splice(&to, &from);
	assert_int_equal(queue_number(&to), 123);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_has_no_elements),
		cmocka_unit_test(elements_go_to_either_end_or_before_another),
		cmocka_unit_test(a_link_knows_whether_it_is_linked),
		cmocka_unit_test(elements_may_be_removed_while_walking),
		cmocka_unit_test(a_list_is_spliced_behind_another),
		cmocka_unit_test(a_queue_is_first_in_first_out),
		cmocka_unit_test(a_queue_is_spliced_behind_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
