// SPDX-License-Identifier: Apache-2.0
/* service_rebuild - the rebuilds of mayastor.v1.NexusRpc. */
#include "engine/service_rebuild_priv.h"

#include <errno.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <mayastor/v1/nexus.pb-c.h>
#include <string.h>

#include "reactor/fiber.h"

#define HISTORY_MAX 32u /* told of a nexus */
#define TASK_BYTES  (256u << 10)
#define NS_PER_S    UINT64_C(1000000000)

int service_rebuild_percent(const struct nexus_rebuild_info *rebuild)
{
	return rebuild->total_bytes ? (int)(rebuild->recovered_bytes * 100 / rebuild->total_bytes) :
				      0;
}

static Google__Protobuf__Timestamp *time_of(struct reply *reply, uint64_t ns)
{
	Google__Protobuf__Timestamp *out = reply_new(reply, sizeof(*out));

	if (out) {
		google__protobuf__timestamp__init(out);
		out->seconds = (int64_t)(ns / NS_PER_S);
		out->nanos = (int32_t)(ns % NS_PER_S);
	}
	return out;
}

/* ---- start, stop, pause, resume ---------------------------------------------------------------------- */

/* The four requests and the four answers have one shape. */
static int rebuild_do(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		      struct ProtobufCMessage *out, enum engine_child_verb verb)
{
	const Mayastor__V1__StartRebuildRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_nexus_child(f, rpc_call_ctx(call), ask->nexus_uuid, ask->uri, verb,
				   nexus_list_one, &reply);

	if (r == -EALREADY)
		r = -EPERM; /* nothing runs: a precondition, not a conflict */
	((Mayastor__V1__StartRebuildResponse *)(void *)out)->nexus = nexus_one(&reply);
	return r;
}

int service_rebuild_start(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			  struct ProtobufCMessage *out)
{
	return rebuild_do(f, call, in, out, ENGINE_CHILD_REBUILD);
}

int service_rebuild_stop(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			 struct ProtobufCMessage *out)
{
	return rebuild_do(f, call, in, out, ENGINE_CHILD_REBUILD_STOP);
}

int service_rebuild_pause(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			  struct ProtobufCMessage *out)
{
	return rebuild_do(f, call, in, out, ENGINE_CHILD_REBUILD_PAUSE);
}

int service_rebuild_resume(struct fiber *f, struct rpc_call *call,
			   const struct ProtobufCMessage *in, struct ProtobufCMessage *out)
{
	return rebuild_do(f, call, in, out, ENGINE_CHILD_REBUILD_RESUME);
}

/* ---- state, figures ------------------------------------------------------------------------------------- */

struct look {
	struct fiber *f;
	const char *uri;
	uint32_t block_size;
	struct nexus_rebuild_info rebuild;
	int r;
};

static int look_at(void *ctx, const struct engine_nexus_info *info)
{
	struct look *look = ctx;
	unsigned i;

	look->r = engine_nexus_child_index(look->f, info, look->uri, &i);
	if (look->r < 0)
		return look->r;
	look->rebuild = info->nexus.children[i].rebuild;
	look->block_size = info->nexus.block_size;
	return 0;
}

static int look(struct fiber *f, struct rpc_call *call, const char *nexus, const char *uri,
		struct look *ret)
{
	int r;

	*ret = (struct look){ .f = f, .uri = uri };
	if (!nexus[0])
		return fiber_fail(f, -EINVAL, "the nexus's uuid is missing");
	r = engine_nexus_each(f, rpc_call_ctx(call), nexus, look_at, ret);
	if (r == 0 && ret->rebuild.state == NEXUS_REBUILD_NONE)
		r = fiber_fail(f, -EPERM, "child '%s' is not being rebuilt", uri);
	return r;
}

int service_rebuild_state(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			  struct ProtobufCMessage *out)
{
	static const char *const names[] = {
		[NEXUS_REBUILD_WAITING] = "init",
		[NEXUS_REBUILD_RUNNING] = "running",
		[NEXUS_REBUILD_PAUSED] = "paused",
		[NEXUS_REBUILD_STOPPED] = "stopped",
	};
	const Mayastor__V1__RebuildStateRequest *ask = (const void *)in;
	Mayastor__V1__RebuildStateResponse *answer = (void *)out;
	struct look at;
	int r = look(f, call, ask->nexus_uuid, ask->uri, &at);

	if (r == 0)
		answer->state = (char *)names[at.rebuild.state];
	return r;
}

int service_rebuild_stats(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
			  struct ProtobufCMessage *out)
{
	const Mayastor__V1__RebuildStatsRequest *ask = (const void *)in;
	Mayastor__V1__RebuildStatsResponse *answer = (void *)out;
	struct reply reply = { .mem = rpc_call_mem(call) };
	const struct nexus_rebuild_info *rebuild;
	struct look at;
	int r = look(f, call, ask->nexus_uuid, ask->uri, &at);

	if (r < 0)
		return r;
	rebuild = &at.rebuild;
	answer->block_size = at.block_size;
	answer->blocks_total = rebuild->total_bytes / at.block_size;
	answer->blocks_recovered = rebuild->recovered_bytes / at.block_size;
	answer->blocks_transferred = rebuild->transferred_bytes / at.block_size;
	answer->blocks_remaining = rebuild->remaining_bytes / at.block_size;
	answer->progress = (uint64_t)service_rebuild_percent(rebuild);
	answer->blocks_per_task = TASK_BYTES / at.block_size;
	answer->tasks_total = answer->tasks_active = rebuild->state == NEXUS_REBUILD_RUNNING;
	answer->is_partial = rebuild->is_partial;
	answer->start_time = time_of(&reply, io_wall(fiber_io(f)) - rebuild->elapsed_ns);
	return reply.r;
}

/* ---- history ------------------------------------------------------------------------------------------------ */

static Mayastor__V1__RebuildHistoryRecord *record_of(struct reply *reply,
						     const struct nexus_rebuild_record *record,
						     uint32_t block_size)
{
	Mayastor__V1__RebuildHistoryRecord *out = reply_new(reply, sizeof(*out));

	if (!out)
		return NULL;
	mayastor__v1__rebuild_history_record__init(out);
	out->child_uri = reply_text(reply, record->uri);
	out->state = record->result == 0	  ? MAYASTOR__V1__REBUILD_JOB_STATE__Completed :
		     record->result == -ECANCELED ? MAYASTOR__V1__REBUILD_JOB_STATE__Stopped :
						    MAYASTOR__V1__REBUILD_JOB_STATE__Failed;
	out->block_size = block_size;
	out->blocks_total = record->total_bytes / block_size;
	out->blocks_recovered = record->recovered_bytes / block_size;
	out->blocks_transferred = record->transferred_bytes / block_size;
	out->blocks_remaining = out->blocks_total - out->blocks_recovered;
	out->blocks_per_task = TASK_BYTES / block_size;
	out->is_partial = record->is_partial;
	out->start_time = time_of(reply, record->start_ns);
	out->end_time = time_of(reply, record->end_ns);
	return out;
}

static int history_of(struct fiber *f, struct rpc_call *call, const Mayastor__V1__Nexus *nexus,
		      Mayastor__V1__RebuildHistoryResponse *out)
{
	struct reply reply = { .mem = rpc_call_mem(call) };
	struct nexus_rebuild_record *records = reply_new(&reply, HISTORY_MAX * sizeof(*records));
	unsigned count = 0;
	int r = records ? engine_nexus_history(f, rpc_call_ctx(call), nexus->uuid, records,
					       HISTORY_MAX, &count) :
			  -ENOMEM;

	for (unsigned i = 0; i < count && r == 0; i++)
		r = reply_add(&reply, record_of(&reply, &records[i], BDEV_BLOCK_MIN));
	out->uuid = nexus->uuid;
	out->name = nexus->name;
	out->records = (Mayastor__V1__RebuildHistoryRecord **)reply.list;
	out->n_records = reply.count;
	return r;
}

int service_rebuild_history(struct fiber *f, struct rpc_call *call,
			    const struct ProtobufCMessage *in, struct ProtobufCMessage *out)
{
	const Mayastor__V1__RebuildHistoryRequest *ask = (const void *)in;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r;

	if (!ask->uuid[0])
		return fiber_fail(f, -EINVAL, "the nexus's uuid is missing");
	r = engine_nexus_each(f, rpc_call_ctx(call), ask->uuid, nexus_list_one, &reply);
	return r < 0 ? r : history_of(f, call, nexus_one(&reply), (void *)out);
}

int service_rebuild_histories(struct fiber *f, struct rpc_call *call,
			      const struct ProtobufCMessage *in, struct ProtobufCMessage *out)
{
	const Mayastor__V1__ListRebuildHistoryRequest *ask = (const void *)in;
	Mayastor__V1__ListRebuildHistoryResponse *answer = (void *)out;
	struct reply nexuses = { .mem = rpc_call_mem(call) }, reply = nexuses;
	int r = engine_nexus_each(f, rpc_call_ctx(call), NULL, nexus_list_one, &nexuses);

	for (size_t i = 0; i < nexuses.count && r == 0; i++) {
		Mayastor__V1__ListRebuildHistoryResponse__HistoriesEntry *entry =
			reply_new(&reply, sizeof(*entry));
		Mayastor__V1__RebuildHistoryResponse *history = reply_new(&reply, sizeof(*history));

		if (!entry || !history)
			return -ENOMEM;
		mayastor__v1__list_rebuild_history_response__histories_entry__init(entry);
		mayastor__v1__rebuild_history_response__init(history);
		if (history_of(f, call, nexuses.list[i], history) < 0) {
			fiber_clear(f); /* not open: it has none */
			continue;
		}
		if (ask->opt_count_case && history->n_records > ask->count) {
			history->records += history->n_records - ask->count;
			history->n_records = ask->count;
		}
		entry->key = history->uuid;
		entry->value = history;
		r = reply_add(&reply, entry);
	}
	answer->histories = (Mayastor__V1__ListRebuildHistoryResponse__HistoriesEntry **)reply.list;
	answer->n_histories = reply.count;
	answer->end_time = time_of(&reply, io_wall(fiber_io(f)));
	return r;
}
