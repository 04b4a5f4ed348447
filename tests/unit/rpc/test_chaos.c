// SPDX-License-Identifier: Apache-2.0
/*
 * Calls of all kinds, several at a time, while the net does what nets do and the server is killed: each
 * call has an end, a good answer is the right one, and when all is healed calls are answered. Nothing
 * is left on either side (world.c).
 */
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define WORKERS	 6u
#define CALLS	 30u
#define SEEDS	 20u
#define BLOB_MAX 300000u

struct worker {
	struct world *w;
	struct rpc_channel *channel;
	unsigned good, bad;
};

static uint64_t below(struct worker *k, uint64_t n)
{
	return prng_below(sim_prng(k->w->sim), n);
}

static void count(struct worker *k, int r, enum rpc_code code)
{
	if (r != (code == RPC_UNKNOWN ? -5 : rpc_errno_of_code(code)))
		sim_fail(k->w->sim, "%s, but %d", rpc_code_name(code), r);
	if (r == 0)
		k->good++;
	else
		k->bad++;
}

static void say_one(struct fiber *f, struct worker *k, const struct rpc_ask *ask,
		    const Test__EchoRequest *in)
{
	const Test__EchoReply *out;
	struct rpc_reply reply;
	int r = rpc_ask_message(f, k->channel, "/test.Echo/Say", ask, &in->base,
				&test__echo_reply__descriptor, &reply);

	out = (const void *)reply.message;
	if (r == 0 && (out->blob.len != in->size || strcmp(out->text, in->text) != 0))
		sim_fail(k->w->sim, "a wrong answer");
	count(k, r, reply.code);
	rpc_reply_free(&reply);
	fiber_clear(f);
}

static void say_many(struct fiber *f, struct worker *k, const struct rpc_ask *ask,
		     const Test__EchoRequest *in)
{
	unsigned most = 1 + (unsigned)below(k, 2 * in->count + 1), got = 0;
	struct rpc_stream *stream;
	struct rpc_reply reply;
	int r = rpc_open_message(f, k->channel, "/test.Echo/Many", ask, &in->base,
				 &test__echo_reply__descriptor, &stream);

	fiber_clear(f);
	if (r < 0)
		return;
	while (got < most && (r = rpc_next(f, stream, &reply)) == 1) {
		if (((Test__EchoReply *)reply.message)->index != got++)
			sim_fail(k->w->sim, "a message is missing");
		rpc_reply_free(&reply);
	}
	if (r <= 0)
		count(k, r, reply.code);
	if (r == 0 && got < most && got != in->count)
		sim_fail(k->w->sim, "the stream ended early, and well");
	rpc_close(f, stream);
	fiber_clear(f);
}

static int work(struct fiber *f, void *arg)
{
	struct worker *k = arg;

	for (unsigned i = 0; i < CALLS; i++) {
		Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;
		struct rpc_ask ask = { .wait_for_ready = below(k, 3) == 0 };

		in.text = (char[]){ "chaos" };
		in.size = (uint32_t)below(k, below(k, 4) ? 100 : BLOB_MAX);
		in.sleep_ms = below(k, 3) ? 0 : (uint32_t)below(k, 50);
		in.count = (uint32_t)below(k, 12);
		in.shield = below(k, 5) == 0;
		ask.timeout_ns = (1 + below(k, 100)) * 100 * SIM_MS;
		if (below(k, 3))
			say_one(f, k, &ask, &in);
		else
			say_many(f, k, &ask, &in);
		if (fiber_sleep(f, below(k, 200) * SIM_MS) < 0)
			break;
	}
	return 0;
}

/* Killed now and then, and started again. */
static int trouble(struct fiber *f, void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; i < 3; i++) {
		if (fiber_sleep(f, prng_below(sim_prng(w->sim), 8) * SIM_S) < 0)
			return 0;
		sim_proc_crash(w->server_proc);
		w->echo = (struct echo){ 0 };
		if (fiber_sleep(f, prng_below(sim_prng(w->sim), 3) * SIM_S) < 0)
			return 0;
		sim_proc_start(w->server_proc);
	}
	return 0;
}

static void chaos_body(struct fiber *f, struct world *w)
{
	const struct rpc_channel_opts opts = { .ping_ns = 5 * SIM_S, .ping_wait_ns = 5 * SIM_S };
	const struct rpc_ask patient = { .wait_for_ready = true, .timeout_ns = 600 * SIM_S };
	struct worker workers[WORKERS];
	struct fiber *fibers[WORKERS], *troubler;
	Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;
	struct rpc_channel *channel = world_channel(f, NULL, &opts);
	unsigned ended = 0;

	sim_swarm(w->sim, SIM_GROUP_NET);
	assert_int_equal(fiber_start(fiber_reactor(f), "trouble", trouble, w, &troubler), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){ .w = w, .channel = channel };
		assert_int_equal(
			fiber_start(fiber_reactor(f), "work", work, &workers[i], &fibers[i]), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(fiber_join(f, fibers[i]), 0);
		ended += workers[i].good + workers[i].bad;
	}
	assert_int_equal(fiber_join(f, troubler), 0);
	assert_true(ended > 0);
	sim_heal(w->sim);
	in.text = (char[]){ "healed" };
	/* once it may be told that a connection was lost that it still believed in */
	workers[0].good = 0;
	for (unsigned i = 0; i < 2 && !workers[0].good; i++)
		say_one(f, &workers[0], &patient, &in);
	assert_int_equal(workers[0].good, 1);
	rpc_channel_free(f, channel);
}

static void every_call_ends_whatever_the_net_does(void **state)
{
	const char *only = getenv("CHAOS_SEED");

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		if (only)
			seed = strtoull(only, NULL, 0);
		print_message("# seed %llu\n", (unsigned long long)seed);
		world_run_seed(chaos_body, &(struct rpc_server_opts){ .ping_ns = 5 * SIM_S }, seed);
		if (only)
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_ends_whatever_the_net_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
