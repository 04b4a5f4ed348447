/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_cand - a candidate of the scenario `cluster`: it takes the volume, serves it, loses it.
 *
 * While it serves, workers use the volume through the bdev, from any reactor, and an administrator
 * takes children out and in. A session ends when a request fails, when the story wants it, or at
 * the end.
 *
 * CC1. A request fails only because the volume was lost (-ESTALE), is closed (-ENODEV), or where a
 *      loud fault has struck; of remote members the last one may be out of reach.
 * CC2. After the heal the candidate that is wished for serves, and all children that are in the
 *      record come back in sync.
 */
#include "cluster_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define OPS_PER_ROUND  16u
#define IDLE_NS	       (200 * SIM_MS)
#define STUCK_TICKS    100u /* of 10 ms */
#define ADMIN_LOOKS_NS (20 * SIM_MS)

/* ---- requests ---------------------------------------------------------------------------- */

static bool is_explained(const struct cluster *c, int r)
{
	static const enum sim_fault kinds[] = { SIM_DISK_EIO_READ,  SIM_DISK_EIO_WRITE,
						SIM_DISK_EIO_FLUSH, SIM_DISK_SHORT_WRITE,
						SIM_DISK_PULL,	    SIM_DISK_CORRUPT_READ };

	if (r == -ESTALE || r == -ENODEV || c->is_remote)
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (sim_fault_fired(c->sim, kinds[i]))
			return true;
	return false;
}

static void request_ended(struct fiber *f, struct cw_cand *cand, const char *what, uint64_t cell,
			  uint64_t count, int r)
{
	struct cluster *c = cand->c;

	sim_trace(c->sim, "cand %u: %s %" PRIu64 "+%" PRIu64 ": %d %s", cand->number, what, cell,
		  count, r, r < 0 ? fiber_words(f) : "");
	if (r < 0 && !is_explained(c, r)) /* CC1 */
		sim_fail(c->sim, "cand %u: %s: %d %s", cand->number, what, r, fiber_words(f));
	c->acked += r == 0;
}

static int cand_write(struct fiber *f, struct cw_cand *cand, struct bdev_chan *chan, uint64_t cell,
		      uint64_t count, uint8_t *buf)
{
	struct cluster *c = cand->c;
	uint64_t per = chan->bdev->block_size / 512;
	struct cw_op *op = cw_op_begin(c, cand, OP_WRITING, cell, count);

	if (!op)
		return 0;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t value = ++c->serial;

		pattern_fill(buf + i * CW_CELL, CW_CELL, sim_seed(c->sim), cell + i, value);
		op->writes[i] = check_write_begin(c->check, cell + i, value);
	}
	sim_trace(c->sim, "cand %u: writes %" PRIu64 " to %" PRIu64 "+%" PRIu64, cand->number,
		  c->serial - count + 1, cell, count);
	op->is_fua = c->is_volatile && prng_below(sim_prng(c->sim), 4) == 0;
	int r = bdev_write(f, chan, cw_lba(cell) / per, count * CW_CELL_LBAS / per, buf,
			   op->is_fua ? BIO_FUA : 0);
	request_ended(f, cand, "write", cell, count, r);
	cw_op_end(c, op, r == 0);
	return r;
}

/* An unmap is a hint: zeros, or as before. */
static int cand_zero(struct fiber *f, struct cw_cand *cand, struct bdev_chan *chan, uint64_t cell,
		     uint64_t count, bool unmap)
{
	struct cluster *c = cand->c;
	uint64_t per = chan->bdev->block_size / 512;
	struct cw_op *op = cw_op_begin(c, cand, OP_WRITING, cell, count);
	int r;

	if (!op)
		return 0;
	for (uint64_t i = 0; i < count; i++)
		op->writes[i] = check_write_begin(c->check, cell + i, CHECK_ZEROS);
	if (unmap)
		r = bdev_unmap(f, chan, cw_lba(cell) / per, count * CW_CELL_LBAS / per);
	else
		r = bdev_zeroes(f, chan, cw_lba(cell) / per, count * CW_CELL_LBAS / per, 0);
	request_ended(f, cand, unmap ? "unmap" : "zero", cell, count, r);
	if (unmap && r == 0) {
		for (uint64_t i = 0; i < count; i++)
			check_write_end(c->check, cell + i, op->writes[i], CHECK_FAILED);
		op->state = OP_FREE;
	} else {
		cw_op_end(c, op, r == 0);
	}
	return r;
}

static int cand_read(struct fiber *f, struct cw_cand *cand, struct bdev_chan *chan, uint64_t cell,
		     uint64_t count, uint8_t *buf)
{
	struct cluster *c = cand->c;
	uint64_t per = chan->bdev->block_size / 512;
	struct cw_op *op = cw_op_begin(c, cand, OP_READING, cell, count);

	if (!op)
		return 0;
	op->mark = check_read_begin(c->check);
	int r = bdev_read(f, chan, cw_lba(cell) / per, count * CW_CELL_LBAS / per, buf);
	request_ended(f, cand, "read", cell, count, r);
	for (uint64_t i = 0; i < count && r == 0; i++)
		cw_judge(c, cell + i, op->mark, buf + i * CW_CELL);
	cw_op_end(c, op, r == 0);
	return r;
}

static int cand_flush(struct fiber *f, struct cw_cand *cand, struct bdev_chan *chan)
{
	struct cw_op *op = cw_op_begin(cand->c, cand, OP_FLUSHING, 0, 0);

	if (!op)
		return 0;
	int r = bdev_flush(f, chan);
	request_ended(f, cand, "flush", 0, 0, r);
	cw_op_end(cand->c, op, r == 0);
	return r;
}

static int cand_request(struct fiber *f, struct cw_cand *cand, struct bdev_chan *chan, uint8_t *buf)
{
	struct cluster *c = cand->c;
	struct prng *prng = sim_prng(c->sim);
	uint64_t count = prng_range(prng, 1, prng_below(prng, 4) ? 2 : CW_GROUP);
	uint64_t group = prng_below(prng, cw_groups_of(chan->bdev));
	uint64_t cell = group * CW_GROUP + prng_below(prng, CW_GROUP - count + 1);
	uint64_t kind = prng_below(prng, 20);

	if (kind < 8)
		return cand_read(f, cand, chan, cell, count, buf);
	if (kind == 8 && !c->is_strict)
		return cand_zero(f, cand, chan, cell, count, false);
	if (kind == 9 && !c->is_strict)
		return cand_zero(f, cand, chan, cell, count, true);
	if (kind == 10)
		return cand_flush(f, cand, chan);
	return cand_write(f, cand, chan, cell, count, buf);
}

/* For who only reads: it goes on while writes wait. */
static int cand_read_any(struct fiber *f, struct cw_cand *cand, struct bdev_chan *chan,
			 uint8_t *buf)
{
	return cand_read(f, cand, chan, prng_below(sim_prng(cand->c->sim), CW_CELLS), 1, buf);
}

/* ---- workers ------------------------------------------------------------------------------- */

static bool session_goes_on(const struct cw_cand *cand)
{
	const struct cluster *c = cand->c;

	return !cand->failed && cand->leave == LEAVE_NOT && !c->must_stop && !sim_failed(c->sim) &&
	       !c->is_good;
}

static bool worker_shall_read(const struct cw_cand *cand)
{
	const struct cluster *c = cand->c;

	return cand->shall_read || c->is_still || (c->is_healed && c->is_quiet);
}

static int worker_at(struct fiber *f, void *arg)
{
	struct cw_cand *cand = arg;
	struct prng *prng = sim_prng(cand->c->sim);
	uint8_t *buf = io_buf_new(fiber_io(f), CW_GROUP * CW_CELL);
	bool only_reads = cand->c->workers > 1 && prng_below(prng, 3) == 0;
	struct bdev_chan *chan;
	int r = buf ? bdev_chan_open(f, cand->bdev, &chan) : -ENOMEM;

	if (r < 0) {
		io_buf_free(fiber_io(f), buf, CW_GROUP * CW_CELL);
		return r;
	}
	while (r == 0 && session_goes_on(cand)) {
		r = only_reads || worker_shall_read(cand) ? cand_read_any(f, cand, chan, buf) :
							    cand_request(f, cand, chan, buf);
		if (r == 0 && prng_below(prng, 3) == 0)
			r = fiber_sleep(f, prng_below(prng, 20 * SIM_MS));
	}
	if (r < 0)
		cand->failed = true;
	bdev_chan_close(f, chan);
	io_buf_free(fiber_io(f), buf, CW_GROUP * CW_CELL);
	return 0;
}

static int worker_main(struct fiber *f, void *arg)
{
	struct cw_cand *cand = arg;
	unsigned at = (unsigned)prng_below(sim_prng(cand->c->sim), cand->place->reactors);
	struct sim_proc *proc = sim_proc_of(fiber_io(f));

	if (fiber_call_on(f, sim_proc_reactor(proc, at), "worker", worker_at, cand) < 0)
		cand->failed = true;
	fiber_clear(f);
	cand->running--;
	return 0;
}

/* ---- the administrator ------------------------------------------------------------------------ */

static void admin_say(struct fiber *f, struct cw_cand *cand, const char *what, const char *uri,
		      int r)
{
	sim_trace(cand->c->sim, "cand %u: %s %s: %d %s", cand->number, what, uri, r,
		  fiber_words(f));
	fiber_clear(f);
}

static bool admin_has(const struct nexus_info *info, const char *uri)
{
	for (unsigned i = 0; i < info->count; i++)
		if (strcmp(info->children[i].uri, uri) == 0)
			return true;
	return false;
}

static void admin_strike(struct fiber *f, struct cw_cand *cand, const struct nexus_info *info)
{
	struct prng *prng = sim_prng(cand->c->sim);
	const char *uri = info->children[prng_below(prng, info->count)].uri;

	switch (prng_below(prng, 6)) {
	case 0:
		admin_say(f, cand, "remove", uri, nexus_remove_child(f, cand->nexus, uri));
		break;
	case 1:
	case 2:
		uri = cw_uri(cand->c, (unsigned)prng_below(prng, CW_MEMBERS));
		if (!admin_has(info, uri) && info->count < 4)
			admin_say(f, cand, "add", uri, nexus_add_child(f, cand->nexus, uri));
		break;
	case 3:
		admin_say(f, cand, "offline", uri, nexus_offline_child(f, cand->nexus, uri));
		break;
	case 4:
		if (prng_below(prng, 2))
			cw_grow(f, cand);
		break;
	default:
		break;
	}
}

/* What is out comes back; also what is offline, in the end. */
static void admin_mend(struct fiber *f, struct cw_cand *cand, const struct nexus_info *info)
{
	const struct cluster *c = cand->c;

	for (unsigned i = 0; i < info->count; i++) {
		const struct nexus_child_info *child = &info->children[i];

		if (child->state != NEXUS_CHILD_OUT ||
		    (child->is_offline && !c->is_healed && prng_below(sim_prng(c->sim), 4)))
			continue;
		admin_say(f, cand, "online", child->uri,
			  nexus_online_child(f, cand->nexus, child->uri));
	}
}

/* CC2. */
static bool admin_is_good(const struct nexus_info *info)
{
	for (unsigned i = 0; i < info->count; i++)
		if (info->children[i].state != NEXUS_CHILD_IN_SYNC)
			return false;
	return info->state == NEXUS_SERVING;
}

/* The story wants a member out (cluster_rules.c): the nearest, which it reads from. */
static void admin_drop(struct fiber *f, struct cw_cand *cand, const struct nexus_info *info)
{
	const char *uri = NULL;

	for (unsigned i = info->count; i-- > 0;)
		if (info->children[i].state == NEXUS_CHILD_IN_SYNC &&
		    (!uri || info->children[i].is_local))
			uri = info->children[i].uri;
	cand->shall_drop = false;
	if (uri)
		admin_say(f, cand, "drop", uri, nexus_offline_child(f, cand->nexus, uri));
}

static int admin_pause(struct fiber *f, struct cw_cand *cand)
{
	uint64_t ns = prng_below(sim_prng(cand->c->sim), SIM_S);
	int r = 0;

	for (uint64_t step; r == 0 && ns > 0 && !cand->shall_drop; ns -= step) {
		step = min_u64(ns, ADMIN_LOOKS_NS);
		r = fiber_sleep(f, step);
	}
	return r;
}

static int admin_main(struct fiber *f, void *arg)
{
	struct cw_cand *cand = arg;
	struct cluster *c = cand->c;
	struct prng *prng = sim_prng(c->sim);
	struct nexus_info *info = mem_new(fiber_io(f), sizeof(*info));
	uint64_t acked = c->acked;

	must(info);
	while (session_goes_on(cand) && admin_pause(f, cand) == 0) {
		nexus_info(cand->nexus, info);
		if (info->state == NEXUS_DEPOSED || info->state == NEXUS_STOPPED) {
			cand->failed = true;
			break;
		}
		if (cand->shall_drop)
			admin_drop(f, cand, info);
		else if (!c->is_healed && !c->is_calm && prng_below(prng, 2) == 0)
			admin_strike(f, cand, info);
		else
			admin_mend(f, cand, info);
		nexus_info(cand->nexus, info);
		if (c->is_healed && c->wish == cand->number && admin_is_good(info) &&
		    c->acked > acked + 10 && cw_host_is_well(c))
			c->is_good = true;
	}
	mem_free(info);
	cand->running--;
	return 0;
}

/* ---- a session ----------------------------------------------------------------------------------- */

static int session_bdev(struct fiber *f, struct cw_cand *cand)
{
	struct sim_proc *proc = sim_proc_of(fiber_io(f));
	char uri[64], text[UUID_TEXT_SIZE];
	int r = latch_lock(f, &cand->place->env);

	if (r < 0)
		return r;
	/* two of one process: each under a name of its own */
	snprintf(uri, sizeof(uri), "nexus:///%s",
		 cand->number % 2 ? uuid_print(&cand->c->volume, text) : "v");
	sim_proc_set_nexuses(proc, cand->table);
	r = bdev_open(f, uri, &cand->bdev);
	latch_unlock(f, &cand->place->env);
	return r;
}

static void session_work(struct fiber *f, struct cw_cand *cand)
{
	struct fiber *fibers[CW_WORKERS_MAX + 1] = { NULL };
	unsigned count = cand->c->workers;

	for (unsigned i = 0; i <= count; i++)
		if (fiber_start(fiber_reactor(f), i ? "worker" : "admin",
				i ? worker_main : admin_main, cand, &fibers[i]) == 0)
			cand->running++;
	while (session_goes_on(cand))
		if (fiber_sleep(f, 10 * SIM_MS) < 0)
			break;
	for (unsigned waited = 0; cand->running > 0; waited++) {
		if (waited == STUCK_TICKS) /* requests wait for what does not come */
			nexus_refuse(cand->nexus);
		if (fiber_sleep(f, 10 * SIM_MS) < 0)
			fiber_uncancel(f);
	}
	for (unsigned i = 0; i <= count; i++)
		if (fibers[i])
			(void)fiber_join(f, fibers[i]);
	fiber_clear(f);
}

static void session_end(struct fiber *f, struct cw_cand *cand)
{
	bool clean = cand->leave == LEAVE_CLEAN || cand->c->is_good || cand->c->must_stop;

	if (cand->bdev)
		bdev_close(f, cand->bdev);
	sim_trace(cand->c->sim, "cand %u: %s", cand->number, clean ? "close" : "abandon");
	if (clean)
		nexus_close(f, cand->nexus);
	else
		nexus_abandon(f, cand->nexus);
	cand->bdev = NULL;
	cand->nexus = NULL;
	cand->leave = LEAVE_NOT;
	sim_trace(cand->c->sim, "cand %u: closed", cand->number);
}

static void cand_session(struct fiber *f, struct cw_cand *cand)
{
	struct cluster *c = cand->c;
	struct nexus_info *info = mem_new(fiber_io(f), sizeof(*info));

	must(info);
	cand->failed = false;
	cand->running = 0;
	cand->leave = LEAVE_NOT;
	cand->shall_drop = cand->shall_read = false;
	nexus_info(cand->nexus, info);
	cand->epoch = info->epoch;
	mem_free(info);
	sim_trace(c->sim, "cand %u: serves, epoch %" PRIu64, cand->number, cand->epoch);
	c->sessions++;
	cw_serves(c, cand->epoch);
	if (session_bdev(f, cand) == 0) {
		cw_publish(f, cand);
		session_work(f, cand);
		cw_unpublish(f, cand);
	}
	fiber_clear(f);
	session_end(f, cand);
}

/* ---- its life --------------------------------------------------------------------------------------- */

static int cand_table(struct fiber *f, struct cw_cand *cand)
{
	struct cluster *c = cand->c;
	struct nexus_table_opts opts = { .lease_ttl_ms = c->lease_ms,
					 .rules_off = c->rules_off.nexus };
	int r = 0;

	if (!cand->store)
		r = store_open(f, sim_store_drivers, cand->store_uri, &cand->store);
	if (r < 0 || cand->table)
		return r;
	opts.store = cand->store;
	prng_fill(sim_prng(c->sim), opts.instance.bytes, sizeof(opts.instance.bytes));
	return nexus_table_new(f, &opts, &cand->table);
}

static void cand_table_end(struct fiber *f, struct cw_cand *cand)
{
	if (cand->table)
		nexus_table_free(f, cand->table);
	if (cand->store)
		store_close(f, cand->store);
	cand->table = NULL;
	cand->store = NULL;
}

static bool cand_wants(const struct cw_cand *cand)
{
	const struct cluster *c = cand->c;

	if (c->wish == cand->number || c->is_healed)
		return c->wish == cand->number && !c->is_good;
	return !c->is_calm && prng_below(sim_prng(c->sim), 60) == 0;
}

static void cand_try(struct fiber *f, struct cw_cand *cand)
{
	struct cluster *c = cand->c;
	int r = cand_table(f, cand);

	if (r == 0) {
		sim_trace(c->sim, "cand %u: opens", cand->number);
		r = nexus_open(f, cand->table, &c->volume, false, &cand->nexus);
	}
	if (r == 0)
		cand_session(f, cand);
	else
		sim_trace(c->sim, "cand %u: open: %d %s", cand->number, r, fiber_words(f));
	fiber_clear(f);
	if (prng_below(sim_prng(c->sim), 4) == 0)
		cand_table_end(f, cand);
}

int cw_cand_main(struct fiber *f, void *arg)
{
	struct cw_cand *cand = arg;
	struct cluster *c = cand->c;

	while (!c->must_stop && !c->is_good && !sim_failed(c->sim)) {
		if (cand_wants(cand))
			cand_try(f, cand);
		fiber_clear(f);
		if (fiber_sleep(f, prng_below(sim_prng(c->sim), IDLE_NS)) < 0)
			break;
	}
	cand_table_end(f, cand);
	return 0;
}

/* ---- the beginning -------------------------------------------------------------------------------------- */

/* Every cell has something: what was never written may be read old after new (scenario pool). */
static int make_fill(struct fiber *f, struct cw_cand *cand)
{
	uint8_t *buf = io_buf_new(fiber_io(f), CW_GROUP * CW_CELL);
	struct bdev_chan *chan;
	int r;

	must(buf);
	r = session_bdev(f, cand);
	if (r == 0)
		r = bdev_chan_open(f, cand->bdev, &chan);
	for (uint64_t i = 0; r == 0 && i < CW_GROUPS; i++)
		r = cand_write(f, cand, chan, i * CW_GROUP, CW_GROUP, buf);
	if (r == 0)
		bdev_chan_close(f, chan);
	io_buf_free(fiber_io(f), buf, CW_GROUP * CW_CELL);
	return r;
}

int cw_make_volume(struct fiber *f, struct cw_cand *cand)
{
	struct cluster *c = cand->c;
	const char *uris[CW_NODES];
	const struct nexus_create_args args = { .name = "v", .uris = uris, .count = c->members };
	int r = cand_table(f, cand);

	for (unsigned i = 0; i < CW_NODES; i++)
		uris[i] = cw_uri(c, i * CW_REPLICAS);
	if (r == 0)
		r = nexus_create(f, cand->table, &args, &c->volume);
	if (r == 0 && c->is_strict) {
		r = nexus_open(f, cand->table, &c->volume, false, &cand->nexus);
		if (r == 0) {
			cand->epoch = 1;
			r = make_fill(f, cand);
			cand->leave = LEAVE_CLEAN;
			session_end(f, cand);
		}
	}
	if (r < 0)
		sim_fail(c->sim, "the volume cannot be made: %d %s", r, fiber_words(f));
	c->is_made = r == 0;
	return r;
}
