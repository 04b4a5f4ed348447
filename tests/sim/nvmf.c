/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf - hosts on a target whose net is cut, whose process is killed, whose disk is slow.
 *
 * The target serves a disk of its host; clients on other hosts open it by nvmf:// and read and write
 * the same few cells from several fibers. A client that meets an error ends its session, opens the
 * disk anew under the same host identity, and only then takes the failed writes for ended: they
 * may have happened, and will not happen later. That holds only because the target answers the new
 * Connect when the older association is drained (N4). Bytes that were held back by a cut come late,
 * and so do bios that a slow disk still has.
 *
 * NV1. Cells are registers that any history of the clients' reads and writes explains (check.h).
 * NV2. After the heal every client completes a round without an error, and the target ends.
 *
 * Plant "undrained": each session has a host identity of its own, so that the target has no older
 * association to drain: as if it answered at once. A ghost write lands after its successor.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "base/uuid.h"
#include "bdev/bdev.h"
#include "engine/drivers.h"
#include "nvmf/tgt.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "scenario.h"
#include "sim/check.h"

#define CELL	      4096u
#define CELLS	      24u
#define CELLS_MAX     8u /* of one request: in the capsule, and by R2T */
#define CLIENTS_MAX   3u
#define WORKERS_MAX   3u
#define DOUBTS_MAX    64u
#define OPS_PER_ROUND 12u
#define NVMF_PORT     4420
#define NVMF_NQN      "nqn.2019-05.io.openebs:sim"
#define END_NS	      (3600 * SIM_S)

struct world {
	struct sim *sim;
	struct sim_proc *target;
	struct check *check;
	uint64_t serial;
	unsigned reactors, clients;
	bool undrained, patient;
	bool healed, stop;
};

/* A write that failed: it ends when the next session has begun. */
struct doubt {
	uint64_t cell, write;
};

struct client {
	struct world *w;
	struct sim_proc *proc;
	unsigned number, session, workers, running;
	struct bdev_chan *chan;
	bool failed;
	unsigned doubt_count;
	struct doubt doubts[DOUBTS_MAX];
};

/* ---- the target ------------------------------------------------------------------------- */

static int target_fill(struct fiber *f, struct tgt *tgt, struct tgt_ns **ret)
{
	const struct tgt_subsys_args subsys_args = { .nqn = NVMF_NQN, .allow_any_host = true };
	const struct tgt_ns_args ns_args = { .uri = "file:///dev/sda" };
	struct tgt_port_args port_args = { 0 };
	struct tgt_subsys *subsys;
	struct tgt_port *port;
	int r = tgt_subsys_add(f, tgt, &subsys_args, &subsys);

	if (r == 0)
		r = tgt_ns_add(f, subsys, &ns_args, ret);
	if (r < 0)
		return r;
	sim_host_addr(sim_proc_host(sim_proc_of(fiber_io(f))), NVMF_PORT, &port_args.addr);
	return tgt_port_add(f, tgt, &port_args, &port);
}

/* Some time, with a pause now and then. */
static int target_live(struct fiber *f, struct world *w, struct tgt_ns *ns)
{
	struct prng *prng = sim_prng(w->sim);
	int r = fiber_sleep(f, prng_range(prng, SIM_MS, 2 * SIM_S));

	if (r == 0 && prng_below(prng, 4) == 0) {
		tgt_ns_pause(f, ns);
		r = fiber_sleep(f, prng_below(prng, 200 * SIM_MS));
		tgt_ns_resume(f, ns);
	}
	return r;
}

static int target_serve(struct fiber *f, struct world *w)
{
	const struct tgt_opts opts = { .reactors = w->reactors };
	struct tgt_ns *ns;
	struct tgt *tgt;
	int r = tgt_open(f, &opts, &tgt);

	if (r < 0)
		return r;
	r = target_fill(f, tgt, &ns);
	while (r == 0 && !w->stop)
		r = target_live(f, w, ns);
	tgt_close(f, tgt);
	return r;
}

/*
 * It begins anew without memory, and while what the one before it gave to the kernel still holds
 * the disk (IO7).
 */
static int target_main(struct fiber *f, void *arg)
{
	struct world *w = arg;

	while (!w->stop) {
		int r = target_serve(f, w);

		if (r == -EBUSY || r == -ENOMEM || r == -EADDRINUSE || r == -EAGAIN)
			sim_trace(w->sim, "target: %s", fiber_words(f));
		else if (r < 0)
			sim_fail(w->sim, "target: %s", fiber_words(f));
		fiber_clear(f);
		if (fiber_sleep(f, 100 * SIM_MS) < 0)
			break;
	}
	return 0;
}

/* ---- a client: its operations ---------------------------------------------------------------- */

static void doubt_add(struct client *c, uint64_t cell, uint64_t write)
{
	must(c->doubt_count < DOUBTS_MAX);
	c->doubts[c->doubt_count++] = (struct doubt){ .cell = cell, .write = write };
}

/* A session has begun: what failed in the one before will not happen later. */
static void doubts_end(struct client *c)
{
	for (unsigned i = 0; i < c->doubt_count; i++)
		check_write_end(c->w->check, c->doubts[i].cell, c->doubts[i].write, CHECK_FAILED);
	c->doubt_count = 0;
}

static int client_write(struct fiber *f, struct client *c, uint64_t cell, unsigned count,
			uint8_t *buf)
{
	uint64_t seed = sim_seed(c->w->sim), writes[CELLS_MAX];
	int r;

	for (unsigned i = 0; i < count; i++) {
		uint64_t value = ++c->w->serial;

		pattern_fill(buf + i * CELL, CELL, seed, cell + i, value);
		writes[i] = check_write_begin(c->w->check, cell + i, value);
	}
	r = bdev_write(f, c->chan, cell * (CELL / 512), count * (CELL / 512), buf, 0);
	for (unsigned i = 0; i < count; i++) {
		if (r == 0)
			check_write_end(c->w->check, cell + i, writes[i], CHECK_ACKED);
		else
			doubt_add(c, cell + i, writes[i]);
	}
	sim_trace(c->w->sim, "client %u: write %u cells at %" PRIu64 ": %d %s", c->number, count,
		  cell, r, r < 0 ? fiber_words(f) : "");
	return r;
}

/* NV1 */
static void cell_verify(struct client *c, uint64_t cell, uint64_t read, const uint8_t *bytes)
{
	struct world *w = c->w;
	uint64_t serial = 0, first = 0;
	char text[160];

	for (uint32_t sector = 0; sector < CELL / PATTERN_SECTOR; sector++) {
		enum pattern_kind kind = pattern_look(bytes + sector * PATTERN_SECTOR,
						      sim_seed(w->sim), cell, sector, &serial);

		if (kind != PATTERN_GOOD && kind != PATTERN_ALL_ZEROS) {
			sim_fail(w->sim, "cell %" PRIu64 " sector %u is foreign", cell, sector);
			return;
		}
		first = sector ? first : serial;
		if (!check_may_read(w->check, cell, read, serial)) {
			sim_fail(w->sim, "cell %" PRIu64 " reads %" PRIu64 "; it may be %s", cell,
				 serial, check_explain(w->check, cell, text, sizeof(text)));
			return;
		}
	}
	if (first == serial)
		check_saw(w->check, cell, serial);
}

static int client_read(struct fiber *f, struct client *c, uint64_t cell, unsigned count,
		       uint8_t *buf)
{
	uint64_t read = check_read_begin(c->w->check);
	int r = bdev_read(f, c->chan, cell * (CELL / 512), count * (CELL / 512), buf);

	for (unsigned i = 0; i < count && r == 0; i++)
		cell_verify(c, cell + i, read, buf + i * CELL);
	check_read_end(c->w->check);
	return r;
}

static int worker_main(struct fiber *f, void *arg)
{
	struct client *c = arg;
	struct prng *prng = sim_prng(c->w->sim);
	uint8_t *buf = io_buf_new(fiber_io(f), CELLS_MAX * CELL);
	int r = 0;

	must(buf);
	for (unsigned i = 0; i < OPS_PER_ROUND && r == 0 && !c->failed; i++) {
		unsigned count = (unsigned)prng_range(prng, 1, prng_below(prng, 3) ? 2 : CELLS_MAX);
		uint64_t cell = prng_below(prng, CELLS - count + 1);

		if (prng_below(prng, 2))
			r = client_write(f, c, cell, count, buf);
		else
			r = client_read(f, c, cell, count, buf);
		if (r == 0 && prng_below(prng, 4) == 0)
			r = fiber_sleep(f, prng_below(prng, 100 * SIM_MS));
	}
	c->failed |= r < 0;
	io_buf_free(fiber_io(f), buf, CELLS_MAX * CELL);
	fiber_clear(f);
	return 0;
}

/* ---- a client: its sessions ------------------------------------------------------------------- */

static int session_open(struct fiber *f, struct client *c, struct bdev **ret)
{
	const struct world *w = c->w;
	uint64_t timeout = w->patient ? 8000 : 1000;
	char uri[512];
	int r;

	c->session++;
	snprintf(uri, sizeof(uri),
		 "nvmf://10.0.0.1:%u/" NVMF_NQN
		 "?hostid=5e7a0000-0000-4000-8000-%06x%06x&timeout_ms=%" PRIu64
		 "&connect_ms=4000&wait_ms=%u&hdgst=%s&ddgst=%s",
		 NVMF_PORT, c->number + 1, w->undrained ? c->session : 0, timeout,
		 w->patient ? 60000 : 0, c->number % 2 ? "true" : "false",
		 c->number % 2 ? "true" : "false");
	r = bdev_open(f, uri, ret);
	if (r == 0) {
		r = bdev_chan_open(f, *ret, &c->chan);
		if (r < 0)
			bdev_close(f, *ret);
	}
	sim_trace(w->sim, "client %u: session %u: %d %s", c->number, c->session, r,
		  r < 0 ? fiber_words(f) : "");
	return r;
}

static void session_work(struct fiber *f, struct client *c)
{
	struct fiber *workers[WORKERS_MAX];

	c->failed = false;
	for (unsigned i = 0; i < c->workers; i++)
		must(fiber_start(fiber_reactor(f), "worker", worker_main, c, &workers[i]) == 0);
	for (unsigned i = 0; i < c->workers; i++)
		(void)fiber_join(f, workers[i]);
}

static int client_main(struct fiber *f, void *arg)
{
	struct client *c = arg;
	struct world *w = c->w;
	bool is_good = false;

	while (!is_good && !sim_failed(w->sim)) {
		bool was_healed = w->healed;
		struct bdev *bdev;

		if (session_open(f, c, &bdev) == 0) {
			doubts_end(c);
			do
				session_work(f, c);
			while (!c->failed && !w->healed);
			bdev_chan_close(f, c->chan);
			bdev_close(f, bdev);
			is_good = was_healed && !c->failed; /* NV2 */
		}
		fiber_clear(f);
		if (fiber_sleep(f, prng_below(sim_prng(w->sim), SIM_S)) < 0)
			break;
	}
	return 0;
}

/* ---- the story -------------------------------------------------------------------------------- */

struct story {
	struct world w;
	struct client clients[CLIENTS_MAX];
};

static bool clients_have_ended(void *ctx)
{
	struct story *s = ctx;

	for (unsigned i = 0; i < s->w.clients; i++)
		if (sim_proc_state(s->clients[i].proc) == SIM_PROC_RUNNING)
			return false;
	return true;
}

static bool target_has_ended(void *ctx)
{
	struct story *s = ctx;

	return sim_proc_state(s->w.target) != SIM_PROC_RUNNING;
}

static void world_build(struct story *s, struct sim *sim)
{
	static const char *const names[] = { "b", "c", "d" };
	struct prng *prng = sim_prng(sim);
	struct world *w = &s->w;
	struct sim_host *home = sim_host_add(sim, "a");

	sim_disk_add(home, "/dev/sda", &(struct sim_disk_opts){ .size_bytes = 1 << 20 });
	w->target = sim_proc_add(home, &(struct sim_proc_opts){ .name = "target",
								.main = target_main,
								.arg = w,
								.drivers = engine_drivers,
								.reactors = w->reactors });
	for (unsigned i = 0; i < w->clients; i++) {
		struct client *c = &s->clients[i];

		c->w = w;
		c->number = i;
		c->workers = (unsigned)prng_range(prng, 1, WORKERS_MAX);
		c->proc = sim_proc_add(sim_host_add(sim, names[i]),
				       &(struct sim_proc_opts){ .name = "client",
								.main = client_main,
								.arg = c,
								.drivers = engine_drivers });
	}
}

/* The target is killed, hosts are cut off, in their own time; a client is never killed. */
static void strike(struct story *s, uint64_t *ret_until)
{
	struct sim *sim = s->w.sim;
	struct prng *prng = sim_prng(sim);
	struct sim_host *home = sim_proc_host(s->w.target);
	struct sim_host *host = sim_proc_host(s->clients[prng_below(prng, s->w.clients)].proc);

	switch (prng_below(prng, 5)) {
	case 0:
		sim_proc_fail_alloc(s->w.target, 0);
		sim_proc_crash(s->w.target);
		sim_run_for(sim, prng_below(prng, 2 * SIM_S));
		sim_proc_start(s->w.target);
		break;
	case 1:
		sim_net_cut(host, home);
		sim_run_for(sim, prng_below(prng, 12 * SIM_S));
		sim_net_heal(host, home);
		break;
	case 2:
		sim_net_cut(home, host);
		sim_run_for(sim, prng_below(prng, 12 * SIM_S));
		sim_net_heal(home, host);
		break;
	case 3:
		sim_proc_fail_alloc(s->w.target, prng_range(prng, 1, 40));
		break;
	default:
		sim_proc_pause(s->w.target, prng_below(prng, 3 * SIM_S));
	}
	sim_run_for(sim, prng_below(prng, 4 * SIM_S));
	*ret_until = sim_now(sim);
}

static void nvmf_run(struct sim *sim, const char *plant)
{
	struct prng *prng = sim_prng(sim);
	struct story *s = mem_alloc(sim_mem(sim), sizeof(*s));
	uint64_t end;

	must(s);
	s->w.sim = sim;
	s->w.check = check_new(sim_mem(sim), CELLS);
	s->w.undrained = plant && strcmp(plant, "undrained") == 0;
	s->w.patient = !s->w.undrained && prng_below(prng, 2);
	s->w.reactors = (unsigned)prng_range(prng, 1, 3);
	s->w.clients = (unsigned)prng_range(prng, 1, CLIENTS_MAX);
	sim_swarm(sim, SIM_GROUP_NET);
	if (prng_below(prng, 2))
		sim_fault_set(sim, SIM_DISK_SLOW, (uint32_t)prng_range(prng, 1000, 100000));
	if (prng_below(prng, 2))
		sim_fault_set(sim, SIM_DISK_HANG, (uint32_t)prng_range(prng, 100, 5000));
	world_build(s, sim);
	end = sim_now(sim) + prng_range(prng, 5 * SIM_S, 30 * SIM_S);
	for (uint64_t now = 0; now < end && !sim_failed(sim);)
		strike(s, &now);
	sim_heal(sim);
	s->w.healed = true;
	if (!sim_run_until(sim, clients_have_ended, s, END_NS))
		sim_fail(sim, "a client completes nothing after the heal");
	s->w.stop = true;
	if (!sim_run_until(sim, target_has_ended, s, END_NS))
		sim_fail(sim, "the target does not end after the heal");
	check_free(s->w.check);
	mem_free(s);
}

const struct scenario scenario_nvmf = {
	.name = "nvmf",
	.help = "hosts on an NVMe/TCP target: cuts, crashes, slow disks; cells are registers",
	.plants = "undrained",
	.run = nvmf_run,
};
