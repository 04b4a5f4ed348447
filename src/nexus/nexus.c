// SPDX-License-Identifier: Apache-2.0
/*
 * nexus - the nexuses of a process: opened, served, closed. See nexus.h and nexus_priv.h.
 *
 * NX1. A nexus serves from the end of its takeover until it is closed, deposed or stopped.
 * NX2. Closing begins by refusing what waits; then what is in flight ends; then the record says so.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"

/* ---- the table --------------------------------------------------------------------------- */

int nexus_table_new(struct fiber *f, const struct nexus_table_opts *opts, struct nexus_table **ret)
{
	struct nexus_table *table = mem_new(fiber_io(f), sizeof(*table));
	int r;

	if (!table)
		return fiber_fail(f, -ENOMEM, "no memory for nexuses");
	table->io = fiber_io(f);
	table->home = fiber_reactor(f);
	table->store = opts->store;
	table->instance = opts->instance;
	table->child_timeout_ms = opts->child_timeout_ms ? opts->child_timeout_ms :
							   NEXUS_CHILD_TIMEOUT_MS_DEFAULT;
	table->retry_ms = opts->retry_ms ? opts->retry_ms : NEXUS_RETRY_MS_DEFAULT;
	table->log_rest_ms = opts->log_rest_ms ? opts->log_rest_ms : NEXUS_LOG_REST_MS_DEFAULT;
	table->verify = opts->verify;
	table->rules_off = opts->rules_off;
	list_init(&table->nexuses);
	list_init(&table->watches);
	r = lease_start(f, opts->store, &opts->instance,
			opts->lease_ttl_ms ? opts->lease_ttl_ms : LEASE_TTL_MS_DEFAULT,
			&table->lease);
	if (r == 0) {
		r = fiber_start(table->home, "nexus-look", look_main, table, &table->looker);
		if (r < 0)
			lease_stop(f, &table->lease);
	}
	if (r < 0)
		mem_free(table);
	else
		*ret = table;
	return r;
}

void nexus_table_free(struct fiber *f, struct nexus_table *table)
{
	must(table->count == 0);
	fiber_cancel(table->looker);
	(void)fiber_join(f, table->looker);
	lease_stop(f, &table->lease);
	mem_free(table);
}

struct lease *nexus_table_lease(struct nexus_table *table)
{
	return &table->lease;
}

static bool nexus_is_called(const struct nexus *n, const char *name)
{
	struct uuid uuid;

	return strcmp(n->rec.name, name) == 0 ||
	       (uuid_parse(name, &uuid) == 0 && uuid_equal(&uuid, &n->rec.volume));
}

struct nexus *nexus_find(struct nexus_table *table, const char *name)
{
	struct nexus *n;

	list_for_each(n, &table->nexuses, link)
		if (nexus_is_called(n, name))
			return n;
	return NULL;
}

int nexus_each(struct fiber *f, struct nexus_table *table,
	       int (*fn)(void *ctx, struct nexus *nexus), void *ctx)
{
	struct nexus *n;
	int r = 0;

	(void)f;
	list_for_each(n, &table->nexuses, link) {
		r = fn(ctx, n);
		if (r != 0)
			break;
	}
	return r;
}

/* ---- memory -------------------------------------------------------------------------------- */

static void nexus_free(struct nexus *n)
{
	timer_stop(&n->hang_clock);
	missed_fini(n);
	active_fini(n);
	history_fini(n);
	slab_fini(&n->ios);
	list_del(&n->link);
	n->table->count--;
	mem_free(n);
}

static void nexus_lists(struct nexus *n)
{
	list_init(&n->gated);
	list_init(&n->starved);
	list_init(&n->held);
	list_init(&n->writes);
	list_init(&n->ranges);
	list_init(&n->order.waiting);
	list_init(&n->bdevs);
	list_init(&n->split_reads);
	timer_init(&n->hang_clock);
	event_init(&n->answered);
	missed_init(n);
	latch_init(&n->admin);
	event_init(&n->idle);
	event_set(&n->idle);
	event_init(&n->range_released);
	event_init(&n->retire_needed);
	event_init(&n->stopped);
	event_init(&n->rebuilt);
	event_set(&n->rebuilt);
	event_init(&n->resumed);
	event_set(&n->resumed);
	event_init(&n->unseen);
	event_set(&n->unseen);
}

static int nexus_new(struct fiber *f, struct nexus_table *table, struct nexus **ret)
{
	struct nexus *n;

	if (table->count == NEXUS_VOLUMES_MAX)
		return fiber_fail(f, -EMFILE, "more than %u volumes in one process",
				  NEXUS_VOLUMES_MAX);
	n = mem_new(table->io, sizeof(*n));
	if (!n)
		return fiber_fail(f, -ENOMEM, "no memory for a nexus");
	n->table = table;
	n->home = table->home;
	n->io = table->io;
	n->mem = table->io->mem;
	n->state = NEXUS_OPENING;
	nexus_lists(n);
	slab_init(&n->ios, n->mem, sizeof(struct nexus_io) + NEXUS_CHILD_ROOM, BIO_SCRATCH_ALIGN,
		  NEXUS_REQS_MAX);
	list_add_tail(&table->nexuses, &n->link);
	table->count++;
	n->child_timeout_ms = table->child_timeout_ms;
	if (active_init(n) < 0 || history_init(n) < 0) {
		nexus_free(n);
		return fiber_fail(f, -ENOMEM, "no memory for a nexus");
	}
	*ret = n;
	return 0;
}

static void nexus_close_children(struct fiber *f, struct nexus *n)
{
	nexus_each_child(n, child)
		if (child->bdev)
			child_close(f, child);
}

/* ---- open ------------------------------------------------------------------------------------ */

static int answer_tell(struct fiber *f, struct nexus_child *child, const void *what)
{
	(void)what;
	return child_tell(f, child, REPLICA_IN_SYNC, true);
}

void nexus_tell_members(struct fiber *f, struct nexus *n)
{
	nexus_mask whom = 0;

	nexus_each_child(n, child)
		if (child->state == NEXUS_CHILD_IN_SYNC)
			whom |= nexus_bit(child);
	(void)ask_members(f, n, whom, answer_tell, NULL, 0);
}

static int nexus_load(struct fiber *f, struct nexus *n, const struct uuid *volume)
{
	char text[UUID_TEXT_SIZE];
	int r = volume_get(f, n->table->store, volume, &n->rec, &n->revision);

	if (r == -ENOENT)
		return fiber_fail(f, r, "there is no volume %s", uuid_print(volume, text));
	if (r < 0)
		return r;
	if (n->rec.member_count > NEXUS_CHILDREN_MAX)
		return fiber_fail(f, -E2BIG, "volume '%s' has %u members, at most %u are served",
				  n->rec.name, n->rec.member_count, NEXUS_CHILDREN_MAX);
	n->block_shift = (uint32_t)__builtin_ctz(n->rec.block_size);
	n->size_bytes = n->rec.size_bytes;
	n->gen = (struct replica_gen){ n->rec.gen_epoch, n->rec.gen_n };
	for (unsigned i = 0; i < n->rec.member_count; i++)
		must(child_new(n, i));
	return 0;
}

static void nexus_abilities(struct nexus *n)
{
	n->unmap_zeroes = n->can_zeroes = true;
	nexus_each_child(n, child) {
		if (!child->bdev)
			continue;
		n->unmap_zeroes = n->unmap_zeroes && child->bdev->unmap_zeroes;
		n->can_zeroes = n->can_zeroes && child->bdev->can_zeroes;
	}
}

static int nexus_fibers(struct fiber *f, struct nexus *n)
{
	int r = fiber_start(n->home, "nexus-retire", retire_main, n, &n->retirer);

	if (r == 0)
		r = fiber_start(n->home, "nexus-active", active_main, n, &n->active.fiber);
	if (r == 0)
		r = fiber_start(n->home, "nexus-revive", revive_main, n, &n->reviver);
	if (r == 0)
		r = fiber_start(n->home, "nexus-missed", missed_main, n, &n->missed.fiber);
	return r < 0 ? fiber_fail(f, r, "volume '%s': no fibers left", n->rec.name) : 0;
}

void nexus_serve(struct fiber *f, struct nexus *n)
{
	nexus_each_child(n, child) {
		if (!child->bdev)
			continue;
		child_become(child, NEXUS_CHILD_IN_SYNC);
		n->readable |= nexus_bit(child);
	}
	n->writable = n->needed = n->readable;
	nexus_abilities(n);
	active_switch(n);
	nexus_become(n, NEXUS_SERVING);
	nexus_tell_members(f, n);
	doubt_settle(n);
	nexus_each_child(n, child)
		if (!child->bdev && !child_member(child)->is_offline && rebuild_start(child) < 0)
			fiber_clear(f); /* it stays out until somebody says so */
}

static void nexus_stop_fibers(struct fiber *f, struct nexus *n)
{
	struct fiber *const fibers[] = { n->reviver, n->retirer, n->active.fiber,
					 n->missed.fiber };

	for (unsigned i = 0; i < ARRAY_LEN(fibers); i++) {
		if (!fibers[i])
			continue;
		fiber_cancel(fibers[i]);
		(void)fiber_join(f, fibers[i]);
	}
}

int nexus_open(struct fiber *f, struct nexus_table *table, const struct uuid *volume, bool force,
	       struct nexus **ret)
{
	struct nexus *n;
	char text[UUID_TEXT_SIZE];
	int r;

	if (nexus_find(table, uuid_print(volume, text)))
		return fiber_fail(f, -EEXIST, "volume %s is open here", text);
	r = nexus_new(f, table, &n);
	if (r < 0)
		return r;
	r = nexus_load(f, n, volume);
	n->term = table->lease.term;
	if (r == 0)
		r = takeover(f, n, force);
	if (r == 0)
		r = nexus_fibers(f, n);
	if (r < 0) {
		nexus_become(n, NEXUS_CLOSING);
		nexus_close_children(f, n);
		nexus_stop_fibers(f, n);
		look_leave(f, n);
		nexus_free(n);
		return r;
	}
	nexus_serve(f, n);
	*ret = n;
	return 0;
}

/* ---- close ------------------------------------------------------------------------------------- */

/* NX2. */
void nexus_refuse_all(struct nexus *n)
{
	struct nexus_req *req;

	nexus_become(n, NEXUS_CLOSING);
	while ((req = list_pop_front(&n->held, struct nexus_req, link)))
		io_finish(req, -ENODEV);
	io_run_all(&n->gated);
	io_run_all(&n->starved);
	io_run_all(&n->active.waiting);
	io_run_all(&n->missed.waiting);
	io_run_all(&n->split_reads);
}

void nexus_refuse(struct nexus *n)
{
	if (n->state != NEXUS_DEPOSED && n->state != NEXUS_CLOSING)
		nexus_refuse_all(n);
}

static void nexus_drain(struct fiber *f, struct nexus *n)
{
	nexus_each_child(n, child)
		rebuild_stop(f, child);
	io_gate_close(f, n);
	event_wait_always(f, &n->resumed);
}

/* Everything is on all members, and they say so. */
static int nexus_leave_clean(struct fiber *f, struct nexus *n)
{
	int r = 0;

	nexus_become(n, NEXUS_SERVING); /* for the activity log, which is ours still */
	active_clear_all(f, n);
	nexus_each_child(n, child)
		if (r == 0 && child->state == NEXUS_CHILD_IN_SYNC)
			r = child_flush(f, child);
	nexus_each_child(n, child)
		if (r == 0 && child->state == NEXUS_CHILD_IN_SYNC)
			r = child_tell(f, child, REPLICA_IN_SYNC, false);
	if (r < 0 || n->state != NEXUS_SERVING)
		return r;
	n->rec.clean = true;
	return owner_put(f, n);
}

static void nexus_end(struct fiber *f, struct nexus *n, bool clean)
{
	bool could_be_clean = clean && n->state == NEXUS_SERVING;

	must(n->opens == 0);
	nexus_refuse_all(n);
	nexus_drain(f, n);
	nexus_stop_fibers(f, n);
	nexus_each_child(n, child) /* one that was retired since is closed by its own fiber */
		rebuild_stop(f, child);
	/* what ended last may have found that it is ours no more */
	if (could_be_clean && n->state == NEXUS_CLOSING && owner_may_serve(n))
		(void)nexus_leave_clean(f, n);
	event_wait_always(f, &n->resumed);
	nexus_become(n, NEXUS_CLOSING);
	nexus_close_children(f, n);
	look_leave(f, n);
	fiber_clear(f);
	nexus_free(n);
}

void nexus_close(struct fiber *f, struct nexus *n)
{
	nexus_end(f, n, true);
}

void nexus_abandon(struct fiber *f, struct nexus *n)
{
	nexus_end(f, n, false);
}

/* ---- what it is like ------------------------------------------------------------------------------ */

static void nexus_child_info(struct nexus_child *child, struct nexus_child_info *ret)
{
	const struct volume_member *member = child_member(child);

	snprintf(ret->uri, sizeof(ret->uri), "%s", member->uri);
	snprintf(ret->reason, sizeof(ret->reason), "%s", member->reason);
	ret->state = child->state;
	ret->is_local = child_is_local(child);
	ret->is_fenced = child->token != 0;
	ret->is_offline = member->is_offline;
	ret->is_foreign = child->bdev && !child->ops;
	ret->token = child->token;
	ret->reads = child->reads;
	ret->writes = child->writes;
	ret->errors = child->errors;
	ret->copied_bytes = child->copied;
	ret->rebuilt_bytes = child->is_rebuilding ? child->rebuild.recovered : 0;
	ret->rebuild_bytes = child->is_rebuilding ? child->nexus->rec.size_bytes : 0;
	rebuild_info(child, &ret->rebuild);
	missed_info(child, ret);
}

void nexus_info(struct nexus *n, struct nexus_info *ret)
{
	*ret = (struct nexus_info){
		.volume = n->rec.volume,
		.size_bytes = n->size_bytes,
		.block_size = n->rec.block_size,
		.state = n->state,
		.has_log = true,
		.epoch = n->rec.epoch,
		.count = n->rec.member_count,
		.resync_bytes = n->resync_bytes,
		.al_active = n->active.marked,
		.al_updates = n->active.updates,
		.changes = n->changes,
		.rebuild_limit = n->rate.bytes_per_s,
		.child_timeout_ms = n->child_timeout_ms,
	};
	snprintf(ret->name, sizeof(ret->name), "%s", n->rec.name);
	nexus_each_child(n, child) {
		nexus_child_info(child, &ret->children[child->member]);
		ret->has_log = ret->has_log && !ret->children[child->member].is_foreign;
	}
}

const char *nexus_child_disk(struct nexus *n, const char *uri)
{
	nexus_each_child(n, child)
		if (child->bdev && strcmp(child_member(child)->uri, uri) == 0)
			return child->bdev->name;
	return NULL;
}
