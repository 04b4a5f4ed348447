// SPDX-License-Identifier: Apache-2.0
/*
 * ini_bio - bios as commands, and commands' answers as bios' statuses.
 *
 *   submit --> LIVE: command --> answered ------------------> complete
 *         |       ^    |    \--> "try again" --> later ---+
 *         |       |    v connection lost                  |
 *         +--> waiting <----------------------------------+ (not LIVE)
 *                 |
 *                 +--> wait_ns after the loss, or refused, or gone: complete with an error
 *
 * A bio whose connection was lost is sent again on the next one: nobody knows what became of it,
 * and each of our ops can be done twice. That no byte of the first time lands after the second is
 * for the controller to see to: it drains the old association before it answers our Connect.
 *
 * IB1. A bio is in a command, in waiting or in later: so there are never more than the queue
 *      depth that the layer above was told.
 * IB2. While the connection is down a bio waits at most wait_ns from its loss; those that come
 *      after that fail at once.
 * IB3. A bio whose connection is lost is not sent again once it is older than timeout and wait
 *      together: so each ends, also if every connection dies of it.
 * IB4. Bios of a channel with a session bear its token, or a greater one: at the other side they all
 *      bear the session's.
 */
#include <errno.h>

#include "base/must.h"
#include "nvmf/ini_priv.h"
#include "wire/nvme_io.h"

static void ini_bio_start(struct ini_queue *q, struct bio *bio);

static struct ini_queue *ini_bio_queue(const struct bio *bio)
{
	return ini_chan_of(bio->chan)->q;
}

/* ---- answers ------------------------------------------------------------------------------- */

static void ini_bio_later(struct timer *timer)
{
	struct ini_queue *q = container_of(timer, struct ini_queue, later_timer);
	struct list batch;
	struct bio *bio;

	list_init(&batch);
	list_splice_tail(&batch, &q->later);
	while ((bio = list_pop_front(&batch, struct bio, link)))
		ini_bio_start(q, bio);
}

/* The controller could not now, and does not say that it never will. */
static bool ini_status_is_passing(uint16_t status)
{
	if (status & NVME_DNR)
		return false;
	switch (status & NVME_SC_MASK) {
	case NVME_COMMAND_INTERRUPTED:
	case NVME_NAMESPACE_NOT_READY:
	case NVME_ABORTED_SQ_DELETION:
	case NVME_ABORT_REQUESTED:
	case NVME_DATA_TRANSFER_ERROR:
	case NVME_ANA_TRANSITION:
		return true;
	default:
		return false;
	}
}

static bool ini_bio_try_again(struct ini_queue *q, struct bio *bio)
{
	struct ini_req *req = bio_scratch(bio);

	if (q->fail || ++req->tries >= INI_TRIES_MAX)
		return false;
	list_add_tail(&q->later, &bio->link);
	if (!timer_is_armed(&q->later_timer))
		timer_start(q->reactor, &q->later_timer, INI_RETRY_NS, ini_bio_later);
	return true;
}

/* IB3 */
static void ini_bio_lost(struct ini_queue *q, struct bio *bio)
{
	const struct ini_req *req = bio_scratch(bio);
	uint64_t limit = q->ini->opts.timeout_ns + q->ini->opts.wait_ns;

	if (reactor_now(q->reactor) - req->start_ns >= limit)
		bio_complete(bio, q->fail ? q->fail : -ETIMEDOUT);
	else
		ini_bio_start(q, bio); /* waits, or fails */
}

static int ini_bio_status(struct bio *bio, uint16_t status)
{
	int r = nvme_status_to_error(status);

	if (r == -EILSEQ)
		bio->miscompare_bytes = 0; /* somewhere: NVMe does not tell where */
	return r;
}

static void ini_bio_done(struct ini_queue *q, void *owner, int error, const struct nvme_cqe *cqe)
{
	struct bio *bio = owner;

	if (likely(error == 0 && cqe->status == NVME_SUCCESS)) {
		bio_complete(bio, 0);
	} else if (error == -EBADMSG) {
		if (!ini_bio_try_again(q, bio))
			bio_complete(bio, -EIO);
	} else if (error < 0) {
		ini_bio_lost(q, bio);
	} else if (!ini_status_is_passing(cqe->status) || !ini_bio_try_again(q, bio)) {
		bio_complete(bio, ini_bio_status(bio, cqe->status));
	}
}

/* ---- commands -------------------------------------------------------------------------------- */

static uint8_t ini_bio_opcode(const struct bio *bio)
{
	switch ((enum bio_op)bio->op) {
	case BIO_READ:
		return NVME_IO_READ;
	case BIO_WRITE:
		return NVME_IO_WRITE;
	case BIO_FLUSH:
		return NVME_IO_FLUSH;
	case BIO_ZEROES:
		return NVME_IO_WRITE_ZEROES;
	case BIO_UNMAP:
		return NVME_IO_DATASET_MANAGEMENT;
	case BIO_COMPARE:
		return NVME_IO_COMPARE;
	default:
		must(false); /* limits.ops */
		return 0;
	}
}

static void ini_bio_rw(const struct ini_queue *q, const struct bio *bio, struct nvme_sqe *sqe)
{
	struct nvme_rw rw = { .lba = bio->lba, .blocks = (uint32_t)bio->blocks };

	if (bio->flags & BIO_FUA)
		rw.flags |= NVME_RW_FUA;
	if (bio->op == BIO_ZEROES && !(bio->flags & BIO_KEEP) &&
	    q->ini->ns.dlfeat & NVME_DLFEAT_WRITE_ZEROES)
		rw.flags |= NVME_RW_DEALLOCATE;
	nvme_rw_encode(&rw, sqe);
}

static void ini_bio_unmap(struct ini_cmd *cmd, const struct bio *bio, struct nvme_sqe *sqe,
			  struct ini_data *data)
{
	struct nvme_dsm_range range = { .lba = bio->lba, .blocks = (uint32_t)bio->blocks };

	nvme_dsm_encode(1, NVME_DSM_DEALLOCATE, sqe);
	nvme_dsm_range_encode(&range, cmd->small);
	cmd->small_iov = (struct iovec){ cmd->small, NVME_DSM_RANGE_BYTES };
	*data = (struct ini_data){ &cmd->small_iov, 1, NVME_DSM_RANGE_BYTES };
}

static void ini_bio_send(struct ini_queue *q, struct bio *bio)
{
	struct ini_cmd *cmd = ini_cmd_get(q);
	struct nvme_sqe sqe = { .opcode = ini_bio_opcode(bio), .nsid = q->ini->ns.nsid };
	struct ini_data data = { 0 };

	must(cmd); /* IB1 */
	if (bio->op == BIO_UNMAP)
		ini_bio_unmap(cmd, bio, &sqe, &data);
	else if (bio->op != BIO_FLUSH)
		ini_bio_rw(q, bio, &sqe);
	if (bio_op_has_data((enum bio_op)bio->op))
		data = (struct ini_data){ bio->iov, bio->iov_count,
					  (uint32_t)(bio->blocks * q->ini->bdev->block_size) };
	ini_cmd_start(cmd, &sqe, &data, false, ini_bio_done, bio);
}

static void ini_bio_start(struct ini_queue *q, struct bio *bio)
{
	if (likely(q->state == INI_LIVE))
		ini_bio_send(q, bio);
	else if (q->fail)
		bio_complete(bio, q->fail); /* IB2 */
	else
		list_add_tail(&q->waiting, &bio->link);
}

void ini_bio_submit(struct bio *bio)
{
	struct ini_queue *q = ini_bio_queue(bio);
	struct ini_req *req = bio_scratch(bio);

	req->tries = 0;
	req->start_ns = reactor_now(q->reactor);
	if (unlikely(bio->token < q->token)) {
		bio_complete(bio, -ESTALE); /* IB4 */
		return;
	}
	if (bio->op == BIO_ZEROES && bio->flags & BIO_FAST &&
	    !(q->ini->ns.dlfeat & NVME_DLFEAT_WRITE_ZEROES)) {
		bio_complete(bio, -ENOTSUP); /* it may write them out, and does not say */
		return;
	}
	ini_bio_start(q, bio);
}

/* ---- the connection comes and goes --------------------------------------------------------------- */

static void ini_bio_end_all(struct ini_queue *q, struct list *list, int status)
{
	struct list batch;
	struct bio *bio;

	list_init(&batch);
	list_splice_tail(&batch, list);
	while ((bio = list_pop_front(&batch, struct bio, link)))
		bio_complete(bio, status);
}

void ini_bio_fail(struct ini_queue *q, int status)
{
	timer_stop(&q->wait_timer);
	q->fail = status;
	ini_bio_end_all(q, &q->waiting, status);
}

/* Those in flight end so, too, when the connection does. */
void ini_bio_deposed(struct ini_queue *q)
{
	timer_stop(&q->later_timer);
	ini_bio_fail(q, -ESTALE);
	ini_bio_end_all(q, &q->later, -ESTALE);
}

static void ini_bio_waited(struct timer *timer)
{
	ini_bio_fail(container_of(timer, struct ini_queue, wait_timer), -ETIMEDOUT); /* IB2 */
}

void ini_bio_down(struct ini_queue *q)
{
	if (!q->qid || q->fail || timer_is_armed(&q->wait_timer))
		return;
	if (q->ini->opts.wait_ns == 0)
		q->fail = -ETIMEDOUT;
	else
		timer_start(q->reactor, &q->wait_timer, q->ini->opts.wait_ns, ini_bio_waited);
}

void ini_bio_go(struct ini_queue *q)
{
	struct list batch;
	struct bio *bio;

	must(q->state == INI_READY);
	timer_stop(&q->wait_timer);
	q->fail = 0;
	q->state = INI_LIVE;
	list_init(&batch);
	list_splice_tail(&batch, &q->waiting);
	while ((bio = list_pop_front(&batch, struct bio, link)))
		ini_bio_start(q, bio);
}

void ini_bio_init(struct ini_queue *q)
{
	list_init(&q->waiting);
	list_init(&q->later);
	timer_init(&q->wait_timer);
	timer_init(&q->later_timer);
}
