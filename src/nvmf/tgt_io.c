// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_io - I/O commands become bios, and their ends become status.
 *
 * IO1. Whatever may forbid a command - reservation, ANA, write protection, pause - is looked
 *	at when its bio is submitted, after its data has come. A look just before, with nothing
 *	waited for since (is_checked), is as good.
 *	What a disk that is memory lends or takes (bdev/lend.h) is done at that look.
 * IO2. A bio counts in its view's epoch and its connection's pending from before it is
 *	submitted until after its status was taken.
 */
#include <errno.h>

#include "base/must.h"
#include "nvmf/tgt_conn_priv.h"
#include "wire/nvme_resv.h"

struct cmd_kind {
	uint8_t op; /* enum bio_op */
	bool is_known, has_range, has_data, writes;
};

static const struct cmd_kind cmd_kinds[] = {
	[NVME_IO_FLUSH] = { BIO_FLUSH, .is_known = true, .writes = true },
	[NVME_IO_WRITE] = { BIO_WRITE, true, true, true, true },
	[NVME_IO_READ] = { BIO_READ, true, true, true, false },
	[NVME_IO_COMPARE] = { BIO_COMPARE, true, true, true, false },
	[NVME_IO_WRITE_ZEROES] = { BIO_ZEROES, .is_known = true, .has_range = true,
				   .writes = true },
	[NVME_IO_DATASET_MANAGEMENT] = { BIO_UNMAP, .is_known = true, .writes = true },
	[NVME_IO_RESV_ACQUIRE] = { 0 },
	[NVME_IO_RESV_RELEASE] = { 0 },
};

static const struct cmd_kind *cmd_kind(const struct tgt_req *req)
{
	uint8_t opcode = req->cmd.sqe.opcode;

	return opcode < ARRAY_LEN(cmd_kinds) && cmd_kinds[opcode].is_known ? &cmd_kinds[opcode] :
									     NULL;
}

static struct tgt_view *io_view(const struct tgt_req *req)
{
	struct tgt_view *view = tgt_view_find(req->conn->is.table, req->cmd.sqe.nsid);

	return view && view->rules.is_visible ? view : NULL;
}

/* ---- may it? ------------------------------------------------------------------------ */

static uint16_t ana_status(uint8_t state)
{
	switch (state) {
	case TGT_ANA_INACCESSIBLE:
		return NVME_ANA_INACCESSIBLE;
	case TGT_ANA_PERSISTENT_LOSS:
		return NVME_ANA_PERSISTENT_LOSS;
	case TGT_ANA_CHANGE:
		return NVME_ANA_TRANSITION;
	default:
		return 0;
	}
}

static uint16_t io_right(const struct tgt_req *req, const struct tgt_view *view,
			 const struct cmd_kind *kind)
{
	const struct tgt_ns_rules *rules = &view->rules;
	uint16_t status = ana_status(rules->ana);

	if (status)
		return status;
	if (rules->resv_type && (kind->writes || rules->resv_type == NVME_RESV_EXCLUSIVE_ACCESS) &&
	    !uuid_equal(&rules->resv_holder, &req->conn->is.host_id))
		return NVME_RESERVATION_CONFLICT | NVME_DNR;
	if (rules->is_read_only && kind->writes && kind->op != BIO_FLUSH)
		return NVME_NAMESPACE_WRITE_PROTECTED | NVME_DNR;
	return 0;
}

static uint16_t io_check_range(const struct tgt_req *req, const struct tgt_view *view,
			       const struct cmd_kind *kind, struct nvme_rw *ret)
{
	uint16_t status = nvme_rw_decode(&req->cmd.sqe, view->chan->blocks, ret);

	if (status || !kind->has_data)
		return status;
	if ((uint64_t)ret->blocks << view->shift > TGT_DATA_MAX)
		return NVME_INVALID_FIELD | NVME_DNR;
	if ((uint64_t)ret->blocks << view->shift != req->cmd.data_bytes)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	return 0;
}

static bool io_is_resv(uint8_t opcode)
{
	return opcode == NVME_IO_RESV_REGISTER || opcode == NVME_IO_RESV_REPORT ||
	       opcode == NVME_IO_RESV_ACQUIRE || opcode == NVME_IO_RESV_RELEASE;
}

uint16_t tgt_io_check(struct tgt_req *req)
{
	const struct cmd_kind *kind = cmd_kind(req);
	struct tgt_view *view = io_view(req);
	uint16_t status;

	if (!kind && !io_is_resv(req->cmd.sqe.opcode))
		return NVME_INVALID_OPCODE | NVME_DNR;
	if (!view)
		return NVME_INVALID_NAMESPACE | NVME_DNR;
	if (!kind)
		return 0;
	status = io_right(req, view, kind);
	if (status)
		return status;
	if (kind->has_range)
		status = io_check_range(req, view, kind, &req->rw);
	else if (kind->op == BIO_UNMAP &&
		 req->cmd.data_bytes < nvme_dsm_ranges(&req->cmd.sqe) * NVME_DSM_RANGE_BYTES)
		status = NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	req->is_checked = !status;
	return status;
}

/* ---- the end --------------------------------------------------------------------------- */

static void io_finish(struct tgt_req *req, uint16_t status)
{
	struct tgt_view *view = req->view;
	struct tgt_conn *conn = req->conn;

	tgt_view_bio_put(view, req->bio);
	if (--view->inflight[req->epoch] == 0 && req->epoch != view->epoch)
		event_set(&view->drained);
	req->view = NULL;
	req->bio = NULL;
	if (status)
		view->stats.errors++;
	conn->pending--; /* IO2 */
	tgt_req_done(req, status);
	if (unlikely(!conn->sock))
		tgt_conn_settle(conn);
}

/*
 * Where there are no reservations a disk that is deposed, or goes, is a matter of the path: the
 * host takes another one.
 */
static uint16_t io_status(const struct tgt_req *req, int error)
{
	if (unlikely(error == -ESTALE || error == -ENODEV) && req->view->rules.is_one_of_many)
		return NVME_ANA_INACCESSIBLE;
	return nvme_status_of_error(error);
}

static void io_bio_done(struct bio *bio)
{
	struct tgt_bio *tb = container_of(bio, struct tgt_bio, bio);

	io_finish(tb->req, io_status(tb->req, bio->status));
}

/* ---- dataset management: one range after the other --------------------------------------- */

static void dsm_next(struct tgt_req *req);

static void dsm_bio_done(struct bio *bio)
{
	struct tgt_bio *tb = container_of(bio, struct tgt_bio, bio);

	if (bio->status < 0 && bio->status != -ENOTSUP)
		io_finish(tb->req, io_status(tb->req, bio->status));
	else
		dsm_next(tb->req);
}

static void dsm_next(struct tgt_req *req)
{
	unsigned ranges = nvme_dsm_ranges(&req->cmd.sqe);
	struct bdev_chan *chan = req->view->chan;
	struct nvme_dsm_range range;

	while (req->step < ranges) {
		uint16_t status = nvme_dsm_range_decode(req->cmd.data, req->cmd.data_bytes,
							req->step++, chan->blocks, &range);

		if (status) {
			io_finish(req, status);
			return;
		}
		if (!range.blocks)
			continue;
		bio_prep(&req->bio->bio, chan, BIO_UNMAP, range.lba, range.blocks, NULL, 0,
			 dsm_bio_done);
		req->bio->bio.token = req->conn->is.token;
		bio_submit(&req->bio->bio);
		return;
	}
	io_finish(req, 0);
}

static uint16_t dsm_check(const struct tgt_req *req, const struct tgt_view *view)
{
	unsigned ranges = nvme_dsm_ranges(&req->cmd.sqe);
	struct nvme_dsm_range range;

	for (unsigned i = 0; i < ranges; i++) {
		uint16_t status = nvme_dsm_range_decode(req->cmd.data, req->cmd.data_bytes, i,
							view->chan->blocks, &range);
		if (status)
			return status;
	}
	return 0;
}

/* ---- the way down -------------------------------------------------------------------------- */

static void io_send_down(struct tgt_req *req, const struct cmd_kind *kind, const struct nvme_rw *rw)
{
	struct tgt_view *view = req->view;
	struct bio *bio = &req->bio->bio;

	if (kind->op == BIO_UNMAP) {
		dsm_next(req);
		return;
	}
	req->bio->iov = (struct iovec){ .iov_base = req->cmd.data, .iov_len = req->cmd.data_bytes };
	bio_prep(bio, view->chan, (enum bio_op)kind->op, rw->lba, rw->blocks,
		 kind->has_data ? &req->bio->iov : NULL, kind->has_data, io_bio_done);
	if (rw->flags & NVME_RW_FUA && kind->writes)
		bio->flags |= BIO_FUA;
	if (kind->op == BIO_ZEROES && !(rw->flags & NVME_RW_DEALLOCATE))
		bio->flags |= BIO_KEEP;
	bio->token = req->conn->is.token;
	if (kind->op == BIO_READ) {
		view->stats.reads++;
		view->stats.read_blocks += rw->blocks;
	} else if (kind->op == BIO_WRITE) {
		view->stats.writes++;
		view->stats.written_blocks += rw->blocks;
	}
	bio_submit(bio);
}

static void io_park(struct tgt_req *req, struct tgt_view *view)
{
	req->state = TGT_REQ_PAUSED;
	req->is_checked = false;
	list_add_tail(&view->parked, &req->link);
}

void tgt_io_execute(struct tgt_req *req)
{
	const struct cmd_kind *kind = cmd_kind(req);
	struct tgt_view *view = io_view(req);
	uint16_t status = 0;

	if (view && unlikely(view->rules.is_paused)) {
		io_park(req, view);
		return;
	}
	if (!req->is_checked)
		status = tgt_io_check(req); /* IO1 */
	if (!status && kind->op == BIO_UNMAP)
		status = dsm_check(req, view);
	if (status || (kind->op == BIO_UNMAP && (!(req->cmd.sqe.cdw11 & NVME_DSM_DEALLOCATE) ||
						 !view->chan->bdev->can_unmap))) {
		tgt_req_done(req, status); /* hints that we do not take are as good as done */
		return;
	}
	req->bio = tgt_view_bio(view);
	if (!req->bio) {
		tgt_req_done(req, NVME_COMMAND_INTERRUPTED);
		return;
	}
	req->bio->req = req;
	req->view = view;
	req->state = TGT_REQ_BIO;
	req->epoch = view->epoch;
	view->inflight[view->epoch]++; /* IO2 */
	req->conn->pending++;
	req->conn->shard->commands++;
	io_send_down(req, kind, &req->rw);
}

bool tgt_io_lend(struct tgt_req *req)
{
	struct tgt_view *view;

	if (!req->is_checked || req->cmd.sqe.opcode != NVME_IO_READ)
		return false; /* not even an I/O command, perhaps */
	view = io_view(req);
	if (view->rules.is_paused ||
	    !bdev_lend(view->chan, req->rw.lba, req->rw.blocks, &req->loan))
		return false;
	view->stats.reads++;
	view->stats.read_blocks += req->rw.blocks;
	req->conn->shard->commands++;
	req->cmd.ret_bytes = req->cmd.data_bytes;
	tgt_req_done(req, 0);
	return true;
}

bool tgt_io_put(struct tgt_req *req, const uint8_t *data)
{
	struct tgt_conn *conn = req->conn;
	struct tgt_view *view;
	int r;

	if (conn->state != TGT_CONN_LIVE || conn->is.qid == 0 ||
	    req->cmd.sqe.opcode != NVME_IO_WRITE || tgt_io_check(req))
		return false; /* what is wrong with it is said when its data has gone by */
	view = io_view(req);
	if (view->rules.is_paused || !bdev_put(view->chan, req->rw.lba, req->rw.blocks, data, &r))
		return false;
	view->stats.writes++;
	view->stats.written_blocks += req->rw.blocks;
	view->stats.errors += r < 0;
	conn->shard->commands++;
	tgt_req_done(req, nvme_status_of_error(r));
	return true;
}
