// SPDX-License-Identifier: Apache-2.0
/*
 * ini_assoc - the association: the admin queue and the I/O queues of one controller; how it is
 * made, lost and made again.
 *
 *   open --> UP --(a queue is lost)--> DOWN --> ended whole --> made again, whole --> UP
 *                                        |          ^               | refused, no answer
 *                                        |          +--- back-off --+
 *                                        +--(another disk answers, loss_ns)--> GONE
 *
 * All of it happens at home, on the keeper: a fiber that sleeps until something is wrong, an event
 * has come, or it must stop. The queues of other reactors are started and stopped by calls to them.
 *
 * I1. Queues of two associations never serve at once: when one queue is lost all are stopped and
 *     idle before the next Connect. So a bio that is sent again comes after the controller has
 *     drained what it had of us.
 * I2. Bios go only when the whole association is there and our key, if we had one, is registered
 *     again.
 * I3. After a return the namespace must be the one it was: same names, block size, not smaller
 *     limits. Else the disk is removed: nothing is written to a stranger.
 * I4. The association and the list of queues change only under the latch.
 * I5. A session goes on only with the replica as it was: of the same incarnation, and under the key
 *     that it began with. Else it is GONE, and every bio of it fails: what was acknowledged
 *     and not flushed may be lost (rule INCARN), or somebody newer has fenced.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/must.h"
#include "nvmf/ini_priv.h"
#include "reactor/fiber_io.h"

/* Nobody answered, or no longer. */
bool ini_is_loss(int r)
{
	return r == -ETIMEDOUT || r == -ENOTCONN || r == -ECONNRESET || r == -ECONNREFUSED ||
	       r == -EHOSTUNREACH || r == -ENETUNREACH || r == -EPIPE || r == -ECANCELED;
}

/* ---- loss is told home ---------------------------------------------------------------------- */

static void ini_lost_home(struct ini_queue *q)
{
	struct ini *ini = q->ini;

	if (q->generation != ini->generation || ini->lost)
		return;
	ini->lost = true;
	snprintf(ini->why, sizeof(ini->why), "queue %u: %s", q->qid, q->lost_why);
	event_set(&ini->wake);
}

static void ini_lost_mail(struct mail *mail, struct reactor *at)
{
	struct ini_queue *q = container_of(mail, struct ini_queue, lost_mail);

	(void)at;
	ini_lost_home(q);
}

void ini_assoc_lost(struct ini_queue *q)
{
	if (!q->ini || q->lost_sent)
		return;
	q->lost_sent = true;
	memcpy(q->lost_why, q->why, sizeof(q->lost_why));
	if (q->reactor == q->ini->home) {
		ini_lost_home(q);
		return;
	}
	q->lost_mail.run = ini_lost_mail;
	reactor_send(q->reactor, q->ini->home, &q->lost_mail);
}

/* ---- up ------------------------------------------------------------------------------------------ */

/* I3 */
static int ini_same(struct fiber *f, const struct ini *ini, const struct ini_ctrl *ctrl,
		    const struct ini_ns *ns)
{
	const struct ini_ns *was = &ini->ns;

	if (!uuid_equal(&ns->uuid, &was->uuid) || !uuid_equal(&ns->nguid, &was->nguid) ||
	    memcmp(ns->eui64, was->eui64, sizeof(ns->eui64)) != 0)
		return fiber_fail(f, -ESTALE, "another namespace answers: its names differ");
	if (ns->block_size != was->block_size)
		return fiber_fail(f, -ESTALE,
				  "another namespace answers: its blocks have %" PRIu32 " bytes",
				  ns->block_size);
	if (ctrl->entries < ini->ctrl.entries || ctrl->max_io_bytes < ini->ctrl.max_io_bytes ||
	    ctrl->max_zeroes_bytes < ini->ctrl.max_zeroes_bytes ||
	    ctrl->max_unmap_blocks < ini->ctrl.max_unmap_blocks || (ini->ctrl.oncs & ~ctrl->oncs))
		return fiber_fail(f, -ESTALE, "the controller takes less than it did");
	return 0;
}

struct ini_size_call {
	struct bdev *bdev;
	uint64_t blocks;
};

static int ini_size_home(struct fiber *f, void *arg)
{
	const struct ini_size_call *call = arg;

	if (call->blocks < call->bdev->blocks)
		return fiber_fail(f, -ESTALE, "the namespace shrank to %" PRIu64 " blocks",
				  call->blocks);
	if (call->blocks > call->bdev->blocks)
		bdev_resized(f, call->bdev, call->blocks);
	return 0;
}

/* The size it has now; the disk's own reactor knows the one it had. */
static int ini_size(struct fiber *f, struct ini *ini, uint64_t blocks)
{
	struct ini_size_call call = { ini->bdev, blocks };

	if (ini->home == ini->bdev_home)
		return ini_size_home(f, &call);
	return fiber_call_on(f, ini->bdev_home, "nvmf size", ini_size_home, &call);
}

/* I5; and whether it is a replica at all. */
static int ini_replica_look(struct fiber *f, struct ini *ini, bool vendor, bool first)
{
	CLEANUP(cleanup_mem) struct replica_info *info = mem_new(fiber_io(f), sizeof(*info));
	int r = -ENOTSUP;

	if (!info)
		return fiber_fail(f, -ENOMEM, "no memory to look at a replica");
	if (!vendor && !ini->is_replica)
		return 0;
	if (vendor)
		r = ini_vendor_look(f, ini, info);
	if (r == -ENOTSUP && !ini->is_replica) {
		fiber_clear(f);
		return 0;
	}
	if (r == -ENOTSUP) {
		fiber_clear(f);
		return fiber_fail(f, -ESTALE, "it is no replica any more");
	}
	if (r < 0)
		return r;
	if (first)
		ini->is_replica = true;
	if (!ini->is_session || !ini->has_incarnation)
		ini->incarnation = info->incarnation;
	ini->has_incarnation = true;
	if (info->incarnation == ini->incarnation)
		return 0;
	return fiber_fail(f, -ESTALE,
			  "the replica has been started anew: incarnation %" PRIu64
			  ", it was %" PRIu64,
			  info->incarnation, ini->incarnation);
}

/* Each address of the host in turn; the admin queue is READY. */
static int ini_admin_start(struct fiber *f, struct ini *ini)
{
	uint32_t count = 0;
	int r = -EHOSTUNREACH;

	TRY(fiber_resolve(f, ini->opts.host, ini->opts.port, ini->addrs, INI_ADDRS_MAX, &count));
	for (uint32_t i = 0; i < count; i++) {
		fiber_clear(f);
		r = ini_queue_start(f, ini->admin, &ini->addrs[i], &ini->opts);
		if (r == 0) {
			ini->addr = ini->addrs[i];
			return 0;
		}
	}
	return count ? r : fiber_fail(f, r, "'%s' has no address", ini->opts.host);
}

static int ini_controller_up(struct fiber *f, struct ini *ini, bool first)
{
	struct ini_ctrl ctrl = { 0 };
	struct ini_ns ns;

	TRY(ini_admin_connect(f, ini->admin, &ini->opts, NVME_CNTLID_ANY, ini->opts.kato_ms,
			      &ctrl.cntlid));
	TRY(ini_admin_enable(f, ini->admin, &ini->opts, &ctrl));
	TRY(ini_admin_namespace(f, ini->admin, first ? ini->opts.nsid : ini->ns.nsid, &ns));
	if (!first) {
		TRY(ini_same(f, ini, &ctrl, &ns));
		TRY(ini_size(f, ini, ns.blocks));
		TRY(ini_replica_look(f, ini, ctrl.vendor, false));
		ini->ctrl.cntlid = ctrl.cntlid;
		ini->ctrl.capsule_max = ctrl.capsule_max;
		ini->ctrl.queues = ctrl.queues;
		return 0;
	}
	if (ctrl.max_io_bytes < ns.block_size)
		return fiber_fail(f, -EPROTO,
				  "it takes %" PRIu64 " bytes at a time, not a block of %" PRIu32,
				  ctrl.max_io_bytes, ns.block_size);
	ini->ctrl = ctrl;
	ini->ns = ns;
	return ini_replica_look(f, ini, ctrl.vendor, true);
}

static int ini_queues_up(struct fiber *f, struct ini *ini)
{
	struct ini_queue *first = list_first(&ini->queues, struct ini_queue, home_link);
	int r;

	TRY(ini_start_all(f, ini));
	if (ini->key && first) {
		r = ini_visit(f, ini, first, ini_at_register); /* I2 */
		if (r == -ESTALE && ini->is_session)
			ini->gone = -ESTALE; /* it is deposed */
		if (r < 0)
			return r;
	}
	return ini_visit_all(f, ini, ini_at_go);
}

/* Everything ends (I1). */
void ini_assoc_down(struct fiber *f, struct ini *ini)
{
	ini->state = INI_DOWN;
	timer_stop(&ini->keep_alive);
	ini_visit_all(f, ini, ini_at_stop);
	ini_queue_stop(f, ini->admin);
	ini->generation++; /* what is told of it from now on is old */
	ini->lost = ini->changed = ini->keep_alive_sent = false;
}

int ini_assoc_up(struct fiber *f, struct ini *ini, bool first)
{
	int r;

	ini->admin->generation = ini->generation;
	r = ini_admin_start(f, ini);
	if (r == 0 && (ini->leaving || ini->stopping))
		r = fiber_fail(f, -ECANCELED, "somebody leaves");
	if (r == 0)
		r = ini_controller_up(f, ini, first);
	if (r == 0)
		r = ini_queues_up(f, ini);
	if (r == 0 && ini->lost)
		r = fiber_fail(f, -ENOTCONN, "the connection was lost again");
	if (r < 0) {
		ini_assoc_down(f, ini);
		return r;
	}
	ini->state = INI_UP;
	ini->refused = 0;
	event_set(&ini->moved);
	ini_event_start(ini);
	ini_keep_alive_start(ini);
	return 0;
}

/* A namespace that is gone, or is another: the disk is removed. */
int ini_assoc_look_again(struct fiber *f, struct ini *ini)
{
	struct ini_ns ns;
	int r = ini_admin_namespace(f, ini->admin, ini->ns.nsid, &ns);

	if (r == 0)
		r = ini_same(f, ini, &ini->ctrl, &ns);
	return r < 0 ? r : ini_size(f, ini, ns.blocks);
}

/* By fibers of our own only: nobody cancels them. */
void ini_assoc_lock(struct fiber *f, struct ini *ini)
{
	int r = latch_lock(f, &ini->latch);

	must(r == 0);
}

/* Later than the check in ini_assoc_up() every wait is for the admin queue, or for a connection. */
void ini_assoc_hurry(struct ini *ini)
{
	if (ini->state == INI_DOWN)
		ini_queue_lost(ini->admin, -ECANCELED, "somebody leaves");
}
