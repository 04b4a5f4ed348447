// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_view - a namespace as one reactor sees it, and how home changes what it sees.
 *
 * A view has a channel, a copy of the namespace's rules and a count of its requests in flight,
 * in two epochs: who wants to know that all requests of now have ended turns the epoch and waits
 * for the older count to sink to 0.
 *
 * VI1. Views and tables change only on their reactor, by fibers that home sends and waits for.
 * VI2. A view is freed when it is in no table, nothing is in flight, and nothing is parked.
 */
#include <errno.h>

#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"

#define CALL_RETRY_NS (10ull * 1000 * 1000)

struct view_call {
	struct tgt_ns *ns;
	unsigned index; /* of the shard */
	struct tgt_view_stats stats;
};

static struct tgt_shard *view_shard(const struct view_call *call)
{
	return call->ns->subsys->tgt->shard[call->index];
}

/* For what must be done, and never fails but for want of a fiber: that is waited for. */
void tgt_call_always(struct fiber *f, struct reactor *to, const char *name, fiber_fn fn, void *arg)
{
	bool has_words = *fiber_words(f);

	while (fiber_call_on(f, to, name, fn, arg) < 0) {
		if (!has_words)
			fiber_clear(f);
		if (fiber_sleep(f, CALL_RETRY_NS) < 0)
			fiber_yield(f);
	}
}

static void view_each_always(struct fiber *f, struct tgt_ns *ns, const char *name, fiber_fn fn)
{
	struct tgt *tgt = ns->subsys->tgt;

	for (unsigned i = 0; i < tgt->shard_count; i++) {
		struct view_call call = { .ns = ns, .index = i };

		tgt_call_always(f, tgt->shard[i]->reactor, name, fn, &call);
	}
}

/* fn on the reactor of every shard, one after the other. The first error ends it. */
static int view_each(struct fiber *f, struct tgt_ns *ns, fiber_fn fn)
{
	struct tgt *tgt = ns->subsys->tgt;
	int r = 0;

	for (unsigned i = 0; i < tgt->shard_count && r == 0; i++) {
		struct view_call call = { .ns = ns, .index = i };

		r = fiber_call_on(f, tgt->shard[i]->reactor, "nvmf-view", fn, &call);
	}
	return r;
}

/* ---- bios ----------------------------------------------------------------------------- */

struct tgt_bio *tgt_view_bio(struct tgt_view *view)
{
	struct tgt_bio *bio = view->bios;

	if (likely(bio)) {
		view->bios = bio->next;
		view->bio_count--;
		return bio;
	}
	return mem_new(view->shard->io, offsetof(struct tgt_bio, bio) + bio_size(view->chan->bdev));
}

void tgt_view_bio_put(struct tgt_view *view, struct tgt_bio *bio)
{
	if (view->bio_count == TGT_BIOS_KEPT) {
		mem_free(bio);
		return;
	}
	bio->next = view->bios;
	view->bios = bio;
	view->bio_count++;
}

/* ---- tables ----------------------------------------------------------------------------- */

/* Room for this nsid. */
static int table_grow(struct tgt_shard *shard, struct tgt_subsys *subsys, uint32_t nsid)
{
	struct tgt_view_table *table = subsys->table[shard->index];
	struct tgt_view **at;
	uint32_t room = 16;

	if (!table) {
		table = mem_new(shard->io, sizeof(*table));
		if (!table)
			return -ENOMEM;
		subsys->table[shard->index] = table;
	}
	if (nsid <= table->room)
		return 0;
	while (room < nsid)
		room *= 2;
	at = mem_new(shard->io, room * sizeof(*at));
	if (!at)
		return -ENOMEM;
	if (table->room)
		memcpy(at, table->at, table->room * sizeof(*at));
	mem_free(table->at);
	table->at = at;
	table->room = room;
	return 0;
}

static int tables_make(struct fiber *f, void *arg)
{
	struct tgt_subsys *subsys = arg;
	struct tgt *tgt = subsys->tgt;
	unsigned index = reactor_index(fiber_reactor(f));
	int r = table_grow(tgt->shard[index], subsys, 1);

	return r < 0 ? fiber_fail(f, r, "no memory for subsystem '%s'", subsys->nqn) : 0;
}

int tgt_view_tables(struct fiber *f, struct tgt_subsys *subsys)
{
	struct tgt *tgt = subsys->tgt;
	int r = 0;

	for (unsigned i = 0; i < tgt->shard_count && r == 0; i++)
		r = fiber_call_on(f, tgt->shard[i]->reactor, "nvmf-table", tables_make, subsys);
	return r;
}

void tgt_view_tables_free(struct tgt_subsys *subsys)
{
	for (unsigned i = 0; i < REACTORS_MAX; i++) {
		if (subsys->table[i])
			mem_free(subsys->table[i]->at);
		mem_free(subsys->table[i]);
		subsys->table[i] = NULL;
	}
}

/* ---- opening ------------------------------------------------------------------------------ */

static int view_open_here(struct fiber *f, void *arg)
{
	struct view_call *call = arg;
	struct tgt_shard *shard = view_shard(call);
	struct tgt_ns *ns = call->ns;
	struct tgt_view *view = mem_new(shard->io, sizeof(*view));
	int r = view ? table_grow(shard, ns->subsys, ns->nsid) : -ENOMEM;

	if (r < 0) {
		mem_free(view);
		return fiber_fail(f, r, "no memory for namespace %u", ns->nsid);
	}
	r = bdev_chan_open(f, ns->bdev, &view->chan);
	if (r < 0) {
		mem_free(view);
		return r;
	}
	view->shard = shard;
	view->nsid = ns->nsid;
	view->shift = (uint8_t)__builtin_ctz(ns->bdev->block_size);
	list_init(&view->parked);
	event_init(&view->drained);
	latch_init(&view->drain_lock);
	ns->view[shard->index] = view;
	ns->subsys->table[shard->index]->at[ns->nsid - 1] = view;
	return 0;
}

int tgt_view_open(struct fiber *f, struct tgt_ns *ns)
{
	int r = view_each(f, ns, view_open_here);

	if (r < 0)
		tgt_view_close(f, ns);
	return r;
}

/* ---- rules ---------------------------------------------------------------------------------- */

/* What was parked is looked at again, in order; it may be parked anew. */
static void view_unpark(struct tgt_view *view)
{
	struct tgt_req *req;
	struct list all;

	list_init(&all);
	list_splice_tail(&all, &view->parked);
	while ((req = list_pop_front(&all, struct tgt_req, link)))
		tgt_io_execute(req);
}

static int view_publish_here(struct fiber *f, void *arg)
{
	struct view_call *call = arg;
	struct tgt_view *view = call->ns->view[call->index];

	if (!view)
		return 0;
	view->rules = call->ns->rules;
	view_unpark(view);
	return 0;
}

/* Home waits meanwhile, and holds ns->lock: nobody writes the rules that the others copy. */
void tgt_view_publish(struct fiber *f, struct tgt_ns *ns)
{
	view_each_always(f, ns, "nvmf-view", view_publish_here);
}

/* ---- draining --------------------------------------------------------------------------------- */

static void view_drain(struct fiber *f, struct tgt_view *view)
{
	unsigned old;

	must(latch_lock(f, &view->drain_lock) == 0);
	old = view->epoch;
	view->epoch ^= 1;
	must(view->inflight[view->epoch] == 0);
	while (view->inflight[old] > 0) {
		event_clear(&view->drained);
		event_wait_always(f, &view->drained);
	}
	latch_unlock(f, &view->drain_lock);
}

static int view_drain_here(struct fiber *f, void *arg)
{
	struct view_call *call = arg;
	struct tgt_view *view = call->ns->view[call->index];

	if (view)
		view_drain(f, view);
	return 0;
}

void tgt_view_drain(struct fiber *f, struct tgt_ns *ns)
{
	view_each_always(f, ns, "nvmf-view", view_drain_here);
}

/* ---- closing ------------------------------------------------------------------------------------ */

static int view_close_here(struct fiber *f, void *arg)
{
	struct view_call *call = arg;
	struct tgt_ns *ns = call->ns;
	struct tgt_view *view = ns->view[call->index];
	struct tgt_bio *bio;

	if (!view)
		return 0;
	ns->subsys->table[call->index]->at[ns->nsid - 1] = NULL;
	view->rules.is_paused = false;
	view_unpark(view); /* there is no such namespace any more */
	view_drain(f, view);
	must(list_empty(&view->parked)); /* VI2 */
	bdev_chan_close(f, view->chan);
	while ((bio = view->bios)) {
		view->bios = bio->next;
		mem_free(bio);
	}
	ns->view[call->index] = NULL;
	mem_free(view);
	return 0;
}

void tgt_view_close(struct fiber *f, struct tgt_ns *ns)
{
	ns->rules.is_visible = false;
	view_each_always(f, ns, "nvmf-view", view_close_here);
}

/* ---- figures -------------------------------------------------------------------------------------- */

static int view_stats_here(struct fiber *f, void *arg)
{
	struct view_call *call = arg;
	const struct tgt_view *view = call->ns->view[call->index];

	if (view)
		call->stats = view->stats;
	return 0;
}

void tgt_view_stats(struct fiber *f, struct tgt_ns *ns, struct tgt_view_stats *ret)
{
	struct tgt *tgt = ns->subsys->tgt;

	*ret = (struct tgt_view_stats){ 0 };
	for (unsigned i = 0; i < tgt->shard_count; i++) {
		struct view_call call = { .ns = ns, .index = i };

		tgt_call_always(f, tgt->shard[i]->reactor, "nvmf-stats", view_stats_here, &call);
		ret->reads += call.stats.reads;
		ret->writes += call.stats.writes;
		ret->read_blocks += call.stats.read_blocks;
		ret->written_blocks += call.stats.written_blocks;
		ret->errors += call.stats.errors;
	}
}
