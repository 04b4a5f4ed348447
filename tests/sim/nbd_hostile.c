// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_hostile - a stateful fuzzer of the NBD server: whole connections of messages that are right,
 * nearly right, or rubbish, in pieces of any size, while their answers are read or not.
 *
 * Each connection is drawn: what it says in the handshake, what it asks for, how many bytes of it are
 * wrong, where it stops. Beside it a decent client works on a share of its own.
 *
 * NH1. The server lives, and what the decent client wrote it reads.
 * NH2. What comes back in transmission is well-formed, and answers what was asked, as long as all that
 *      was sent was (right or wrong) at least a request.
 * NH3. When all have gone nothing is left: no connection, no payload's memory.
 */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "drivers/malloc.h"
#include "export/nbd.h"
#include "nbd_client.h"
#include "reactor/fiber_io.h"
#include "reactor/reactor.h"
#include "scenario.h"

#define HOSTILE_PORT	 10809
#define HOSTILE_CONNS	 12u
#define HOSTILE_FIBERS	 3u
#define HOSTILE_MESSAGES 60u /* of a connection */
#define SIZE_BYTES	 (2u << 20)
#define PAYLOAD_MAX	 70000u
#define CELLS		 8u

struct world {
	struct sim *sim;
	struct sim_host *host;
	struct sim_proc *server, *client;
	struct nbd_stats stats;
	uint64_t messages;
	bool stop, empty;
};

struct hostile {
	struct world *w;
	struct io_sock *sock;
	struct fiber *reader;
	bool sane; /* NH2: nothing but requests was sent since transmission */
	bool structured, gone;
	uint64_t asked;
	uint8_t bytes[PAYLOAD_MAX];
};

static uint64_t one_of(struct prng *prng, const uint64_t *from, unsigned count)
{
	uint64_t value = from[prng_below(prng, count)];
	uint64_t nudge = prng_below(prng, 8);

	return nudge == 0 ? value + 1 : nudge == 1 ? value - 1 : value;
}

/* ---- sending -------------------------------------------------------------------------- */

/* In pieces; 0, or an error: it is closed. */
static int hostile_send(struct fiber *f, struct hostile *h, size_t len)
{
	struct prng *prng = sim_prng(h->w->sim);
	size_t piece = prng_below(prng, 6) ? len : prng_range(prng, 1, 40);

	if (prng_below(prng, 40) == 0 && len) { /* a byte is wrong */
		h->sane = false;
		h->bytes[prng_below(prng, min_size(len, 32))] ^= (uint8_t)prng_range(prng, 1, 255);
	}
	if (len > 4000)
		piece = max_size(piece, 999);
	for (size_t at = 0; at < len; at += piece)
		TRY(fiber_send(f, h->sock, h->bytes + at, min_size(piece, len - at)));
	h->w->messages++;
	return 0;
}

static size_t fill_option(struct hostile *h)
{
	static const uint64_t lengths[] = { 0, 1, 4, 6, 9, 20, 4096, 8192, 8193, 16385, 60000 };
	static const char go[] = "\0\0\0\3bad\0\1\0\3",
			  meta[] = "\0\0\0\3bad\0\0\0\1\0\0\0\017base:allocation";
	struct prng *prng = sim_prng(h->w->sim);
	struct nbd_option option = { .type = (uint32_t)prng_below(prng, 13) };
	uint8_t *data = h->bytes + NBD_OPTION_BYTES;

	if (option.type == NBD_OPT_ABORT && prng_below(prng, 4))
		option.type = NBD_OPT_INFO;
	option.length = (uint32_t)min_u64(one_of(prng, lengths, ARRAY_LEN(lengths)), 60000);
	memset(data, (int)prng_below(prng, 3), option.length);
	if (prng_below(prng, 4)) { /* as it should be */
		bool is_meta = option.type == NBD_OPT_SET_META_CONTEXT ||
			       option.type == NBD_OPT_LIST_META_CONTEXT;
		bool is_go = option.type == NBD_OPT_GO || option.type == NBD_OPT_INFO;

		option.length = is_meta ? sizeof(meta) - 1 : is_go ? sizeof(go) - 1 : 0;
		memcpy(data, is_meta ? meta : go, option.length);
	}
	nbd_option_encode(&option, h->bytes);
	return NBD_OPTION_BYTES + option.length;
}

static size_t fill_request(struct hostile *h)
{
	static const uint64_t offsets[] = { 0,
					    512,
					    4096,
					    65536,
					    SIZE_BYTES - 512,
					    SIZE_BYTES,
					    SIZE_BYTES + 512,
					    UINT64_MAX,
					    UINT64_C(1) << 63 };
	static const uint64_t lengths[] = { 0,		512,
					    1024,	4096,
					    65536,	69632,
					    SIZE_BYTES, NBD_PAYLOAD_MAX,
					    UINT32_MAX, UINT32_MAX & ~511u };
	struct prng *prng = sim_prng(h->w->sim);
	struct nbd_request ask = { .cookie = ++h->asked };
	size_t payload = 0;

	ask.type = (uint16_t)prng_below(prng, 10);
	if (ask.type == NBD_CMD_DISC && prng_below(prng, 8))
		ask.type = NBD_CMD_BLOCK_STATUS;
	if (prng_below(prng, 3) == 0)
		ask.flags = (uint16_t)(1u << prng_below(prng, 7));
	ask.offset = one_of(prng, offsets, ARRAY_LEN(offsets));
	ask.length = (uint32_t)one_of(prng, lengths, ARRAY_LEN(lengths));
	if (prng_below(prng, 3)) { /* as it should be */
		ask.offset = prng_below(prng, SIZE_BYTES / 512 - 140) * 512;
		ask.length = (uint32_t)prng_range(prng, 1, 139) * 512;
		if (ask.type == NBD_CMD_FLUSH)
			ask.offset = ask.length = 0;
	}
	nbd_request_encode(&ask, h->bytes);
	if (ask.type == NBD_CMD_WRITE) {
		payload = min_size(ask.length, PAYLOAD_MAX - NBD_REQUEST_BYTES);
		if (payload < ask.length)
			h->sane = false; /* what follows is taken for payload */
		memset(h->bytes + NBD_REQUEST_BYTES, 7, payload);
	}
	return NBD_REQUEST_BYTES + payload;
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Whatever comes, until the end, or until it is left alone. */
static void read_anything(struct fiber *f, struct hostile *h)
{
	uint8_t buf[512];

	while (!h->gone && fiber_recv(f, h->sock, buf, sizeof(buf)) > 0)
		;
}

static int read_body(struct fiber *f, struct hostile *h, uint64_t left)
{
	uint8_t buf[512];

	while (left) {
		size_t len = min_u64(left, sizeof(buf));

		if (h->gone)
			return -ECANCELED;

		if (fiber_recv(f, h->sock, buf, len) < (int64_t)len)
			return -ECONNRESET;
		left -= len;
	}
	return 0;
}

/* NH2: without the requests at hand, what can be said of the answers alone. */
static int read_answers(struct fiber *f, struct hostile *h)
{
	struct nbd_client client = { .sock = h->sock, .structured = h->structured };
	struct nbd_answer answer;
	int r;

	for (;;) {
		r = nbd_client_answer(f, &client, &answer);
		if (r == -EPROTO && h->sane)
			sim_fail(h->w->sim, "an answer that is none");
		if (r < 0)
			return r;
		if (h->sane && (answer.chunk.cookie == 0 || answer.chunk.cookie > h->asked))
			sim_fail(h->w->sim, "an answer to what was not asked");
		if (answer.simple && !h->structured)
			return -EPROTO; /* of a read: its length is not known here */
		if (!answer.simple)
			TRY(read_body(f, h, answer.chunk.length));
	}
}

static int reader_main(struct fiber *f, void *arg)
{
	struct hostile *h = arg;

	if (h->structured)
		(void)read_answers(f, h);
	read_anything(f, h);
	fiber_clear(f);
	return 0;
}

static void hostile_listen(struct hostile *h, struct fiber *f)
{
	if (!h->reader)
		must(fiber_start(fiber_reactor(f), "reader", reader_main, h, &h->reader) == 0);
}

/* ---- a connection --------------------------------------------------------------------------- */

static int hostile_shake(struct fiber *f, struct hostile *h)
{
	struct prng *prng = sim_prng(h->w->sim);
	uint64_t count = prng_below(prng, HOSTILE_MESSAGES);
	uint64_t flags = prng_below(prng, 9);

	hostile_listen(h, f);
	memset(h->bytes, 0, 4);
	h->bytes[3] = flags < 8 ? (uint8_t)(flags & 3) : 0x80;
	TRY(hostile_send(f, h, 4));
	for (uint64_t i = 0; i < count; i++)
		TRY(hostile_send(f, h, fill_option(h)));
	return 0;
}

static int hostile_transmit(struct fiber *f, struct hostile *h)
{
	struct prng *prng = sim_prng(h->w->sim);
	uint64_t count = prng_below(prng, HOSTILE_MESSAGES);

	h->sane = true;
	if (prng_below(prng, 8))
		hostile_listen(h, f);
	for (uint64_t i = 0; i < count; i++)
		TRY(hostile_send(f, h, fill_request(h)));
	return 0;
}

static void hostile_conn(struct fiber *f, struct hostile *h, const struct io_addr *addr)
{
	struct prng *prng = sim_prng(h->w->sim);
	bool shake = prng_below(prng, 3) == 0;
	struct nbd_client client;
	int r;

	h->structured = prng_below(prng, 4) != 0;
	h->asked = 0;
	h->reader = NULL;
	h->sane = h->gone = false;
	if (shake)
		r = fiber_connect(f, addr, NULL, &h->sock);
	else
		r = nbd_client_open(f, &client, addr, "bad", h->structured);
	if (r < 0)
		return;
	if (!shake)
		h->sock = client.sock;
	r = shake ? hostile_shake(f, h) : hostile_transmit(f, h);
	if (prng_below(prng, 2) && fiber_sleep(f, prng_below(prng, SIM_S)) < 0)
		fiber_clear(f);
	if (h->reader || (r == 0 && prng_below(prng, 2)))
		io_sock_shutdown(h->sock);
	if (h->reader) {
		h->gone = prng_below(prng, 2);
		fiber_join(f, h->reader); /* the socket is its until then */
	}
	io_sock_close(h->sock);
}

static int hostile_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct hostile *h = mem_new(fiber_io(f), sizeof(*h));
	struct io_addr addr;

	must(h);
	h->w = w;
	sim_host_addr(w->host, HOSTILE_PORT, &addr);
	for (unsigned i = 0; i < HOSTILE_CONNS && !sim_failed(w->sim); i++) {
		hostile_conn(f, h, &addr);
		fiber_clear(f);
	}
	mem_free(h);
	return 0;
}

/* ---- the decent client (NH1) ------------------------------------------------------------------ */

static int decent_round(struct fiber *f, struct world *w, struct nbd_client *client, uint64_t round)
{
	struct nbd_request ask = { .type = NBD_CMD_WRITE, .cookie = round, .length = 4096 };
	struct nbd_answer answer;
	uint8_t buf[512];

	ask.offset = round % CELLS * 4096;
	uint8_t *payload = mem_new(fiber_io(f), 4096);
	must(payload);
	memset(payload, (int)(round % 251), 4096);
	int r = nbd_client_ask(f, client, &ask, payload);
	mem_free(payload);
	if (r == 0)
		r = nbd_client_answer(f, client, &answer);
	if (r < 0 || answer.error || answer.chunk.cookie != round)
		return -EIO;
	ask.type = NBD_CMD_READ;
	ask.length = sizeof(buf);
	TRY(nbd_client_ask(f, client, &ask, NULL));
	TRY(nbd_client_answer(f, client, &answer));
	if (answer.error || answer.chunk.cookie != round)
		return -EIO;
	TRY(nbd_client_recv(f, client, buf, sizeof(buf)));
	for (unsigned i = 0; i < sizeof(buf); i++)
		if (buf[i] != round % 251)
			sim_fail(w->sim, "the decent client reads what it did not write");
	w->messages += 2;
	return 0;
}

static int decent_main(struct fiber *f, struct world *w)
{
	struct nbd_client client;
	struct io_addr addr;
	int r;

	sim_host_addr(w->host, HOSTILE_PORT, &addr);
	r = nbd_client_open(f, &client, &addr, "good", false);
	if (r < 0)
		return r;
	for (uint64_t round = 1; r == 0 && !w->empty && !sim_failed(w->sim); round++) {
		r = decent_round(f, w, &client, round);
		if (r == 0)
			r = fiber_sleep(f, 50 * SIM_MS);
	}
	nbd_client_close(&client);
	return r;
}

static int client_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct fiber *fibers[HOSTILE_FIBERS];

	for (unsigned i = 0; i < HOSTILE_FIBERS; i++)
		must(fiber_start(fiber_reactor(f), "hostile", hostile_main, w, &fibers[i]) == 0);
	for (unsigned i = 0; i < HOSTILE_FIBERS; i++)
		fiber_join(f, fibers[i]);
	w->empty = true;
	return 0;
}

static int decent_proc_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	int r = -ECONNREFUSED;

	for (unsigned i = 0; i < 100 && r == -ECONNREFUSED; i++) { /* it may not listen yet */
		fiber_clear(f);
		r = decent_main(f, w);
		if (r == -ECONNREFUSED && fiber_sleep(f, SIM_MS) < 0)
			break;
	}
	if (r < 0)
		sim_fail(w->sim, "the decent client fails: %d %s", r, fiber_words(f));
	return 0;
}

/* ---- the server --------------------------------------------------------------------------------- */

static int server_run(struct fiber *f, struct world *w, struct nbd_server *server)
{
	struct io_addr addr;

	TRY(nbd_server_add(f, server,
			   &(struct nbd_share_args){ .name = "bad",
						     .uri = "malloc:///bad?size_mb=2" }));
	TRY(nbd_server_add(f, server,
			   &(struct nbd_share_args){ .name = "good",
						     .uri = "malloc:///good?size_mb=1" }));
	sim_host_addr(w->host, HOSTILE_PORT, &addr);
	TRY(nbd_server_listen(f, server, &addr, NULL));
	while (!w->stop)
		TRY(fiber_sleep(f, SIM_S / 10));
	nbd_server_stats(f, server, &w->stats);
	return 0;
}

static int server_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	const struct nbd_opts opts = { .inflight_max = (uint32_t)(4 + sim_seed(w->sim) % 60),
				       .conns_peer_max = 100 };
	struct nbd_server *server;
	int r = nbd_server_new(f, &opts, &server);

	if (r == 0) {
		r = server_run(f, w, server);
		nbd_server_free(f, server);
	}
	if (r < 0)
		sim_fail(w->sim, "server: %d %s", r, fiber_words(f));
	return r;
}

/* ---- the story ------------------------------------------------------------------------------------- */

static bool clients_have_ended(void *ctx)
{
	struct world *w = ctx;

	return w->empty && sim_proc_state(w->client) != SIM_PROC_RUNNING;
}

static bool server_has_ended(void *ctx)
{
	return sim_proc_state(((struct world *)ctx)->server) != SIM_PROC_RUNNING;
}

static void hostile_run(struct sim *sim, const char *plant)
{
	static const struct bdev_driver *const drivers[] = { &malloc_driver, NULL };
	struct prng *prng = sim_prng(sim);
	struct world w = { .sim = sim, .host = sim_host_add(sim, "a") };
	unsigned reactors = (unsigned)prng_range(prng, 1, 2);

	(void)plant;
	sim_fault_set(sim, SIM_NET_CHUNKS, prng_below(prng, 2) ? 300000 : 0);
	w.server = sim_proc_add(w.host, &(struct sim_proc_opts){ .name = "server",
								 .main = server_main,
								 .arg = &w,
								 .drivers = drivers,
								 .reactors = reactors });
	sim_run_for(sim, 10 * SIM_MS);
	w.client = sim_proc_add(
		sim_host_add(sim, "b"),
		&(struct sim_proc_opts){ .name = "client", .main = client_main, .arg = &w });
	sim_proc_add(sim_host_add(sim, "c"), &(struct sim_proc_opts){ .name = "decent",
								      .main = decent_proc_main,
								      .arg = &w });
	if (!sim_run_until(sim, clients_have_ended, &w, 7200 * SIM_S))
		sim_fail(sim, "the clients do not end");
	sim_run_for(sim, 200 * SIM_S); /* those who dawdled have been dropped */
	w.stop = true;
	if (!sim_run_until(sim, server_has_ended, &w, 600 * SIM_S))
		sim_fail(sim, "the server does not end");
	if (w.stats.conns_now || w.stats.memory_bytes) /* NH3 */
		sim_fail(sim, "%llu connections and %llu bytes are left",
			 (unsigned long long)w.stats.conns_now,
			 (unsigned long long)w.stats.memory_bytes);
	sim_trace(sim, "%llu messages; %llu options, %llu requests, %llu errors",
		  (unsigned long long)w.messages, (unsigned long long)w.stats.options,
		  (unsigned long long)w.stats.requests, (unsigned long long)w.stats.errors);
	for (unsigned i = 0; i < NBD_DROPS; i++)
		sim_trace(sim, "dropped for reason %u: %llu", i,
			  (unsigned long long)w.stats.dropped[i]);
	sim_mix(sim, w.messages);
}

const struct scenario scenario_nbd_hostile = {
	.name = "nbd-hostile",
	.help = "the NBD server and clients that say anything: a stateful fuzzer",
	.run = hostile_run,
};
