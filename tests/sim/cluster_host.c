/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_host - a host of the volume, with a path to each candidate.
 *
 *	session: open the volume by the path of a candidate --error--> close it, take the other path
 *
 * Candidates of `cluster-remote` publish what they serve (engine/publish.h). A request that met an
 * error, an inaccessible path or a time-out is sent again by the next session, under the same host
 * identity and as often as it takes, as Linux' multipath does: it does not wait until the path it
 * was lost on is known to be dead. What a path still holds must not happen any more when the request
 * was answered by another one: the target drains the older association, members refuse the owner
 * before (FENCE).
 *
 * CH1. A request is one operation of the registers, from its first sending to its answer.
 * CH2. What a host is told by a path is an error of the disk only where a disk has failed (the last
 *      member's own error is told).
 * CH3. After the heal it gets answers again.
 */
#include "cluster_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "engine/publish.h"
#include "io/addr.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define NQN	     "nqn.2026-11.test:volume"
#define PAUSE_NS     (100 * SIM_MS)
#define DONE_AT_HEAL 5u /* answers after the heal (CH3) */

/* ---- the other side: a candidate's door ------------------------------------------------------- */

void cw_publish(struct fiber *f, struct cw_cand *cand)
{
	const struct publish_args args = { .nexus = cand->nexus,
					   .tgt = cand->place->tgt,
					   .nqn = NQN };
	int r;

	if (!cand->c->host.place || !args.tgt)
		return;
	r = publish_start(f, &args, &cand->publish);
	sim_trace(cand->c->sim, "cand %u: publish: %d %s", cand->number, r, fiber_words(f));
	fiber_clear(f);
}

void cw_unpublish(struct fiber *f, struct cw_cand *cand)
{
	if (cand->publish)
		publish_stop(f, cand->publish);
	cand->publish = NULL;
}

/* ---- requests --------------------------------------------------------------------------------- */

static bool host_goes_on(const struct cw_host *h)
{
	const struct cluster *c = h->c;

	return !c->must_stop && !c->is_good && !sim_failed(c->sim);
}

/* A new one. False: too many are in doubt. */
static bool request_draw(struct cw_host *h, struct cw_request *req, const struct bdev *bdev)
{
	struct cluster *c = h->c;
	struct prng *prng = sim_prng(c->sim);
	static const enum op_state states[] = { OP_READING, OP_WRITING, OP_FLUSHING };
	uint64_t kind = prng_below(prng, 20);
	uint64_t count = prng_range(prng, 1, 3);
	uint64_t group = prng_below(prng, cw_groups_of(bdev));
	uint64_t cell = group * CW_GROUP + prng_below(prng, CW_GROUP - count + 1);
	enum op_state state = states[kind < 8 || c->is_still ? 0 : kind < 18 ? 1 : 2];

	count = state == OP_FLUSHING ? 0 : count;
	req->op = cw_op_begin_at(c, h->place, state, cell, count);
	if (!req->op)
		return false;
	req->op->is_fua = state == OP_WRITING && c->is_volatile && prng_below(prng, 4) == 0;
	if (state == OP_READING)
		req->op->mark = check_read_begin(c->check);
	for (uint64_t i = 0; state == OP_WRITING && i < count; i++) {
		req->serials[i] = ++c->serial;
		req->op->writes[i] = check_write_begin(c->check, cell + i, req->serials[i]);
	}
	return true;
}

static int request_send(struct fiber *f, struct cw_host *h, struct cw_request *req,
			struct bdev_chan *chan, uint8_t *buf)
{
	struct cluster *c = h->c;
	const struct cw_op *op = req->op;
	uint64_t per = chan->bdev->block_size / 512;
	uint64_t lba = cw_lba(op->cell) / per, blocks = op->count * CW_CELL_LBAS / per;

	switch (op->state) {
	case OP_READING:
		return bdev_read(f, chan, lba, blocks, buf);
	case OP_FLUSHING:
		return bdev_flush(f, chan);
	default:
		break;
	}
	for (uint64_t i = 0; i < op->count; i++)
		pattern_fill(buf + i * CW_CELL, CW_CELL, sim_seed(c->sim), op->cell + i,
			     req->serials[i]);
	return bdev_write(f, chan, lba, blocks, buf, op->is_fua ? BIO_FUA : 0);
}

/* CH2. */
static bool is_explained(const struct cluster *c, int r)
{
	static const enum sim_fault kinds[] = { SIM_DISK_EIO_READ,  SIM_DISK_EIO_WRITE,
						SIM_DISK_EIO_FLUSH, SIM_DISK_SHORT_WRITE,
						SIM_DISK_PULL,	    SIM_DISK_CORRUPT_READ };

	if (r != -EIO && r != -ENODATA && r != -EINVAL && r != -ENOSPC && r != -EROFS)
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (sim_fault_fired(c->sim, kinds[i]))
			return true;
	return false;
}

/* CH1. */
static int request_try(struct fiber *f, struct cw_host *h, struct cw_request *req,
		       struct bdev_chan *chan, uint8_t *buf)
{
	static const char *const names[] = {
		[OP_READING] = "read", [OP_WRITING] = "write", [OP_FLUSHING] = "flush"
	};
	struct cluster *c = h->c;
	struct cw_op *op = req->op;
	int r = request_send(f, h, req, chan, buf);

	sim_trace(c->sim, "host by %u: %s %" PRIu64 "+%" PRIu64 " (%" PRIu64 "): %d %s", h->path,
		  names[op->state], op->cell, op->count, req->serials[0], r,
		  r < 0 ? fiber_words(f) : "");
	if (!is_explained(c, r))
		sim_fail(c->sim, "the host is told of an error of the disk: %d %s", r,
			 fiber_words(f));
	fiber_clear(f);
	if (r < 0)
		return r;
	for (uint64_t i = 0; op->state == OP_READING && i < op->count; i++)
		cw_judge(c, op->cell + i, op->mark, buf + i * CW_CELL);
	cw_op_end(c, op, true);
	req->op = NULL;
	h->done += c->is_healed;
	return 0;
}

/* ---- sessions --------------------------------------------------------------------------------- */

static int host_worker(struct fiber *f, void *arg)
{
	struct cw_request *req = arg;
	struct cw_host *h = req->host;
	struct prng *prng = sim_prng(h->c->sim);
	uint8_t *buf = io_buf_new(fiber_io(f), CW_GROUP * CW_CELL);
	struct bdev_chan *chan;
	int r = buf ? bdev_chan_open(f, h->bdev, &chan) : -ENOMEM;
	bool is_open = r == 0;

	while (r == 0 && host_goes_on(h) && !h->failed) {
		if (req->op || request_draw(h, req, h->bdev))
			r = request_try(f, h, req, chan, buf);
		if (r == 0 && prng_below(prng, 3) == 0)
			r = fiber_sleep(f, prng_below(prng, 30 * SIM_MS));
	}
	h->failed = h->failed || r < 0;
	if (is_open)
		bdev_chan_close(f, chan);
	io_buf_free(fiber_io(f), buf, CW_GROUP * CW_CELL);
	return 0;
}

static void host_work(struct fiber *f, struct cw_host *h)
{
	struct fiber *fibers[CW_WORKERS_MAX] = { NULL };

	h->failed = false;
	for (unsigned i = 0; i < h->workers; i++)
		must(fiber_start(fiber_reactor(f), "host", host_worker, &h->requests[i],
				 &fibers[i]) == 0);
	for (unsigned i = 0; i < h->workers; i++)
		(void)fiber_join(f, fibers[i]);
}

static int host_open(struct fiber *f, struct cw_host *h)
{
	const struct cw_cand *cand = &h->c->cands[h->path];
	char uri[CW_URI_MAX], addr[IO_ADDR_TEXT_MAX];
	struct io_addr at;
	int r;

	sim_host_addr(cand->place->host, CW_PORT, &at);
	snprintf(uri, sizeof(uri), "nvmf://%s/%s?%s", io_addr_print(&at, addr), NQN,
		 "hostid=5e7a0000-0000-4000-8000-000000000001"
		 "&kato_ms=2000&timeout_ms=3000&wait_ms=0&connect_ms=1000");
	r = bdev_open(f, uri, &h->bdev);
	sim_trace(h->c->sim, "host by %u: open: %d %s", h->path, r, fiber_words(f));
	fiber_clear(f);
	return r;
}

int cw_host_main(struct fiber *f, void *arg)
{
	struct cw_host *h = arg;

	while (host_goes_on(h)) {
		if (host_open(f, h) == 0) {
			if (h->is_switching)
				sim_fault_count(h->c->sim, SIM_STORY_SWITCH);
			h->is_switching = false;
			host_work(f, h);
			bdev_close(f, h->bdev);
		}
		h->path = (h->path + 1) % h->c->cand_count;
		h->is_switching = true;
		if (fiber_sleep(f, prng_below(sim_prng(h->c->sim), PAUSE_NS)) < 0)
			break;
	}
	for (unsigned i = 0; i < h->workers; i++) {
		if (h->requests[i].op)
			cw_op_end(h->c, h->requests[i].op, false);
		h->requests[i].op = NULL;
	}
	return 0;
}

bool cw_host_is_well(const struct cluster *c)
{
	return !c->host.place || c->host.done >= DONE_AT_HEAL;
}
