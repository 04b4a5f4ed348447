// SPDX-License-Identifier: Apache-2.0
/*
 * A whole connection of the NVMe/TCP initiator, with a controller that does what the bytes say:
 * commands begin, PDUs come that fit them more or less, in pieces, sends are late, time goes by, the
 * connection ends.
 *
 * However it goes: every command ends once; a read that succeeds has all its data; what we send
 * is understood by a controller; nothing is left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/must.h"
#include "fuzz.h"
#include "nvmf/ini_priv.h"
#include "wire/nvme_io.h"

#define SLOTS	    8u
#define IOVS	    5u
#define DATA_MAX    98304u
#define CAPSULE	    8192u
#define STEP_NS	    1000000u
#define TIMEOUT_NS  100000000u
#define ACTIONS_MAX 200

struct io_sock {
	struct io *io; /* first: struct io_handle */
	io_recv_fn fn;
	void *ctx;
	struct io_op *send, *recv;
	bool closed;
};

struct job {
	bool live;
	uint8_t *buf;
	uint32_t bytes;
	bool reads;
	struct iovec iov[IOVS];
};

struct world {
	struct io io;
	struct mem_heap heap;
	uint64_t now_ns;
	struct io_sock sock;
	struct reactor *reactor;
	struct ini_queue *q;
	struct job jobs[SLOTS];
	bool odd; /* data came that we did not make */
	bool hold_sends;
	size_t piece;

	/* what the controller hears */
	struct nvmetcp_rules rules;
	struct nvmetcp_parser parser;
	uint32_t left, crc, digest_left;
	uint8_t digest[4];
	bool has_digest, ended;

	const uint8_t *in;
	size_t in_left;
};

static struct world *world_of(struct io *io)
{
	return container_of(io, struct world, io);
}

static uint64_t take(struct world *w, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- && w->in_left) {
		value = value << 8 | *w->in++;
		w->in_left--;
	}
	return value;
}

/* ---- a struct io of one socket --------------------------------------------------------- */

static uint64_t fz_now(struct io *io)
{
	return world_of(io)->now_ns;
}

static void fz_random(struct io *io, void *buf, size_t len)
{
	(void)io;
	memset(buf, 7, len);
}

static void fz_submit(struct io *io, struct io_op *op)
{
	struct world *w = world_of(io);

	must(!w->sock.closed);
	if (op->code == IO_SEND) {
		must(!w->sock.send);
		w->sock.send = op;
	} else {
		must(op->code == IO_RECV && !w->sock.recv);
		op->progress = 0;
		w->sock.recv = op;
	}
}

static void fz_cancel(struct io *io, struct io_op *op)
{
	(void)io;
	(void)op;
}

/* The bytes of a send as its controller hears them. */
static void fz_hear(struct world *w, const uint8_t *bytes, size_t len)
{
	while (len > 0 && !w->ended) {
		struct nvmetcp_fault fault;
		struct nvmetcp_pdu pdu;
		size_t n = 0;

		if (w->left) {
			n = min_size(len, w->left);
			w->crc = crc32c(w->crc, bytes, n);
			w->left -= (uint32_t)n;
		} else if (w->digest_left) {
			n = min_size(len, w->digest_left);
			memcpy(w->digest + 4 - w->digest_left, bytes, n);
			w->digest_left -= (uint32_t)n;
			if (!w->digest_left)
				must(nvmetcp_digest_is(w->digest, w->crc));
		} else {
			int r = nvmetcp_parser_feed(&w->parser, &w->rules, bytes, len, &n, &pdu,
						    &fault);

			must(r >= 0);
			if (r == 0) {
				w->ended = pdu.type == NVMETCP_H2C_TERM;
				w->left = pdu.data_bytes;
				w->digest_left = pdu.ddgst && pdu.data_bytes ? 4 : 0;
				w->crc = 0;
			}
		}
		bytes += n;
		len -= n;
	}
}

static void fz_end_send(struct world *w)
{
	struct io_op *op = w->sock.send;

	w->sock.send = NULL;
	op->res = 0;
	for (uint32_t i = 0; i < op->net.iov_count && !w->sock.closed; i++) {
		fz_hear(w, op->net.iov[i].iov_base, op->net.iov[i].iov_len);
		op->res += (int64_t)op->net.iov[i].iov_len;
	}
	if (w->sock.closed)
		op->res = -ECANCELED;
	op->done(op);
}

static void fz_end_recv(struct world *w, int64_t res)
{
	struct io_op *op = w->sock.recv;

	w->sock.recv = NULL;
	op->res = res;
	op->done(op);
}

static unsigned fz_turn(struct io *io, uint64_t until_ns)
{
	struct world *w = world_of(io);

	(void)until_ns;
	io->turn_ns = w->now_ns;
	if (w->sock.send && (!w->hold_sends || w->sock.closed))
		fz_end_send(w);
	if (w->sock.recv && w->sock.closed)
		fz_end_recv(w, -ECANCELED);
	return 0;
}

static void fz_wake(struct io *io)
{
	(void)io;
}

static void fz_recv_start(struct io_sock *sock, io_recv_fn fn, void *ctx)
{
	sock->fn = fn;
	sock->ctx = ctx;
}

static void fz_close(struct io_sock *sock)
{
	must(!sock->closed);
	sock->closed = true;
	sock->fn = NULL;
}

static void fz_shutdown(struct io_sock *sock)
{
	must(!sock->closed);
}

static const struct io_ops fz_ops = {
	.name = "fuzz",
	.now_ns = fz_now,
	.wall_ns = fz_now,
	.random = fz_random,
	.submit = fz_submit,
	.cancel = fz_cancel,
	.turn = fz_turn,
	.wake = fz_wake,
	.recv_start = fz_recv_start,
	.sock_close = fz_close,
	.sock_shutdown = fz_shutdown,
};

static void step(struct world *w)
{
	w->now_ns += STEP_NS;
	fz_turn(&w->io, 0);
	reactor_turn(w->reactor);
}

/* ---- what comes --------------------------------------------------------------------------- */

static size_t feed_op(struct world *w, const uint8_t *bytes, size_t len)
{
	struct io_op *op = w->sock.recv;
	uint64_t total = iov_bytes(op->net.iov, op->net.iov_count);
	struct iov_pos pos = iov_pos(op->net.iov, op->net.iov_count);
	size_t n = (size_t)min_u64(len, total - op->progress);

	iov_skip(&pos, op->progress);
	iov_copy_to(&pos, bytes, n);
	op->progress += n;
	if (op->progress == total)
		fz_end_recv(w, (int64_t)total);
	return n;
}

static void feed(struct world *w, const uint8_t *bytes, size_t len)
{
	while (len > 0 && !w->sock.closed) {
		size_t n = min_size(len, w->piece);

		if (w->sock.recv) {
			n = feed_op(w, bytes, n);
		} else {
			uint8_t *copy = malloc(n); /* its end is watched */

			memcpy(copy, bytes, n);
			w->sock.fn(w->sock.ctx, copy, (ssize_t)n);
			free(copy);
		}
		bytes += n;
		len -= n;
	}
}

static struct nvmetcp_rules peer_rules(const struct world *w)
{
	struct nvmetcp_rules rules = w->q->rules;

	rules.controller = true;
	return rules;
}

static uint8_t pattern(uint32_t offset)
{
	return (uint8_t)(offset ^ offset >> 8);
}

static void feed_data(struct world *w, uint16_t cid, uint32_t offset, uint32_t len, uint8_t flags)
{
	struct nvmetcp_rules rules = peer_rules(w);
	struct nvmetcp_data d = { .cccid = cid, .offset = offset, .length = len };
	uint8_t *out = malloc(NVMETCP_HEAD_MAX + (size_t)len + 4);
	unsigned head =
		nvmetcp_data_encode(&rules, &d, flags & (NVMETCP_LAST | NVMETCP_SUCCESS), out);

	for (uint32_t i = 0; i < len; i++)
		out[head + i] = pattern(offset + i);
	nvmetcp_digest_put(out + head + len, crc32c(0, out + head, len) ^ (flags >> 7));
	feed(w, out, head + len + (rules.ddgst ? 4 : 0));
	free(out);
}

static void feed_r2t(struct world *w, uint16_t cid, uint32_t offset, uint32_t len)
{
	struct nvmetcp_rules rules = peer_rules(w);
	struct nvmetcp_data d = { .cccid = cid, .ttag = 3, .offset = offset, .length = len };
	uint8_t out[NVMETCP_HEAD_MAX];

	feed(w, out, nvmetcp_r2t_encode(&rules, &d, out));
}

static void feed_resp(struct world *w, uint16_t cid, uint16_t status)
{
	struct nvmetcp_rules rules = peer_rules(w);
	struct nvme_cqe cqe = { .cid = cid, .status = status & 0x7fff };
	uint8_t out[NVMETCP_HEAD_MAX];

	feed(w, out, nvmetcp_resp_encode(&rules, &cqe, out));
}

/* Any header of any type, its digest right. */
static void feed_any(struct world *w)
{
	uint8_t out[NVMETCP_HEADER_MAX + 8] = { 0 };
	uint8_t hlen = (uint8_t)min_u64(take(w, 1), NVMETCP_HEADER_MAX);

	w->odd = true;
	for (unsigned i = 0; i < hlen; i++)
		out[i] = (uint8_t)take(w, 1);
	out[NVMETCP_AT_HLEN] = hlen;
	if (w->q->rules.hdgst)
		nvmetcp_digest_put(out + hlen, crc32c(0, out, hlen));
	feed(w, out, hlen + (w->q->rules.hdgst ? 4u : 0u));
}

static void feed_raw(struct world *w)
{
	size_t len = min_size((size_t)take(w, 1), w->in_left);

	w->odd = true;
	feed(w, w->in, len);
	w->in += len;
	w->in_left -= len;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void job_done(struct ini_queue *q, void *owner, int error, const struct nvme_cqe *cqe)
{
	struct world *w = world_of(reactor_io(q->reactor));
	struct job *job = owner;

	must(job->live);
	job->live = false;
	if (job->reads && error == 0 && cqe->status == NVME_SUCCESS && !w->odd)
		for (uint32_t i = 0; i < job->bytes; i++)
			must(job->buf[i] == pattern(i));
	free(job->buf);
	job->buf = NULL;
}

/* Opcode by `what`; data in up to IOVS iovecs. */
static void job_start(struct world *w, unsigned what)
{
	static const uint8_t opcodes[] = { NVME_IO_READ, NVME_IO_WRITE, NVME_IO_FLUSH };
	struct nvme_sqe sqe = { .opcode = opcodes[what % 3], .nsid = 1 };
	uint32_t bytes = (uint32_t)(take(w, 2) * 512 % DATA_MAX + 512);
	uint32_t cut = (uint32_t)take(w, 1) * 97 + 1, iovs = 0, at = 0;
	struct ini_data data = { 0 };
	struct ini_cmd *cmd;
	struct job *job = w->jobs;

	while (job < w->jobs + SLOTS && job->live)
		job++;
	if (w->q->state != INI_READY || job == w->jobs + SLOTS)
		return;
	cmd = ini_cmd_get(w->q);
	must(cmd);
	*job = (struct job){ .live = true, .reads = what % 3 == 0 };
	if (what % 3 < 2) {
		job->bytes = bytes;
		job->buf = calloc(1, bytes);
		while (at < bytes) {
			uint32_t n = iovs + 1 < IOVS ? min_u32(cut, bytes - at) : bytes - at;

			job->iov[iovs++] = (struct iovec){ job->buf + at, n };
			at += n;
		}
		data = (struct ini_data){ job->iov, iovs, bytes };
	}
	ini_cmd_start(cmd, &sqe, &data, what & 0x10, job_done, job);
}

/* ---- the play ----------------------------------------------------------------------------------- */

static void act(struct world *w)
{
	uint8_t what = (uint8_t)take(w, 1);
	struct ini_cmd *cmd = &w->q->cmds[what >> 5];
	uint32_t len;

	switch (what & 0xf) {
	case 0:
	case 1:
	case 2:
		job_start(w, what & 0x1f);
		break;
	case 3: /* what comes next of a read, as much as the bytes say */
	case 4:
		len = (uint32_t)(take(w, 2) + 1) * 4;
		if (what & 0x10)
			len = cmd->flow.end - cmd->flow.next;
		if (len == 0 || len > DATA_MAX * 2)
			break;
		feed_data(w, cmd->cid, cmd->flow.next, len,
			  cmd->flow.next + len == cmd->flow.end ?
				  (uint8_t)(NVMETCP_LAST | take(w, 1)) :
				  (uint8_t)take(w, 1));
		break;
	case 5:
		len = (uint32_t)(take(w, 2) + 1) * 4;
		if (what & 0x10)
			len = cmd->flow.end - cmd->flow.next;
		feed_r2t(w, cmd->cid, cmd->flow.next, len);
		break;
	case 6:
	case 7:
		feed_resp(w, cmd->cid, what & 0x10 ? (uint16_t)take(w, 2) : 0);
		break;
	case 8:
		feed_any(w);
		break;
	case 9:
		feed_raw(w);
		break;
	case 10:
		w->hold_sends = what & 0x10;
		break;
	case 11:
		w->piece = take(w, 2) + 1;
		break;
	case 12:
		w->now_ns += take(w, 1) * STEP_NS;
		break;
	case 13:
		if (w->sock.fn && !w->sock.recv)
			w->sock.fn(w->sock.ctx, NULL, what & 0x10 ? -ECONNRESET : 0);
		break;
	default:
		step(w);
	}
}

/* From ICReq sent to ICResp; what ini_queue_start() does on a fiber. */
static void connect(struct world *w, uint8_t how)
{
	struct nvmetcp_ic icreq = { .align = 4, .hdgst = how & 1, .ddgst = how & 2 };
	struct nvmetcp_ic icresp = { .align = (uint8_t)(4 + 4 * (how >> 4)),
				     .hdgst = how & 1,
				     .ddgst = how & 2,
				     .maxh2cdata = how & 4 ? 4096 : 65536 };
	uint8_t out[NVMETCP_IC_BYTES];
	struct ini_queue *q = w->q;

	q->state = INI_STARTING;
	q->sock = &w->sock;
	q->capsule_max = CAPSULE;
	q->timeout_ns = TIMEOUT_NS;
	nvmetcp_parser_init(&q->parser);
	nvmetcp_rules_init(&q->rules, false);
	q->rules.hdgst = icreq.hdgst;
	q->rules.ddgst = icreq.ddgst;
	io_recv_start(q->sock, ini_recv, q);
	nvmetcp_icresp_encode(&icresp, out);
	nvmetcp_parser_init(&w->parser);
	nvmetcp_rules_init(&w->rules, true);
	nvmetcp_rules_agree(&w->rules, &icreq, &icresp);
	w->rules.capsule_data_max = CAPSULE;
	feed(w, out, sizeof(out));
	must(q->state == INI_READY);
}

static void finish(struct world *w)
{
	ini_queue_lost(w->q, -ECANCELED, "the end");
	for (int i = 0; i < 5 && w->q->state != INI_IDLE; i++)
		step(w);
	must(w->q->state == INI_IDLE);
	for (unsigned i = 0; i < SLOTS; i++)
		must(!w->jobs[i].live);
	ini_queue_free(w->q);
	reactor_free(w->reactor);
	must(w->heap.blocks == 0);
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	struct world *w = calloc(1, sizeof(*w));
	struct reactor_opts opts = { 0 };
	struct err err = { 0 };

	w->in = data;
	w->in_left = size;
	w->piece = SIZE_MAX;
	w->now_ns = 1;
	mem_heap_init(&w->heap);
	w->io = (struct io){ .ops = &fz_ops, .mem = &w->heap.mem, .turn_ns = 1 };
	w->sock.io = &w->io;
	must(reactor_new(&w->io, &opts, &w->reactor, &err) == 0);
	must(ini_queue_new(w->reactor, NULL, SLOTS, &w->q) == 0);
	connect(w, (uint8_t)take(w, 1));
	for (int i = 0; i < ACTIONS_MAX && w->in_left; i++)
		act(w);
	finish(w);
	mem_heap_fini(&w->heap);
	free(w);
	return 0;
}
