// SPDX-License-Identifier: Apache-2.0
/*
 * ini_vendor - vendor commands on the admin queue of an association (docs/nvme-vendor.md).
 *
 *	call --> home --> a place of INI_VENDOR_MAX --> UP: sent --> answered
 *	                                    ^              | connection lost
 *	                                    +--- waits <---+  gone, refused, wait_ns: fails
 *
 * IV1. A call ends: within timeout and wait together, and at most one command more.
 * IV2. What was lost on the way is sent again: by the time there is a new association the
 *      controller has drained the old one, and each of these commands can be done twice.
 * IV3. What comes back is data of a stranger: decoded, and refused where it makes no sense.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "nvmf/ini_priv.h"

_Static_assert(NVME_REPLICA_MEMBERS_MAX == REPLICA_MEMBERS_MAX, "members");
_Static_assert(NVME_REPLICA_MISS_MAX == REPLICA_MISS_SLOTS, "missed maps");

int ini_vendor_send(struct fiber *f, struct ini_queue *q, uint32_t nsid, struct ini_vendor *v)
{
	struct nvme_sqe sqe = { .nsid = nsid };
	struct nvme_cqe cqe;

	nvme_vendor_encode(&v->cmd, &sqe);
	TRY(ini_call_ok(f, q, &sqe, v->data, v->bytes, v->doing, &cqe));
	v->ret_result = cqe.result;
	return 0;
}

/* ---- what a replica says of itself ---------------------------------------------------------- */

static void ini_info_take(const struct nvme_replica *wire, struct replica_info *ret)
{
	*ret = (struct replica_info){
		.fence = wire->fence,
		.incarnation = wire->incarnation,
		.gen = { wire->gen_epoch, wire->gen_n },
		.state = (enum replica_state)wire->state,
		.unclean = wire->unclean,
		.faulted = wire->faulted,
		.region_bytes = wire->region_bytes,
		.regions = wire->regions,
		.member_count = wire->member_count,
	};
	memcpy(ret->volume.bytes, wire->volume, 16);
	memcpy(ret->replica.bytes, wire->replica, 16);
	for (unsigned i = 0; i < wire->member_count; i++)
		memcpy(ret->members[i].bytes, wire->members[i], 16);
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++) {
		memcpy(ret->miss[i].peer.bytes, wire->miss_peer[i], 16);
		ret->miss[i].peer_gen =
			(struct replica_gen){ wire->miss_epoch[i], wire->miss_n[i] };
		ret->miss[i].dirty_regions = wire->miss_dirty[i];
	}
}

struct ini_info {
	uint8_t data[NVME_REPLICA_BYTES];
	struct nvme_replica wire;
};

/* How it is asked for: by the association itself, or as a call. */
typedef int (*ini_info_fn)(struct fiber *f, struct ini *ini, struct ini_vendor *v);

static int ini_info_get(struct fiber *f, struct ini *ini, ini_info_fn ask, struct replica_info *ret)
{
	CLEANUP(cleanup_mem) struct ini_info *info = mem_new(fiber_io(f), sizeof(*info));
	struct ini_vendor v = {
		.cmd = { .opcode = NVME_VENDOR_RECV, .function = NVME_VENDOR_INFO },
		.bytes = NVME_REPLICA_BYTES,
		.doing = "looking at a replica",
	};

	if (!info)
		return fiber_fail(f, -ENOMEM, "no memory to look at a replica");
	v.data = info->data;
	TRY(ask(f, ini, &v));
	if (nvme_replica_decode(info->data, sizeof(info->data), &info->wire) < 0) /* IV3 */
		return fiber_fail(f, -EPROTO, "what the replica says of itself makes no sense");
	ini_info_take(&info->wire, ret);
	return 0;
}

static int ini_info_now(struct fiber *f, struct ini *ini, struct ini_vendor *v)
{
	return ini_vendor_send(f, ini->admin, ini->ns.nsid, v);
}

int ini_vendor_look(struct fiber *f, struct ini *ini, struct replica_info *ret)
{
	return ini_info_get(f, ini, ini_info_now, ret);
}

int ini_vendor_info(struct fiber *f, struct ini *ini, struct replica_info *ret)
{
	return ini_info_get(f, ini, ini_vendor_call, ret);
}

/* ---- calls ------------------------------------------------------------------------------------ */

static bool ini_vendor_may(const struct ini *ini)
{
	return ini->state == INI_UP && ini->admin->state == INI_READY;
}

static int ini_vendor_await(struct fiber *f, struct ini *ini, uint64_t deadline)
{
	int r = 0;

	while (r == 0 && !ini_vendor_may(ini) && ini->state != INI_GONE && !ini->refused) {
		event_clear(&ini->moved);
		r = event_wait_until(f, &ini->moved, deadline);
	}
	if (r < 0)
		return fiber_fail(f, r, "%s: the connection is down", ini->bdev->name);
	if (ini->state == INI_GONE)
		return fiber_fail(f, ini->gone, "%s: it is gone", ini->bdev->name);
	if (!ini_vendor_may(ini))
		return fiber_fail(f, -ETIMEDOUT, "%s: the controller refuses us", ini->bdev->name);
	return 0;
}

/* Not answered, or not yet. */
static bool ini_vendor_again(const struct ini *ini, int r, unsigned *tries)
{
	if (r == -EAGAIN)
		return ++*tries < INI_TRIES_MAX;
	return ini_is_loss(r) && ini->admin->state != INI_READY; /* IV2 */
}

static int ini_vendor_try(struct fiber *f, struct ini *ini, struct ini_vendor *v)
{
	uint64_t now = reactor_now(ini->home);
	uint64_t deadline = now + ini->opts.timeout_ns + ini->opts.wait_ns;
	unsigned tries = 0;
	int r;

	for (;;) {
		TRY(ini_vendor_await(f, ini, min_u64(now + ini->opts.wait_ns, deadline)));
		r = ini_vendor_send(f, ini->admin, ini->ns.nsid, v);
		now = reactor_now(ini->home);
		if (now >= deadline || !ini_vendor_again(ini, r, &tries)) /* IV1 */
			return r;
		fiber_clear(f);
		if (r == -EAGAIN)
			TRY(fiber_sleep(f, INI_RETRY_NS));
	}
}

struct ini_vendor_run {
	struct ini *ini;
	struct ini_vendor *v;
};

static int ini_vendor_home(struct fiber *f, void *arg)
{
	const struct ini_vendor_run *run = arg;
	struct ini *ini = run->ini;
	int r;

	ini->calls++;
	r = sema_down(f, &ini->vendor);
	if (r < 0) {
		fiber_fail(f, r, "%s: cancelled", run->v->doing);
	} else {
		r = ini_vendor_try(f, ini, run->v);
		sema_up(&ini->vendor);
	}
	if (--ini->calls == 0)
		event_set(&ini->moved);
	return r;
}

int ini_vendor_call(struct fiber *f, struct ini *ini, struct ini_vendor *v)
{
	struct ini_vendor_run run = { ini, v };

	if (fiber_reactor(f) == ini->home)
		return ini_vendor_home(f, &run);
	return fiber_call_on(f, ini->home, "nvmf vendor", ini_vendor_home, &run);
}
