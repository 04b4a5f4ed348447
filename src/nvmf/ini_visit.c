// SPDX-License-Identifier: Apache-2.0
/*
 * ini_visit - what home does to queues, on the reactors they belong to.
 *
 * A visit is a call to the queue's reactor, on a fiber of its own there, for which home waits. So
 * whatever the queue told home before the visit ended has arrived (RE3).
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/must.h"
#include "nvmf/ini_priv.h"

#define INI_CALL_RETRY_NS 1000000u

struct ini_visit {
	ini_visit_fn fn;
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
int ini_visit(struct fiber *f, struct ini *ini, struct ini_queue *q, ini_visit_fn fn)
{
	struct ini_visit visit = { .fn = fn, .q = q, .ini = ini };

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
int ini_visit_all(struct fiber *f, struct ini *ini, ini_visit_fn fn)
{
	struct ini_queue *q;

	list_for_each(q, &ini->queues, home_link)
		TRY(ini_visit(f, ini, q, fn));
	return 0;
}

static int ini_starter(struct fiber *f, void *arg)
{
	struct ini_queue *q = arg;

	return ini_visit(f, q->ini, q, ini_at_start);
}

/*
 * A controller that is slow to answer each of them is waited for once. The fibers are the first
 * one's of the queues that home could have; the rest go in turn.
 */
int ini_start_all(struct fiber *f, struct ini *ini)
{
	struct ini_queue *q;
	int r = 0, first = 0;

	list_for_each(q, &ini->queues, home_link) {
		q->starter = NULL;
		if (ini->queue_count == 1 ||
		    fiber_start(ini->home, "nvmf start", ini_starter, q, &q->starter) < 0)
			first = first ? first : ini_visit(f, ini, q, ini_at_start);
	}
	list_for_each(q, &ini->queues, home_link) {
		if (q->starter)
			r = fiber_join(f, steal(q->starter));
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

int ini_at_start(struct fiber *f, struct ini_queue *q, const struct ini *ini)
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

int ini_at_stop(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)ini;
	ini_queue_stop(f, q);
	return 0;
}

/* The channel is closed: that is no loss. A controller that can, ends one queue alone. */
int ini_at_leave(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	struct nvme_sqe sqe = { 0 };
	struct nvme_cqe cqe;

	nvme_disconnect_encode(&sqe);
	q->lost_sent = true;
	if (q->state == INI_LIVE && ini->ctrl.ofcs & 1 &&
	    ini_call(f, q, &sqe, NULL, 0, "disconnect", &cqe) < 0)
		fiber_clear(f);
	ini_queue_stop(f, q);
	return 0;
}

int ini_at_go(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)ini;
	if (q->state != INI_READY)
		return fiber_fail(f, -ENOTCONN, "%s", q->why);
	ini_bio_go(q);
	return 0;
}

int ini_at_register(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	return ini_resv_again(f, q, ini->ns.nsid, ini->key);
}

/* It has no connection, and waits for one from now on. */
int ini_at_down(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)f;
	(void)ini;
	ini_bio_down(q);
	return 0;
}

int ini_at_refused(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)f;
	(void)ini;
	ini_bio_fail(q, -ETIMEDOUT);
	return 0;
}

int ini_at_gone(struct fiber *f, struct ini_queue *q, const struct ini *ini)
{
	(void)f;
	ini_bio_fail(q, ini->gone);
	return 0;
}
