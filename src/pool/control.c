// SPDX-License-Identifier: Apache-2.0
/*
 * control - replica control: its life, info, fence, set. See control_priv.h.
 */
#include "pool/control_priv.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/must.h"
#include "pool/rio_req_priv.h"
#include "reactor/fiber.h"

#define MEMBERS_PER_VALUE 14u

/* ---- life ------------------------------------------------------------------------------------ */

static struct control *control_new(struct replica *rep)
{
	struct control *control = mem_alloc(rep->pool->mem, sizeof(*control));

	if (!control)
		return NULL;
	control->rep = rep;
	list_link_init(&control->link);
	region_set_init(&control->al, rep->pool->mem);
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		region_set_init(&control->miss[i].regions, rep->pool->mem);
	resv_init(&control->resv);
	return control;
}

static void control_free(struct control *control)
{
	list_del(&control->link);
	region_set_fini(&control->al);
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		region_set_fini(&control->miss[i].regions);
	mem_free(control);
}

void control_fini(struct replica *rep)
{
	if (rep->control)
		control_free(rep->control);
	rep->control = NULL;
}

bool control_is_dirty(const struct replica *rep)
{
	return rep->control && list_is_linked(&rep->control->link);
}

void control_mark(struct control *control)
{
	struct pool *pool = control->rep->pool;

	if (!list_is_linked(&control->link))
		list_add_tail(&pool->controls, &control->link);
	commit_later(pool);
}

/* ---- members --------------------------------------------------------------------------------- */

static int members_load(struct control *control, uint64_t index, const uint8_t *value)
{
	uint32_t count = le32_get(value), first;

	if (count > REPLICA_MEMBERS_MAX || index * MEMBERS_PER_VALUE >= count)
		return -EILSEQ;
	first = (uint32_t)index * MEMBERS_PER_VALUE;
	control->member_count = count;
	memcpy(control->members[first].bytes, value + 8,
	       min_u32(MEMBERS_PER_VALUE, count - first) * sizeof(struct uuid));
	return 0;
}

static int members_put(struct fiber *f, struct control *control)
{
	uint32_t count = control->member_count;
	int r = attr_drop(f, control->rep, ATTR_MEMBERS);

	for (uint32_t first = 0; r == 0 && first < count; first += MEMBERS_PER_VALUE) {
		uint8_t value[ATTR_VALUE_SIZE] = { 0 };

		le32_put(value, count);
		memcpy(value + 8, control->members[first].bytes,
		       min_u32(MEMBERS_PER_VALUE, count - first) * sizeof(struct uuid));
		r = attr_put(f, control->rep, ATTR_MEMBERS, first / MEMBERS_PER_VALUE, value);
	}
	return r;
}

/* ---- from the tree and back ------------------------------------------------------------------ */

static int load_value(struct control *control, uint64_t key, const uint8_t *value)
{
	uint64_t index = key & ((UINT64_C(1) << 56) - 1), slot = index >> 48;
	uint64_t regions = control_regions(control->rep);

	switch (key >> 56) {
	case ATTR_RESERVATION:
		return resv_load_value(&control->resv, index, value);
	case ATTR_ACTIVITY:
		return region_set_load(&control->al, index, regions, value);
	case ATTR_MISS:
		return control_miss_load(control, index, value);
	case ATTR_MISS_MAP:
		if (slot >= REPLICA_MISS_SLOTS)
			return -EILSEQ;
		return region_set_load(&control->miss[slot].regions,
				       index & ((UINT64_C(1) << 48) - 1), regions, value);
	case ATTR_MEMBERS:
		return members_load(control, index, value);
	default:
		return 0; /* not ours */
	}
}

static int load_all(struct fiber *f, struct control *control)
{
	struct replica *rep = control->rep;
	uint64_t key = attr_key(ATTR_RESERVATION, 0);

	for (;; key++) {
		uint8_t value[ATTR_VALUE_SIZE];
		int r = attr_seen_next(f, rep, key, &key, value);

		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = load_value(control, key, value);
		if (r == -ENOMEM)
			return fiber_fail(f, r, "pool '%s': no memory", rep->pool->super.name);
		if (r < 0)
			return fiber_fail(f, r,
					  "pool '%s': attribute %#" PRIx64 " of '%s' is damaged",
					  rep->pool->super.name, key, rep->rec.name);
	}
}

static int control_load(struct fiber *f, struct replica *rep, struct control **ret)
{
	struct control *control;
	int r;

	if (!rep->control) {
		control = control_new(rep);
		if (!control)
			return fiber_fail(f, -ENOMEM, "pool '%s': no memory",
					  rep->pool->super.name);
		r = load_all(f, control);
		if (r < 0 || rep->control) /* somebody else was faster */
			control_free(control);
		else
			rep->control = control;
		if (r < 0)
			return r;
	}
	*ret = rep->control;
	return 0;
}

/* One object: 0 also if it is damaged. */
static int verify_object(struct fiber *f, struct pool *pool, uint64_t object,
			 void (*bad)(void *ctx, const char *words), void *ctx)
{
	struct control *control;
	struct replica *rep;
	int r = replica_get(f, pool, object, &rep);

	if (r == 0) {
		r = control_load(f, rep, &control);
		replica_put(rep);
		if (r == -EILSEQ)
			bad(ctx, fiber_words(f));
	}
	if (r != -EILSEQ && r != -ENOENT) /* a damaged record was seen by the walk */
		return r;
	fiber_clear(f);
	return 0;
}

int control_verify(struct fiber *f, struct pool *pool, void (*bad)(void *ctx, const char *words),
		   void *ctx)
{
	const struct tree tree = { TREE_CATALOG, 0, &pool->seen.catalog };

	for (uint64_t object = 0;; object++) {
		uint8_t value[CATALOG_VALUE_SIZE];
		int r = tree_next(f, pool, &tree, object, &object, value);

		if (r == 0)
			r = verify_object(f, pool, object, bad, ctx);
		if (r == -ENOENT)
			return 0;
		if (r == -EILSEQ) { /* damage that the walk has seen */
			fiber_clear(f);
			return 0;
		}
		if (r < 0)
			return r;
	}
}

static int control_put(struct fiber *f, struct control *control)
{
	int r = region_set_settle(f, control->rep, ATTR_ACTIVITY, 0, &control->al);

	for (uint64_t i = 0; r == 0 && i < REPLICA_MISS_SLOTS; i++)
		r = region_set_settle(f, control->rep, ATTR_MISS_MAP, i << 48,
				      &control->miss[i].regions);
	return r;
}

int control_settle(struct fiber *f, struct pool *pool)
{
	struct control *control;
	struct list todo;
	int r = 0;

	list_init(&todo);
	list_splice_tail(&todo, &pool->controls); /* what changes meanwhile comes next time (CT2) */
	while (r == 0 && (control = list_pop_front(&todo, struct control, link))) {
		if (control->rep->gone)
			continue;
		replica_dirty(control->rep);
		r = control_put(f, control);
	}
	list_splice_tail(&pool->controls, &todo);
	return r;
}

int control_replay(struct fiber *f, struct pool *pool, const struct intent_entry *entry)
{
	struct control *control;
	struct replica *rep;
	int r = replica_get(f, pool, entry->object, &rep);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (entry->kind == INTENT_FENCE) {
		rep->rec.fence = max_u64(rep->rec.fence, entry->first);
		replica_dirty(rep);
	} else {
		r = control_load(f, rep, &control);
		if (r == 0)
			r = control_log_replay(f, control, entry);
	}
	replica_put(rep);
	return r;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int call_home(struct fiber *f, void *arg)
{
	struct control_call *call = arg;
	int r = control_load(f, call->rep, &call->control);

	return r < 0 ? r : call->run(f, call);
}

int control_call(struct fiber *f, struct bdev_chan *chan, struct control_call *call)
{
	struct reactor *home;

	call->rep = bdev_chan_rio(chan)->rep;
	home = call->rep->pool->home;
	if (fiber_reactor(f) == home)
		return call_home(f, call);
	return fiber_call_on(f, home, "pool-control", call_home, call);
}

int control_check(struct fiber *f, const struct control_call *call)
{
	const struct replica *rep = call->rep;
	const struct pool *pool = rep->pool;

	if (pool->state != POOL_ONLINE)
		return fiber_fail(f, -EROFS, "pool '%s' is read-only: %s", pool->super.name,
				  pool->why);
	if (rep->gone)
		return fiber_fail(f, -ENOENT, "pool '%s': '%s' was destroyed", pool->super.name,
				  rep->rec.name);
	if (replica_is_read_only(rep))
		return fiber_fail(f, -EROFS, "pool '%s': '%s' is a snapshot", pool->super.name,
				  rep->rec.name);
	if (call->token < rep->rec.fence)
		return fiber_fail(f, -ESTALE,
				  "replica '%s': token %#" PRIx64
				  " is older than the fence %#" PRIx64,
				  rep->rec.name, call->token, rep->rec.fence);
	return 0;
}

static int change_check(struct fiber *f, struct pool *pool, void *arg)
{
	(void)pool;
	return control_check(f, arg);
}

int control_change(struct fiber *f, struct control_call *call, bool gate,
		   int (*check)(struct fiber *, struct pool *, void *),
		   int (*run)(struct fiber *, struct pool *, void *))
{
	struct commit_op op = { .check = check ? check : change_check,
				.run = run,
				.arg = call,
				.gate = gate ? call->rep : NULL };
	int r = control_check(f, call); /* to spare the commit what is hopeless */

	if (r < 0)
		return r;
	call->control->changes++;
	r = commit_op(f, call->rep->pool, &op);
	call->control->changes--;
	return r;
}

/* ---- info ------------------------------------------------------------------------------------ */

struct info_call {
	struct control_call call;
	struct replica_info *ret;
};

static int info_run(struct fiber *f, struct control_call *call)
{
	struct replica_info *ret = container_of(call, struct info_call, call)->ret;
	const struct control *control = call->control;
	const struct record *rec = &call->rep->rec;

	(void)f;
	*ret = (struct replica_info){
		.volume = rec->volume,
		.replica = rec->uuid,
		.fence = rec->fence,
		.incarnation = call->rep->pool->super.incarnation + rec->incarnation, /* CT5 */
		.gen = rec->gen,
		.state = (enum replica_state)rec->state,
		.unclean = rec->flags & RECORD_UNCLEAN,
		.faulted = call->rep->pool->state == POOL_FAULTED,
		.region_bytes = REPLICA_REGION_BYTES_DEFAULT,
		.regions = control_regions(call->rep),
		.member_count = control->member_count,
	};
	memcpy(ret->members, control->members, sizeof(ret->members));
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++) {
		ret->miss[i].peer = control->miss[i].peer;
		ret->miss[i].peer_gen = control->miss[i].gen;
		ret->miss[i].dirty_regions = control->miss[i].regions.count;
	}
	return 0;
}

static int control_info(struct fiber *f, struct bdev_chan *chan, struct replica_info *ret)
{
	struct info_call info = { .call = { .run = info_run }, .ret = ret };

	return control_call(f, chan, &info.call);
}

/* ---- fence ----------------------------------------------------------------------------------- */

static int fence_run(struct fiber *f, struct control_call *call)
{
	struct replica *rep = call->rep;
	struct pool *pool = rep->pool;
	const struct intent_entry entry = { .kind = INTENT_FENCE,
					    .object = rep->object,
					    .first = call->token };
	int r = control_check(f, call); /* R3 */

	if (r < 0)
		return r;
	rep->rec.fence = call->token; /* from here on nothing older begins */
	control_mark(call->control);
	r = intent_write(f, pool, &entry, 1);
	if (r < 0)
		return r;
	rio_gate_close(f, rep); /* R2: what had begun has ended */
	rio_gate_open(rep);
	return call->control->changes ? commit_wait(f, pool) : 0; /* CT4 */
}

static int control_fence(struct fiber *f, struct bdev_chan *chan, uint64_t token)
{
	struct control_call call = { .run = fence_run, .token = token };

	return control_call(f, chan, &call);
}

/* ---- set ------------------------------------------------------------------------------------- */

struct set_call {
	struct control_call call;
	unsigned which;
	const struct replica_info *info;
};

#define SET_ALL (REPLICA_SET_VOLUME | REPLICA_SET_GEN | REPLICA_SET_STATE | REPLICA_SET_UNCLEAN)

static int set_commit(struct fiber *f, struct pool *pool, void *arg)
{
	const struct set_call *set = container_of(arg, struct set_call, call);
	struct control *control = set->call.control;
	struct record *rec = &control->rep->rec;

	(void)pool;
	replica_dirty(control->rep);
	if (set->which & REPLICA_SET_VOLUME)
		rec->volume = set->info->volume;
	if (set->which & REPLICA_SET_STATE)
		rec->state = (uint8_t)set->info->state;
	if (set->which & REPLICA_SET_UNCLEAN)
		rec->flags = set->info->unclean ? rec->flags | RECORD_UNCLEAN :
						  rec->flags & ~(uint32_t)RECORD_UNCLEAN;
	if (!(set->which & REPLICA_SET_GEN))
		return 0;
	rec->gen = set->info->gen;
	control->member_count = set->info->member_count;
	memset(control->members, 0, sizeof(control->members));
	memcpy(control->members, set->info->members,
	       control->member_count * sizeof(control->members[0]));
	return members_put(f, control);
}

static int set_run(struct fiber *f, struct control_call *call)
{
	return control_change(f, call, false, NULL, set_commit);
}

static int control_set(struct fiber *f, struct bdev_chan *chan, uint64_t token, unsigned which,
		       const struct replica_info *info)
{
	struct set_call set = { .call = { .run = set_run, .token = token },
				.which = which,
				.info = info };

	if (which & ~(unsigned)SET_ALL)
		return fiber_fail(f, -EINVAL, "set of a replica: %#x is unknown", which);
	if ((which & REPLICA_SET_STATE) && (unsigned)info->state > REPLICA_OUTDATED)
		return fiber_fail(f, -EINVAL, "set of a replica: there is no state %d",
				  (int)info->state);
	if ((which & REPLICA_SET_GEN) && info->member_count > REPLICA_MEMBERS_MAX)
		return fiber_fail(f, -EINVAL, "set of a replica: %u members, at most %u can be",
				  info->member_count, REPLICA_MEMBERS_MAX);
	return control_call(f, chan, &set.call);
}

const struct bdev_replica_ops control_ops = {
	.info = control_info,
	.fence = control_fence,
	.set = control_set,
	.al_get = control_al_get,
	.al_update = control_al_update,
	.miss_open = control_miss_open,
	.miss_add = control_miss_add,
	.miss_get = control_miss_get,
	.miss_drop = control_miss_drop,
	.snap_prepare = control_snap_prepare,
	.snap_commit = control_snap_commit,
	.snap_abort = control_snap_abort,
	.resize = control_resize,
};
