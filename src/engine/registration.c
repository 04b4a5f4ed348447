// SPDX-License-Identifier: Apache-2.0
/* registration - the client of mayastor.v1.Registration. See registration.h. */
#include "engine/registration.h"

#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <mayastor/v1/registration.pb-c.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "engine/register_priv.h"
#include "engine/service_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"

#define EVERY_NS   UINT64_C(5000000000)
#define TIMEOUT_NS UINT64_C(5000000000)
#define BYE_NS	   UINT64_C(1000000000)

struct registration {
	struct engine *e; /* borrowed */
	const char *endpoint;
	struct rpc_channel *channel;
	struct fiber *fiber;
	struct event wake;
	bool is_stopping, is_known;
};

static int ask(struct fiber *f, struct registration *reg, const char *path, uint64_t timeout_ns,
	       const void *message)
{
	const struct rpc_ask how = { .timeout_ns = timeout_ns };
	struct rpc_reply reply = { 0 };
	int r = rpc_ask_message(f, reg->channel, path, &how, message,
				&google__protobuf__empty__descriptor, &reply);

	rpc_reply_free(&reply);
	return r;
}

static void tell(struct fiber *f, struct registration *reg)
{
	struct log *log = engine_opts_of(reg->e)->log;
	Mayastor__V1__RegisterRequest *request = register_new(fiber_io(f)->mem, reg->e);
	bool was_known = reg->is_known;

	if (!request)
		return; /* next time */
	reg->is_known = ask(f, reg, "/mayastor.v1.Registration/Register", TIMEOUT_NS, request) == 0;
	mem_free(request);
	if (log && reg->is_known && !was_known)
		log_info(log, "registered", LOG_STR("endpoint", reg->endpoint));
	else if (log && !reg->is_known && was_known)
		log_warn(log, "the registrar is away", LOG_STR("why", fiber_words(f)));
	fiber_clear(f);
}

static int registration_main(struct fiber *f, void *arg)
{
	struct registration *reg = arg;

	while (!reg->is_stopping) {
		tell(f, reg);
		if (reg->is_stopping)
			break;
		if (event_wait_until(f, &reg->wake, reactor_now(fiber_reactor(f)) + EVERY_NS) < 0)
			fiber_clear(f);
	}
	return 0;
}

int registration_start(struct fiber *f, struct engine *e, const char *target, struct rpc_tls *tls,
		       const char *endpoint, struct registration **ret)
{
	const struct rpc_channel_opts opts = { .tls = tls };
	struct registration *reg = mem_new(fiber_io(f), sizeof(*reg));
	int r;

	if (!reg)
		return fiber_fail(f, -ENOMEM, "no memory");
	reg->e = e;
	reg->endpoint = endpoint;
	event_init(&reg->wake);
	r = rpc_channel_new(f, target, &opts, &reg->channel);
	if (r == 0) {
		r = fiber_start(fiber_reactor(f), "registration", registration_main, reg,
				&reg->fiber);
		if (r < 0)
			rpc_channel_free(f, reg->channel);
	}
	if (r < 0)
		mem_free(reg);
	else
		*ret = reg;
	return r;
}

void registration_stop(struct fiber *f, struct registration *reg)
{
	Mayastor__V1__DeregisterRequest bye = MAYASTOR__V1__DEREGISTER_REQUEST__INIT;

	reg->is_stopping = true;
	event_set(&reg->wake);
	fiber_cancel(reg->fiber);
	(void)fiber_join(f, reg->fiber);
	fiber_clear(f);
	bye.id = (char *)engine_opts_of(reg->e)->node_name;
	/* also if its answer has not come yet: it may have heard of us */
	if (ask(f, reg, "/mayastor.v1.Registration/Deregister", BYE_NS, &bye) < 0)
		fiber_clear(f);
	rpc_channel_free(f, reg->channel);
	mem_free(reg);
}
