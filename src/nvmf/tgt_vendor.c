// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_vendor - replica control for a nexus (docs/nvme-vendor.md): bdev/replica.h as commands.
 *
 * Y1. Offered by subsystems that say so, and refused until the host has negotiated.
 * Y2. What changes a replica bears the token of the association, which registration bound
 *     (X3): without one it is a reservation conflict.
 * Y3. A call is made while the namespace is held: its disk does not go meanwhile.
 * Y4. A disk that hangs can make it last: it does not count among the commands that run, so that
 *     other namespaces and hosts go on. Hosts bound how many there are by their queues.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/le.h"
#include "bdev/replica.h"
#include "bdev/status.h"
#include "nvmf/tgt_fabrics_priv.h"
#include "nvmf/tgt_page_priv.h"
#include "nvmf/tgt_vendor_priv.h"
#include "reactor/fiber.h"
#include "wire/nvme_status.h"

#define BAD	  (NVME_INVALID_FIELD | NVME_DNR)
#define BAD_DATA  (NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR)
#define NO_OPCODE (NVME_INVALID_OPCODE | NVME_DNR)

_Static_assert(NVME_REPLICA_MEMBERS_MAX == REPLICA_MEMBERS_MAX, "members");
_Static_assert(NVME_REPLICA_MISS_MAX == REPLICA_MISS_SLOTS, "missed maps");

struct vendor_call {
	struct tgt_cmd *cmd;
	struct nvme_vendor_cmd args;
	struct bdev_chan *chan;
	const struct bdev_replica_ops *ops;
	struct tgt_ns *ns;
	uint64_t token;
};

/* ---- negotiation ---------------------------------------------------------------------------- */

uint16_t tgt_vendor_feature_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	*ret = cmd->ctrl->admin.vendor_negotiated ? NVME_VENDOR_VERSION : 0;
	return NVME_SUCCESS;
}

uint16_t tgt_vendor_feature_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	if (value != NVME_VENDOR_VERSION)
		return BAD;
	cmd->ctrl->admin.vendor_negotiated = true;
	cmd->result = NVME_VENDOR_VERSION;
	return NVME_SUCCESS;
}

/* ---- what is known of a replica ------------------------------------------------------------- */

static void info_to_wire(const struct replica_info *info, struct nvme_replica *ret)
{
	*ret = (struct nvme_replica){
		.fence = info->fence,
		.incarnation = info->incarnation,
		.gen_epoch = info->gen.epoch,
		.gen_n = info->gen.n,
		.state = (uint8_t)info->state,
		.unclean = info->unclean,
		.faulted = info->faulted,
		.member_count = (uint8_t)info->member_count,
		.region_bytes = info->region_bytes,
		.regions = info->regions,
	};
	memcpy(ret->volume, info->volume.bytes, 16);
	memcpy(ret->replica, info->replica.bytes, 16);
	for (unsigned i = 0; i < info->member_count; i++)
		memcpy(ret->members[i], info->members[i].bytes, 16);
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++) {
		memcpy(ret->miss_peer[i], info->miss[i].peer.bytes, 16);
		ret->miss_epoch[i] = info->miss[i].peer_gen.epoch;
		ret->miss_n[i] = info->miss[i].peer_gen.n;
		ret->miss_dirty[i] = info->miss[i].dirty_regions;
	}
}

/* Only what Set changes. */
static void info_from_wire(const struct nvme_replica *wire, struct replica_info *ret)
{
	*ret = (struct replica_info){
		.gen = { .epoch = wire->gen_epoch, .n = wire->gen_n },
		.state = (enum replica_state)wire->state,
		.unclean = wire->unclean,
		.member_count = wire->member_count,
	};
	memcpy(ret->volume.bytes, wire->volume, 16);
	for (unsigned i = 0; i < wire->member_count; i++)
		memcpy(ret->members[i].bytes, wire->members[i], 16);
}

struct info_scratch {
	struct replica_info info;
	struct nvme_replica wire;
};

static uint16_t info_get(struct fiber *f, struct vendor_call *call)
{
	CLEANUP(cleanup_mem) struct info_scratch *s = mem_new(fiber_io(f), sizeof(*s));
	int r = s ? call->ops->info(f, call->chan, &s->info) : -ENOMEM;

	if (r < 0)
		return nvme_status_of_error(r);
	if (call->cmd->data_bytes < NVME_REPLICA_BYTES)
		return BAD_DATA;
	info_to_wire(&s->info, &s->wire);
	nvme_replica_encode(&s->wire, call->cmd->data);
	call->cmd->ret_bytes = NVME_REPLICA_BYTES;
	return NVME_SUCCESS;
}

static uint16_t info_set(struct fiber *f, struct vendor_call *call)
{
	CLEANUP(cleanup_mem) struct info_scratch *s = mem_new(fiber_io(f), sizeof(*s));

	if (!s)
		return nvme_status_of_error(-ENOMEM);
	if (call->cmd->data_bytes < NVME_REPLICA_BYTES)
		return BAD_DATA;
	if (nvme_replica_decode(call->cmd->data, call->cmd->data_bytes, &s->wire) < 0)
		return BAD;
	info_from_wire(&s->wire, &s->info);
	return nvme_status_of_error(
		call->ops->set(f, call->chan, call->token, call->args.arg, &s->info));
}

/* ---- block status ---------------------------------------------------------------------------- */

#define EXTENTS_MAX 256u /* of one command */

_Static_assert(NVME_EXTENT_HOLE == (int)BDEV_HOLE && NVME_EXTENT_ZERO == (int)BDEV_ZERO &&
		       NVME_EXTENT_SHARED == (int)BDEV_SHARED,
	       "flags are the same");

static uint16_t block_status(struct fiber *f, struct vendor_call *call)
{
	unsigned max = min_u32(call->cmd->data_bytes / NVME_EXTENT_BYTES, EXTENTS_MAX), count = 0;
	CLEANUP(cleanup_mem)
	struct bdev_extent *extents = mem_new(fiber_io(f), max * sizeof(*extents) + 1);
	int r;

	if (max == 0)
		return BAD_DATA;
	if (!extents)
		return nvme_status_of_error(-ENOMEM);
	r = bdev_status_get(f, call->chan, call->args.value, call->args.arg, extents, max, &count);
	if (r < 0)
		return nvme_status_of_error(r);
	for (unsigned i = 0; i < count; i++) {
		struct nvme_extent extent = { extents[i].blocks,
					      extents[i].flags & NVME_EXTENT_MASK };

		nvme_extent_encode(&extent, call->cmd->data + (size_t)i * NVME_EXTENT_BYTES);
	}
	call->cmd->result = count;
	return NVME_SUCCESS;
}

/* ---- bitmaps of regions --------------------------------------------------------------------- */

/* The whole map is asked for, a window of words given. */
static uint16_t words_get(struct fiber *f, struct vendor_call *call)
{
	CLEANUP(cleanup_mem) struct replica_info *info = mem_new(fiber_io(f), sizeof(*info));
	CLEANUP(cleanup_mem) uint64_t *words = NULL;
	uint64_t count, first = call->args.value, room = call->cmd->data_bytes / 8;
	int r = info ? call->ops->info(f, call->chan, info) : -ENOMEM;

	if (r < 0)
		return nvme_status_of_error(r);
	count = div_up_u64(info->regions, 64);
	if (first > count)
		return BAD;
	words = mem_new(fiber_io(f), max_u64(count, 1) * 8);
	if (!words)
		return nvme_status_of_error(-ENOMEM);
	if (call->args.function == NVME_VENDOR_AL_GET)
		r = call->ops->al_get(f, call->chan, words, count);
	else if (call->args.arg < REPLICA_MISS_SLOTS)
		r = call->ops->miss_get(f, call->chan, call->args.arg, words, count);
	else
		r = -EINVAL;
	if (r < 0)
		return nvme_status_of_error(r);
	for (uint64_t i = 0; i < min_u64(room, count - first); i++)
		le64_put(call->cmd->data + 8 * i, words[first + i]);
	return NVME_SUCCESS;
}

/* Numbers of regions, host-endian in place: the data are ours until the command ends. */
static uint16_t regions_change(struct fiber *f, struct vendor_call *call)
{
	CLEANUP(cleanup_mem) uint64_t *regions = NULL;
	unsigned count = call->cmd->data_bytes / 8;
	enum replica_al_op op = call->args.function == NVME_VENDOR_AL_CLEAR ? REPLICA_AL_CLEAR :
									      REPLICA_AL_SET;

	if (count == 0 || call->cmd->data_bytes % 8)
		return BAD_DATA;
	regions = mem_new(fiber_io(f), (size_t)count * 8);
	if (!regions)
		return nvme_status_of_error(-ENOMEM);
	for (unsigned i = 0; i < count; i++)
		regions[i] = le64_get(call->cmd->data + 8 * (size_t)i);
	if (call->args.function != NVME_VENDOR_MISS_ADD)
		return nvme_status_of_error(
			call->ops->al_update(f, call->chan, call->token, op, regions, count));
	if (call->args.arg >= REPLICA_MISS_SLOTS)
		return BAD;
	return nvme_status_of_error(
		call->ops->miss_add(f, call->chan, call->token, call->args.arg, regions, count));
}

static uint16_t miss_open(struct fiber *f, struct vendor_call *call)
{
	struct nvme_miss_open open;
	struct replica_gen gen;
	struct uuid peer;
	unsigned slot = 0;
	int r;

	if (nvme_miss_open_decode(call->cmd->data, call->cmd->data_bytes, &open) < 0)
		return BAD_DATA;
	memcpy(peer.bytes, open.peer, sizeof(peer.bytes));
	gen = (struct replica_gen){ .epoch = open.gen_epoch, .n = open.gen_n };
	r = call->ops->miss_open(f, call->chan, call->token, &peer, gen, &slot);
	call->cmd->result = slot;
	return nvme_status_of_error(r);
}

static uint16_t miss_drop(struct fiber *f, struct vendor_call *call)
{
	if (call->args.arg >= REPLICA_MISS_SLOTS)
		return BAD;
	return nvme_status_of_error(
		call->ops->miss_drop(f, call->chan, call->token, call->args.arg));
}

/* ---- fence, size, snapshots ----------------------------------------------------------------- */

static uint16_t fence(struct fiber *f, struct vendor_call *call)
{
	bool is_old = call->ns->subsys->tgt->opts.rules_off & TGT_RULE_SESSION &&
		      call->token == call->ns->fence;
	int r = is_old ? 0 : call->ops->fence(f, call->chan, call->token);

	if (r == 0)
		call->ns->fence = max_u64(call->ns->fence, call->token);
	return nvme_status_of_error(r);
}

static uint16_t resize(struct fiber *f, struct vendor_call *call)
{
	return nvme_status_of_error(
		call->ops->resize(f, call->chan, call->token, call->args.value));
}

static uint16_t snap(struct fiber *f, struct vendor_call *call)
{
	struct nvme_snap wire;
	struct uuid uuid;
	int r;

	if (call->cmd->data_bytes < NVME_SNAP_BYTES)
		return BAD_DATA;
	if (nvme_snap_decode(call->cmd->data, call->cmd->data_bytes, &wire) < 0)
		return BAD;
	memcpy(uuid.bytes, wire.uuid, sizeof(uuid.bytes));
	if (call->args.function == NVME_VENDOR_SNAP_PREPARE)
		r = call->ops->snap_prepare(f, call->chan, call->token, &uuid, wire.name);
	else if (call->args.function == NVME_VENDOR_SNAP_COMMIT)
		r = call->ops->snap_commit(f, call->chan, call->token, &uuid);
	else
		r = call->ops->snap_abort(f, call->chan, call->token, &uuid);
	return nvme_status_of_error(r);
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct {
	uint8_t opcode, function;
	bool changes; /* it bears the token (Y2) */
	uint16_t (*run)(struct fiber *f, struct vendor_call *call);
} functions[] = {
	{ NVME_VENDOR_RECV, NVME_VENDOR_INFO, false, info_get },
	{ NVME_VENDOR_RECV, NVME_VENDOR_AL_GET, false, words_get },
	{ NVME_VENDOR_RECV, NVME_VENDOR_MISS_GET, false, words_get },
	{ NVME_VENDOR_RECV, NVME_VENDOR_BLOCK_STATUS, false, block_status },
	{ NVME_VENDOR_CALL, NVME_VENDOR_FENCE, true, fence },
	{ NVME_VENDOR_CALL, NVME_VENDOR_MISS_DROP, true, miss_drop },
	{ NVME_VENDOR_CALL, NVME_VENDOR_RESIZE, true, resize },
	{ NVME_VENDOR_SEND, NVME_VENDOR_SET, true, info_set },
	{ NVME_VENDOR_SEND, NVME_VENDOR_AL_SET, true, regions_change },
	{ NVME_VENDOR_SEND, NVME_VENDOR_AL_CLEAR, true, regions_change },
	{ NVME_VENDOR_SEND, NVME_VENDOR_MISS_OPEN, true, miss_open },
	{ NVME_VENDOR_SEND, NVME_VENDOR_MISS_ADD, true, regions_change },
	{ NVME_VENDOR_SEND, NVME_VENDOR_SNAP_PREPARE, true, snap },
	{ NVME_VENDOR_SEND, NVME_VENDOR_SNAP_COMMIT, true, snap },
	{ NVME_VENDOR_SEND, NVME_VENDOR_SNAP_ABORT, true, snap },
};

/* Held (Y3). */
static uint16_t call_run(struct fiber *f, struct vendor_call *call)
{
	if (!call->ns->chan)
		return NVME_INVALID_NAMESPACE | NVME_DNR;
	call->chan = call->ns->chan;
	call->ops = bdev_replica_ops(call->chan);
	if (!call->ops)
		return NO_OPCODE; /* the disk is no replica */
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		if (functions[i].opcode != call->args.opcode ||
		    functions[i].function != call->args.function)
			continue;
		if (functions[i].changes && !call->token)
			return NVME_RESERVATION_CONFLICT | NVME_DNR;
		return functions[i].run(f, call);
	}
	return BAD;
}

static uint16_t call_hold(struct fiber *f, struct vendor_call *call)
{
	uint16_t status = NVME_INVALID_NAMESPACE | NVME_DNR;

	if (!tgt_ns_hold(f, call->ns))
		return status;
	call->token = call->cmd->ctrl->token; /* the one of now: the fiber may have waited */
	status = call_run(f, call);
	tgt_ns_drop(f, call->ns);
	return status;
}

uint16_t tgt_vendor_execute(struct fiber *f, struct tgt_cmd *cmd)
{
	struct tgt_ctrl *ctrl = cmd->ctrl;
	struct tgt_ns *ns = tgt_ns_active(ctrl->subsys, cmd->sqe.nsid);
	struct vendor_call call = {
		.cmd = cmd,
		.args = nvme_vendor_decode(&cmd->sqe),
		.ns = ns,
	};
	uint16_t status;

	if (!ctrl->admin.vendor_negotiated) /* Y1 */
		return NO_OPCODE;
	if (!ns)
		return NVME_INVALID_NAMESPACE | NVME_DNR;
	tgt_cmd_wait_begin(ctrl->subsys->tgt); /* Y4 */
	status = call_hold(f, &call);
	tgt_cmd_wait_end(ctrl->subsys->tgt);
	return status;
}
