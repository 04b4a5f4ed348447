// SPDX-License-Identifier: Apache-2.0
/*
 * ini_replica - bdev/replica.h of a replica behind NVMe/TCP: each call is a vendor command
 * (docs/nvme-vendor.md), in pieces where one does not hold it.
 *
 * RC1. A call that bears a token goes by the session that fenced with it: the token is not told again.
 *      A smaller one is refused here; without a session the target refuses.
 * RC2. What is called in pieces may be done in part when it fails: marks are only ever more than wanted,
 *      and clearing is repeated by who wants it.
 * RC3. What comes back is held against what was asked for (IV3).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/le.h"
#include "nvmf/ini_priv.h"

#define INI_WORDS_MAX	8192u /* of a bitmap, by one command */
#define INI_REGIONS_MAX 1024u /* their numbers, the same: they fit in a capsule */
#define INI_EXTENTS_MAX 256u  /* of block status */

_Static_assert(INI_REGIONS_MAX * 8 <= NVMETCP_ADMIN_CAPSULE_DATA, "in a capsule");

/* What bears a token. */
static int ini_replica_do(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			  struct ini_vendor *v)
{
	const struct ini_queue *q = ini_chan_of(chan)->q;

	if (token < q->token)
		return fiber_fail(f, -ESTALE,
				  "%s: %s: token %#" PRIx64
				  " is older than the session's, %#" PRIx64,
				  chan->bdev->name, v->doing, token, q->token);
	return ini_vendor_call(f, q->ini, v);
}

static int ini_replica_info(struct fiber *f, struct bdev_chan *chan, struct replica_info *ret)
{
	return ini_vendor_info(f, ini_chan_of(chan)->q->ini, ret);
}

static int ini_replica_set(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned which,
			   const struct replica_info *info)
{
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), NVME_REPLICA_BYTES);
	CLEANUP(cleanup_mem) struct nvme_replica *wire = mem_new(fiber_io(f), sizeof(*wire));
	struct ini_vendor v = {
		.cmd = { .opcode = NVME_VENDOR_SEND, .function = NVME_VENDOR_SET, .arg = which },
		.data = data,
		.bytes = NVME_REPLICA_BYTES,
		.doing = "telling a replica what it is",
	};

	if (!data || !wire)
		return fiber_fail(f, -ENOMEM, "no memory to tell a replica");
	if (info->member_count > REPLICA_MEMBERS_MAX)
		return fiber_fail(f, -EINVAL, "%u members, %u can be told", info->member_count,
				  REPLICA_MEMBERS_MAX);
	wire->gen_epoch = info->gen.epoch;
	wire->gen_n = info->gen.n;
	wire->state = (uint8_t)info->state;
	wire->unclean = info->unclean;
	wire->member_count = (uint8_t)info->member_count;
	memcpy(wire->volume, info->volume.bytes, 16);
	for (unsigned i = 0; i < info->member_count; i++)
		memcpy(wire->members[i], info->members[i].bytes, 16);
	nvme_replica_encode(wire, data);
	return ini_replica_do(f, chan, token, &v);
}

/* ---- bitmaps ---------------------------------------------------------------------------------- */

static int ini_words_get(struct fiber *f, struct bdev_chan *chan, uint8_t function, unsigned slot,
			 uint64_t *ret_words, uint64_t count)
{
	struct ini *ini = ini_chan_of(chan)->q->ini;
	uint64_t step = min_u64(INI_WORDS_MAX, ini->opts.max_io_bytes / 8);
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), min_u64(step, count) * 8 + 1);

	if (!data)
		return fiber_fail(f, -ENOMEM, "no memory for a map of regions");
	for (uint64_t at = 0; at < count; at += step) {
		uint64_t n = min_u64(step, count - at);
		struct ini_vendor v = {
			.cmd = { NVME_VENDOR_RECV, function, slot, at },
			.data = data,
			.bytes = (uint32_t)(n * 8),
			.doing = "reading a map of regions",
		};

		TRY(ini_vendor_call(f, ini, &v));
		for (uint64_t i = 0; i < n; i++)
			ret_words[at + i] = le64_get(data + 8 * i);
	}
	return 0;
}

struct ini_regions {
	uint8_t function;
	unsigned slot;
	const char *doing;
	const uint64_t *regions;
	unsigned count;
};

static int ini_regions_send(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			    const struct ini_regions *r)
{
	unsigned step = min_u32(r->count, INI_REGIONS_MAX);
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), (size_t)step * 8 + 1);

	if (!data)
		return fiber_fail(f, -ENOMEM, "no memory for regions");
	for (unsigned at = 0; at < r->count; at += step) {
		unsigned n = min_u32(step, r->count - at);
		struct ini_vendor v = {
			.cmd = { NVME_VENDOR_SEND, r->function, r->slot, 0 },
			.data = data,
			.bytes = n * 8,
			.doing = r->doing,
		};

		for (unsigned i = 0; i < n; i++)
			le64_put(data + 8 * (size_t)i, r->regions[at + i]);
		TRY(ini_replica_do(f, chan, token, &v)); /* RC2 */
	}
	return 0;
}

static int ini_al_get(struct fiber *f, struct bdev_chan *chan, uint64_t *ret_words, uint64_t count)
{
	return ini_words_get(f, chan, NVME_VENDOR_AL_GET, 0, ret_words, count);
}

static int ini_al_update(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			 enum replica_al_op op, const uint64_t *regions, unsigned count)
{
	const struct ini_regions r = {
		.function = op == REPLICA_AL_SET ? NVME_VENDOR_AL_SET : NVME_VENDOR_AL_CLEAR,
		.doing = op == REPLICA_AL_SET ? "marking regions" : "clearing regions",
		.regions = regions,
		.count = count,
	};

	return ini_regions_send(f, chan, token, &r);
}

/* ---- missed-write maps -------------------------------------------------------------------------- */

static int ini_miss_open(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			 const struct uuid *peer, struct replica_gen peer_gen, unsigned *ret_slot)
{
	struct nvme_miss_open open = { .gen_epoch = peer_gen.epoch, .gen_n = peer_gen.n };
	uint8_t data[NVME_MISS_OPEN_BYTES];
	struct ini_vendor v = {
		.cmd = { .opcode = NVME_VENDOR_SEND, .function = NVME_VENDOR_MISS_OPEN },
		.data = data,
		.bytes = sizeof(data),
		.doing = "opening a map of missed writes",
	};

	memcpy(open.peer, peer->bytes, sizeof(open.peer));
	nvme_miss_open_encode(&open, data);
	TRY(ini_replica_do(f, chan, token, &v));
	if ((uint32_t)v.ret_result >= REPLICA_MISS_SLOTS)
		return fiber_fail(f, -EPROTO, "%s: slot %" PRIu32 " of its %u", v.doing,
				  (uint32_t)v.ret_result, REPLICA_MISS_SLOTS);
	*ret_slot = (uint32_t)v.ret_result;
	return 0;
}

static int ini_miss_add(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned slot,
			const uint64_t *regions, unsigned count)
{
	const struct ini_regions r = {
		.function = NVME_VENDOR_MISS_ADD,
		.slot = slot,
		.doing = "marking missed writes",
		.regions = regions,
		.count = count,
	};

	return ini_regions_send(f, chan, token, &r);
}

static int ini_miss_get(struct fiber *f, struct bdev_chan *chan, unsigned slot, uint64_t *ret_words,
			uint64_t count)
{
	return ini_words_get(f, chan, NVME_VENDOR_MISS_GET, slot, ret_words, count);
}

static int ini_miss_drop(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned slot)
{
	struct ini_vendor v = {
		.cmd = { NVME_VENDOR_CALL, NVME_VENDOR_MISS_DROP, slot, 0 },
		.doing = "dropping a map of missed writes",
	};

	return ini_replica_do(f, chan, token, &v);
}

/* ---- block status ------------------------------------------------------------------------------- */

/* RC3. */
static int ini_extents_take(struct fiber *f, const struct bdev_chan *chan, const uint8_t *data,
			    struct bdev_extent *ret, unsigned count, uint64_t blocks)
{
	uint64_t lba = ret->lba, left = blocks;

	for (unsigned i = 0; i < count; i++) {
		struct nvme_extent extent;

		if (nvme_extent_decode(data + (size_t)i * NVME_EXTENT_BYTES, NVME_EXTENT_BYTES,
				       &extent) < 0 ||
		    extent.blocks > left)
			return fiber_fail(f, -EPROTO, "%s: block status that makes no sense",
					  chan->bdev->name);
		ret[i] = (struct bdev_extent){ lba, extent.blocks, extent.flags };
		lba += extent.blocks;
		left -= extent.blocks;
	}
	return 0;
}

static int ini_status_get(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
			  struct bdev_extent *ret, unsigned max, unsigned *ret_count)
{
	uint32_t bytes = min_u32(max, INI_EXTENTS_MAX) * NVME_EXTENT_BYTES;
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), bytes);
	struct ini_vendor v = {
		.cmd = { NVME_VENDOR_RECV, NVME_VENDOR_BLOCK_STATUS,
			 (uint32_t)min_u64(blocks, UINT32_MAX), lba },
		.data = data,
		.bytes = bytes,
		.doing = "reading block status",
	};
	uint32_t count;

	if (!data)
		return fiber_fail(f, -ENOMEM, "%s: no memory", v.doing);
	TRY(ini_vendor_call(f, ini_chan_of(chan)->q->ini, &v));
	count = (uint32_t)v.ret_result;
	if (count == 0 || count > bytes / NVME_EXTENT_BYTES)
		return fiber_fail(f, -EPROTO, "%s: %s: %" PRIu32 " extents", chan->bdev->name,
				  v.doing, count);
	ret[0].lba = lba;
	TRY(ini_extents_take(f, chan, data, ret, count, v.cmd.arg));
	*ret_count = count;
	return 0;
}

const struct bdev_status_ops ini_status_ops = { .get = ini_status_get };

/* ---- snapshots, size ------------------------------------------------------------------------------ */

static int ini_snap(struct fiber *f, struct bdev_chan *chan, uint64_t token,
		    const struct uuid *snap, const char *name, struct ini_vendor *v)
{
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), NVME_SNAP_BYTES);
	struct nvme_snap wire = { .name = "" };
	size_t len = strlen(name);

	if (!data)
		return fiber_fail(f, -ENOMEM, "%s: no memory", v->doing);
	if (len > NVME_SNAP_NAME_MAX)
		return fiber_fail(f, -ENAMETOOLONG, "a snapshot's name has at most %u bytes",
				  NVME_SNAP_NAME_MAX);
	memcpy(wire.uuid, snap->bytes, sizeof(wire.uuid));
	memcpy(wire.name, name, len + 1);
	nvme_snap_encode(&wire, data);
	v->data = data;
	v->bytes = NVME_SNAP_BYTES;
	return ini_replica_do(f, chan, token, v);
}

static int ini_snap_prepare(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			    const struct uuid *snap, const char *name)
{
	struct ini_vendor v = {
		.cmd = { .opcode = NVME_VENDOR_SEND, .function = NVME_VENDOR_SNAP_PREPARE },
		.doing = "preparing a snapshot",
	};

	return ini_snap(f, chan, token, snap, name, &v);
}

static int ini_snap_commit(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			   const struct uuid *snap)
{
	struct ini_vendor v = {
		.cmd = { .opcode = NVME_VENDOR_SEND, .function = NVME_VENDOR_SNAP_COMMIT },
		.doing = "committing a snapshot",
	};

	return ini_snap(f, chan, token, snap, "", &v);
}

static int ini_snap_abort(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			  const struct uuid *snap)
{
	struct ini_vendor v = {
		.cmd = { .opcode = NVME_VENDOR_SEND, .function = NVME_VENDOR_SNAP_ABORT },
		.doing = "aborting a snapshot",
	};

	return ini_snap(f, chan, token, snap, "", &v);
}

/* The disk has the new size when it returns: the channel's session looks. */
static int ini_resize(struct fiber *f, struct bdev_chan *chan, uint64_t token, uint64_t blocks)
{
	struct ini_vendor v = {
		.cmd = { NVME_VENDOR_CALL, NVME_VENDOR_RESIZE, 0, blocks },
		.doing = "resizing a replica",
	};
	struct ini *session = ini_chan_of(chan)->session;

	TRY(ini_replica_do(f, chan, token, &v));
	return session ? ini_keeper_rescan(f, session) : 0;
}

const struct bdev_replica_ops ini_replica_ops = {
	.info = ini_replica_info,
	.fence = ini_session_begin,
	.set = ini_replica_set,
	.al_get = ini_al_get,
	.al_update = ini_al_update,
	.miss_open = ini_miss_open,
	.miss_add = ini_miss_add,
	.miss_get = ini_miss_get,
	.miss_drop = ini_miss_drop,
	.snap_prepare = ini_snap_prepare,
	.snap_commit = ini_snap_commit,
	.snap_abort = ini_snap_abort,
	.resize = ini_resize,
};
