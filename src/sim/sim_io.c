/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_io - struct io of this world: the turn of a loop, and the ops that need no device.
 *
 *   event (a disk is done, bytes came, a wake) --> rouse --> run, soon --> io_turn, reactor_turn
 *
 * SI1. Callbacks run in a turn only: things that are ready first, in the order they became so,
 *      then completed ops, in the order of completion. What these bring about waits for the next turn.
 * SI2. A loop with nothing to do has no event: an idle process costs nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "io/addr.h"
#include "reactor/reactor.h"
#include "sim/sim_priv.h"

#define SIM_FS_NS      (5 * SIM_US)
#define SIM_WORK_NS    (30 * SIM_US)
#define SIM_RESOLVE_NS (500 * SIM_US)

/* An op that takes a while and is then done within a turn. */
struct sim_wait {
	struct sim_event event;
	struct sim_ready ready;
	struct list_link link; /* of its io */
	struct sim_io *io;
	struct io_op *op;
};

struct io_signal {
	struct io *io;
	struct sim_ready ready;
	struct list_link link; /* of the process */
	int signo;
	io_signal_fn fn;
	void *ctx;
};

static struct sim_io *sim_io_of(struct io *io)
{
	return container_of(io, struct sim_io, io);
}

const char *sim_code_name(enum io_code code)
{
	static const char *const names[IO_CODES] = {
		"nop",	   "read",  "write", "fsync",	"discard", "zero",   "truncate",
		"open",	   "share", "close", "stat",	"list",	   "rename", "unlink",
		"mkdir",   "connect", "send", "recv",	"resolve", "work",   "spawn",
	};

	return names[code];
}

/* ---- when a loop turns ---------------------------------------------------------------- */

static void sim_io_run(struct sim *sim, struct sim_event *event);

void sim_io_kick(struct sim_io *io, uint64_t at_ns)
{
	struct sim *sim = io->sim;

	if (io->proc->state != SIM_PROC_RUNNING)
		return;
	at_ns = max_u64(at_ns, io->proc->paused_until_ns);
	if (io->run.pos && io->run.at_ns <= at_ns)
		return;
	sim_unschedule(sim, &io->run);
	sim_at(sim, &io->run, at_ns, sim_io_run);
}

void sim_io_rouse(struct sim_io *io)
{
	struct sim *sim = io->sim;

	if (io->in_turn || (io->run.pos && io->run.at_ns <= sim->now_ns + SIM_TURN_NS))
		return; /* the end of this turn looks for itself */
	sim_io_kick(io, sim->now_ns + SIM_TURN_NS +
				prng_below(&sim->prng[SIM_STREAM_LOOP], SIM_WAKE_NS_MAX));
}

void sim_io_ready(struct sim_io *io, struct sim_ready *ready)
{
	if (list_is_linked(&ready->link))
		return;
	list_add_tail(&io->ready, &ready->link);
	io->sim->busy++;
	sim_io_rouse(io);
}

void sim_io_unready(struct sim_io *io, struct sim_ready *ready)
{
	if (!list_is_linked(&ready->link))
		return;
	list_del(&ready->link);
	io->sim->busy--;
}

void sim_io_complete(struct sim_io *io, struct io_op *op, int64_t res)
{
	op->res = res;
	list_link_init(&op->link);
	list_add_tail(&io->done, &op->link);
	io->sim->busy++;
	io->stats.inflight--;
	sim_io_rouse(io);
}

/* SI1. */
static unsigned sim_io_turn(struct io *base, uint64_t until_ns)
{
	struct sim_io *io = sim_io_of(base);
	struct sim_ready *ready;
	struct list now;
	struct io_op *op;
	unsigned count = 0;

	base->turn_ns = sim_host_mono(io->proc->host);
	io->stats.turns++;
	list_init(&now);
	list_splice_tail(&now, &io->ready);
	while ((ready = list_first(&now, struct sim_ready, link))) {
		sim_io_unready(io, ready);
		ready->run(io, ready);
		count++;
	}
	list_splice_tail(&now, &io->done);
	while ((op = list_pop_front(&now, struct io_op, link))) {
		io->sim->busy--;
		op->done(op);
		count++;
	}
	return count;
}

static void sim_io_pause(struct sim_io *io)
{
	struct sim *sim = io->sim;

	sim_proc_pause(io->proc,
		       prng_range(&sim->prng[SIM_STREAM_FAULTS], 10 * SIM_MS, 20 * SIM_S));
}

static void sim_io_run(struct sim *sim, struct sim_event *event)
{
	struct sim_io *io = container_of(event, struct sim_io, run);
	struct sim_proc *proc = io->proc;

	if (sim_fault(sim, SIM_PROC_PAUSE, proc->name)) {
		sim_io_pause(io);
		sim_io_kick(io, 0);
		return;
	}
	io->in_turn = true;
	io->woken = false;
	sim_io_turn(&io->io, 0);
	uint64_t until = io->reactor ? reactor_turn(io->reactor) : IO_FOREVER;
	io->in_turn = false;
	if (!list_empty(&io->ready) || !list_empty(&io->done) || io->woken)
		until = 0;
	if (until != IO_FOREVER) {
		uint64_t at = until ? sim_host_mono_to_world(proc->host, until) : 0;
		sim_io_kick(io, max_u64(at, sim->now_ns + SIM_TURN_NS));
	}
	sim_proc_turned(proc);
}

/* Nothing of it happens any more. */
void sim_io_stop(struct sim_io *io)
{
	struct sim *sim = io->sim;
	struct sim_ready *ready;
	struct sim_wait *wait;

	sim_unschedule(sim, &io->run);
	while (list_pop_front(&io->done, struct io_op, link))
		sim->busy--;
	while ((ready = list_first(&io->ready, struct sim_ready, link)))
		sim_io_unready(io, ready);
	while ((wait = list_pop_front(&io->waits, struct sim_wait, link))) {
		sim_unschedule(sim, &wait->event);
		sim->busy--;
		arena_put(&sim->arena, wait, sizeof(*wait));
	}
}

/* ---- ops that take a while -------------------------------------------------------------- */

static uint64_t sim_resolve_host(struct sim_host *host, struct io_op *op)
{
	if (op->name.addrs_max < 1)
		return 0;
	sim_host_addr(host, op->name.port, &op->name.ret_addrs[0]);
	return 1;
}

/* A number, or the name of a host. */
static int64_t sim_resolve(struct sim_io *io, struct io_op *op)
{
	struct sim *sim = io->sim;
	struct io_addr addr;
	char text[IO_ADDR_TEXT_MAX];
	struct err err = { 0 };

	for (unsigned i = 0; i < sim->host_count; i++)
		if (strcmp(sim->hosts[i]->name, op->name.host) == 0)
			return (int64_t)sim_resolve_host(sim->hosts[i], op);
	snprintf(text, sizeof(text), strchr(op->name.host, ':') ? "[%.100s]:%u" : "%.100s:%u",
		 op->name.host, op->name.port);
	if (op->name.addrs_max < 1 || io_addr_parse(text, &addr, &err) < 0)
		return -ENOENT;
	op->name.ret_addrs[0] = addr;
	return 1;
}

static int64_t sim_work(struct sim_io *io, struct io_op *op)
{
	io->proc->works--;
	return op->work.fn(op->work.ctx);
}

static void sim_wait_run(struct sim_io *io, struct sim_ready *ready)
{
	struct sim_wait *wait = container_of(ready, struct sim_wait, ready);
	struct io_op *op = wait->op;
	int64_t res;

	list_del(&wait->link);
	arena_put(&io->sim->arena, wait, sizeof(*wait));
	if (op->code == IO_RESOLVE)
		res = sim_resolve(io, op);
	else if (op->code == IO_WORK)
		res = sim_work(io, op);
	else
		res = fs_do(io, op);
	io->sim->busy--;
	sim_mix(io->sim, (uint64_t)res);
	if (sim_traces(io->sim) && op->code != IO_WORK)
		sim_trace(io->sim, "%s: %s %s res=%lld", io->proc->name, sim_code_name(op->code),
			  op->code == IO_RESOLVE ? op->name.host :
			  op->fs.path		 ? op->fs.path :
						   "(open)",
			  (long long)res);
	sim_io_complete(io, op, res);
}

static void sim_wait_fire(struct sim *sim, struct sim_event *event)
{
	struct sim_wait *wait = container_of(event, struct sim_wait, event);

	sim_io_ready(wait->io, &wait->ready);
}

static void sim_wait_start(struct sim_io *io, struct io_op *op, uint64_t median_ns)
{
	struct sim *sim = io->sim;
	struct sim_wait *wait = arena_zalloc(&sim->arena, sizeof(*wait));

	wait->io = io;
	wait->op = op;
	wait->ready.run = sim_wait_run;
	list_add_tail(&io->waits, &wait->link);
	sim->busy++;
	sim_after(sim, &wait->event, sim_delay(&sim->prng[SIM_STREAM_LOOP], median_ns),
		  sim_wait_fire);
}

static void sim_work_start(struct sim_io *io, struct io_op *op)
{
	if (io->proc->works >= SIM_WORKS_MAX || sim_fault(io->sim, SIM_WORK_BUSY, io->proc->name)) {
		sim_io_complete(io, op, -EBUSY);
		return;
	}
	io->proc->works++;
	sim_wait_start(io, op, SIM_WORK_NS);
}

static bool sim_wait_cancel(struct sim_io *io, struct io_op *op)
{
	struct sim_wait *wait;

	list_for_each(wait, &io->waits, link)
		if (wait->op == op)
			break;
	if (!wait)
		return false;
	io->proc->works -= op->code == IO_WORK;
	sim_unschedule(io->sim, &wait->event);
	sim_io_unready(io, &wait->ready);
	list_del(&wait->link);
	io->sim->busy--;
	arena_put(&io->sim->arena, wait, sizeof(*wait));
	sim_io_complete(io, op, -ECANCELED);
	return true;
}

/* ---- the ops table ---------------------------------------------------------------------- */

static uint64_t sim_io_now(struct io *base)
{
	return sim_host_mono(sim_io_of(base)->proc->host);
}

static uint64_t sim_io_wall(struct io *base)
{
	return sim_host_wall(sim_io_of(base)->proc->host);
}

static void sim_io_random(struct io *base, void *buf, size_t len)
{
	prng_fill(&sim_io_of(base)->prng, buf, len);
}

static void sim_io_submit(struct io *base, struct io_op *op)
{
	struct sim_io *io = sim_io_of(base);

	io->stats.submits++;
	io->stats.inflight++;
	switch (op->code) {
	case IO_READ:
	case IO_WRITE:
	case IO_FSYNC:
	case IO_DISCARD:
	case IO_ZERO:
	case IO_TRUNCATE:
		disk_submit(io, op);
		return;
	case IO_CLOSE:
		file_close(op->file.file);
		sim_io_complete(io, op, 0);
		return;
	case IO_CONNECT:
		net_connect(io, op);
		return;
	case IO_SEND:
		net_send(io, op);
		return;
	case IO_RECV:
		net_recv(io, op);
		return;
	case IO_RESOLVE:
		sim_wait_start(io, op, SIM_RESOLVE_NS);
		return;
	case IO_WORK:
		sim_work_start(io, op);
		return;
	case IO_SPAWN:
		sim_io_complete(io, op, -ENOENT); /* no programs in this world */
		return;
	case IO_NOP:
		sim_io_complete(io, op, 0);
		return;
	default:
		sim_wait_start(io, op, SIM_FS_NS);
	}
}

/* Device I/O cannot be called back; what only waits can. */
static void sim_io_cancel(struct io *base, struct io_op *op)
{
	struct sim_io *io = sim_io_of(base);

	if (op->code == IO_CONNECT || op->code == IO_SEND || op->code == IO_RECV)
		net_cancel(io, op);
	else if (op->code == IO_WORK || op->code == IO_RESOLVE)
		sim_wait_cancel(io, op);
}

static void sim_io_wake(struct io *base)
{
	struct sim_io *io = sim_io_of(base);

	io->woken = true;
	sim_io_rouse(io);
}

static void *sim_io_buf_new(struct io *base, size_t len)
{
	return mem_alloc_aligned(base->mem, PAGE_BYTES, len);
}

static void sim_io_buf_free(struct io *base, void *buf, size_t len)
{
	mem_free(buf);
}

static int sim_io_stack_map(struct io *base, size_t bytes, void **ret_low, size_t *ret_bytes)
{
	return sim_stack_map(sim_io_of(base)->sim->stacks, bytes, ret_low, ret_bytes);
}

static void sim_io_stack_unmap(struct io *base, void *low, size_t bytes)
{
	sim_stack_unmap(sim_io_of(base)->sim->stacks, low, bytes);
}

static int sim_io_watch(struct io *base, int fd, unsigned events, io_watch_fn fn, void *ctx,
			struct io_watch **ret)
{
	return -EOPNOTSUPP; /* foreign libraries have fakes here */
}

static void sim_io_watch_set(struct io_watch *w, unsigned events)
{
	must(!"a watch in the simulator");
}

static void sim_io_watch_free(struct io_watch *w)
{
	must(!"a watch in the simulator");
}

static void sim_signal_run(struct sim_io *io, struct sim_ready *ready)
{
	struct io_signal *s = container_of(ready, struct io_signal, ready);

	s->fn(s->ctx, s->signo);
}

static int sim_io_signal(struct io *base, int signo, io_signal_fn fn, void *ctx,
			 struct io_signal **ret)
{
	struct sim_io *io = sim_io_of(base);
	struct io_signal *s = arena_zalloc(&io->sim->arena, sizeof(*s));

	s->io = base;
	s->ready.run = sim_signal_run;
	s->signo = signo;
	s->fn = fn;
	s->ctx = ctx;
	list_add_tail(&io->proc->signals, &s->link);
	*ret = s;
	return 0;
}

static void sim_io_signal_free(struct io_signal *s)
{
	struct sim_io *io = sim_io_of(s->io);

	sim_io_unready(io, &s->ready);
	list_del(&s->link);
	arena_put(&io->sim->arena, s, sizeof(*s));
}

void sim_proc_signal(struct sim_proc *proc, int signo)
{
	struct io_signal *s;

	if (proc->state != SIM_PROC_RUNNING)
		return;
	list_for_each(s, &proc->signals, link)
		if (s->signo == signo)
			sim_io_ready(sim_io_of(s->io), &s->ready);
}

void sim_signals_drop(struct sim_proc *proc)
{
	while (!list_empty(&proc->signals))
		sim_io_signal_free(list_first(&proc->signals, struct io_signal, link));
}

static void sim_io_child_wait(struct io_child *c, io_child_fn fn, void *ctx)
{
	must(!"a child in the simulator");
}

static int sim_io_child_kill(struct io_child *c, int signo)
{
	return -ESRCH;
}

static void sim_io_child_free(struct io_child *c)
{
	must(!"a child in the simulator");
}

static void sim_io_stats(struct io *base, struct io_stats *ret)
{
	*ret = sim_io_of(base)->stats;
}

static void sim_io_close(struct io *base)
{
	must(sim_io_of(base)->stats.inflight == 0);
}

static const struct io_ops sim_io_ops = {
	.name = "sim",
	.now_ns = sim_io_now,
	.wall_ns = sim_io_wall,
	.random = sim_io_random,
	.submit = sim_io_submit,
	.cancel = sim_io_cancel,
	.turn = sim_io_turn,
	.wake = sim_io_wake,
	.buf_new = sim_io_buf_new,
	.buf_free = sim_io_buf_free,
	.stack_map = sim_io_stack_map,
	.stack_unmap = sim_io_stack_unmap,
	.listen = net_listen,
	.listener_addr = net_listener_addr,
	.listener_close = net_listener_close,
	.recv_start = net_recv_start,
	.recv_stop = net_recv_stop,
	.sock_peer = net_peer,
	.sock_local = net_local,
	.sock_shutdown = net_shutdown,
	.sock_close = net_close,
	.sock_detach = net_detach,
	.sock_adopt = net_adopt,
	.watch = sim_io_watch,
	.watch_set = sim_io_watch_set,
	.watch_free = sim_io_watch_free,
	.signal = sim_io_signal,
	.signal_free = sim_io_signal_free,
	.child_wait = sim_io_child_wait,
	.child_kill = sim_io_child_kill,
	.child_free = sim_io_child_free,
	.stats = sim_io_stats,
	.close = sim_io_close,
};

void sim_io_init(struct sim_io *io, struct sim_proc *proc, unsigned index)
{
	struct sim *sim = proc->host->sim;

	io->io.ops = &sim_io_ops;
	io->io.mem = &proc->arena.mem;
	io->io.turn_ns = sim_host_mono(proc->host);
	io->sim = sim;
	io->proc = proc;
	io->index = index;
	list_init(&io->ready);
	list_init(&io->done);
	list_init(&io->waits);
	prng_init(&io->prng, sim->opts.seed, SIM_STREAM_PROC + ++sim->next_id);
}

struct sim_proc *sim_proc_of(struct io *io)
{
	must(io->ops == &sim_io_ops);
	return sim_io_of(io)->proc;
}
