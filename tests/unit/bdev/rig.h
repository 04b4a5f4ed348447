/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig - a node of a few reactors on one thread, with a clock of its own, and the ram driver.
 *
 * Everything is deterministic: the reactors take turns in order, and time passes only
 * when all are idle.
 */
#ifndef TESTS_BDEV_RIG_H
#define TESTS_BDEV_RIG_H

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "bdev/bdev_driver.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"
#include "unit/bdev/ram.h"
#include "unit/reactor/fake_io.h"

#define RIG_REACTORS_MAX 3
#ifndef RIG_FIBERS
#define RIG_FIBERS 0 /* per reactor; 0: the usual number */
#endif

struct rig {
	struct mem_heap heap;
	struct fake_io fake[RIG_REACTORS_MAX];
	struct reactor *r[RIG_REACTORS_MAX];
	unsigned count;
	struct io_ops ops;
	struct bdev_env env;
	bool no_buffers;	/* io_buf_new() fails */
};

/* There is one at a time in a test; the fake io has no room for it. */
static void *rig_buf_new(struct io *io, size_t len)
{
	return mem_alloc_aligned(io->mem, 4096, len);
}

static void rig_buf_free(struct io *io, void *buf, size_t len)
{
	(void)io;
	(void)len;
	mem_free(buf);
}

/* One turn of each. True: there is more to do at once. */
static inline bool rig_turn(struct rig *rig, uint64_t *ret_until_ns)
{
	bool busy = false;

	*ret_until_ns = IO_FOREVER;
	for (unsigned i = 0; i < rig->count; i++) {
		uint64_t until_ns = reactor_turn(rig->r[i]);

		busy |= until_ns == 0;
		if (until_ns < *ret_until_ns)
			*ret_until_ns = until_ns;
		busy |= atomic_exchange(&rig->fake[i].wakes, 0) != 0;
	}
	return busy;
}

/* Until nothing more would happen. */
static inline void rig_run(struct rig *rig)
{
	for (unsigned turns = 0; turns < 10000000; turns++) {
		uint64_t until_ns;

		if (rig_turn(rig, &until_ns))
			continue;
		if (rig_turn(rig, &until_ns))
			continue;
		if (until_ns == IO_FOREVER)
			return;
		for (unsigned i = 0; i < rig->count; i++)
			if (until_ns > rig->fake[i].now_ns)
				rig->fake[i].now_ns = until_ns;
	}
	must(!"the node never gets idle");
}

static inline int rig_nothing_fn(struct fiber *f, void *arg)
{
	(void)f;
	(void)arg;
	return 0;
}

/* Fibers are there when memory fails. */
static inline void rig_warm(struct rig *rig)
{
	for (unsigned i = 0; i < rig->count; i++)
		for (unsigned j = 0; j < 4; j++)
			must(fiber_start(rig->r[i], "warm", rig_nothing_fn, NULL, NULL) == 0);
	rig_run(rig);
}

static inline int rig_init_drivers(struct rig *rig, unsigned count,
				   const struct bdev_driver *const *drivers, uint64_t fail_at)
{
	struct err err = { 0 };

	memset(rig, 0, sizeof(*rig));
	rig->count = count;
	rig->ops = fake_ops;
	rig->ops.buf_new = rig_buf_new;
	rig->ops.buf_free = rig_buf_free;
	mem_heap_init(&rig->heap);
	for (unsigned i = 0; i < count; i++) {
		struct reactor_opts opts = { .index = i,
					     .bdev_env = &rig->env,
					     .fibers_max = RIG_FIBERS };


		fake_init(&rig->fake[i]);
		rig->fake[i].io.ops = &rig->ops;
		rig->fake[i].io.mem = &rig->heap.mem;
		must(reactor_new(&rig->fake[i].io, &opts, &rig->r[i], &err) == 0);
	}
	must(reactors_connect(rig->r, count) == 0);
	rig->env.drivers = drivers;
	rig->env.home = rig->r[0];
	rig_warm(rig);
	if (fail_at)
		rig->heap.fail_at = rig->heap.allocs + fail_at;
	return bdev_table_new(&rig->fake[0].io, &rig->env.table);
}

static const struct bdev_driver *const rig_drivers[] = { &ram_driver, NULL };

static inline void rig_init(struct rig *rig, unsigned count)
{
	must(rig_init_drivers(rig, count, rig_drivers, 0) == 0);
}

static inline void rig_fini(struct rig *rig)
{
	rig_run(rig);
	bdev_table_free(rig->env.table);
	for (unsigned i = 0; i < rig->count; i++) {
		reactor_free(rig->r[i]);
		must(list_empty(&rig->fake[i].submitted));
		mem_heap_fini(&rig->fake[i].heap);
	}
	must(rig->heap.blocks == 0);
	mem_heap_fini(&rig->heap);
}

/* ---- fibers -------------------------------------------------------------------- */

struct rig_call {
	struct rig *rig;
	fiber_fn fn;
	void *arg;
	int result;
	bool is_done;
	char words[ERR_WORDS_SIZE];
};

static inline int rig_call_main(struct fiber *f, void *arg)
{
	struct rig_call *call = arg;

	call->result = call->fn(f, call->arg);
	call->is_done = true;
	snprintf(call->words, sizeof(call->words), "%s", fiber_words(f));
	return 0;
}

static inline void rig_start(struct rig *rig, unsigned reactor, struct rig_call *call, fiber_fn fn,
			     void *arg)
{
	*call = (struct rig_call){ .rig = rig, .fn = fn, .arg = arg };
	must(fiber_start(rig->r[reactor], "test", rig_call_main, call, NULL) == 0);
}

/* Run fn on a fiber until the node is idle; its result. words may be NULL. */
static inline int rig_fiber(struct rig *rig, unsigned reactor, fiber_fn fn, void *arg, char *words)
{
	struct rig_call call;

	rig_start(rig, reactor, &call, fn, arg);
	rig_run(rig);
	must(call.is_done);
	if (words)
		strcpy(words, call.words);
	return call.result;
}

/* ---- a disk open with a channel on each reactor -------------------------------------- */

struct rig_disk {
	struct rig *rig;
	const char *uri;
	struct bdev *bdev;
	struct bdev_chan *chan[RIG_REACTORS_MAX];
};

static inline int rig_disk_open_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;

	return bdev_open(f, d->uri, &d->bdev);
}

static inline int rig_chan_open_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;

	return bdev_chan_open(f, d->bdev, &d->chan[reactor_index(fiber_reactor(f))]);
}

static inline int rig_chan_close_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;

	bdev_chan_close(f, d->chan[reactor_index(fiber_reactor(f))]);
	return 0;
}

static inline int rig_disk_close_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;

	bdev_close(f, d->bdev);
	return 0;
}

static inline int rig_disk_try(struct rig *rig, struct rig_disk *d, const char *uri, char *words)
{
	int r;

	*d = (struct rig_disk){ .rig = rig, .uri = uri };
	r = rig_fiber(rig, 0, rig_disk_open_fn, d, words);
	if (r < 0)
		d->bdev = NULL;
	for (unsigned i = 0; r == 0 && i < rig->count; i++)
		r = rig_fiber(rig, i, rig_chan_open_fn, d, words);
	return r;
}

static inline void rig_disk_close(struct rig_disk *d)
{
	for (unsigned i = 0; i < d->rig->count; i++)
		if (d->chan[i])
			rig_fiber(d->rig, i, rig_chan_close_fn, d, NULL);
	if (d->bdev)
		rig_fiber(d->rig, d->rig->count - 1, rig_disk_close_fn, d, NULL);
	d->bdev = NULL;
}

static inline void rig_disk_open(struct rig *rig, struct rig_disk *d, const char *uri)
{
	char words[ERR_WORDS_SIZE];
	int r = rig_disk_try(rig, d, uri, words);

	if (r != 0)
		fprintf(stderr, "# %s: %d %s\n", uri, r, words);
	must(r == 0);
}

static inline struct ram *rig_ram(struct rig_disk *d)
{
	return container_of(d->bdev, struct ram, bdev);
}

#endif
