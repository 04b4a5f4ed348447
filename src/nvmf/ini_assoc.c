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
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/must.h"
#include "nvmf/ini_priv.h"
#include "reactor/fiber_io.h"
#include "wire/nvme_feature.h"

#define INI_BACKOFF_MIN_NS 50000000u
#define INI_BACKOFF_MAX_NS 5000000000u
#define INI_CALL_RETRY_NS  1000000u

static struct log *ini_log(const struct ini *ini)
{
	return reactor_log(ini->home);
}

/* ---- calls to the queues' reactors ------------------------------------------------------- */

struct ini_visit {
	int (*fn)(struct fiber *f, struct ini_queue *q, const struct ini *ini);
	struct ini_queue *q;
	const struct ini *ini;
	int status;
	bool ran;
};

static int ini_visit_run(struct fiber *f, void *arg)
{
	struct ini_visit *visit = arg;

	visit->ran = true;
	visit->status = visit->fn(f, visit->q, visit->ini);
	return visit->status;
}

/* Until a fiber could be had there. */
static int ini_visit(struct fiber *f, struct ini *ini, struct ini_queue *q,
		     int (*fn)(struct fiber *f, struct ini_queue *q, const struct ini *ini))
{
	struct ini_visit visit = { .fn = fn, .q = q, .ini = ini };
	struct timer timer;

	timer_init(&timer);
	for (;;) {
		int r = fiber_call_on(f, q->reactor, "nvmf queue", ini_visit_run, &visit);

		if (visit.ran)
			return visit.status;
		must(r < 0);
		fiber_clear(f);
		if (fiber_sleep(f, INI_CALL_RETRY_NS) < 0)
			fiber_yield(f);
	}
}

/* Every queue in turn, until one fails. */
static int ini_visit_all(struct fiber *f, struct ini *ini,
			 int (*fn)(struct fiber *f, struct ini_queue *q, const struct ini *ini))
{
	struct ini_queue *q;

	list_for_each(q, &ini->queues, home_link)
		TRY(ini_visit(f, ini, q, fn));
	return 0;
}

static int ini_at_start(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	uint16_t cntlid;

	q->generation = ini->generation;
	TRY(ini_queue_start(f, q, &ini->addr, &ini->opts));
	if (ini_admin_connect(f, q, &ini->opts, ini->ctrl.cntlid, 0, &cntlid) < 0) {
		int r = fiber_err(f)->code;

		ini_queue_stop(f, q);
		return r;
	}
	q->capsule_max = ini->ctrl.capsule_max;
	return 0;
}

static int ini_at_stop(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)ini;
	ini_queue_stop(f, q);
	return 0;
}

/* The channel is closed: that is no loss. A controller that can, ends one queue alone. */
static int ini_at_leave(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	struct nvme_sqe sqe = { 0 };
	struct nvme_cqe cqe;

	nvme_disconnect_encode(&sqe);
	q->lost_sent = true;
	if (q->state == INI_LIVE && ini->ctrl.ofcs & 1 &&
	    ini_call(f, q, &sqe, NULL, 0, &cqe) < 0)
		fiber_clear(f);
	ini_queue_stop(f, q);
	return 0;
}

static int ini_at_go(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)ini;
	if (q->state != INI_READY)
		return fiber_fail(f, -ENOTCONN, "%s", q->why);
	ini_bio_go(q);
	return 0;
}

static int ini_at_register(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	return ini_resv_again(f, q, ini->ns.nsid, ini->key);
}

/* It has no connection, and waits for one from now on. */
static int ini_at_down(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)f;
	(void)ini;
	ini_bio_down(q);
	return 0;
}

static int ini_at_refused(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)f;
	(void)ini;
	ini_bio_fail(q, -ETIMEDOUT);
	return 0;
}

static int ini_at_gone(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)f;
	(void)ini;
	ini_bio_fail(q, -ENODEV);
	return 0;
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

/* ---- events and keep alive ---------------------------------------------------------------------- */

static void ini_aer_start(struct ini *ini);

static void ini_aer_done(struct ini_queue *q, void *owner, int error, const struct nvme_cqe *cqe)
{
	struct ini *ini = owner;
	uint16_t event;
	uint8_t lid;

	(void)q;
	if (error < 0 || cqe->status != NVME_SUCCESS)
		return; /* lost, or it cannot */
	nvme_event_decode((uint32_t)cqe->result, &event, &lid);
	log_debug(ini_log(ini), "event of an NVMe controller", LOG_STR("disk", ini->bdev.name),
		  LOG_HEX("event", event), LOG_HEX("page", lid));
	ini->changed = true;
	event_set(&ini->wake);
}

/* One is always out while the association is up. */
static void ini_aer_start(struct ini *ini)
{
	struct ini_cmd *cmd = ini_cmd_get(ini->admin);
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	struct ini_data data = { 0 };

	if (cmd)
		ini_cmd_start(cmd, &sqe, &data, true, ini_aer_done, ini);
}

static void ini_keep_alive_done(struct ini_queue *q, void *owner, int error,
				const struct nvme_cqe *cqe)
{
	struct ini *ini = owner;

	ini->keep_alive_sent = false;
	if (error == 0 && cqe->status != NVME_SUCCESS)
		ini_queue_lost(q, -EIO, "the controller refused a keep alive");
}

/* Half the timeout; an answer that does not come ends the connection as any other (Q6). */
static void ini_keep_alive_due(struct timer *timer)
{
	struct ini *ini = container_of(timer, struct ini, keep_alive);
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_KEEP_ALIVE };
	struct ini_data data = { 0 };
	struct ini_cmd *cmd;

	timer_start(ini->home, timer, ini->opts.kato_ms * UINT64_C(500000), ini_keep_alive_due);
	if (ini->admin->state != INI_READY || ini->keep_alive_sent)
		return;
	cmd = ini_cmd_get(ini->admin);
	if (!cmd)
		return;
	ini->keep_alive_sent = true;
	ini_cmd_start(cmd, &sqe, &data, false, ini_keep_alive_done, ini);
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
		return fiber_fail(f, -ESTALE, "another namespace answers: its blocks have %" PRIu32
				  " bytes", ns->block_size);
	if (ns->blocks < ini->bdev.blocks)
		return fiber_fail(f, -ESTALE, "the namespace shrank to %" PRIu64 " blocks",
				  ns->blocks);
	if (ctrl->entries < ini->ctrl.entries || ctrl->max_io_bytes < ini->ctrl.max_io_bytes ||
	    ctrl->max_zeroes_bytes < ini->ctrl.max_zeroes_bytes ||
	    ctrl->max_unmap_blocks < ini->ctrl.max_unmap_blocks ||
	    (ini->ctrl.oncs & ~ctrl->oncs))
		return fiber_fail(f, -ESTALE, "the controller takes less than it did");
	return 0;
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
		if (ns.blocks > ini->bdev.blocks)
			bdev_resized(f, &ini->bdev, ns.blocks);
		ini->ctrl.cntlid = ctrl.cntlid;
		ini->ctrl.capsule_max = ctrl.capsule_max;
		ini->ctrl.queues = ctrl.queues;
		return 0;
	}
	ini->ctrl = ctrl;
	ini->ns = ns;
	return 0;
}

static int ini_queues_up(struct fiber *f, struct ini *ini)
{
	struct ini_queue *first = list_first(&ini->queues, struct ini_queue, home_link);

	TRY(ini_visit_all(f, ini, ini_at_start));
	if (ini->key && first)
		TRY(ini_visit(f, ini, first, ini_at_register)); /* I2 */
	return ini_visit_all(f, ini, ini_at_go);
}

/* Everything ends (I1). */
static void ini_down(struct fiber *f, struct ini *ini)
{
	ini->state = INI_DOWN;
	timer_stop(&ini->keep_alive);
	ini_visit_all(f, ini, ini_at_stop);
	ini_queue_stop(f, ini->admin);
	ini->generation++; /* what is told of it from now on is old */
	ini->lost = ini->changed = ini->keep_alive_sent = false;
}

static int ini_up(struct fiber *f, struct ini *ini, bool first)
{
	int r;

	ini->admin->generation = ini->generation;
	r = ini_admin_start(f, ini);
	if (r == 0)
		r = ini_controller_up(f, ini, first);
	if (r == 0)
		r = ini_queues_up(f, ini);
	if (r == 0 && ini->lost)
		r = fiber_fail(f, -ENOTCONN, "the connection was lost again");
	if (r < 0) {
		ini_down(f, ini);
		return r;
	}
	ini->state = INI_UP;
	ini_aer_start(ini);
	if (ini->opts.kato_ms)
		timer_start(ini->home, &ini->keep_alive, ini->opts.kato_ms * UINT64_C(500000),
			    ini_keep_alive_due);
	return 0;
}

/* ---- the keeper -------------------------------------------------------------------------------------- */

static void ini_gone(struct fiber *f, struct ini *ini, const char *why)
{
	log_error(ini_log(ini), "an NVMe disk is given up", LOG_STR("disk", ini->bdev.name),
		  LOG_STR("why", why));
	fiber_clear(f);
	ini->state = INI_GONE;
	ini_visit_all(f, ini, ini_at_gone);
	bdev_removed(&ini->bdev);
}

/* Sleep, but for a stop. */
static void ini_back_off(struct fiber *f, struct ini *ini, uint64_t backoff_ns)
{
	uint64_t ns = backoff_ns / 2 + prng_below(&ini->prng, backoff_ns);
	uint64_t until = reactor_now(ini->home) + ns;

	while (!ini->stopping) {
		event_clear(&ini->wake);
		if (event_wait_until(f, &ini->wake, until) < 0)
			return;
	}
}

/* The controller, or whoever answers there, does not want us: waiting is of no use. */
static bool ini_is_refusal(int r)
{
	return r != -ETIMEDOUT && r != -ENOTCONN && r != -ECONNRESET && r != -ECONNREFUSED &&
	       r != -EHOSTUNREACH && r != -ENETUNREACH && r != -EPIPE && r != -ENOMEM &&
	       r != -EAGAIN && r != -ECANCELED;
}

/* By fibers of our own only: nobody cancels them. */
static void ini_lock(struct fiber *f, struct ini *ini)
{
	int r = latch_lock(f, &ini->latch);

	must(r == 0);
}

static int ini_try_again(struct fiber *f, struct ini *ini)
{
	int r;

	ini_lock(f, ini);
	r = ini_up(f, ini, false);
	if (r < 0 && r != -ESTALE && ini_is_refusal(r))
		ini_visit_all(f, ini, ini_at_refused);
	latch_unlock(f, &ini->latch);
	return r;
}

static void ini_return(struct fiber *f, struct ini *ini)
{
	uint64_t since = reactor_now(ini->home), backoff = INI_BACKOFF_MIN_NS;
	int r;

	log_warn(ini_log(ini), "an NVMe controller is lost", LOG_STR("disk", ini->bdev.name),
		 LOG_STR("why", ini->why));
	ini_lock(f, ini);
	ini_down(f, ini);
	latch_unlock(f, &ini->latch);
	while (!ini->stopping) {
		r = ini_try_again(f, ini);
		if (r == 0) {
			ini->reconnects++;
			log_info(ini_log(ini), "an NVMe controller is back",
				 LOG_STR("disk", ini->bdev.name));
			return;
		}
		if (r == -ESTALE || reactor_now(ini->home) - since >= ini->opts.loss_ns) {
			ini_gone(f, ini, fiber_words(f));
			return;
		}
		log_debug(ini_log(ini), "an NVMe controller does not come back",
			  LOG_STR("disk", ini->bdev.name), LOG_STR("why", fiber_words(f)));
		fiber_clear(f);
		ini_back_off(f, ini, backoff);
		backoff = min_u64(backoff * 2, INI_BACKOFF_MAX_NS);
	}
}

/* A namespace that is gone, or is another: the disk is removed. */
static int ini_look_again(struct fiber *f, struct ini *ini)
{
	struct ini_ns ns;
	int r = ini_admin_namespace(f, ini->admin, ini->ns.nsid, &ns);

	if (r == 0)
		r = ini_same(f, ini, &ini->ctrl, &ns);
	if (r < 0)
		return r;
	if (ns.blocks > ini->bdev.blocks)
		bdev_resized(f, &ini->bdev, ns.blocks);
	return 0;
}

static void ini_look_at_event(struct fiber *f, struct ini *ini)
{
	bool is_ours = false;
	int r;

	ini_lock(f, ini);
	ini->changed = false;
	r = ini_admin_changed(f, ini->admin, ini->ns.nsid, &is_ours);
	if (r == 0)
		ini_aer_start(ini);
	if (r == 0 && is_ours)
		r = ini_look_again(f, ini);
	if (r == -ENODEV || r == -ESTALE) {
		ini_down(f, ini);
		ini_gone(f, ini, fiber_words(f));
	}
	fiber_clear(f);
	latch_unlock(f, &ini->latch);
}

static int ini_keeper(struct fiber *f, void *arg)
{
	struct ini *ini = arg;

	while (!ini->stopping) {
		event_wait_always(f, &ini->wake);
		event_clear(&ini->wake);
		if (ini->state == INI_GONE || ini->stopping)
			continue;
		if (ini->lost)
			ini_return(f, ini);
		else if (ini->changed)
			ini_look_at_event(f, ini);
	}
	return 0;
}

/* ---- the driver's doors ---------------------------------------------------------------------------- */

int ini_assoc_open(struct fiber *f, struct ini *ini)
{
	uint8_t seed[8];
	int r;

	list_init(&ini->queues);
	latch_init(&ini->latch);
	event_init(&ini->wake);
	timer_init(&ini->keep_alive);
	io_random(fiber_io(f), seed, sizeof(seed));
	prng_init(&ini->prng, le64_get(seed), 0);
	r = ini_queue_new(ini->home, ini, INI_ADMIN_SLOTS, &ini->admin);
	if (r < 0)
		return r;
	ini->admin->timeout_ns = ini->opts.timeout_ns;
	if (ini->opts.kato_ms)
		ini->admin->timeout_ns =
			min_u64(ini->opts.timeout_ns, ini->opts.kato_ms * UINT64_C(1000000));
	r = ini_up(f, ini, true);
	if (r == 0) {
		r = fiber_start(ini->home, "nvmf keeper", ini_keeper, ini, &ini->keeper);
		if (r < 0)
			ini_down(f, ini);
	}
	if (r < 0)
		ini_queue_free(steal(ini->admin));
	return r;
}

void ini_assoc_close(struct fiber *f, struct ini *ini)
{
	ini->stopping = true;
	event_set(&ini->wake);
	fiber_join(f, ini->keeper);
	must(list_empty(&ini->queues));
	timer_stop(&ini->keep_alive);
	ini_admin_shutdown(f, ini->admin);
	ini_queue_stop(f, ini->admin);
	ini_queue_free(steal(ini->admin));
}

struct ini_chan_call {
	struct ini *ini;
	struct ini_queue *q;
};

static int ini_qid_free(struct fiber *f, const struct ini *ini, uint16_t *ret)
{
	struct ini_queue *q;
	uint16_t qid = 1;

	/* The list is in the order of the numbers: the first gap. */
	list_for_each(q, &ini->queues, home_link) {
		if (q->qid != qid)
			break;
		qid++;
	}
	if (qid > ini->ctrl.queues)
		return fiber_fail(f, -EMFILE,
				  "%s: the controller gave us %" PRIu32
				  " I/O queues, and all have a channel",
				  ini->bdev.name, ini->ctrl.queues);
	*ret = qid;
	return 0;
}

static void ini_list_queue(struct ini *ini, struct ini_queue *q)
{
	struct ini_queue *after;

	ini->queue_count++;
	list_for_each(after, &ini->queues, home_link)
		if (after->qid > q->qid) {
			list_add_before(&after->home_link, &q->home_link);
			return;
		}
	list_add_tail(&ini->queues, &q->home_link);
}

static void ini_unlist_queue(struct ini *ini, struct ini_queue *q)
{
	list_del(&q->home_link);
	ini->queue_count--;
}

static int ini_join_up(struct fiber *f, struct ini *ini, struct ini_queue *q)
{
	int r;

	if (ini->state != INI_UP)
		return ini_visit(f, ini, q, ini_at_down);
	r = ini_visit(f, ini, q, ini_at_start);
	if (r == 0)
		r = ini_visit(f, ini, q, ini_at_go);
	return r;
}

static int ini_join_home(struct fiber *f, void *arg)
{
	struct ini_chan_call *call = arg;
	struct ini *ini = call->ini;
	int r;

	ini_lock(f, ini);
	r = ini->state == INI_GONE ? fiber_fail(f, -ENODEV, "%s: the disk is gone", ini->bdev.name) :
				     ini_qid_free(f, ini, &call->q->qid);
	if (r == 0) {
		ini_list_queue(ini, call->q);
		r = ini_join_up(f, ini, call->q);
		if (r < 0) {
			ini_visit(f, ini, call->q, ini_at_stop);
			ini_unlist_queue(ini, call->q);
		}
	}
	latch_unlock(f, &ini->latch);
	return r;
}

int ini_assoc_join(struct fiber *f, struct ini *ini, struct ini_queue *q)
{
	struct ini_chan_call call = { .ini = ini, .q = q };

	return fiber_call_on(f, ini->home, "nvmf join", ini_join_home, &call);
}

static int ini_leave_home(struct fiber *f, void *arg)
{
	struct ini_chan_call *call = arg;

	ini_lock(f, call->ini);
	ini_visit(f, call->ini, call->q, ini_at_leave);
	ini_unlist_queue(call->ini, call->q);
	latch_unlock(f, &call->ini->latch);
	call->q = NULL;
	return 0;
}

void ini_assoc_leave(struct fiber *f, struct ini *ini, struct ini_queue *q)
{
	struct ini_chan_call call = { .ini = ini, .q = q };

	while (call.q && fiber_call_on(f, ini->home, "nvmf leave", ini_leave_home, &call) < 0)
		fiber_yield(f); /* until there is a fiber */
}

int ini_assoc_rescan(struct fiber *f, struct ini *ini)
{
	int r;

	while (!latch_try(f, &ini->latch))
		fiber_yield(f);
	r = ini->state == INI_UP ? ini_look_again(f, ini) :
				   fiber_fail(f, -ENOTCONN, "%s: the connection is down",
					      ini->bdev.name);
	latch_unlock(f, &ini->latch);
	return r;
}
