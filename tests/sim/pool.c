/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool - a pool on one to three disks under every fault they can have.
 *
 * A process creates or imports a pool; workers read and write its replicas, snapshots and clones
 * from any reactor, administrators make and destroy them meanwhile. The process crashes, or its
 * host loses power, also while it imports, and it starts again: first everything is compared
 * and recounted.
 *
 * PO1. What was acked as durable is there, things and sectors; what was not is old or new.
 * PO2. An operation fails only where a loud fault has struck; the pool is read-only at worst, and
 *      whole again at the next start.
 * PO3. Silent faults do not crash it; what is wrong then is told, or explained by one of them.
 * PO4. All counts agree with all maps (check_walk) after every start.
 * PO5. After the heal everything ends, and nothing leaks.
 * PO6. Reads beside a write under way return the old or the new, one after the other in any order.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "engine/drivers.h"
#include "pool/format.h"
#include "pool_world.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "scenario.h"

#define CYCLES_MAX  5u
#define DISK_BYTES  (64u << 20)
#define CACHE_BYTES (256u << 10)
#define END_NS	    (24 * 3600 * SIM_S)

/* ---- the process ------------------------------------------------------------------------- */

static int create(struct fiber *f, struct pool_world *w, const char *const *uris)
{
	const struct pool_create_args args = {
		.name = "p",
		.disks = uris,
		.disk_count = w->disk_count,
		.cluster_bytes = w->cluster_bytes,
		.cache_bytes = CACHE_BYTES,
		.overcommit_percent = 1000,
		.force = w->pool_state == THING_MAYBE,
	};
	int r;

	w->pool_state = THING_MAYBE;
	r = pool_create(f, &args, &w->pool);
	if (r == 0)
		w->pool_state = THING_THERE;
	return r;
}

static int import(struct fiber *f, struct pool_world *w, const char **uris)
{
	const struct pool_import_args args = { .disks = uris,
					       .disk_count = w->disk_count,
					       .cache_bytes = CACHE_BYTES };
	struct pool_info info;
	int r;

	prng_shuffle(sim_prng(w->sim), uris, w->disk_count, sizeof(*uris));
	r = pool_import(f, &args, &w->pool);
	if (r < 0)
		return r;
	w->pool_state = THING_THERE;
	pool_info(w->pool, &info);
	if (info.state == POOL_ONLINE)
		return 0;
	pw_wrong(w, "the pool is imported read-only: %s", info.why);
	return 0;
}

/* Created, imported, or (if a creation was cut short) both in turn. */
static int begin(struct fiber *f, struct pool_world *w)
{
	const char *uris[PW_DISKS_MAX];
	int r = -ENOENT;

	for (unsigned i = 0; i < w->disk_count; i++)
		uris[i] = w->uris[i];
	if (w->pool_state != THING_ABSENT)
		r = import(f, w, uris);
	if (r < 0 && w->pool_state != THING_THERE) {
		fiber_clear(f);
		for (unsigned i = 0; i < w->disk_count; i++)
			uris[i] = w->uris[i];
		r = create(f, w, uris);
	}
	if (r < 0)
		pw_error(w, "pool", "begin", r, fiber_words(f));
	fiber_clear(f);
	return r;
}

static int pool_main(struct fiber *f, void *arg)
{
	struct pool_world *w = arg;
	struct pool_info info;
	int r = begin(f, w);

	if (r < 0)
		return 0;
	r = pw_verify(f, w);
	if (r == 0 && pw_goes_on(w) && !w->last)
		r = pw_work(f, w);
	if (r == 0 && pw_goes_on(w) && (w->last || prng_below(sim_prng(w->sim), 2)))
		r = pw_verify(f, w);
	pool_info(w->pool, &info);
	r = pool_export(f, w->pool);
	w->pool = NULL;
	if (r < 0)
		pw_error(w, "pool", "export", r, fiber_words(f));
	fiber_clear(f);
	w->clean = r == 0 && info.state == POOL_ONLINE;
	return 0;
}

/* ---- plants ---------------------------------------------------------------------------------- */

struct plant {
	bool pages; /* since the last flush */
};

static uint8_t first_type(const struct io_op *op)
{
	const uint8_t *bytes = op->file.iov[0].iov_base;

	return op->file.iov[0].iov_len >= POOL_PAGE && le32_get(bytes) == PAGE_MAGIC ? bytes[8] : 0;
}

/* The flush between pages and their superblock is skipped. */
static bool plant_super(void *ctx, const struct io_op *op)
{
	struct plant *plant = ctx;
	bool skip = op->code == IO_FSYNC && plant->pages;

	if (op->code == IO_WRITE)
		plant->pages |= first_type(op) >= PAGE_NODE;
	else
		plant->pages = false;
	return skip;
}

/* Records of the log are not durable when they are acked, and so no new mapping is. */
static bool plant_log(void *ctx, const struct io_op *op)
{
	(void)ctx;
	return op->code == IO_WRITE && first_type(op) == PAGE_LOG;
}

static void make_plant(struct pool_world *w, const char *name)
{
	for (unsigned i = 0; name && i < w->disk_count; i++) {
		struct plant *plant = mem_alloc(sim_mem(w->sim), sizeof(*plant));

		must(plant);
		if (strcmp(name, "skip-flush") == 0)
			sim_disk_plant_skipped_flush(w->disks[i], true);
		else if (strcmp(name, "super-flush") == 0)
			sim_disk_plant(w->disks[i], plant_super, plant);
		else if (strcmp(name, "log-fua") == 0)
			sim_disk_plant(w->disks[i], plant_log, plant);
	}
}

/* ---- the story ---------------------------------------------------------------------------------- */

static bool proc_has_ended(void *ctx)
{
	struct pool_world *w = ctx;

	return sim_proc_state(w->proc) != SIM_PROC_RUNNING;
}

static bool disks_are_idle(void *ctx)
{
	struct pool_world *w = ctx;

	for (unsigned i = 0; i < w->disk_count; i++)
		if (sim_disk_inflight(w->disks[i]))
			return false;
	return true;
}

static void make_disks(struct pool_world *w, struct prng *prng)
{
	bool cache = prng_below(prng, 4) != 0;

	w->disk_count = (unsigned)prng_range(prng, 1, PW_DISKS_MAX);
	for (unsigned i = 0; i < w->disk_count; i++) {
		char path[16];
		bool own = cache && (i == 0 || prng_below(prng, 4));
		uint64_t size_bytes = DISK_BYTES + (prng_below(prng, 8) << 20);
		bool whole = prng_below(prng, 2), discard = prng_below(prng, 2),
		     small = prng_below(prng, 2);

		snprintf(path, sizeof(path), "/dev/sd%c", 'a' + i);
		snprintf(w->uris[i], sizeof(w->uris[i]), "file://%s%s", path,
			 prng_below(prng, 4) ? "" : "?blk_size=4096");
		w->is_volatile |= own;
		w->disks[i] = sim_disk_add(w->host, path,
					   &(struct sim_disk_opts){
						   .size_bytes = size_bytes,
						   .volatile_cache = own,
						   .atomic_bytes = whole ? 4096 : 512,
						   .discard_bytes = discard ? 4096 : 0,
						   .cache_bytes = small ? 64 << 10 : 0,
					   });
	}
}

static void start(struct pool_world *w)
{
	w->clean = false;
	if (w->proc) {
		sim_proc_start(w->proc);
		return;
	}
	w->proc = sim_proc_add(w->host, &(struct sim_proc_opts){ .name = "pool",
								 .main = pool_main,
								 .arg = w,
								 .drivers = engine_drivers,
								 .reactors = w->reactors });
}

/* Lets it run for a while, then ends it: a crash, a power cut, or (by itself) an export. */
static void cycle(struct pool_world *w, struct prng *prng)
{
	uint64_t ns = SIM_MS << prng_below(prng, 15);
	bool power = false;

	if (!sim_run_until(w->sim, proc_has_ended, w, prng_below(prng, ns)) &&
	    !sim_failed(w->sim)) {
		power = prng_below(prng, 3) != 0;
		if (power)
			sim_host_power_cut(w->host);
		else
			sim_proc_crash(w->proc);
	}
	if (sim_failed(w->sim))
		return;
	pw_stopped(w, w->clean, power);
	if (power) {
		sim_run_for(w->sim, SIM_S);
		sim_host_power_on(w->host);
	}
	/* the device ends what the dead process has asked for */
	sim_run_until(w->sim, disks_are_idle, w, END_NS);
	for (unsigned i = 0; i < w->thing_count; i++)
		check_settled(w->things[i].check);
}

static void pool_run(struct sim *sim, const char *plant)
{
	static const uint32_t clusters[] = { 16 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10 };
	struct prng *prng = sim_prng(sim);
	struct pool_world *w = mem_alloc(sim_mem(sim), sizeof(*w));
	unsigned cycles = (unsigned)prng_range(prng, 1, CYCLES_MAX);

	must(w);
	w->sim = sim;
	w->host = sim_host_add(sim, "a");
	w->cluster_bytes = clusters[prng_below(prng, ARRAY_LEN(clusters))];
	w->reactors = (unsigned)prng_range(prng, 1, 2);
	w->silent = prng_below(prng, 4) == 0;
	make_disks(w, prng);
	make_plant(w, plant);
	if (prng_below(prng, 2))
		sim_swarm(sim, SIM_GROUP_DISK | (w->silent ? SIM_GROUP_SILENT : 0));
	for (unsigned i = 0; i < cycles && !w->over && !sim_failed(sim); i++) {
		w->ops = (unsigned)prng_range(prng, 1, 60);
		w->workers = 1u << prng_below(prng, 5);
		start(w);
		cycle(w, prng);
	}
	sim_heal(sim);
	w->last = true;
	if (sim_failed(sim) || w->over)
		return;
	start(w);
	if (!sim_run_until(sim, proc_has_ended, w, END_NS) && !sim_failed(sim)) /* PO5 */
		sim_fail(sim, "it does not end after the heal");
}

const struct scenario scenario_pool = {
	.name = "pool",
	.help = "a pool: replicas, snapshots and clones under every disk fault",
	.plants = "skip-flush super-flush log-fua",
	.faults = "disk.eio_read disk.eio_write disk.eio_flush disk.short_write disk.slow disk.hang "
		  "disk.lost_write disk.misdirect disk.corrupt_read disk.rot disk.lying_flush "
		  "disk.lost_cache disk.torn proc.crash host.power_cut",
	.run = pool_run,
};
