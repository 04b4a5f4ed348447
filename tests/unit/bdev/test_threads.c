/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layer on real threads, for ThreadSanitizer: bios under range locks, opening and closing,
 * claims, statistics, sizes and watches from all reactors at once.
 *
 * The driver copies plainly, so two writers of one write unit at a time are a data race.
 */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "bdev/bdev_driver.h"
#include "reactor/fiber.h"
#include "reactor/group.h"
#include "reactor/reactor.h"
#include "unit/reactor/thread_io.h"

#define REACTORS 4
#define WORKERS	 8
#define ROUNDS	 40
#define UNIT	 8u
#define BLOCKS	 64u

/* ---- a disk without a memory of its own doings ------------------------ */

struct flat {
	struct bdev bdev;
	uint8_t mem[BLOCKS * 512];
};

struct flat_req {
	struct bio *bio;
	struct task task;
};

static void flat_end(struct task *task)
{
	struct flat_req *req = container_of(task, struct flat_req, task);
	struct bio *bio = req->bio;
	struct flat *flat = container_of(bio->chan->bdev, struct flat, bdev);
	uint8_t *at = flat->mem + bio->lba * 512;

	for (uint32_t i = 0; i < bio->iov_count; i++) {
		if (bio->op == BIO_READ)
			memcpy(bio->iov[i].iov_base, at, bio->iov[i].iov_len);
		else
			memcpy(at, bio->iov[i].iov_base, bio->iov[i].iov_len);
		at += bio->iov[i].iov_len;
	}
	bio_complete(bio, 0);
}

static void flat_submit(struct bio *bio)
{
	struct flat_req *req = bio_scratch(bio);

	req->bio = bio;
	task_init(&req->task, flat_end);
	reactor_post(bio->chan->reactor, &req->task);
}

static int flat_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	struct flat *flat = mem_new(fiber_io(f), sizeof(*flat));

	(void)uri;
	if (!flat)
		return -ENOMEM;
	flat->bdev.block_size = 512;
	flat->bdev.blocks = BLOCKS;
	flat->bdev.scratch_bytes = sizeof(struct flat_req);
	bdev_set_limits(&flat->bdev, &(struct bdev_limits){ .write_unit_blocks = UNIT });
	*ret = &flat->bdev;
	return 0;
}

static void flat_close(struct fiber *f, struct bdev *bdev)
{
	(void)f;
	mem_free(container_of(bdev, struct flat, bdev));
}

static const struct bdev_driver flat_driver = {
	.scheme = "flat", .open = flat_open, .close = flat_close, .submit = flat_submit
};
static const struct bdev_driver *const flat_drivers[] = { &flat_driver, NULL };

/* ---- the node --------------------------------------------------------- */

static void *buf_new(struct io *io, size_t len)
{
	return mem_alloc_aligned(io->mem, 4096, len);
}

static void buf_free(struct io *io, void *buf, size_t len)
{
	(void)io;
	(void)len;
	mem_free(buf);
}

struct node {
	struct mem_heap heap;
	struct io_ops ops;
	struct bdev_env env;
};

static int node_io_open(void *ctx, unsigned index, struct io **ret, struct err *err)
{
	struct node *node = ctx;

	(void)index;
	(void)err;
	*ret = thread_io_new(&node->heap.mem);
	(*ret)->ops = &node->ops;
	return 0;
}

/* ---- workers ---------------------------------------------------------- */

struct worker {
	unsigned id;
	struct bdev *bdev;
	struct bdev_chan *chan;
	unsigned told;
};

struct starter {
	struct worker worker;
	struct reactor *to;
	struct fiber *fiber;
};

static void told(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	(void)watch;
	(void)bdev;
	(void)event;
}

/* The word of block 0 goes from n to n + 1 by the worker whose turn it is. */
static int take_turns(struct fiber *f, struct worker *w)
{
	uint8_t halves[1024];
	struct iovec iov = { halves, sizeof(halves) };
	struct bio *bio = bio_new(w->chan);

	for (unsigned i = 0; i < ROUNDS;) {
		uint32_t from = w->id + i * WORKERS, to = from + 1;
		int r;

		memset(halves, 0, sizeof(halves));
		memcpy(halves, &from, sizeof(from));
		memcpy(halves + 512, &to, sizeof(to));
		bio_prep(bio, w->chan, BIO_COMPARE_WRITE, 0, 1, &iov, 1, NULL);
		r = bio_wait(f, bio);
		if (r != 0 && r != -EILSEQ)
			return r;
		fiber_clear(f);
		i += r == 0;
	}
	mem_free(bio);
	return 0;
}

static int side_shows(struct fiber *f, struct worker *w)
{
	struct bdev_claim claim;
	struct bdev_stats stats;
	struct bdev *other;
	char uri[64];
	int r;

	snprintf(uri, sizeof(uri), "flat:///%u", w->id % 3);
	r = bdev_open(f, uri, &other);
	if (r < 0)
		return r;
	r = bdev_claim(f, other, BDEV_CLAIM_READ, "test", &claim);
	if (r < 0)
		return r;
	bdev_unclaim(f, &claim);
	bdev_close(f, other);
	return bdev_stats_get(f, w->bdev, &stats, NULL);
}

static int own_block(struct fiber *f, struct worker *w)
{
	uint8_t block[512];

	memset(block, (int)w->id, sizeof(block));
	for (unsigned i = 0; i < ROUNDS; i++) {
		int r = bdev_write(f, w->chan, UNIT + w->id, 1, block, 0);

		if (r == 0)
			r = bdev_write(f, w->chan, 3 * UNIT + w->id, 1, block, 0);
		if (r == 0 && i % 4 == 0)
			r = side_shows(f, w);
		if (r < 0)
			return r;
	}
	return 0;
}

static int worker_fn(struct fiber *f, void *arg)
{
	struct worker *w = arg;
	struct bdev_watch watch = { .fn = told };
	int r = bdev_open(f, "flat:///shared", &w->bdev);

	if (r == 0)
		r = bdev_chan_open(f, w->bdev, &w->chan);
	if (r == 0)
		r = bdev_watch_add(f, w->bdev, &watch);
	if (r == 0)
		r = own_block(f, w);
	if (r == 0)
		r = take_turns(f, w);
	if (r < 0)
		return r;
	bdev_watch_del(f, &watch);
	bdev_chan_close(f, w->chan);
	bdev_close(f, w->bdev);
	return 0;
}

static int starter_fn(struct fiber *f, void *arg)
{
	struct starter *s = arg;

	return fiber_call_on(f, s->to, "worker", worker_fn, &s->worker);
}

static int shared_ends_fn(struct fiber *f, struct bdev *bdev)
{
	struct flat *flat = container_of(bdev, struct flat, bdev);
	uint32_t word;

	bdev_resized(f, bdev, BLOCKS - UNIT);
	bdev_removed(bdev);
	memcpy(&word, flat->mem, sizeof(word));
	assert_int_equal(word, WORKERS * ROUNDS);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(flat->mem[(UNIT + i) * 512 + 7], i);
		assert_int_equal(flat->mem[(3 * UNIT + i) * 512 + 7], i);
	}
	bdev_close(f, bdev);
	return 0;
}

static int main_fn(struct fiber *f, void *arg)
{
	struct node *node = arg;
	struct starter s[WORKERS];
	struct bdev *bdev;
	int r = 0;

	node->env.home = fiber_reactor(f);
	assert_int_equal(bdev_table_new(fiber_io(f), &node->env.table), 0);
	assert_int_equal(bdev_open(f, "flat:///shared", &bdev), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		s[i] = (struct starter){ .worker.id = i,
					 .to = reactor_peer(fiber_reactor(f), i % REACTORS) };
		assert_int_equal(fiber_start(fiber_reactor(f), "starter", starter_fn, &s[i],
					     &s[i].fiber),
				 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		int result = fiber_join(f, s[i].fiber);

		r = r ? r : result;
	}
	assert_int_equal(r, 0);
	shared_ends_fn(f, bdev);
	bdev_table_free(node->env.table);
	return 0;
}

static void all_reactors_share_a_disk(void **state)
{
	struct node node = { .env.drivers = flat_drivers };
	struct group_opts opts = {
		.count = REACTORS,
		.reactor.bdev_env = &node.env,
		.io_open = node_io_open,
		.io_ctx = &node,
		.mem = &node.heap.mem,
	};
	struct err err = { 0 };
	int r;

	(void)state;
	mem_heap_init(&node.heap);
	node.ops = thread_io_ops;
	node.ops.buf_new = buf_new;
	node.ops.buf_free = buf_free;
	r = group_run(&opts, main_fn, &node, &err);
	assert_string_equal(err.words, "");
	assert_int_equal(r, 0);
	assert_int_equal(node.heap.blocks, 0);
	mem_heap_fini(&node.heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_reactors_share_a_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
