// SPDX-License-Identifier: Apache-2.0
/* service_latency - mayastor.x1.LatencyRpc and VolumeRpc: histograms of disks, records of volumes. */
#include <errno.h>
#include <mayastor/x1/latency.pb-c.h>
#include <mayastor/x1/volume.pb-c.h>
#include <string.h>

#include "base/hist.h"
#include "engine/service_priv.h"
#include "reactor/fiber.h"
#include "store/volume.h"

#define KEY_PREFIX "volume/"

/* ---- histograms ------------------------------------------------------------------------------------- */

static int add_op(struct reply *reply, const struct engine_figures *figures, enum bio_op op)
{
	const struct hist *hist = &figures->hist[op];
	Mayastor__X1__LatencyHistogram *out = reply_new(reply, sizeof(*out));

	if (!out)
		return reply->r;
	mayastor__x1__latency_histogram__init(out);
	out->bdev = reply_text(reply, figures->name);
	out->op = (char *)bio_op_name(op);
	out->count = figures->stats.op[op].ops;
	out->sum_ns = figures->stats.op[op].busy_ns;
	out->p50_ns = hist_quantile(hist, 0.5);
	out->p99_ns = hist_quantile(hist, 0.99);
	out->max_ns = hist_max(hist);
	return reply_add(reply, out);
}

static int add_disk(void *ctx, const struct engine_figures *figures)
{
	struct reply *reply = ctx;
	int r = 0;

	for (unsigned op = 0; figures->hist && op < BIO_OPS && r == 0; op++)
		if (figures->stats.op[op].ops)
			r = add_op(reply, figures, (enum bio_op)op);
	return r;
}

static int latency(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__X1__GetLatencyRequest *ask = (const void *)in;
	Mayastor__X1__GetLatencyResponse *answer = (void *)out;
	struct reply reply = { .mem = rpc_call_mem(call) };
	const char *name = ask->bdev[0] ? ask->bdev : NULL;
	int r = engine_figures_each(f, rpc_call_ctx(call), ENGINE_REPLICAS, name, add_disk, &reply);
	bool is_replica = r == 0;

	if (r == -ENOENT || (r == 0 && !name)) {
		fiber_clear(f);
		r = engine_figures_each(f, rpc_call_ctx(call), ENGINE_NEXUSES, name, add_disk,
					&reply);
	}
	if (r == -ENOENT && !is_replica) {
		fiber_clear(f);
		r = fiber_fail(f, -ENOENT, "there is no replica and no nexus '%s'", ask->bdev);
	}
	answer->histograms = (Mayastor__X1__LatencyHistogram **)reply.list;
	answer->n_histograms = reply.count;
	return r;
}

static const struct rpc_method latency_methods[] = {
	METHOD_LOOK("GetLatency", mayastor__x1__get_latency_request,
		    mayastor__x1__get_latency_response, latency),
};

const struct rpc_service service_latency = {
	.name = "mayastor.x1.LatencyRpc",
	.methods = latency_methods,
	.method_count = ARRAY_LEN(latency_methods),
};

/* ---- records -------------------------------------------------------------------------------------------- */

static Mayastor__X1__VolumeMember *member_of(struct reply *reply,
					     const struct volume_member *member)
{
	Mayastor__X1__VolumeMember *out = reply_new(reply, sizeof(*out));

	if (!out)
		return NULL;
	mayastor__x1__volume_member__init(out);
	out->uri = reply_text(reply, member->uri);
	out->state = (char *)volume_member_state_name(member->state);
	out->reason = reply_text(reply, member->reason);
	out->replica_uuid = reply_uuid(reply, &member->replica);
	out->is_offline = member->is_offline;
	return out;
}

static int add_record(struct reply *reply, const struct volume_record *record, uint64_t revision)
{
	struct reply members = { .mem = reply->mem };
	Mayastor__X1__VolumeRecord *out = reply_new(reply, sizeof(*out));

	if (!out)
		return reply->r;
	mayastor__x1__volume_record__init(out);
	for (unsigned i = 0; i < record->member_count; i++)
		reply_add(&members, member_of(reply, &record->members[i]));
	out->uuid = reply_uuid(reply, &record->volume);
	out->name = reply_text(reply, record->name);
	out->size_bytes = record->size_bytes;
	out->block_size = record->block_size;
	out->epoch = record->epoch;
	out->owner = reply_uuid(reply, &record->owner);
	out->clean = record->clean;
	out->revision = revision;
	out->members = (Mayastor__X1__VolumeMember **)members.list;
	out->n_members = members.count;
	return reply_add(reply, out);
}

static int volumes(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__X1__ListVolumesRequest *ask = (const void *)in;
	Mayastor__X1__ListVolumesResponse *answer = (void *)out;
	struct reply reply = { .mem = rpc_call_mem(call) };
	struct store_record *at = reply_new(&reply, sizeof(*at));
	struct volume_record *record = reply_new(&reply, sizeof(*record));
	char after[STORE_KEY_MAX + 1] = "", only[STORE_KEY_MAX + 1] = "";
	struct uuid uuid;
	int r = at && record ? 0 : -ENOMEM;

	if (r == 0 && ask->volume[0]) {
		if (uuid_parse(ask->volume, &uuid) < 0)
			return fiber_fail(f, -EINVAL, "volume is '%.64s', expected a uuid",
					  ask->volume);
		volume_key(&uuid, only);
	}
	while (r == 0) {
		r = store_next(f, engine_store(rpc_call_ctx(call)), KEY_PREFIX, after, at);
		if (r < 0)
			break;
		memcpy(after, at->key, sizeof(after));
		if (only[0] && strcmp(only, at->key) != 0)
			continue;
		if (volume_decode(at->value, at->len, record, fiber_fail_err(f)) < 0)
			return -EUCLEAN;
		r = add_record(&reply, record, at->revision);
	}
	if (r == -ENOENT) {
		fiber_clear(f);
		r = 0;
	}
	answer->volumes = (Mayastor__X1__VolumeRecord **)reply.list;
	answer->n_volumes = reply.count;
	return r;
}

static const struct rpc_method volume_methods[] = {
	METHOD_LOOK("ListVolumes", mayastor__x1__list_volumes_request,
		    mayastor__x1__list_volumes_response, volumes),
};

const struct rpc_service service_volume = {
	.name = "mayastor.x1.VolumeRpc",
	.methods = volume_methods,
	.method_count = ARRAY_LEN(volume_methods),
};
