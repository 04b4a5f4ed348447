// SPDX-License-Identifier: Apache-2.0
/*
 * io - the way of a request: in from any reactor, out to the children, back when all have answered.
 *
 *	nexus_submit -> io_run -+-> gate, ranges, activity log: waits, is run again
 *	                        +-> read: one child; another if it fails
 *	                        +-> write, zeroes, unmap, flush: all children
 *	                              all answered -> io_write_ended -> done, or held while FROZEN
 *
 * IO1. What waits holds nothing: no child request, no region, no range.
 * IO2. A write is acknowledged when every child that is needed has it; while FROZEN, none is (N1).
 * IO3. A read that overlaps a write in flight goes to the lowest readable child, so that two
 *      such reads do not see new data, then old. When readable children change, the lowest may be
 *      another one, which does not have the write yet: until writes that began before have ended,
 *      reads that overlap them wait.
 * IO4. A read that fails everywhere fails; the last member stays (N3). If that does not answer at
 *	all, it waits.
 * IO5. A request is answered when all its child requests are back: its memory is theirs (hang.c).
 */
#include <errno.h>

#include "nexus/copy_priv.h"
#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/must.h"

static void io_read(struct nexus_req *req);

/* ---- out ---------------------------------------------------------------------------- */

static void io_mail_back(struct mail *mail, struct reactor *at)
{
	struct nexus_req *req = container_of(mail, struct nexus_req, mail);

	(void)at;
	bio_complete(req->bio, req->status);
}

void io_finish(struct nexus_req *req, int status)
{
	struct nexus *n = req->nexus;
	struct bio *bio = req->bio;

	if (req->is_counted)
		active_leave(req);
	if (--n->busy == 0)
		event_set(&n->idle);
	if (bio->chan->reactor == n->home) {
		bio_complete(bio, status);
		return;
	}
	req->status = status;
	req->mail.run = io_mail_back;
	reactor_send(n->home, bio->chan->reactor, &req->mail);
}

void io_run_all(struct list *list)
{
	struct nexus_req *req;
	struct list batch;

	list_init(&batch);
	list_splice_tail(&batch, list);
	while ((req = list_pop_front(&batch, struct nexus_req, link)))
		io_run(req);
}

/* ---- child requests ------------------------------------------------------------------- */

static struct nexus_io *io_new(struct nexus_req *req, struct nexus_child *child, bio_fn done)
{
	struct nexus_io *io = slab_get(&req->nexus->ios);

	if (!io)
		return NULL;
	io->req = req;
	io->child = child;
	bio_clone(&io->bio, req->bio, child->chan, done);
	if (io->bio.blocks > 0) /* not a flush */
		io->bio.lba = (io->bio.lba << child->block_shift) + child->data_lba;
	io->bio.blocks <<= child->block_shift;
	io->bio.flags &= BIO_FUA | BIO_KEEP;
	io->bio.token = child->token; /* N4 */
	return io;
}

static void io_free(struct nexus_io *io)
{
	struct nexus *n = io->req->nexus;

	slab_put(&n->ios, io);
	if (!list_empty(&n->starved))
		io_run_all(&n->starved);
}

static void io_send(struct nexus_io *io)
{
	hang_begin(io->child, &io->pending);
	io->child->inflight++;
	event_clear(&io->child->idle);
	bio_submit(&io->bio);
}

/* Its child has answered. */
static void io_back(struct nexus_io *io)
{
	struct nexus_child *child = io->child;

	hang_end(&io->pending);
	if (--child->inflight == 0)
		event_set(&child->idle);
	if (io->bio.status < 0)
		child->errors++;
	if (io->bio.status == -ESTALE)
		owner_deposed(child->nexus); /* FENCE: self-fenced */
}

/* ---- reads ---------------------------------------------------------------------------- */

/* No answer of a disk, but none at all, or nobody was asked: another time there may be one. */
static bool is_gone(int status)
{
	return status == 0 || status == -ENODEV || status == -ETIMEDOUT || status == -ECANCELED ||
	       status == -ENOTCONN || status == -ECONNRESET || status == -ESHUTDOWN ||
	       status == -EHOSTDOWN || status == -EHOSTUNREACH || status == -ENETUNREACH;
}

static void io_read_done(struct bio *bio)
{
	struct nexus_io *io = container_of(bio, struct nexus_io, bio);
	struct nexus_req *req = io->req;
	struct nexus_child *child = io->child;
	struct nexus *n = req->nexus;
	int status = bio->status;

	io_back(io);
	child->reads++;
	if (status < 0 && status != -ESTALE) {
		req->tried |= nexus_bit(child);
		req->status = status;
		if (n->readable & (nexus_mask)~nexus_bit(child) || is_gone(status))
			retire(child, status);
	}
	io_free(io);
	if (status == 0)
		io_finish(req, 0);
	else if (n->state == NEXUS_DEPOSED)
		io_finish(req, -ESTALE);
	else
		io_read(req);
}

/* IO3. Writes that began before the readable members changed: one of them may be half done. */
static bool io_is_split(const struct nexus_req *req)
{
	struct nexus *n = req->nexus;
	const struct nexus_req *write;

	if (likely(n->split == 0))
		return false;
	list_for_each(write, &n->writes, link) {
		if (write->serial > n->split)
			return false;
		if (write->bio->lba < req->bio->lba + req->bio->blocks &&
		    req->bio->lba < write->bio->lba + write->bio->blocks)
			return true;
	}
	n->split = 0;
	return false;
}

static void io_read(struct nexus_req *req)
{
	struct nexus *n = req->nexus;
	struct nexus_child *child = choose(req);
	struct nexus_io *io;

	if (io_is_split(req)) {
		io_park(req, &n->split_reads);
		return;
	}

	if (!child && n->state == NEXUS_CLOSING && is_gone(req->status)) {
		io_finish(req, -ENODEV); /* as what waits is refused: no disk has said no */
		return;
	}
	if (!child && n->state != NEXUS_DEPOSED && is_gone(req->status)) {
		io_park(req, &n->gated); /* for the last one, or one that is being admitted */
		return;
	}
	if (!child) {
		io_finish(req, req->status < 0 ? req->status : -EIO); /* IO4 */
		return;
	}
	io = io_new(req, child, io_read_done);
	if (!io) {
		io_park(req, &req->nexus->starved);
		return;
	}
	io_send(io);
}

/* ---- what changes: to all --------------------------------------------------------------- */

/* Nothing was done, and nothing is wrong with the child. */
static bool is_refusal(int status)
{
	return status == -EINVAL || status == -ENOTSUP;
}

/* All that are needed say the same: it is the request, not they. */
static bool io_fails_alike(const struct nexus_req *req)
{
	return (req->failed & req->nexus->needed) == req->nexus->needed &&
	       (is_refusal(req->status) || req->status == -ENOSPC);
}

/* It is done again, when somebody can. */
static void io_unhold(struct nexus_req *req)
{
	if (req->is_counted)
		active_leave(req);
	io_park(req, &req->nexus->gated);
}

void io_unhold_all(struct nexus *n)
{
	struct nexus_req *req;

	while ((req = list_pop_front(&n->held, struct nexus_req, link)))
		io_unhold(req);
}

static void io_write_ended(struct nexus_req *req)
{
	struct nexus *n = req->nexus;

	range_write_ended(req);
	list_del(&req->link);
	order_end(req);
	if (!list_empty(&n->split_reads))
		io_run_all(&n->split_reads);
	if (n->state == NEXUS_DEPOSED ||
	    n->state == NEXUS_CLOSING) { /* nobody lets go what is held */
		io_finish(req, n->state == NEXUS_DEPOSED ? -ESTALE : -ENODEV);
		return;
	}
	if (req->failed && io_fails_alike(req)) {
		io_mend(req);
		return;
	}
	nexus_each_in(n, req->failed, child)
		retire(child, req->status);
	if (n->state == NEXUS_SERVING && !(req->failed & n->needed))
		io_finish(req, 0); /* IO2 */
	else if (nexus_is_off(n, NEXUS_RULE_PERSIST))
		io_finish(req, 0);
	else if (n->state == NEXUS_STOPPED)
		io_unhold(req);
	else
		list_add_tail(&n->held, &req->link);
}

static void io_write_done(struct bio *bio)
{
	struct nexus_io *io = container_of(bio, struct nexus_io, bio);
	struct nexus_req *req = io->req;

	io_back(io);
	io->child->writes++;
	if (bio->status < 0) {
		req->failed |= nexus_bit(io->child);
		req->status = bio->status;
	} else if (bio->op == BIO_FLUSH) {
		io->child->flushed = max_u64(io->child->flushed, req->serial);
	}
	io_free(io);
	if (--req->open == 0)
		io_write_ended(req);
}

/* All who are written to; a flush, too (rule FANOUT). */
static nexus_mask io_whom(const struct nexus_req *req)
{
	nexus_mask mask = req->nexus->writable;

	if (req->bio->op != BIO_FLUSH || !nexus_is_off(req->nexus, NEXUS_RULE_FANOUT))
		return mask;
	while (mask & (mask - 1)) /* the last one alone */
		mask &= (nexus_mask)(mask - 1);
	return mask;
}

/* All child requests, or none. */
static unsigned io_prepare(struct nexus_req *req, nexus_mask whom,
			   struct nexus_io *ios[NEXUS_CHILDREN_MAX])
{
	struct nexus *n = req->nexus;
	unsigned count = 0;

	nexus_each_in(n, whom, child) {
		ios[count] = io_new(req, child, io_write_done);
		if (ios[count]) {
			count++;
			continue;
		}
		while (count > 0)
			slab_put(&n->ios, ios[--count]);
		break;
	}
	return count;
}

static void io_fan_out(struct nexus_req *req)
{
	struct nexus *n = req->nexus;
	struct nexus_io *ios[NEXUS_CHILDREN_MAX];
	nexus_mask whom = io_whom(req);
	unsigned count = io_prepare(req, whom, ios);

	if (count == 0) {
		if (req->is_counted)
			active_leave(req);
		io_park(req, &n->starved);
		return;
	}
	req->sent = whom;
	req->failed = 0;
	req->open = (uint8_t)count;
	req->serial = ++n->serial;
	list_add_tail(&n->writes, &req->link);
	order_begin(req);
	for (unsigned i = 0; i < count; i++)
		io_send(ios[i]);
}

static void io_write(struct nexus_req *req)
{
	struct nexus *n = req->nexus;

	if (n->writable == 0 ||
	    (n->needed & (nexus_mask)~n->writable && n->state == NEXUS_STOPPED)) {
		io_park(req, &n->gated);
		return;
	}
	if (req->bio->op == BIO_FLUSH) {
		io_fan_out(req);
		return;
	}
	if (req->bio->op == BIO_UNMAP && !n->unmap_zeroes) {
		io_finish(req, 0); /* a hint: members would not stay equal */
		return;
	}
	if (!range_parks(req) && !order_parks(req) && missed_enter(req) && active_enter(req))
		io_fan_out(req);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* IO1. */
void io_park(struct nexus_req *req, struct list *where)
{
	struct nexus *n = req->nexus;

	must(!req->is_counted && req->open == 0);
	list_add_tail(where, &req->link);
	if (--n->busy == 0)
		event_set(&n->idle);
}

void io_run(struct nexus_req *req)
{
	struct nexus *n = req->nexus;

	n->busy++;
	event_clear(&n->idle);
	req->tried = 0;
	req->status = 0;
	if (n->state == NEXUS_DEPOSED)
		io_finish(req, -ESTALE);
	else if (n->state == NEXUS_CLOSING)
		io_finish(req, -ENODEV);
	else if (n->gate || n->state == NEXUS_STOPPED || n->state == NEXUS_OPENING ||
		 !owner_may_serve(n))
		io_park(req, &n->gated);
	else if (req->bio->op == BIO_READ)
		io_read(req);
	else
		io_write(req);
}

static void io_mail_in(struct mail *mail, struct reactor *at)
{
	(void)at;
	io_run(container_of(mail, struct nexus_req, mail));
}

void nexus_submit(struct bio *bio)
{
	struct nexus_req *req = bio_scratch(bio);
	struct nexus *n = nexus_of(bio->chan->bdev);

	list_link_init(&req->link);
	req->bio = bio;
	req->nexus = n;
	req->open = 0;
	req->sent = req->failed = 0;
	req->is_counted = req->is_ordered = false;
	if (bio->op == BIO_ZEROES && (bio->flags & BIO_FAST) && !n->can_zeroes) {
		bio_complete(bio, -ENOTSUP);
		return;
	}
	if (bio->op == BIO_RESET) {
		bio_complete(bio, 0); /* requests end when their children end them */
		return;
	}
	if (bio->chan->reactor == n->home) {
		io_run(req);
		return;
	}
	req->mail.run = io_mail_in;
	reactor_send(bio->chan->reactor, n->home, &req->mail);
}

void io_gate_close(struct fiber *f, struct nexus *n)
{
	n->gate++;
	while (n->busy > 0)
		event_wait_always(f, &n->idle);
}

void io_gate_open(struct nexus *n)
{
	must(n->gate > 0);
	if (--n->gate == 0)
		io_run_all(&n->gated);
}
