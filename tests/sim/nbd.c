// SPDX-License-Identifier: Apache-2.0
/*
 * nbd - the NBD server on a volatile disk, several connections of one client, under every fault of
 * the net, and crashes and power cuts of the server.
 *
 * Each connection is a fiber that sends a few requests at a time and takes their answers in any
 * order. Each 4 KiB block is a register of sim/check.h. A connection that is lost leaves its requests
 * under way: they may still happen. After a restart the client connects anew.
 *
 * NX1. A block holds a value that its history allows: what was flushed on any connection after its
 *      write was answered on another (NB2 of export/nbd.h), or written with FUA, is there for good.
 * NX2. An answer belongs to a request under way on its connection, and each has one (NB1).
 * NX3. Nothing is refused, since nothing wrong is asked for.
 * NX4. After the heal each connection gets its work done, the server ends, nothing leaks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "drivers/file.h"
#include "export/nbd.h"
#include "nbd_client.h"
#include "reactor/fiber_io.h"
#include "scenario.h"
#include "sim/check.h"
#include "sly.h"

#define CELL_BYTES 4096u
#define CELLS_MAX  32u
#define RUN_CELLS  3u /* of one request, at most */
#define BATCH_MAX  6u
#define CONNS_MAX  4u
#define CYCLES_MAX 4u
#define NBD_PORT   10809
#define GOOD_ENDS  3u /* batches after the heal */
#define END_NS	   (7200 * SIM_S)

struct world {
	struct sim *sim;
	struct sim_host *host;
	struct sim_disk *disk;
	struct sim_proc *server, *client;
	struct check *check;
	char uri[96];
	uint64_t cells, serial;
	uint64_t epoch; /* crashes so far: what began before one is not judged after it */
	unsigned conns;
	bool healed, stop;
};

/* ---- judging ------------------------------------------------------------------------- */

static void judge(struct world *w, uint64_t cell, uint64_t mark, const uint8_t *bytes)
{
	uint64_t serial, oldest = UINT64_MAX, saw = 0;
	char text[160];

	for (uint32_t s = 0; s < CELL_BYTES / PATTERN_SECTOR; s++) {
		enum pattern_kind kind = pattern_look(bytes + s * PATTERN_SECTOR, sim_seed(w->sim),
						      cell, s, &serial);

		if (kind == PATTERN_BAD || kind == PATTERN_ELSEWHERE) {
			sim_fail(w->sim, "block %llu, sector %u: %s bytes",
				 (unsigned long long)cell, s,
				 kind == PATTERN_BAD ? "bad" : "misplaced");
			return;
		}
		if (!check_may_read(w->check, cell, mark, serial)) {
			sim_fail(w->sim, "block %llu holds %llu, though: %s",
				 (unsigned long long)cell, (unsigned long long)serial,
				 check_explain(w->check, cell, text, sizeof(text)));
			return;
		}
		if (check_began(w->check, cell, serial) < oldest) {
			oldest = check_began(w->check, cell, serial);
			saw = serial;
		}
	}
	check_saw(w->check, cell, saw);
}

/* ---- requests --------------------------------------------------------------------------- */

struct ask {
	struct nbd_request request;
	bool open;	/* no answer yet */
	uint64_t epoch; /* w->epoch when it began */
	uint64_t cell, count;
	uint64_t write[RUN_CELLS]; /* numbers of the checker */
	uint64_t mark;
	uint8_t buf[RUN_CELLS * CELL_BYTES];
};

struct conn {
	struct world *w;
	struct nbd_client client;
	unsigned good; /* batches since the heal */
	struct ask asks[BATCH_MAX];
};

static uint16_t ask_draw(struct prng *prng)
{
	uint64_t draw = prng_below(prng, 100);

	if (draw < 35)
		return NBD_CMD_READ;
	if (draw < 72)
		return NBD_CMD_WRITE;
	return draw < 92 ? NBD_CMD_FLUSH : NBD_CMD_WRITE_ZEROES;
}

static void ask_begin_writes(struct world *w, struct ask *ask)
{
	const bool zeroes = ask->request.type == NBD_CMD_WRITE_ZEROES;

	for (uint64_t i = 0; i < ask->count; i++) {
		uint64_t value = zeroes ? CHECK_ZEROS : ++w->serial;

		ask->write[i] = check_write_begin(w->check, ask->cell + i, value);
		if (!zeroes)
			pattern_fill(ask->buf + i * CELL_BYTES, CELL_BYTES, sim_seed(w->sim),
				     ask->cell + i, value);
	}
}

static void ask_begin(struct conn *conn, struct ask *ask)
{
	struct world *w = conn->w;
	struct prng *prng = sim_prng(w->sim);
	uint16_t type = ask_draw(prng);

	ask->open = true;
	ask->epoch = w->epoch;
	ask->count = prng_range(prng, 1, RUN_CELLS);
	ask->cell = prng_below(prng, w->cells - ask->count + 1);
	ask->request = (struct nbd_request){ .type = type, .cookie = ++conn->client.cookie };
	if (type == NBD_CMD_FLUSH) {
		ask->mark = check_flush_begin(w->check);
		return;
	}
	ask->request.offset = ask->cell * CELL_BYTES;
	ask->request.length = (uint32_t)ask->count * CELL_BYTES;
	if (type == NBD_CMD_READ) {
		ask->mark = check_read_begin(w->check);
		return;
	}
	if (prng_below(prng, 6) == 0)
		ask->request.flags = NBD_CMD_FUA;
	ask_begin_writes(w, ask);
}

/* Answered, after whatever crash there was. */
static void ask_end(struct world *w, struct ask *ask)
{
	const bool durable = ask->request.flags & NBD_CMD_FUA;

	ask->open = false;
	if (ask->epoch != w->epoch)
		return; /* the checker has ended it as one under way */
	switch (ask->request.type) {
	case NBD_CMD_READ:
		for (uint64_t i = 0; i < ask->count; i++)
			judge(w, ask->cell + i, ask->mark, ask->buf + i * CELL_BYTES);
		check_read_end(w->check);
		return;
	case NBD_CMD_FLUSH:
		check_flush_end(w->check, ask->mark, true);
		return;
	default:
		for (uint64_t i = 0; i < ask->count; i++)
			check_write_end(w->check, ask->cell + i, ask->write[i],
					durable ? CHECK_DURABLE : CHECK_ACKED);
		return;
	}
}

/* The connection is lost: writes and flushes stay under way, reads are over. */
static void asks_lose(struct conn *conn)
{
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		struct ask *ask = &conn->asks[i];

		if (ask->open && ask->request.type == NBD_CMD_READ && ask->epoch == conn->w->epoch)
			check_read_end(conn->w->check);
		ask->open = false;
	}
}

static struct ask *ask_of(struct conn *conn, uint64_t cookie)
{
	for (unsigned i = 0; i < BATCH_MAX; i++)
		if (conn->asks[i].open && conn->asks[i].request.cookie == cookie)
			return &conn->asks[i];
	return NULL;
}

/* NX2, NX3 */
static int answer_take(struct fiber *f, struct conn *conn)
{
	struct world *w = conn->w;
	struct nbd_answer answer;
	struct ask *ask;

	TRY(nbd_client_answer(f, &conn->client, &answer));
	ask = ask_of(conn, answer.chunk.cookie);
	if (!ask) {
		sim_fail(w->sim, "an answer to nothing that was asked");
		return -EPROTO;
	}
	if (answer.error) {
		sim_fail(w->sim, "command %u is answered with error %u", ask->request.type,
			 answer.error);
		return -EPROTO;
	}
	if (ask->request.type == NBD_CMD_READ)
		TRY(nbd_client_recv(f, &conn->client, ask->buf, ask->request.length));
	ask_end(w, ask);
	return 0;
}

static int batch(struct fiber *f, struct conn *conn)
{
	struct prng *prng = sim_prng(conn->w->sim);
	unsigned count = (unsigned)prng_range(prng, 1, BATCH_MAX);

	for (unsigned i = 0; i < count; i++) {
		ask_begin(conn, &conn->asks[i]);
		TRY(nbd_client_ask(f, &conn->client, &conn->asks[i].request, conn->asks[i].buf));
	}
	for (unsigned i = 0; i < count; i++)
		TRY(answer_take(f, conn));
	return 0;
}

/* ---- the client ------------------------------------------------------------------------------ */

static int conn_main(struct fiber *f, void *arg)
{
	struct conn *conn = arg;
	struct world *w = conn->w;
	struct io_addr addr;

	sim_host_addr(w->host, NBD_PORT, &addr);
	while (conn->good < GOOD_ENDS && !sim_failed(w->sim)) {
		bool was_healed = w->healed;
		int r = 0;

		if (!conn->client.sock)
			r = nbd_client_open(f, &conn->client, &addr, "disk", false);
		if (r == -EPROTO)
			sim_fail(w->sim, "the handshake goes wrong");
		if (r == 0)
			r = batch(f, conn);
		if (r == 0 && was_healed)
			conn->good++;
		if (r < 0) {
			asks_lose(conn);
			nbd_client_close(&conn->client);
			fiber_clear(f);
		}
		if (fiber_sleep(f, prng_below(sim_prng(w->sim), r < 0 ? SIM_S : 20 * SIM_MS)) < 0)
			break;
	}
	nbd_client_close(&conn->client);
	fiber_clear(f);
	return 0;
}

static int client_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct fiber *fibers[CONNS_MAX];
	struct conn *conns = mem_new(fiber_io(f), CONNS_MAX * sizeof(*conns));

	must(conns);
	for (unsigned i = 0; i < w->conns; i++) {
		conns[i].w = w;
		must(fiber_start(fiber_reactor(f), "conn", conn_main, &conns[i], &fibers[i]) == 0);
	}
	for (unsigned i = 0; i < w->conns; i++)
		fiber_join(f, fibers[i]);
	mem_free(conns);
	return 0;
}

/* ---- the server --------------------------------------------------------------------------------- */

static int server_run(struct fiber *f, struct world *w, struct nbd_server *server)
{
	const struct nbd_share_args args = { .name = "disk", .uri = w->uri };
	struct io_addr addr;
	int r = nbd_server_add(f, server, &args);

	while (r == -EBUSY) { /* the dead predecessor's I/O */
		fiber_clear(f);
		if (fiber_sleep(f, SIM_S) < 0)
			return -ECANCELED;
		r = nbd_server_add(f, server, &args);
	}
	if (r < 0)
		return r;
	check_settled(w->check);
	sim_host_addr(w->host, NBD_PORT, &addr);
	TRY(nbd_server_listen(f, server, &addr, NULL));
	while (!w->stop)
		TRY(fiber_sleep(f, SIM_S));
	return 0;
}

static int server_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct nbd_server *server;
	int r = nbd_server_new(f, &(struct nbd_opts){ 0 }, &server);

	if (r == 0) {
		r = server_run(f, w, server);
		nbd_server_free(f, server);
	}
	if (r < 0)
		sim_fail(w->sim, "server: %d %s", r, fiber_words(f));
	return r;
}

/* ---- the story -------------------------------------------------------------------------------------- */

static bool client_has_ended(void *ctx)
{
	return sim_proc_state(((struct world *)ctx)->client) != SIM_PROC_RUNNING;
}

static bool server_has_ended(void *ctx)
{
	return sim_proc_state(((struct world *)ctx)->server) != SIM_PROC_RUNNING;
}

static void cycle(struct world *w, struct prng *prng)
{
	uint64_t most = SIM_S << prng_below(prng, 5);

	sim_run_for(w->sim, prng_below(prng, most));
	if (sim_failed(w->sim))
		return;
	w->epoch++;
	if (prng_below(prng, 3) == 0) {
		sim_proc_crash(w->server);
		check_crashed(w->check);
	} else {
		sim_host_power_cut(w->host);
		check_power_cut(w->check);
		sim_run_for(w->sim, prng_below(prng, 5 * SIM_S));
		sim_host_power_on(w->host);
	}
	sim_proc_start(w->server);
}

static void nbd_run(struct sim *sim, const char *plant)
{
	static const struct bdev_driver *const drivers[] = { &file_driver, &sly_driver, NULL };
	struct prng *prng = sim_prng(sim);
	struct world w = { .sim = sim, .host = sim_host_add(sim, "a") };

	w.cells = prng_range(prng, 4, CELLS_MAX);
	w.conns = (unsigned)prng_range(prng, 1, CONNS_MAX);
	w.check = check_new(sim_mem(sim), w.cells);
	snprintf(w.uri, sizeof(w.uri), "sly:///disk?plant=%s&on=file:///dev/sda",
		 plant ? plant : "");
	w.disk =
		sim_disk_add(w.host, "/dev/sda",
			     &(struct sim_disk_opts){ .size_bytes = w.cells * CELL_BYTES,
						      .volatile_cache = prng_below(prng, 5) != 0 });
	sim_swarm(sim, SIM_GROUP_NET | SIM_GROUP_CLOCK);
	w.server = sim_proc_add(
		w.host, &(struct sim_proc_opts){ .name = "server",
						 .main = server_main,
						 .arg = &w,
						 .drivers = drivers,
						 .reactors = (unsigned)prng_range(prng, 1, 3) });
	w.client = sim_proc_add(
		sim_host_add(sim, "b"),
		&(struct sim_proc_opts){ .name = "client", .main = client_main, .arg = &w });
	unsigned cycles = (unsigned)prng_range(prng, 1, CYCLES_MAX);
	for (unsigned i = 0; i < cycles && !sim_failed(sim); i++)
		cycle(&w, prng);
	sim_heal(sim);
	w.healed = true;
	if (!sim_run_until(sim, client_has_ended, &w, END_NS)) /* NX4 */
		sim_fail(sim, "a connection gets nothing done after the heal");
	w.stop = true;
	if (!sim_run_until(sim, server_has_ended, &w, END_NS))
		sim_fail(sim, "the server does not end after the heal");
}

const struct scenario scenario_nbd = {
	.name = "nbd",
	.help = "the NBD server: connections lost, server killed, power cut; flushes across connections",
	.plants = "own-flush no-fua",
	.run = nbd_run,
};
