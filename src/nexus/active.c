// SPDX-License-Identifier: Apache-2.0
/*
 * active - the activity log: regions in which members may differ after a crash (safety B.2).
 *
 *	unknown -> WANTED -> marked, busy <-> marked, idle -> cleared, unknown
 *
 * The nexus owns it: before the first write to a region its bit is made durable in every
 * member's metadata; a hot region costs nothing. Bits are cleared in batches, the least
 * recently used first, after a flush: when room is needed, and those of regions that have had no write
 * for table.log_rest_ms, so that who takes over copies what was being written to, not what ever was.
 *
 * AC1. A write goes out when all its regions are marked on all members (N5).
 * AC2. A region is counted busy until its writes are acknowledged, not only done: a member that
 *	failed one is in the record until then.
 * AC3. A mark is cleared only when no write is in the region and every member has flushed.
 *
 * Requests only look; marking and clearing is done by one fiber, for all that wait at once.
 */
#include <errno.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/must.h"

/* ---- regions ---------------------------------------------------------------------------- */

static struct nexus_region **bucket_of(struct nexus_active *a, uint64_t number)
{
	return &a->bucket[(number * UINT64_C(0x9e3779b97f4a7c15) >> 32) % NEXUS_AL_MAX];
}

static struct nexus_region *region_find(struct nexus_active *a, uint64_t number)
{
	struct nexus_region *region = *bucket_of(a, number);

	while (region && region->number != number)
		region = region->next;
	return region;
}

static struct nexus_region *region_new(struct nexus_active *a, uint64_t number)
{
	struct nexus_region *region = list_pop_front(&a->free, struct nexus_region, link);
	struct nexus_region **bucket = bucket_of(a, number);

	if (!region)
		return NULL;
	region->number = number;
	region->writes = 0;
	region->stamp = 0;
	region->is_marked = region->is_clearing = false;
	region->next = *bucket;
	*bucket = region;
	return region;
}

static void region_free(struct nexus_active *a, struct nexus_region *region)
{
	struct nexus_region **at = bucket_of(a, region->number);

	must(region->writes == 0);
	while (*at != region)
		at = &(*at)->next;
	*at = region->next;
	list_del(&region->link);
	list_add_tail(&a->free, &region->link);
}

static uint64_t region_first(const struct nexus *n, const struct bio *bio)
{
	return (bio->lba << n->block_shift) / NEXUS_REGION_BYTES;
}

static uint64_t region_last(const struct nexus *n, const struct bio *bio)
{
	return (((bio->lba + bio->blocks) << n->block_shift) - 1) / NEXUS_REGION_BYTES;
}

/* ---- requests ------------------------------------------------------------------------------ */

bool active_is_busy(struct nexus *n, uint64_t lba, uint64_t blocks)
{
	uint64_t first = (lba << n->block_shift) / NEXUS_REGION_BYTES;
	uint64_t last = (((lba + blocks) << n->block_shift) - 1) / NEXUS_REGION_BYTES;

	if (!n->active.is_on || n->active.writes == 0)
		return false;
	for (uint64_t number = first; number <= last; number++) {
		const struct nexus_region *region = region_find(&n->active, number);

		if (region && region->writes > 0)
			return true;
	}
	return false;
}

/* All marked? What is not is asked for. */
static bool active_has_all(struct nexus *n, uint64_t first, uint64_t last)
{
	struct nexus_active *a = &n->active;
	bool all = true;

	for (uint64_t number = first; number <= last; number++) {
		struct nexus_region *region = region_find(a, number);

		if (!region) {
			region = region_new(a, number);
			if (region)
				list_add_tail(&a->wanted, &region->link);
		}
		all = all && region && region->is_marked && !region->is_clearing;
	}
	return all;
}

bool active_enter(struct nexus_req *req)
{
	struct nexus *n = req->nexus;
	struct nexus_active *a = &n->active;

	if (!a->is_on)
		return true;
	uint64_t first = region_first(n, req->bio), last = region_last(n, req->bio);
	if (!active_has_all(n, first, last)) {
		io_park(req, &a->waiting);
		event_set(&a->needed);
		return false;
	}
	for (uint64_t number = first; number <= last; number++) {
		struct nexus_region *region = region_find(a, number);

		if (region->writes++ == 0)
			list_del(&region->link);
	}
	a->writes++;
	req->is_counted = true;
	return true;
}

void active_leave(struct nexus_req *req)
{
	struct nexus *n = req->nexus;
	struct nexus_active *a = &n->active;
	uint64_t last = region_last(n, req->bio);

	for (uint64_t number = region_first(n, req->bio); number <= last; number++) {
		struct nexus_region *region = region_find(a, number);

		must(region && region->writes > 0);
		region->stamp = n->serial;
		if (--region->writes == 0)
			list_add_tail(&a->idle, &region->link);
	}
	a->writes--;
	req->is_counted = false;
	if (!list_empty(&a->waiting)) /* for a region, perhaps for this one */
		event_set(&a->needed);
}

/* ---- the fiber -------------------------------------------------------------------------------- */

struct active_ask {
	enum replica_al_op op;
	unsigned count;
	uint64_t numbers[NEXUS_AL_BATCH];
};

static int answer_update(struct fiber *f, struct nexus_child *child, const void *what)
{
	const struct active_ask *ask = what;

	return child->ops ? child->ops->al_update(f, child->chan, child->token, ask->op,
						  ask->numbers, ask->count) :
			    0;
}

/* On every member that has a log; who fails is retired. */
static void active_update(struct fiber *f, struct nexus *n, const struct active_ask *ask)
{
	nexus_mask no;

	nexus_each_child(n, child)
		n->active.updates += nexus_has(n->writable, child->index) && child->ops;
	no = ask_members(f, n, n->writable, answer_update, ask, sizeof(*ask));
	nexus_each_child(n, child)
		if (nexus_has(no, child->index))
			retire(child, -EIO);
}

static void active_mark(struct fiber *f, struct nexus *n)
{
	struct nexus_active *a = &n->active;
	struct nexus_region *region;
	struct active_ask ask = { .op = REPLICA_AL_SET };
	struct list batch;

	list_init(&batch);
	while (ask.count < NEXUS_AL_BATCH &&
	       (region = list_pop_front(&a->wanted, struct nexus_region, link))) {
		list_add_tail(&batch, &region->link);
		ask.numbers[ask.count++] = region->number;
	}
	if (ask.count == 0)
		return;
	active_update(f, n, &ask);
	while ((region = list_pop_front(&batch, struct nexus_region, link))) {
		region->is_marked = true;
		a->marked++;
		list_add_tail(&a->idle, &region->link);
	}
}

static int answer_flush(struct fiber *f, struct nexus_child *child, const void *what)
{
	(void)what;
	return child_flush(f, child);
}

/* AC3. */
static bool active_flush(struct fiber *f, struct nexus *n)
{
	nexus_mask whom = n->writable;

	return ask_members(f, n, whom, answer_flush, NULL, 0) == 0 &&
	       (whom & (nexus_mask)~n->writable) == 0 && n->state == NEXUS_SERVING;
}

/* The least recently used one, if its last write is no later than that; or NULL. */
static struct nexus_region *active_oldest(struct nexus_active *a, uint64_t stamp)
{
	struct nexus_region *region = list_first(&a->idle, struct nexus_region, link);

	return region && region->stamp <= stamp ? region : NULL;
}

/*
 * A batch of those. Not while a member that failed is in the record: its regions are asked for
 * (missed.c).
 */
static bool active_clear(struct fiber *f, struct nexus *n, uint64_t stamp)
{
	struct nexus_active *a = &n->active;
	struct active_ask ask = { .op = REPLICA_AL_CLEAR };
	struct nexus_region *region;
	struct list batch;
	bool done;

	list_init(&batch);
	while (n->state == NEXUS_SERVING && ask.count < NEXUS_AL_BATCH &&
	       (region = active_oldest(a, stamp))) {
		list_del(&region->link);
		region->is_clearing = true; /* nobody enters it meanwhile */
		list_add_tail(&batch, &region->link);
		ask.numbers[ask.count++] = region->number;
	}
	if (ask.count == 0)
		return false;
	done = active_flush(f, n);
	if (done)
		active_update(f, n, &ask);
	while ((region = list_pop_front(&batch, struct nexus_region, link))) {
		region->is_clearing = false;
		if (!done) {
			list_add_tail(&a->idle, &region->link);
			continue;
		}
		region->is_marked = false;
		region_free(a, region);
		a->marked--;
	}
	return done;
}

static void active_fired(struct timer *timer)
{
	struct nexus_active *a = container_of(timer, struct nexus_active, clock);

	a->is_due = true;
	event_set(&a->needed);
}

/* Those without a write since it was last looked. Who waits for a mark goes first. */
static void active_rest(struct fiber *f, struct nexus *n)
{
	struct nexus_active *a = &n->active;
	uint64_t since = a->looked_at;

	a->is_due = false;
	a->looked_at = n->serial;
	while (list_empty(&a->waiting) && active_clear(f, n, since))
		;
}

static void active_arm(struct nexus *n)
{
	struct nexus_active *a = &n->active;

	if (a->marked > 0 && !timer_is_armed(&a->clock))
		timer_start(n->home, &a->clock, n->table->log_rest_ms * UINT64_C(1000000),
			    active_fired);
}

int active_main(struct fiber *f, void *arg)
{
	struct nexus *n = arg;
	struct nexus_active *a = &n->active;

	while (event_wait(f, &a->needed) == 0) {
		event_clear(&a->needed);
		event_clear(&a->rests);
		if (list_empty(&a->free) && !list_empty(&a->waiting))
			(void)active_clear(f, n, UINT64_MAX);
		while (!list_empty(&a->wanted))
			active_mark(f, n);
		if (a->is_due)
			active_rest(f, n);
		active_arm(n);
		event_set(&a->rests);
		io_run_all(&a->waiting);
	}
	event_set(&a->rests);
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------------ */

/* With no write in flight. */
void active_clear_all(struct fiber *f, struct nexus *n)
{
	while (active_clear(f, n, UINT64_MAX))
		;
}

void active_switch(struct nexus *n)
{
	nexus_mask members = n->writable | n->needed; /* who failed is a member until that is recorded */

	n->active.is_on = (members & (members - 1)) != 0;
}

/* A member that joins: its log gets what the others' have. */
int active_copy_to(struct fiber *f, struct nexus_child *child)
{
	struct nexus_active *a = &child->nexus->active;
	struct active_ask ask = { .op = REPLICA_AL_SET };
	int r = 0;

	for (unsigned i = 0; i < NEXUS_AL_MAX && r == 0; i++) {
		if (a->region[i].is_marked)
			ask.numbers[ask.count++] = a->region[i].number;
		if (ask.count < NEXUS_AL_BATCH && i + 1 < NEXUS_AL_MAX)
			continue;
		r = ask.count ? answer_update(f, child, &ask) : 0;
		ask.count = 0;
	}
	return r;
}

/*
 * Marked regions that had writes in flight when it failed, or since; and if it forgets what it has not
 * flushed, those written to since its last flush.
 */
void active_of_lost(const struct nexus_child *child, uint64_t *words, uint64_t regions)
{
	const struct nexus_active *a = &child->nexus->active;
	uint64_t since = child->left_serial;

	if (!child->bdev || child->bdev->volatile_cache)
		since = min_u64(since, child->flushed);
	for (unsigned i = 0; i < NEXUS_AL_MAX; i++) {
		const struct nexus_region *region = &a->region[i];

		if ((region->writes > 0 || (region->is_marked && region->stamp >= since)) &&
		    region->number < regions)
			words[region->number / 64] |= UINT64_C(1) << (region->number % 64);
	}
}

int active_init(struct nexus *n)
{
	struct nexus_active *a = &n->active;

	list_init(&a->free);
	list_init(&a->idle);
	list_init(&a->wanted);
	list_init(&a->waiting);
	event_init(&a->needed);
	event_init(&a->rests);
	event_set(&a->rests);
	timer_init(&a->clock);
	a->region = mem_alloc_array(n->mem, NEXUS_AL_MAX, sizeof(*a->region));
	a->bucket = mem_alloc_array(n->mem, NEXUS_AL_MAX, sizeof(struct nexus_region *));
	if (!a->region || !a->bucket)
		return -ENOMEM;
	for (unsigned i = 0; i < NEXUS_AL_MAX; i++) {
		list_link_init(&a->region[i].link);
		list_add_tail(&a->free, &a->region[i].link);
	}
	return 0;
}

int active_reset(struct fiber *f, struct nexus *n)
{
	struct nexus_active *a = &n->active;

	while (!list_empty(&a->wanted) || !a->rests.is_set) { /* nobody is asked: it ends soon */
		int r = fiber_sleep(f, NEXUS_RETRY_NS / 100);

		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < NEXUS_AL_MAX; i++) {
		if (!a->region[i].is_marked)
			continue;
		a->region[i].is_marked = false;
		region_free(a, &a->region[i]);
	}
	a->marked = 0;
	return 0;
}

void active_fini(struct nexus *n)
{
	timer_stop(&n->active.clock);
	mem_free(n->active.region);
	mem_free(n->active.bucket);
}
