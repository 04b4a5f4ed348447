// SPDX-License-Identifier: Apache-2.0
/* Stacks: zeroed, writable from end to end, with a page below that is not. */
#include "../unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/stack.h"

static void a_stack_is_zeroed_and_writable_to_its_ends(void **state)
{
	size_t bytes = 0;
	void *low;

	assert_int_equal(io_stack_map(IO_STACK_BYTES_MIN + 1, &low, &bytes), 0);
	assert_true(bytes > IO_STACK_BYTES_MIN);
	assert_int_equal(bytes % 4096, 0);
	for (size_t i = 0; i < bytes; i++)
		assert_int_equal(((uint8_t *)low)[i], 0);
	memset(low, 1, bytes);
	io_stack_unmap(low, bytes);
}

static void the_page_below_kills(void **state)
{
	size_t bytes;
	void *low;
	int status = 0;

	assert_int_equal(io_stack_map(IO_STACK_BYTES_MIN, &low, &bytes), 0);
	pid_t child = fork();
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL); /* not cmocka's */
		((volatile uint8_t *)low)[-1] = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
	io_stack_unmap(low, bytes);
}

static void sizes_out_of_bounds_are_refused(void **state)
{
	size_t bytes;
	void *low;

	assert_int_equal(io_stack_map(IO_STACK_BYTES_MIN - 1, &low, &bytes), -EINVAL);
	assert_int_equal(io_stack_map(IO_STACK_BYTES_MAX + 1, &low, &bytes), -EINVAL);
	assert_int_equal(io_stack_map(IO_STACK_BYTES_MAX, &low, &bytes), 0);
	io_stack_unmap(low, bytes);
}

static void no_room_is_enomem(void **state)
{
	struct rlimit was, none = { 0 };
	size_t bytes;
	void *low;

	assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
	none.rlim_max = was.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	int res = io_stack_map(IO_STACK_BYTES_MIN, &low, &bytes);
	assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
	assert_int_equal(res, -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stack_is_zeroed_and_writable_to_its_ends),
		cmocka_unit_test(the_page_below_kills),
		cmocka_unit_test(sizes_out_of_bounds_are_refused),
		cmocka_unit_test(no_room_is_enomem),
	};

	return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
