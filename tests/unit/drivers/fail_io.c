// SPDX-License-Identifier: Apache-2.0
/*
 * fail_io - a struct io in which the nth piece of one-shot work fails.
 */
#include <errno.h>

#include "fail_io.h"

static struct fail_io *fail_io_of(struct io *io)
{
	return container_of(io->ops, struct fail_io, ops);
}

static void fail_io_submit(struct io *io, struct io_op *op)
{
	struct fail_io *fail = fail_io_of(io);
	bool doomed = fail->fail_codes >> op->code & 1;

	if (op->code != IO_CLOSE && op->code != IO_NOP)
		doomed |= ++fail->count == fail->fail_at;
	if (!doomed) {
		fail->real->submit(io, op);
		return;
	}
	fail->failed++;
	list_link_init(&op->link);
	list_add_tail(&fail->doomed, &op->link);
}

static unsigned fail_io_turn(struct io *io, uint64_t until_ns)
{
	struct fail_io *fail = fail_io_of(io);
	unsigned count = 0;
	struct list batch;
	struct io_op *op;

	list_init(&batch);
	list_splice_tail(&batch, &fail->doomed);
	while ((op = list_pop_front(&batch, struct io_op, link))) {
		op->res = fail->status ? fail->status : -EIO;
		op->done(op);
		count++;
	}
	return count + fail->real->turn(io, count || !list_empty(&fail->doomed) ? 0 : until_ns);
}

void fail_io_init(struct fail_io *fail, struct io *io)
{
	*fail = (struct fail_io){.ops = *io->ops, .real = io->ops};
	list_init(&fail->doomed);
	fail->ops.submit = fail_io_submit;
	fail->ops.turn = fail_io_turn;
	io->ops = &fail->ops;
}
