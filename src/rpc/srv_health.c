// SPDX-License-Identifier: Apache-2.0
/*
 * srv_health - grpc.health.v1: is this server, or a service of it, ready?
 *
 *	HealthCheckRequest  { string service = 1; }
 *	HealthCheckResponse { enum status = 1; }	SERVING 1, NOT_SERVING 2, SERVICE_UNKNOWN 3
 *
 * The two messages are small enough to be coded by hand. HE1. Watch tells each change, and the
 * end of the server as NOT_SERVING.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "reactor/fiber.h"
#include "rpc/srv_priv.h"
#include "rpc/text_priv.h"

enum health { HEALTH_SERVING = 1, HEALTH_NOT_SERVING = 2, HEALTH_UNKNOWN = 3 };

#define HEALTH_TAG	0x0a /* field 1, bytes */
#define HEALTH_VALUE	0x08 /* field 1, varint */
#define HEALTH_NAME_MAX 127u /* its length is one byte then */

/* The name asked for; other fields than the first are not there. */
static int health_name(struct fiber *f, struct rpc_bytes in, char ret[HEALTH_NAME_MAX + 1])
{
	const uint8_t *p = in.data;

	ret[0] = '\0';
	if (in.len == 0)
		return 0;
	if (in.len < 2 || p[0] != HEALTH_TAG || p[1] > HEALTH_NAME_MAX || in.len != 2u + p[1])
		return fiber_fail(f, -EINVAL, "not a HealthCheckRequest of at most %u bytes",
				  HEALTH_NAME_MAX);
	if (memchr(p + 2, 0, p[1]) || rpc_utf8_len(p + 2, p[1]) != p[1])
		return fiber_fail(f, -EINVAL, "field 'service' is not UTF-8 without NUL");
	memcpy(ret, p + 2, p[1]);
	ret[p[1]] = '\0';
	return 0;
}

static enum health health_of(const struct rpc_server *server, const char *name)
{
	bool found = !name[0];

	for (unsigned i = 0; i < server->service_count && !found; i++)
		found = strcmp(server->services[i].service->name, name) == 0;
	if (!found)
		return HEALTH_UNKNOWN;
	return server->is_serving && !server->is_draining ? HEALTH_SERVING : HEALTH_NOT_SERVING;
}

static int health_check(struct fiber *f, struct rpc_call *call, struct rpc_bytes in,
			struct rpc_bytes *ret)
{
	char name[HEALTH_NAME_MAX + 1];
	int r = health_name(f, in, name);
	enum health health;
	uint8_t *reply;

	if (r < 0)
		return r;
	health = health_of(rpc_call_ctx(call), name);
	if (health == HEALTH_UNKNOWN)
		return fiber_fail(f, -ENOENT, "there is no service '%s'", name);
	reply = mem_alloc(rpc_call_mem(call), 2);
	if (!reply)
		return -ENOMEM;
	reply[0] = HEALTH_VALUE;
	reply[1] = (uint8_t)health;
	*ret = (struct rpc_bytes){ reply, 2 };
	return 0;
}

static int health_watch(struct fiber *f, struct rpc_call *call, struct rpc_bytes in,
			struct rpc_bytes *ret)
{
	struct rpc_server *server = rpc_call_ctx(call);
	char name[HEALTH_NAME_MAX + 1];
	enum health told = 0, now;
	int r = health_name(f, in, name);

	while (r == 0) {
		now = health_of(server, name);
		if (now != told) {
			const uint8_t reply[2] = { HEALTH_VALUE, (uint8_t)now };

			r = rpc_call_send_raw(f, call, (struct rpc_bytes){ reply, 2 });
			told = now;
		} else {
			event_clear(&server->health);
			r = event_wait(f, &server->health);
		}
	}
	return r;
}

static const struct rpc_method health_methods[] = {
	{ .name = "Check", .raw = health_check },
	{ .name = "Watch", .raw = health_watch, .streams = true, .endless = true },
};

static const struct rpc_service health_service = {
	.name = "grpc.health.v1.Health",
	.methods = health_methods,
	.method_count = ARRAY_LEN(health_methods),
};

int rpc_server_add_health(struct fiber *f, struct rpc_server *server)
{
	return rpc_server_add(f, server, &health_service, server);
}
