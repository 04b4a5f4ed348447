/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk - the `file` driver under every fault a disk can have.
 *
 * A process opens a block device or a file as a bdev and does random reads, writes, FUA writes,
 * flushes, zeroes and unmaps at some depth, on some reactors. It crashes, or its host loses
 * power, and it starts again, at once or when the device is idle: first it reads everything. Each 4 KiB block is a register of
 * sim/check.h; its sectors tell who wrote them (pattern_fill).
 *
 * D1. A block holds a value that its history allows.
 * D2. A block that is torn had a write cut short, and was not promised to be whole.
 * D3. An operation fails only where a loud fault has struck.
 * D4. A deviation from D1, D2 has its explanation: a silent fault that touched this very block.
 * D5. After the heal everything ends, and nothing leaks.
 * D6. Who could open the disk has it alone: while the device still works for a killed predecessor,
 *     its lock stands, and opening fails with -EBUSY. Else old writes would land on new ones (D1).
 */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "engine/drivers.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"
#include "scenario.h"
#include "sim/check.h"

#define CELL_BYTES 4096u /* a register */
#define CELLS_MAX  48u
#define RUN_CELLS  4u /* of one operation, at most */
#define SLOTS_MAX  16u
#define CYCLES_MAX 4u
#define OPS_MAX	   200u /* of a reactor in a cycle */
#define END_NS	   (3600 * SIM_S)

struct world {
	struct sim *sim;
	struct sim_host *host;
	struct sim_disk *disk;
	struct sim_proc *proc;
	struct check *check;
	const char *uri, *path;
	uint64_t cells;
	uint64_t serial;
	uint32_t atomic_bytes;
	bool silent; /* silent faults may be on */
	bool last;   /* the cycle that ends cleanly */
	unsigned ops, depth, reactors;
	uint64_t explained;
};

/* What runs on one reactor. */
struct worker {
	struct world *w;
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct event done;
	unsigned todo, busy;
};

struct slot {
	struct worker *worker;
	struct iovec iov;
	uint8_t *buf;
	uint64_t cell, count;
	uint64_t write[RUN_CELLS]; /* numbers of the checker */
	uint64_t mark;		   /* of a read or a flush */
	struct bio bio;		   /* last: the room of its drivers follows */
};

/* ---- judging ------------------------------------------------------------------------ */

static bool loud(const struct world *w)
{
	static const enum sim_fault kinds[] = { SIM_DISK_EIO_READ, SIM_DISK_EIO_WRITE,
						SIM_DISK_EIO_FLUSH, SIM_DISK_SHORT_WRITE,
						SIM_DISK_ENOSPC };

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (sim_fault_fired(w->sim, kinds[i]))
			return true;
	return false;
}

/* D4. */
static void explain(struct world *w, uint64_t cell, const char *what, uint64_t serial)
{
	char text[160];
	uint32_t taints = sim_disk_taints(w->disk, cell * CELL_BYTES, CELL_BYTES);

	if (!taints) {
		sim_fail(w->sim, "block %llu: %s %llu, though: %s", (unsigned long long)cell, what,
			 (unsigned long long)serial,
			 check_explain(w->check, cell, text, sizeof(text)));
		return;
	}
	w->explained++;
	for (; taints; taints &= taints - 1)
		sim_trace(w->sim, "block %llu: %s %llu, explained by %s", (unsigned long long)cell,
			  what, (unsigned long long)serial,
			  sim_fault_name((enum sim_fault)__builtin_ctz(taints)));
}

struct seen {
	uint64_t serial[CELL_BYTES / PATTERN_SECTOR];
	unsigned count; /* of different ones */
	bool bad;
};

static void look(struct world *w, uint64_t cell, const uint8_t *bytes, struct seen *ret)
{
	uint64_t serial;

	ret->count = 0;
	ret->bad = false;
	for (uint32_t s = 0; s < CELL_BYTES / PATTERN_SECTOR; s++) {
		enum pattern_kind kind = pattern_look(bytes + s * PATTERN_SECTOR, sim_seed(w->sim),
						      cell, s, &serial);
		if (kind == PATTERN_BAD || kind == PATTERN_ELSEWHERE) {
			explain(w, cell,
				kind == PATTERN_BAD ? "bad bytes, sector" : "misplaced sector", s);
			ret->bad = true;
			continue;
		}
		unsigned i = 0;
		while (i < ret->count && ret->serial[i] != serial)
			i++;
		if (i == ret->count)
			ret->serial[ret->count++] = serial;
	}
}

/* D1, D2. */
static void judge(struct world *w, uint64_t cell, uint64_t mark, const uint8_t *bytes, bool alone)
{
	struct seen seen;
	uint64_t oldest = UINT64_MAX, serial = 0;

	look(w, cell, bytes, &seen);
	for (unsigned i = 0; i < seen.count; i++) {
		uint64_t began = check_began(w->check, cell, seen.serial[i]);
		if (!check_may_read(w->check, cell, mark, seen.serial[i])) {
			explain(w, cell, "holds", seen.serial[i]);
			check_forgive(w->check, cell, seen.serial[i]);
			seen.bad = true;
		}
		if (began < oldest) {
			oldest = began;
			serial = seen.serial[i];
		}
	}
	if (seen.count > 1 && alone && w->atomic_bytes >= CELL_BYTES && !loud(w))
		explain(w, cell, "is torn, parts", seen.count);
	if (seen.count && !seen.bad)
		check_saw(w->check, cell, serial);
}

static void judge_status(struct world *w, const struct bio *bio)
{
	if (bio->status == 0)
		return;
	sim_trace(w->sim, "%s of block %llu: %d", bio_op_name(bio->op),
		  (unsigned long long)bio->lba, bio->status);
	bool named = bio->status == -EIO || bio->status == -ENOSPC;
	if (!named || !loud(w)) /* D3 */
		sim_fail(w->sim, "%s failed with %d and no fault has struck", bio_op_name(bio->op),
			 bio->status);
}

/* ---- operations ------------------------------------------------------------------------ */

static void slot_next(struct slot *slot);

static enum check_end slot_end(const struct slot *slot)
{
	const struct bio *bio = &slot->bio;
	const struct bdev *bdev = slot->worker->bdev;

	if (bio->status < 0 || (bio->op == BIO_UNMAP && !bdev->unmap_zeroes))
		return CHECK_FAILED; /* may be, or not */
	return (bio->flags & BIO_FUA) || !bdev->volatile_cache ? CHECK_DURABLE : CHECK_ACKED;
}

static void slot_done(struct bio *bio)
{
	struct slot *slot = container_of(bio, struct slot, bio);
	struct world *w = slot->worker->w;

	judge_status(w, bio);
	if (bio->op == BIO_READ && bio->status == 0)
		for (uint64_t i = 0; i < slot->count; i++)
			judge(w, slot->cell + i, slot->mark, slot->buf + i * CELL_BYTES, false);
	if (bio->op == BIO_READ)
		check_read_end(w->check);
	if (bio_op_writes(bio->op))
		for (uint64_t i = 0; i < slot->count; i++)
			check_write_end(w->check, slot->cell + i, slot->write[i], slot_end(slot));
	if (bio->op == BIO_FLUSH)
		check_flush_end(w->check, slot->mark, bio->status == 0);
	slot_next(slot);
}

static void slot_begin_writes(struct slot *slot, enum bio_op op)
{
	struct world *w = slot->worker->w;

	for (uint64_t i = 0; i < slot->count; i++) {
		uint64_t value = op == BIO_WRITE ? ++w->serial : CHECK_ZEROS;
		slot->write[i] = check_write_begin(w->check, slot->cell + i, value);
		if (op == BIO_WRITE)
			pattern_fill(slot->buf + i * CELL_BYTES, CELL_BYTES, sim_seed(w->sim),
				     slot->cell + i, value);
	}
}

static enum bio_op slot_draw_op(struct worker *worker, struct prng *prng)
{
	uint64_t draw = prng_below(prng, 100);

	if (draw < 35)
		return BIO_READ;
	if (draw < 82)
		return BIO_WRITE;
	if (draw < 92)
		return BIO_FLUSH;
	return draw < 96 || !worker->bdev->can_unmap ? BIO_ZEROES : BIO_UNMAP;
}

/* The next operation of this slot, or its end. */
static void slot_next(struct slot *slot)
{
	struct worker *worker = slot->worker;
	struct world *w = worker->w;
	struct prng *prng = sim_prng(w->sim);

	if (!worker->todo || sim_failed(w->sim)) {
		if (--worker->busy == 0)
			event_set(&worker->done);
		return;
	}
	worker->todo--;
	enum bio_op op = slot_draw_op(worker, prng);
	uint32_t per_cell = CELL_BYTES / worker->bdev->block_size;
	slot->count = prng_range(prng, 1, min_u64(RUN_CELLS, w->cells));
	slot->cell = prng_below(prng, w->cells - slot->count + 1);
	slot->iov = (struct iovec){ slot->buf, slot->count * CELL_BYTES };
	if (op == BIO_FLUSH) {
		slot->mark = check_flush_begin(w->check);
		bio_prep(&slot->bio, worker->chan, op, 0, 0, NULL, 0, slot_done);
	} else {
		bool data = bio_op_has_data(op);
		bio_prep(&slot->bio, worker->chan, op, slot->cell * per_cell,
			 slot->count * per_cell, data ? &slot->iov : NULL, data, slot_done);
	}
	if (op == BIO_READ)
		slot->mark = check_read_begin(w->check);
	if (bio_op_writes(op))
		slot_begin_writes(slot, op);
	if ((op == BIO_WRITE || op == BIO_ZEROES) && prng_below(prng, 6) == 0)
		slot->bio.flags |= BIO_FUA;
	bio_submit(&slot->bio);
}

/* ---- the process --------------------------------------------------------------------------- */

static struct slot *slot_new(struct io *io, struct worker *worker)
{
	struct slot *slot =
		mem_new(io, sizeof(*slot) - sizeof(struct bio) + bio_size(worker->bdev));

	must(slot);
	slot->worker = worker;
	slot->buf = io_buf_new(io, RUN_CELLS * CELL_BYTES);
	must(slot->buf);
	return slot;
}

/* On its reactor: `depth` slots until the work is done. */
static int worker_main(struct fiber *f, void *arg)
{
	struct worker *worker = arg;
	struct io *io = fiber_io(f);
	struct slot *slots[SLOTS_MAX];
	unsigned depth = worker->w->depth;

	int r = bdev_chan_open(f, worker->bdev, &worker->chan);
	if (r < 0)
		return r;
	event_init(&worker->done);
	worker->busy = depth;
	for (unsigned i = 0; i < depth; i++)
		slots[i] = slot_new(io, worker);
	for (unsigned i = 0; i < depth; i++)
		slot_next(slots[i]);
	event_wait_always(f, &worker->done);
	for (unsigned i = 0; i < depth; i++) {
		io_buf_free(io, slots[i]->buf, RUN_CELLS * CELL_BYTES);
		mem_free(slots[i]);
	}
	bdev_chan_close(f, worker->chan);
	return 0;
}

struct call {
	struct worker worker;
	struct reactor *to;
};

static int call_main(struct fiber *f, void *arg)
{
	struct call *call = arg;

	return fiber_call_on(f, call->to, "worker", worker_main, &call->worker);
}

static int work(struct fiber *f, struct world *w, struct bdev *bdev)
{
	struct call calls[SIM_REACTORS_MAX] = { 0 };
	struct fiber *fibers[SIM_REACTORS_MAX];
	int first = 0;

	for (unsigned i = 0; i < w->reactors; i++) {
		calls[i].worker = (struct worker){ .w = w, .bdev = bdev, .todo = w->ops };
		calls[i].to = i ? reactor_peer(fiber_reactor(f), i) : fiber_reactor(f);
		must(fiber_start(fiber_reactor(f), "call", call_main, &calls[i], &fibers[i]) == 0);
	}
	for (unsigned i = 0; i < w->reactors; i++) {
		int r = fiber_join(f, fibers[i]);
		first = first ? first : r;
	}
	return first;
}

/* Reads every block, alone. */
static int verify(struct fiber *f, struct world *w, struct bdev *bdev)
{
	uint8_t *buf = io_buf_new(fiber_io(f), CELL_BYTES);
	uint32_t per_cell = CELL_BYTES / bdev->block_size;
	struct bdev_chan *chan;
	int r = bdev_chan_open(f, bdev, &chan);

	must(buf);
	for (uint64_t cell = 0; r == 0 && cell < w->cells && !sim_failed(w->sim); cell++) {
		uint64_t mark = check_read_begin(w->check);
		int status = bdev_read(f, chan, cell * per_cell, per_cell, buf);
		fiber_clear(f);
		if (status == 0)
			judge(w, cell, mark, buf, true);
		else if (!loud(w))
			sim_fail(w->sim, "verify: read failed with %d and no fault has struck",
				 status);
		check_read_end(w->check);
	}
	if (r == 0)
		bdev_chan_close(f, chan);
	io_buf_free(fiber_io(f), buf, CELL_BYTES);
	return r;
}

/* D6: a lock that the dead predecessor still holds is waited for. */
static int open_disk(struct fiber *f, struct world *w, struct bdev **ret)
{
	int r = bdev_open(f, w->uri, ret);

	while (r == -EBUSY) {
		fiber_clear(f);
		r = fiber_sleep(f, SIM_S);
		if (r == 0)
			r = bdev_open(f, w->uri, ret);
	}
	if (r == 0)
		check_settled(w->check);
	return r;
}

static int disk_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct bdev *bdev;
	int r = open_disk(f, w, &bdev);

	if (r < 0) {
		if (!loud(w))
			sim_fail(w->sim, "open: %s", fiber_words(f));
		return r;
	}
	if (bdev->blocks * bdev->block_size < w->cells * CELL_BYTES)
		sim_fail(w->sim, "the disk has shrunk");
	r = verify(f, w, bdev);
	if (r == 0)
		r = work(f, w, bdev);
	if (r == 0 && w->last)
		r = verify(f, w, bdev);
	if (r < 0 && !loud(w))
		sim_fail(w->sim, "main: %d %s", r, fiber_words(f));
	bdev_close(f, bdev);
	return r;
}

/* ---- the story -------------------------------------------------------------------------------- */

static bool proc_has_ended(void *ctx)
{
	struct world *w = ctx;

	return sim_proc_state(w->proc) != SIM_PROC_RUNNING;
}

static bool disk_is_idle(void *ctx)
{
	struct world *w = ctx;

	return sim_disk_inflight(w->disk) == 0;
}

static void make_disk(struct world *w, struct prng *prng)
{
	bool cache = prng_below(prng, 4) != 0, discard = prng_below(prng, 2), small = prng_below(prng, 2);

	w->atomic_bytes = prng_below(prng, 2) ? 512 : 4096;
	w->path = "/dev/sda";
	w->uri = prng_below(prng, 2) ? "file:///dev/sda" : "file:///dev/sda?blk_size=4096";
	sim_disk_add(w->host, w->path,
		     &(struct sim_disk_opts){
			     .size_bytes = w->cells * CELL_BYTES,
			     .volatile_cache = cache,
			     .atomic_bytes = w->atomic_bytes,
			     .discard_bytes = discard ? 4096 : 0,
			     .cache_bytes = small ? 64 << 10 : 0,
		     });
}

/* A sparse file, made durably before the story begins. */
static int make_file_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct io_file *file;

	must(fiber_open(f, w->path, IO_OPEN_WRITE | IO_OPEN_CREATE, 0600, &file) == 0);
	must(fiber_truncate(f, file, w->cells * CELL_BYTES) == 0);
	must(fiber_fsync(f, file, 0) == 0);
	fiber_close(f, file);
	must(fiber_sync_dir(f, "/") == 0);
	return 0;
}

static void make_file(struct world *w)
{
	w->atomic_bytes = 512;
	w->path = "/disk.img";
	w->uri = "file:///disk.img";
	w->proc = sim_proc_add(w->host, &(struct sim_proc_opts){
						.name = "make", .main = make_file_main, .arg = w });
	sim_run_until(w->sim, proc_has_ended, w, SIM_S);
}

static void start(struct world *w)
{
	static const struct sim_proc_opts opts = { .name = "disk", .main = disk_main };

	if (w->proc) {
		sim_proc_start(w->proc);
		return;
	}
	struct sim_proc_opts own = opts;
	own.arg = w;
	own.drivers = engine_drivers;
	own.reactors = w->reactors;
	w->proc = sim_proc_add(w->host, &own);
}

/* Lets it run for a while, then ends it: a crash, a power cut, or (by itself) a clean stop. */
static void cycle(struct world *w, struct prng *prng)
{
	uint64_t ns = SIM_MS << prng_below(prng, 8);

	if (!sim_run_until(w->sim, proc_has_ended, w, prng_below(prng, ns))) {
		if (prng_below(prng, 3) == 0) {
			sim_proc_crash(w->proc);
			check_crashed(w->check);
			/* a flush under way may fail with nobody there to be told */
			if (sim_fault_get(w->sim, SIM_DISK_EIO_FLUSH))
				check_flush_end(w->check, check_flush_begin(w->check), false);
		} else {
			sim_host_power_cut(w->host);
			check_power_cut(w->check);
			sim_run_for(w->sim, SIM_S);
			sim_host_power_on(w->host);
		}
	}
	if (prng_below(prng, 2) == 0) /* the next one starts at once: D6 */
		return;
	/* the device ends what the dead process has asked for */
	sim_run_until(w->sim, disk_is_idle, w, END_NS);
	check_settled(w->check);
}

static void disk_run(struct sim *sim, const char *plant)
{
	struct prng *prng = sim_prng(sim);
	struct world w = { .sim = sim, .host = sim_host_add(sim, "a") };

	w.cells = prng_range(prng, 4, CELLS_MAX);
	w.check = check_new(sim_mem(sim), w.cells);
	if (prng_below(prng, 3))
		make_disk(&w, prng);
	else
		make_file(&w);
	w.proc = NULL;
	w.disk = sim_disk_find(w.host, w.path);
	sim_disk_plant_skipped_flush(w.disk, plant && strcmp(plant, "skip-flush") == 0);
	sim_disk_plant_lost_lock(w.disk, plant && strcmp(plant, "lost-lock") == 0);
	w.silent = prng_below(prng, 2) == 0;
	sim_swarm(sim, SIM_GROUP_DISK | (w.silent ? SIM_GROUP_SILENT : 0));
	w.reactors = (unsigned)prng_range(prng, 1, 2);
	unsigned cycles = (unsigned)prng_range(prng, 1, CYCLES_MAX);
	for (unsigned i = 0; i < cycles && !sim_failed(sim); i++) {
		w.ops = (unsigned)prng_range(prng, 1, OPS_MAX);
		w.depth = 1u << prng_below(prng, 5);
		start(&w);
		cycle(&w, prng);
	}
	sim_heal(sim);
	w.last = true;
	if (!sim_failed(sim)) {
		start(&w);
		if (!sim_run_until(sim, proc_has_ended, &w, END_NS)) /* D5 */
			sim_fail(sim, "it does not end after the heal");
	}
}

const struct scenario scenario_disk = {
	.name = "disk",
	.help = "the file driver: write, flush, crash, verify under every disk fault",
	.plants = "skip-flush lost-lock",
	.faults = "disk.eio_read disk.eio_write disk.eio_flush disk.short_write disk.enospc disk.slow "
		  "disk.hang disk.lost_write disk.misdirect disk.corrupt_read disk.rot "
		  "disk.lying_flush disk.lost_cache disk.torn proc.crash host.power_cut",
	.run = disk_run,
};
