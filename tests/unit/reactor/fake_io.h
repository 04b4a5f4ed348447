/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_io - a struct io for tests of the reactor alone: the clock moves when the test
 * says so (or when a turn waits), ops complete when the test says so.
 */
#ifndef TESTS_REACTOR_FAKE_IO_H
#define TESTS_REACTOR_FAKE_IO_H

#include <stdatomic.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/must.h"
#include "io/io.h"

struct fake_io {
	struct io io;
	struct mem_heap heap;
	uint64_t now_ns;
	struct list submitted; /* struct io_op.link */
	struct list completed;
	_Atomic unsigned wakes;
	unsigned waits;	    /* turns that had nothing to do and waited */
	bool completes_all; /* ops complete in the next turn, with res 0 unless NOP's len says */
};

static inline struct fake_io *fake_of(struct io *io)
{
	return container_of(io, struct fake_io, io);
}

static uint64_t fake_now(struct io *io)
{
	return fake_of(io)->now_ns;
}

static void fake_submit(struct io *io, struct io_op *op)
{
	list_link_init(&op->link);
	list_add_tail(&fake_of(io)->submitted, &op->link);
}

/* Its `done` runs in the next turn. */
static inline void fake_complete(struct fake_io *fake, struct io_op *op, int64_t res)
{
	op->res = res;
	list_move_tail(&fake->completed, &op->link);
}

static inline struct io_op *fake_first_op(struct fake_io *fake)
{
	return list_first(&fake->submitted, struct io_op, link);
}

static unsigned fake_turn(struct io *io, uint64_t until_ns)
{
	struct fake_io *fake = fake_of(io);
	unsigned count = 0;
	struct io_op *op;

	io->turn_ns = fake->now_ns;
	if (fake->completes_all)
		while ((op = fake_first_op(fake)))
			fake_complete(fake, op,
				      op->code == IO_WORK ? op->work.fn(op->work.ctx) : 0);
	while ((op = list_pop_front(&fake->completed, struct io_op, link))) {
		count++;
		op->done(op);
	}
	if (count == 0 && until_ns != 0 && atomic_exchange(&fake->wakes, 0) == 0) {
		must(until_ns != IO_FOREVER); /* nothing would ever happen again */
		fake->waits++;
		if (until_ns > fake->now_ns)
			fake->now_ns = until_ns;
	}
	return count;
}

static void fake_wake(struct io *io)
{
	atomic_fetch_add(&fake_of(io)->wakes, 1);
}

static const struct io_ops fake_ops = {
	.name = "fake",
	.now_ns = fake_now,
	.wall_ns = fake_now,
	.submit = fake_submit,
	.turn = fake_turn,
	.wake = fake_wake,
};

static inline void fake_init(struct fake_io *fake)
{
	memset(fake, 0, sizeof(*fake));
	mem_heap_init(&fake->heap);
	fake->io.ops = &fake_ops;
	fake->io.mem = &fake->heap.mem;
	fake->now_ns = 1000000000;
	list_init(&fake->submitted);
	list_init(&fake->completed);
}

/* Every allocation was freed, every op completed. */
static inline void fake_fini(struct fake_io *fake)
{
	must(list_empty(&fake->submitted) && list_empty(&fake->completed));
	must(fake->heap.blocks == 0);
	mem_heap_fini(&fake->heap);
}

#endif
