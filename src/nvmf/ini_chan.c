// SPDX-License-Identifier: Apache-2.0
/*
 * ini_chan - channels' queues join the association and leave it, at home, under the latch (I4).
 */
#include <errno.h>
#include <inttypes.h>

#include "base/must.h"
#include "nvmf/ini_priv.h"

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
				  ini->bdev->name, ini->ctrl.queues);
	*ret = qid;
	return 0;
}

void ini_list_queue(struct ini *ini, struct ini_queue *q)
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

/* Where the connection is lost meanwhile the channel opens all the same, and waits with the others. */
static int ini_join_up(struct fiber *f, struct ini *ini, struct ini_queue *q)
{
	int r = 0;

	if (ini->state == INI_UP) {
		r = ini_visit(f, ini, q, ini_at_start);
		if (r == 0)
			r = ini_visit(f, ini, q, ini_at_go);
		if (r == 0 || !ini_is_loss(r))
			return r;
		fiber_clear(f);
		ini_visit(f, ini, q, ini_at_stop);
		ini->lost = true;
		event_set(&ini->wake);
	}
	return ini_visit(f, ini, q, ini_at_down);
}

static int ini_join_home(struct fiber *f, void *arg)
{
	struct ini_chan_call *call = arg;
	struct ini *ini = call->ini;
	int r;

	ini_assoc_lock(f, ini);
	r = ini->state == INI_GONE ?
		    fiber_fail(f, -ENODEV, "%s: the disk is gone", ini->bdev->name) :
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

int ini_chan_join(struct fiber *f, struct ini *ini, struct ini_queue *q)
{
	struct ini_chan_call call = { .ini = ini, .q = q };

	return fiber_call_on(f, ini->home, "nvmf join", ini_join_home, &call);
}

static int ini_leave_home(struct fiber *f, void *arg)
{
	struct ini_chan_call *call = arg;

	call->ini->leaving++;
	ini_assoc_hurry(call->ini);
	ini_assoc_lock(f, call->ini);
	call->ini->leaving--;
	ini_visit(f, call->ini, call->q, ini_at_leave);
	ini_unlist_queue(call->ini, call->q);
	latch_unlock(f, &call->ini->latch);
	call->q = NULL;
	return 0;
}

void ini_chan_leave(struct fiber *f, struct ini *ini, struct ini_queue *q)
{
	struct ini_chan_call call = { .ini = ini, .q = q };

	while (call.q && fiber_call_on(f, ini->home, "nvmf leave", ini_leave_home, &call) < 0)
		fiber_yield(f); /* until there is a fiber */
}
