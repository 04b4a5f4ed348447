// SPDX-License-Identifier: Apache-2.0
/*
 * world - a simulated world of two hosts.
 */
#include "world.h"

#include <string.h>

#include "../sim_pair.h"
#include "base/must.h"

#define WORLD_LOOK_NS (5 * SIM_MS)
#define WORLD_END_NS  (24 * 3600 * SIM_S)

static int server_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct io_addr addr;
	bool was_ill = false;

	sim_host_addr(w->server_host, WORLD_PORT, &addr);
	must(rpc_server_new(f, &w->opts, &w->server) == 0);
	must(rpc_server_add(f, w->server, &echo_service, &w->echo) == 0);
	must(rpc_server_add(f, w->server, &raw_service, w) == 0);
	must(rpc_server_add_health(f, w->server) == 0);
	must(rpc_server_listen(f, w->server, &addr, NULL) == 0);
	while (!w->stop) {
		must(fiber_sleep(f, WORLD_LOOK_NS) == 0);
		if (w->ill != was_ill)
			rpc_server_set_serving(w->server, !w->ill);
		was_ill = w->ill;
	}
	rpc_server_drain(f, w->server);
	w->drained = true;
	rpc_server_free(f, w->server);
	w->server = NULL;
	return 0;
}

static int client_main(struct fiber *f, void *arg)
{
	struct world *w = arg;

	must(fiber_sleep(f, 10 * SIM_MS) == 0);
	w->body(f, w);
	w->stop = true;
	return 0;
}

void world_run_seed(void (*body)(struct fiber *f, struct world *w),
		    const struct rpc_server_opts *opts, uint64_t seed)
{
	static struct world world; /* the fiber's stack is no place, and a failed test leaves it */
	struct world *w = &world;
	struct sim_proc_opts procs[2] = {
		{ .name = "server", .main = server_main, .arg = w },
		{ .name = "client", .main = client_main, .arg = w },
	};

	memset(w, 0, sizeof(*w));
	mem_heap_init(&w->heap);
	w->body = body;
	if (opts)
		w->opts = *opts;
	w->sim = sim_new(&(struct sim_opts){ .seed = seed, .mem = &w->heap.mem });
	w->server_host = sim_host_add(w->sim, "server");
	w->client_host = sim_host_add(w->sim, "client");
	w->server_proc = sim_proc_add(w->server_host, &procs[0]);
	w->client_proc = sim_proc_add(w->client_host, &procs[1]);
	sim_pair_run(w->sim, w->server_proc, w->client_proc, WORLD_END_NS);
	sim_free(w->sim);
	mem_heap_fini(&w->heap);
}

void world_run(void (*body)(struct fiber *f, struct world *w), const struct rpc_server_opts *opts)
{
	world_run_seed(body, opts, 1);
}

struct rpc_channel *world_channel(struct fiber *f, const char *target,
				  const struct rpc_channel_opts *opts)
{
	struct rpc_channel *channel = NULL;

	assert_int_equal(rpc_channel_new(f, target ? target : WORLD_TARGET, opts, &channel), 0);
	return channel;
}

size_t world_say(struct fiber *f, struct rpc_channel *channel, const struct rpc_ask *ask,
		 const Test__EchoRequest *in, enum rpc_code code, const char *words)
{
	const Test__EchoReply *out;
	struct rpc_reply reply;
	size_t len = 0;
	int r;

	fiber_clear(f);
	r = rpc_ask_message(f, channel, "/test.Echo/Say", ask, &in->base,
			    &test__echo_reply__descriptor, &reply);
	if (reply.code != code)
		fail_msg("%s, not %s: %s", rpc_code_name(reply.code), rpc_code_name(code),
			 fiber_words(f));
	assert_int_equal(r, rpc_errno_of_code(code));
	if (code == RPC_OK) {
		out = (const void *)reply.message;
		assert_string_equal(out->text, words ? words : in->text);
		len = out->blob.len;
	} else if (words && !strstr(fiber_words(f), words)) {
		fail_msg("'%s' does not tell '%s'", fiber_words(f), words);
	}
	rpc_reply_free(&reply);
	fiber_clear(f);
	return len;
}
