// SPDX-License-Identifier: Apache-2.0
/*
 * commit - the rounds of the commit fiber. See commit_priv.h.
 */
#include "pool/commit_priv.h"

#include <errno.h>

#include "base/must.h"
#include "pool/control_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

static void commit_timer_fired(struct timer *timer)
{
	struct commit *commit = container_of(timer, struct commit, timer);

	event_set(&commit->wanted);
}

void commit_later(struct pool *pool)
{
	if (!timer_is_armed(&pool->commit.timer) && pool->commit.fiber)
		timer_start(pool->home, &pool->commit.timer, COMMIT_EVERY_NS, commit_timer_fired);
}

void commit_request(struct pool *pool)
{
	event_set(&pool->commit.wanted);
}

/* ---- one mapping into its tree --------------------------------------------------------------- */

/* Of a thick replica: an unmapped cluster is promised space again. */
static void thick_promise(struct replica *rep)
{
	if (rep->rec.flags & RECORD_THICK)
		rep->pool->super.thick_clusters++;
}

static int map_cluster(struct fiber *f, struct replica *rep, uint64_t lcluster,
		       const struct map_value *value)
{
	const struct tree map = { TREE_MAP, rep->object, &rep->rec.map };
	uint8_t bytes[MAP_VALUE_SIZE];
	int r = tree_find(f, rep->pool, &map, lcluster, bytes, NULL);
	bool was = r == 0;
	uint64_t old = was ? map_value_get(bytes).cluster : 0;

	if (r < 0 && r != -ENOENT)
		return r;
	map_value_put(bytes, value);
	r = tree_put(f, rep->pool, &map, lcluster, bytes);
	if (r < 0 || (was && old == value->cluster))
		return r;
	if (!was)
		rep->rec.mapped++;
	r = txn_count(rep->pool, value->cluster, 1);
	return r == 0 && was ? txn_count(rep->pool, old, -1) : r;
}

static int unmap_cluster(struct fiber *f, struct replica *rep, uint64_t lcluster)
{
	const struct tree map = { TREE_MAP, rep->object, &rep->rec.map };
	uint8_t bytes[MAP_VALUE_SIZE];
	int r = tree_del(f, rep->pool, &map, lcluster, bytes);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	rep->rec.mapped--;
	thick_promise(rep);
	return txn_count(rep->pool, map_value_get(bytes).cluster, -1);
}

static int apply_entry(struct fiber *f, void *ctx, uint64_t object, uint64_t lcluster,
		       const struct map_value *value)
{
	struct pool *pool = ctx;
	struct replica *rep;
	int r = replica_get(f, pool, object, &rep);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* destroyed meanwhile */
	replica_dirty(rep);
	r = value->cluster ? map_cluster(f, rep, lcluster, value) : unmap_cluster(f, rep, lcluster);
	replica_put(rep);
	return r;
}

/* ---- operations ---------------------------------------------------------------------------------- */

static void ops_take(struct commit *commit, struct list *ops)
{
	list_init(ops);
	for (unsigned i = 0; i < COMMIT_OPS_MAX && !list_empty(&commit->ops); i++) {
		struct commit_op *op = list_pop_front(&commit->ops, struct commit_op, link);

		commit->op_count--;
		list_add_tail(ops, &op->link);
	}
}

static void gates_close(struct fiber *f, struct list *ops)
{
	struct commit_op *op;

	list_for_each(op, ops, link)
		if (op->gate)
			rio_gate_close(f, op->gate);
}

static void gates_open(struct list *ops)
{
	struct commit_op *op;

	list_for_each(op, ops, link) {
		if (op->gate)
			rio_gate_open(op->gate);
		op->gate = NULL;
	}
}

static int ops_run(struct fiber *f, struct pool *pool, struct list *ops)
{
	struct commit_op *op;

	list_for_each(op, ops, link) {
		int r = op->check(f, pool, op->arg);

		if (r < 0) {
			op->refused = true;
			op->status = r;
			op->err = *fiber_err(f);
			fiber_clear(f);
			continue;
		}
		r = op->run(f, pool, op->arg);
		if (r < 0)
			return r;
	}
	return 0;
}

static void ops_answer(struct fiber *f, struct list *ops, int status)
{
	struct commit_op *op;

	while ((op = list_pop_front(ops, struct commit_op, link))) {
		if (!op->refused && status < 0) {
			op->status = status;
			op->err = *fiber_err(f);
		}
		event_set(&op->done);
	}
}

/* ---- a round ------------------------------------------------------------------------------------------ */

static int round_change(struct fiber *f, struct pool *pool, struct list *ops)
{
	int r = delta_apply(f, pool, apply_entry, pool);

	if (r == 0)
		r = ops_run(f, pool, ops);
	if (r == 0)
		r = control_settle(f, pool);
	if (r == 0)
		r = reap_step(f, pool);
	if (r == 0)
		r = catalog_settle(f, pool);
	return r < 0 ? r : txn_settle(f, pool);
}

/* From here on readers see the new trees (TX2). */
static uint64_t round_publish(struct pool *pool)
{
	catalog_publish(pool);
	rio_publish(pool);
	return rio_generation_next(pool);
}

static int round_run(struct fiber *f, struct pool *pool, struct list *ops)
{
	uint64_t generation;
	int r;

	txn_begin(pool);
	rio_cut(f, pool);
	r = round_change(f, pool, ops);
	if (r < 0)
		return r;
	generation = round_publish(pool);
	gates_open(ops);
	/* What was freed by the transaction before the last may be handed out after this one (P3). */
	rio_generation_wait(f, pool, pool->commit.generation);
	pool->commit.generation = generation;
	r = txn_write(f, pool);
	if (r == 0)
		rio_durable(pool);
	return r;
}

static bool round_needed(const struct pool *pool)
{
	return !list_empty(&pool->commit.ops) || !delta_is_empty(pool) ||
	       pool->super.dead.entries || pool->space.freed.count ||
	       pool->space.quarantine[0].count || pool->space.quarantine[1].count ||
	       !list_empty(&pool->dirty_replicas) || !list_empty(&pool->controls) ||
	       pool->intent.used > pool->intent.room / 2 || pool->commit.forced;
}

static int round_allowed(struct fiber *f, const struct pool *pool)
{
	if (pool->state == POOL_ONLINE)
		return 0;
	return fiber_fail(f, -EROFS, "pool '%s' is read-only: %s", pool->super.name, pool->why);
}

/* What a tree must have is not there: some other tree says that it is (P6). */
static int round_failed(struct fiber *f, const struct pool *pool, int r)
{
	if (!*fiber_words(f))
		r = fiber_fail(f, r == -ENOENT ? -EILSEQ : r,
			       "pool '%s': its metadata contradict each other (%s)",
			       pool->super.name, err_name(r));
	return r;
}

static void round_do(struct fiber *f, struct pool *pool)
{
	struct list ops;
	int r;

	pool->commit.rounds_begun++;
	pool->commit.forced = false;
	timer_stop(&pool->commit.timer);
	ops_take(&pool->commit, &ops);
	r = round_allowed(f, pool);
	if (r == 0) {
		gates_close(f, &ops);
		r = round_allowed(f, pool); /* while we waited, somebody may have stopped the pool */
		if (r == 0)
			r = round_run(f, pool, &ops);
		if (r < 0) {
			r = round_failed(f, pool, r);
			pool_fault(pool, fiber_words(f));
			txn_abandon(pool);
			rio_fail(pool);
		}
		gates_open(&ops);
	}
	watermark_look(pool);
	pool->commit.rounds_done = pool->commit.rounds_begun;
	pool->commit.status = r;
	ops_answer(f, &ops, r);
	event_set(&pool->commit.round_done);
	event_clear(&pool->commit.round_done);
	fiber_clear(f);
}

static int commit_main(struct fiber *f, void *arg)
{
	struct pool *pool = arg;
	struct commit *commit = &pool->commit;

	while (!commit->stop || (round_needed(pool) && pool->state == POOL_ONLINE) ||
	       !list_empty(&commit->ops)) {
		if (!commit->stop)
			event_wait_always(f, &commit->wanted);
		event_clear(&commit->wanted);
		if (round_needed(pool))
			round_do(f, pool);
		if (pool->state == POOL_ONLINE &&
		    (pool->super.dead.entries || !list_empty(&commit->ops)))
			commit_request(pool);
		else if (round_needed(pool))
			commit_later(pool);
	}
	return 0;
}

int commit_start(struct fiber *f, struct pool *pool)
{
	struct commit *commit = &pool->commit;

	*commit = (struct commit){ 0 };
	event_init(&commit->wanted);
	event_init(&commit->round_done);
	timer_init(&commit->timer);
	list_init(&commit->ops);
	return fiber_start(fiber_reactor(f), "pool-commit", commit_main, pool, &commit->fiber);
}

int commit_stop(struct fiber *f, struct pool *pool)
{
	struct fiber *fiber = pool->commit.fiber;

	if (!fiber)
		return 0;
	pool->commit.stop = true;
	commit_request(pool);
	timer_stop(&pool->commit.timer);
	pool->commit.fiber = NULL;
	return fiber_join(f, fiber);
}

void commit_end(struct fiber *f, struct pool *pool)
{
	if (commit_stop(f, pool) < 0)
		fiber_clear(f);
}

/* ---- waiting for it -------------------------------------------------------------------------------------- */

int commit_wait(struct fiber *f, struct pool *pool)
{
	uint64_t want = pool->commit.rounds_begun + 1;

	while (pool->commit.rounds_done < want) {
		if (pool->state != POOL_ONLINE || !pool->commit.fiber)
			break;
		pool->commit.forced = true;
		commit_request(pool);
		event_wait_always(f, &pool->commit.round_done);
	}
	if (pool->state != POOL_ONLINE)
		return fiber_fail(f, -EROFS, "pool '%s' is read-only: %s", pool->super.name,
				  pool->why);
	return 0;
}

int commit_op(struct fiber *f, struct pool *pool, struct commit_op *op)
{
	struct commit *commit = &pool->commit;

	if (pool->state != POOL_ONLINE)
		return fiber_fail(f, -EROFS, "pool '%s' is read-only: %s", pool->super.name,
				  pool->why);
	if (!commit->fiber || commit->stop)
		return fiber_fail(f, -ESHUTDOWN, "pool '%s' is being exported", pool->super.name);
	if (commit->op_count == COMMIT_QUEUE_MAX)
		return fiber_fail(f, -EBUSY, "pool '%s': %u operations are waiting",
				  pool->super.name, COMMIT_QUEUE_MAX);
	event_init(&op->done);
	list_link_init(&op->link);
	list_add_tail(&commit->ops, &op->link);
	commit->op_count++;
	commit_request(pool);
	event_wait_always(f, &op->done);
	if (op->status < 0)
		*fiber_err(f) = op->err;
	return op->status;
}
