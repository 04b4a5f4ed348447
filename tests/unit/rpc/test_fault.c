// SPDX-License-Identifier: Apache-2.0
/* The nth allocation fails, on either side: a call fails with words, or succeeds; nothing is left. */
#include <string.h>

#include "world.h"

#define STEPS_MAX 400u

/* One unary call, one stream; false: some of it failed. */
static bool talk(struct fiber *f, struct rpc_channel *channel)
{
	const struct rpc_pair pair = { "x-extra", "more" };
	const struct rpc_ask ask = { .timeout_ns = 5 * SIM_S,
				     .metadata = &pair,
				     .metadata_count = 1 };
	Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;
	struct rpc_stream *stream;
	struct rpc_reply reply;
	bool good;
	int r;

	in.text = (char[]){ "hello" };
	in.size = 5000;
	in.count = 3;
	good = rpc_ask_message(f, channel, "/test.Echo/Say", &ask, &in.base,
			       &test__echo_reply__descriptor, &reply) == 0;
	assert_true(good || reply.code != RPC_OK);
	rpc_reply_free(&reply);
	fiber_clear(f);
	r = rpc_open_message(f, channel, "/test.Echo/Many", &ask, &in.base,
			     &test__echo_reply__descriptor, &stream);
	if (r < 0) {
		fiber_clear(f);
		return false;
	}
	while ((r = rpc_next(f, stream, &reply)) == 1)
		rpc_reply_free(&reply);
	rpc_close(f, stream);
	fiber_clear(f);
	return good && r == 0;
}

static void fail_each(struct fiber *f, struct world *w, struct sim_proc *proc)
{
	struct rpc_channel *channel;
	unsigned failed = 0, good_in_a_row = 0;

	for (uint64_t n = 1; n < STEPS_MAX && good_in_a_row < 20; n++) {
		sim_proc_fail_alloc(proc, n);
		if (rpc_channel_new(f, WORLD_TARGET, NULL, &channel) < 0) {
			failed++;
			fiber_clear(f);
			continue;
		}
		if (talk(f, channel)) {
			good_in_a_row++;
		} else {
			failed++;
			good_in_a_row = 0;
		}
		sim_proc_fail_alloc(proc, 0);
		rpc_channel_free(f, channel);
	}
	assert_true(failed > 20);
	assert_int_equal(good_in_a_row, 20); /* beyond the last allocation */
	channel = world_channel(f, NULL, NULL);
	assert_true(talk(f, channel));
	rpc_channel_free(f, channel);
}

WORLD_TEST(the_server_bears_the_failure_of_any_allocation)
{
	fail_each(f, w, w->server_proc);
}

WORLD_TEST(the_client_bears_the_failure_of_any_allocation)
{
	fail_each(f, w, w->client_proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_server_bears_the_failure_of_any_allocation),
		cmocka_unit_test(the_client_bears_the_failure_of_any_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
