// SPDX-License-Identifier: Apache-2.0
/* service_events - mayastor.x1.EventRpc: what happened, and what happens, to whoever watches. */
#include <errno.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <mayastor/x1/event.pb-c.h>

#include "engine/engine_priv.h"
#include "engine/service_priv.h"
#include "reactor/fiber.h"

#define NS_PER_S UINT64_C(1000000000)

/* One event at a time: it is copied out of the ring, which goes on while the client reads. */
struct sending {
	struct events_entry entry;
	char uuid[UUID_TEXT_SIZE];
	Google__Protobuf__Timestamp time;
	Mayastor__X1__Event event;
};

static int event_send(struct fiber *f, struct rpc_call *call, struct sending *sending,
		      uint64_t missed)
{
	const struct events_entry *entry = &sending->entry;
	Mayastor__X1__Event *event = &sending->event;

	mayastor__x1__event__init(event);
	google__protobuf__timestamp__init(&sending->time);
	sending->time.seconds = (int64_t)(entry->wall_ns / NS_PER_S);
	sending->time.nanos = (int32_t)(entry->wall_ns % NS_PER_S);
	event->number = entry->number;
	event->time = &sending->time;
	event->kind = (char *)events_kind_name(entry->kind);
	event->what = (char *)entry->what;
	event->name = sending->entry.name;
	event->text = sending->entry.text;
	event->missed = missed;
	if (!uuid_is_nil(&entry->uuid))
		event->uuid = uuid_print(&entry->uuid, sending->uuid);
	return rpc_call_send(f, call, &event->base);
}

static int watch(struct fiber *f, struct rpc_call *call, struct events_watch *watch, bool follow)
{
	struct sending *sending = mem_alloc(rpc_call_mem(call), sizeof(*sending));
	const struct events_entry *entry;
	uint64_t missed;
	int r = sending ? 0 : fiber_fail(f, -ENOMEM, "no memory");

	while (r == 0) {
		if (events_next(watch, &entry, &missed)) {
			sending->entry = *entry;
			r = event_send(f, call, sending, missed);
		} else if (follow) {
			r = events_wait(f, watch);
		} else {
			break;
		}
	}
	return r;
}

static int watch_events(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			struct ProtobufCMessage *out)
{
	const Mayastor__X1__WatchEventsRequest *ask = (const void *)in;
	struct engine *e = rpc_call_ctx(call);
	struct events_watch watching;
	int r = events_watch_start(f, e->events, ask->since, &watching);

	(void)out;
	if (r < 0)
		return r;
	r = watch(f, call, &watching, !ask->no_follow);
	events_watch_stop(&watching);
	return r;
}

static const struct rpc_method event_methods[] = {
	{ .name = "WatchEvents",
	  .in = &mayastor__x1__watch_events_request__descriptor,
	  .out = &mayastor__x1__event__descriptor,
	  .handle = watch_events,
	  .streams = true,
	  .endless = true },
};

const struct rpc_service service_event = {
	.name = "mayastor.x1.EventRpc",
	.methods = event_methods,
	.method_count = ARRAY_LEN(event_methods),
};
