/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_work - who works in the scenario `pool`: workers that read and write, on any reactor, and
 * administrators on the pool's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "pool_world.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "sim/check.h"

#define RUN_CELLS 96u /* of one operation, at most */
#define SIT_OPS	  16u /* on one thing, before another is taken */

#define WRITABLE  (1u << REPLICA_PLAIN | 1u << REPLICA_CLONE)
#define SNAPSHOTS (1u << REPLICA_SNAPSHOT)
#define ANYTHING  (WRITABLE | SNAPSHOTS)

static void nap(struct fiber *f, uint64_t ns)
{
	must(fiber_sleep(f, ns) == 0); /* nobody cancels us */
}

/* ---- workers ---------------------------------------------------------------------------- */

struct worker {
	struct pool_world *w;
	struct reactor *to;
	unsigned number;
	/* what it sits at */
	struct thing *thing;
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t *buf;
	uint64_t writes[RUN_CELLS];
};

static void pick_range(const struct worker *worker, uint32_t *cell, uint32_t *count)
{
	static const uint32_t units[] = { 1, 8, 8, 32 };
	struct prng *prng = sim_prng(worker->w->sim);
	uint32_t cells =
		(uint32_t)(worker->bdev->blocks * worker->bdev->block_size / PATTERN_SECTOR);
	uint32_t per = worker->bdev->block_size / PATTERN_SECTOR, unit = units[prng_below(prng, 4)];

	unit = max_u32(unit, per);
	cells = min_u32(cells, worker->thing->cells);
	*cell = (uint32_t)prng_below(prng, cells / unit) * unit;
	*count = (uint32_t)prng_range(prng, 1, RUN_CELLS / unit) * unit;
	*count = min_u32(*count, cells - *cell);
}

static void worker_error(struct worker *worker, struct fiber *f, const char *what, int r)
{
	if (r < 0)
		pw_error(worker->w, what, worker->thing->name, r, fiber_words(f));
	fiber_clear(f);
}

static void worker_read(struct fiber *f, struct worker *worker)
{
	struct pool_world *w = worker->w;
	struct check *check = worker->thing->check;
	uint32_t cell, count, per = worker->bdev->block_size / PATTERN_SECTOR;
	uint64_t mark = check_read_begin(check);
	int r;

	pick_range(worker, &cell, &count);
	sim_trace(w->sim, "[%u] read %s %u+%u", worker->number, worker->thing->name, cell, count);
	r = bdev_read(f, worker->chan, cell / per, count / per, worker->buf);
	for (uint32_t i = 0; r == 0 && i < count && pw_goes_on(w); i++)
		pw_judge_cell(w, worker->thing, cell + i, mark, worker->buf + i * PATTERN_SECTOR);
	check_read_end(check);
	worker_error(worker, f, "read", r);
}

/* WRITE, ZEROES, UNMAP. */
static void worker_change(struct fiber *f, struct worker *worker, enum bio_op op)
{
	struct pool_world *w = worker->w;
	struct check *check = worker->thing->check;
	uint32_t cell, count, per = worker->bdev->block_size / PATTERN_SECTOR;
	bool fua = op != BIO_UNMAP && prng_below(sim_prng(w->sim), 5) == 0;
	uint64_t serial = op == BIO_WRITE ? ++w->serial : CHECK_ZEROS;
	enum check_end how = fua || !w->is_volatile ? CHECK_DURABLE : CHECK_ACKED;
	int r;

	pick_range(worker, &cell, &count);
	sim_trace(w->sim, "[%u] %s %s %u+%u = %u%s", worker->number, bio_op_name(op),
		  worker->thing->name, cell, count, (unsigned)serial, fua ? " fua" : "");
	for (uint32_t i = 0; i < count; i++) {
		worker->writes[i] = check_write_begin(check, cell + i, serial);
		if (op == BIO_WRITE)
			pattern_fill(worker->buf + i * PATTERN_SECTOR, PATTERN_SECTOR,
				     sim_seed(w->sim), cell + i, serial);
	}
	if (op == BIO_WRITE)
		r = bdev_write(f, worker->chan, cell / per, count / per, worker->buf,
			       fua ? BIO_FUA : 0);
	else if (op == BIO_ZEROES)
		r = bdev_zeroes(f, worker->chan, cell / per, count / per, fua ? BIO_FUA : 0);
	else
		r = bdev_unmap(f, worker->chan, cell / per, count / per);
	/* What failed may still come to light with an older write beside it: until the process ends. */
	for (uint32_t i = 0; r == 0 && i < count; i++)
		check_write_end(check, cell + i, worker->writes[i], how);
	sim_trace(w->sim, "[%u] %s %s %u+%u = %u: %d", worker->number, bio_op_name(op),
		  worker->thing->name, cell, count, (unsigned)serial, r);
	worker_error(worker, f, bio_op_name(op), r);
}

static void worker_flush(struct fiber *f, struct worker *worker)
{
	uint64_t mark = check_flush_begin(worker->thing->check);
	int r = bdev_flush(f, worker->chan);

	sim_trace(worker->w->sim, "flush %s: %d", worker->thing->name, r);
	pw_flush_look(worker->w);
	check_flush_end(worker->thing->check, mark, r == 0);
	worker_error(worker, f, "flush", r);
}

static void worker_op(struct fiber *f, struct worker *worker)
{
	struct pool_world *w = worker->w;
	uint64_t draw = prng_below(sim_prng(w->sim), 100);

	if (draw < 3)
		nap(f, SIM_MS << prng_below(sim_prng(w->sim), 13));
	else if (draw < 35 || worker->thing->kind == REPLICA_SNAPSHOT)
		worker_read(f, worker);
	else if (draw < 78)
		worker_change(f, worker, BIO_WRITE);
	else if (draw < 88)
		worker_flush(f, worker);
	else
		worker_change(f, worker, draw < 92 ? BIO_ZEROES : BIO_UNMAP);
}

/* Some operations on one thing. */
static unsigned worker_sit(struct fiber *f, struct worker *worker, unsigned most)
{
	struct pool_world *w = worker->w;
	unsigned todo = min_u32(most, (uint32_t)prng_range(sim_prng(w->sim), 1, SIT_OPS));
	char uri[64];
	int r;

	worker->thing = pw_pick(w, ANYTHING, false);
	if (!worker->thing) {
		nap(f, SIM_MS);
		return 1;
	}
	worker->thing->users++;
	snprintf(uri, sizeof(uri), "pool:///p/%s", worker->thing->name);
	r = bdev_open(f, uri, &worker->bdev);
	worker_error(worker, f, "open", r);
	if (r == 0) {
		r = bdev_chan_open(f, worker->bdev, &worker->chan);
		worker_error(worker, f, "channel", r);
		for (unsigned i = 0; r == 0 && i < todo && pw_goes_on(w); i++)
			worker_op(f, worker);
		if (r == 0)
			bdev_chan_close(f, worker->chan);
		bdev_close(f, worker->bdev);
	}
	worker->thing->users--;
	return todo;
}

/* On its reactor. */
static int worker_main(struct fiber *f, void *arg)
{
	struct worker *worker = arg;
	unsigned done = 0;

	worker->buf = io_buf_new(fiber_io(f), RUN_CELLS * PATTERN_SECTOR);
	must(worker->buf);
	while (done < worker->w->ops && pw_goes_on(worker->w))
		done += worker_sit(f, worker, worker->w->ops - done);
	io_buf_free(fiber_io(f), worker->buf, RUN_CELLS * PATTERN_SECTOR);
	return 0;
}

static int worker_call(struct fiber *f, void *arg)
{
	struct worker *worker = arg;

	return fiber_call_on(f, worker->to, "worker", worker_main, worker);
}

/* ---- administrators -------------------------------------------------------------------------- */

static bool admin_failed(struct fiber *f, struct pool_world *w, struct admin *admin,
			 const char *what, int r)
{
	bool failed = r < 0;

	if (failed) {
		pw_error(w, what, admin->thing->name, r, fiber_words(f));
		fiber_clear(f);
		pw_admin_stopped(w, admin); /* it may have happened */
	}
	admin->op = ADMIN_NONE;
	return failed;
}

static void admin_create(struct fiber *f, struct pool_world *w, struct admin *admin)
{
	struct prng *prng = sim_prng(w->sim);
	uint64_t clusters = prng_range(
		prng, 1, max_u64(1, PW_CELLS_MAX / 4 * PATTERN_SECTOR / w->cluster_bytes));
	struct replica_create_args args = { .size_bytes = clusters * w->cluster_bytes,
					    .thick = prng_below(prng, 4) == 0 };
	struct thing *t =
		pw_thing_new(w, REPLICA_PLAIN, NULL, (uint32_t)(args.size_bytes / PATTERN_SECTOR));

	if (!t)
		return;
	args.name = t->name;
	args.uuid = &t->uuid;
	*admin = (struct admin){ ADMIN_CREATE, t, 0 };
	sim_trace(w->sim, "create %s", t->name);
	if (!admin_failed(f, w, admin, "create", replica_create(f, w->pool, &args)))
		t->state = THING_THERE;
}

static void admin_derive(struct fiber *f, struct pool_world *w, struct admin *admin, bool clone)
{
	struct thing *from = pw_pick(w, clone ? SNAPSHOTS : WRITABLE, false), *t;
	int r;

	if (from && from->other_cells)
		return; /* which size it would have is not known */
	t = from ? pw_thing_new(w, clone ? REPLICA_CLONE : REPLICA_SNAPSHOT, from, from->cells) :
		   NULL;
	if (!t)
		return;
	from->users++;
	*admin = (struct admin){ ADMIN_DERIVE, t, check_read_begin(from->check) };
	sim_trace(w->sim, "%s of %s: %s", clone ? "clone" : "snapshot", from->name, t->name);
	r = clone ? clone_create(f, w->pool, from->name, t->name, &t->uuid) :
		    snapshot_create(f, w->pool, from->name, t->name, &t->uuid);
	if (!admin_failed(f, w, admin, "derive", r)) {
		pw_derived(w, t, admin->mark);
		t->state = THING_THERE;
	}
	check_read_end(from->check);
	from->users--;
}

static unsigned clones_of(const struct pool_world *w, const struct thing *t)
{
	unsigned count = 0;

	for (unsigned i = 0; i < w->thing_count; i++)
		count += w->things[i].state != THING_ABSENT && w->things[i].kind == REPLICA_CLONE &&
			 &w->things[w->things[i].parent] == t;
	return count;
}

/* A snapshot with clones stays until the last of them goes. */
static void destroyed(struct pool_world *w, struct thing *t)
{
	struct thing *parent = t->parent < 0 ? NULL : &w->things[t->parent];

	if (t->kind == REPLICA_SNAPSHOT && clones_of(w, t)) {
		t->discarded = true;
		return;
	}
	t->state = THING_ABSENT;
	if (t->kind == REPLICA_CLONE && parent->discarded && clones_of(w, parent) == 0)
		parent->state = THING_ABSENT;
}

static void admin_destroy(struct fiber *f, struct pool_world *w, struct admin *admin)
{
	struct thing *t = pw_pick(w, ANYTHING, true);
	struct thing *parent;
	int r;

	if (!t)
		return;
	/* nobody clones the snapshot meanwhile, nor discards the parent: who is first would not be known */
	parent = t->parent < 0 ? NULL : &w->things[t->parent];
	if (parent && parent->leaving)
		return;
	for (unsigned i = 0; i < PW_ADMINS_MAX; i++)
		if (w->admins[i].op == ADMIN_DESTROY && w->admins[i].thing->parent == t - w->things)
			return;
	t->leaving = true;
	*admin = (struct admin){ ADMIN_DESTROY, t, 0 };
	sim_trace(w->sim, "destroy %s", t->name);
	r = t->kind == REPLICA_SNAPSHOT ? snapshot_destroy(f, w->pool, t->name) :
					  replica_destroy(f, w->pool, t->name);
	if (!admin_failed(f, w, admin, "destroy", r))
		destroyed(w, t);
	t->leaving = false;
}

static void admin_resize(struct fiber *f, struct pool_world *w, struct admin *admin)
{
	struct thing *t = pw_pick(w, WRITABLE, false);
	uint32_t cells;

	if (!t || t->other_cells)
		return;
	for (unsigned i = 0; i < PW_ADMINS_MAX; i++)
		if (w->admins[i].op == ADMIN_DERIVE && w->admins[i].thing->parent == t - w->things)
			return;
	cells = t->cells + w->cluster_bytes / PATTERN_SECTOR;
	if (cells > PW_CELLS_MAX)
		return;
	t->users++;
	t->other_cells = cells;
	*admin = (struct admin){ ADMIN_RESIZE, t, 0 };
	sim_trace(w->sim, "resize %s", t->name);
	if (!admin_failed(f, w, admin, "resize",
			  replica_resize(f, w->pool, t->name, (uint64_t)cells * PATTERN_SECTOR))) {
		t->cells = cells;
		t->other_cells = 0;
	}
	t->users--;
}

static void admin_rename(struct fiber *f, struct pool_world *w, struct admin *admin)
{
	struct thing *t = pw_pick(w, ANYTHING, true);

	if (!t || t->other_name[0])
		return;
	t->leaving = true;
	snprintf(t->other_name, sizeof(t->other_name), "n%u", (unsigned)++w->serial);
	*admin = (struct admin){ ADMIN_RENAME, t, 0 };
	sim_trace(w->sim, "rename %s %s", t->name, t->other_name);
	if (!admin_failed(f, w, admin, "rename",
			  replica_rename(f, w->pool, t->name, t->other_name))) {
		memcpy(t->name, t->other_name, sizeof(t->name));
		t->other_name[0] = 0;
	}
	t->leaving = false;
}

static void admin_grow(struct fiber *f, struct pool_world *w)
{
	struct sim_disk *disk = w->disks[prng_below(sim_prng(w->sim), w->disk_count)];
	int r;

	sim_disk_grow(disk,
		      sim_disk_size(disk) + (prng_below(sim_prng(w->sim), 2) ? 8 << 20 : 4096));
	sim_trace(w->sim, "grow");
	r = pool_grow(f, w->pool);
	if (r < 0)
		pw_error(w, "grow", "pool", r, fiber_words(f));
	fiber_clear(f);
}

static void admin_sync(struct fiber *f, struct pool_world *w)
{
	uint64_t marks[PW_THINGS_MAX];
	int r;

	pw_flush_begin(w, marks);
	r = pool_sync(f, w->pool);
	sim_trace(w->sim, "sync: %d", r);
	pw_flush_end(w, marks, r == 0);
	if (r < 0)
		pw_error(w, "sync", "pool", r, fiber_words(f));
	fiber_clear(f);
}

struct administrator {
	struct pool_world *w;
	struct admin *admin;
};

static void admin_step(struct fiber *f, struct pool_world *w, struct admin *admin)
{
	uint64_t draw = prng_below(sim_prng(w->sim), 100);

	if (draw < 25 || pw_alive(w) == 0)
		admin_create(f, w, admin);
	else if (draw < 45)
		admin_derive(f, w, admin, false);
	else if (draw < 55)
		admin_derive(f, w, admin, true);
	else if (draw < 72)
		admin_destroy(f, w, admin);
	else if (draw < 78)
		admin_resize(f, w, admin);
	else if (draw < 83)
		admin_rename(f, w, admin);
	else if (draw < 93)
		admin_sync(f, w);
	else if (draw < 95)
		admin_grow(f, w);
	else
		nap(f, SIM_MS << prng_below(sim_prng(w->sim), 12));
}

static int admin_main(struct fiber *f, void *arg)
{
	struct administrator *a = arg;
	uint64_t steps = prng_range(sim_prng(a->w->sim), 1, 24);

	for (uint64_t i = 0; i < steps && pw_goes_on(a->w); i++)
		admin_step(f, a->w, a->admin);
	return 0;
}

/* ---- all of them -------------------------------------------------------------------------------- */

#define WORKERS_MAX 16u

int pw_work(struct fiber *f, struct pool_world *w)
{
	struct fiber *fibers[WORKERS_MAX + PW_ADMINS_MAX];
	struct administrator admins[PW_ADMINS_MAX];
	struct worker *workers = mem_alloc_array(fiber_io(f)->mem, WORKERS_MAX, sizeof(*workers));
	unsigned count = 0;
	int first = 0;

	must(workers && w->workers <= WORKERS_MAX);
	for (unsigned i = 0; i < PW_ADMINS_MAX; i++) {
		admins[i] = (struct administrator){ w, &w->admins[i] };
		must(fiber_start(fiber_reactor(f), "admin", admin_main, &admins[i],
				 &fibers[count++]) == 0);
	}
	for (unsigned i = 0; i < w->workers; i++) {
		struct reactor *to = i % w->reactors ?
					     reactor_peer(fiber_reactor(f), i % w->reactors) :
					     fiber_reactor(f);

		workers[i] = (struct worker){ .w = w, .to = to, .number = i };
		must(fiber_start(fiber_reactor(f), "call", worker_call, &workers[i],
				 &fibers[count++]) == 0);
	}
	for (unsigned i = 0; i < count; i++) {
		int r = fiber_join(f, fibers[i]);

		first = first ? first : r;
	}
	mem_free(workers);
	return first;
}
