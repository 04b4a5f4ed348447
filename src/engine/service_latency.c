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

struct asked {
	struct reply reply;
	const char *hop;
};

/* The largest value that a bucket counts. */
static uint64_t bucket_upper(uint32_t bucket)
{
	const uint32_t shift = bucket < HIST_SUB ? 0 : bucket / HIST_SUB - 1;
	const uint64_t first = bucket - (uint64_t)shift * HIST_SUB;

	return ((first + 1) << shift) - 1;
}

static void add_buckets(struct reply *reply, const struct hist *hist,
			Mayastor__X1__LatencyHistogram *out)
{
	struct reply buckets = { .mem = reply->mem };

	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		const uint64_t count = (uint64_t)hist->high[i] << 32 | hist->low[i];
		Mayastor__X1__LatencyBucket *one = count ? reply_new(reply, sizeof(*one)) : NULL;

		if (!count)
			continue;
		if (one) {
			mayastor__x1__latency_bucket__init(one);
			one->upper_ns = bucket_upper(i);
			one->count = count;
		}
		if (reply_add(&buckets, one) < 0)
			reply->r = buckets.r;
	}
	out->buckets = (Mayastor__X1__LatencyBucket **)buckets.list;
	out->n_buckets = buckets.count;
}

static int add_op(struct asked *asked, const struct engine_figures *figures, enum bio_op op)
{
	const struct hist *hist = &figures->hist[op];
	struct reply *reply = &asked->reply;
	Mayastor__X1__LatencyHistogram *out = reply_new(reply, sizeof(*out));

	if (!out)
		return reply->r;
	mayastor__x1__latency_histogram__init(out);
	out->bdev = reply_text(reply, figures->name);
	out->hop = (char *)asked->hop;
	out->of = reply_text(reply, figures->of ? figures->of : "");
	out->op = (char *)bio_op_name(op);
	out->count = figures->stats.op[op].ops;
	out->sum_ns = figures->stats.op[op].busy_ns;
	out->p50_ns = hist_quantile(hist, 0.5);
	out->p99_ns = hist_quantile(hist, 0.99);
	out->max_ns = hist_max(hist);
	add_buckets(reply, hist, out);
	return reply_add(reply, out);
}

static int add_disk(void *ctx, const struct engine_figures *figures)
{
	struct asked *asked = ctx;
	int r = 0;

	for (unsigned op = 0; figures->hist && op < BIO_OPS && r == 0; op++)
		if (figures->stats.op[op].ops)
			r = add_op(asked, figures, (enum bio_op)op);
	return r;
}

/* On their way down. */
static int latency_all(struct fiber *f, struct engine *e, const char *name, struct asked *asked)
{
	static const struct {
		enum engine_kind kind;
		const char *hop;
	} hops[] = {
		{ ENGINE_NEXUSES, "nexus" },
		{ ENGINE_CHILDREN, "child" },
		{ ENGINE_REPLICAS, "replica" },
		{ ENGINE_POOLS, "disk" },
	};
	bool is_found = false;

	for (unsigned i = 0; i < ARRAY_LEN(hops); i++) {
		int r;

		asked->hop = hops[i].hop;
		r = engine_figures_each(f, e, hops[i].kind, name, add_disk, asked);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r < 0)
			fiber_clear(f);
		is_found |= r == 0;
	}
	if (!is_found)
		return fiber_fail(f, -ENOENT, "there is no nexus, child, replica or pool '%s'",
				  name);
	return 0;
}

static int latency(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__X1__GetLatencyRequest *ask = (const void *)in;
	Mayastor__X1__GetLatencyResponse *answer = (void *)out;
	struct asked asked = { .reply = { .mem = rpc_call_mem(call) } };
	int r = latency_all(f, rpc_call_ctx(call), ask->bdev[0] ? ask->bdev : NULL, &asked);

	answer->histograms = (Mayastor__X1__LatencyHistogram **)asked.reply.list;
	answer->n_histograms = asked.reply.count;
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
