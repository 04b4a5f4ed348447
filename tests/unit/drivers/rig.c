// SPDX-License-Identifier: Apache-2.0
/*
 * rig - a node for tests.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "engine/drivers.h"
#include "io/uring.h"
#include "reactor/group.h"
#include "rig.h"

static void rig_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct rig *rig = ctx;
	size_t used;

	(void)level;
	pthread_mutex_lock(&rig->log_lock); /* reactors and their watcher share the sink */
	used = strlen(rig->log_text);
	if (used + len < sizeof(rig->log_text))
		memcpy(rig->log_text + used, line, len);
	pthread_mutex_unlock(&rig->log_lock);
}

static uint64_t rig_clock(void *ctx)
{
	(void)ctx;
	return 0;
}

static int rig_io_open(void *ctx, unsigned index, struct io **ret, struct err *err)
{
	struct rig *rig = ctx;
	struct uring_opts opts = {.entries = 256, .recv_buf_count = 4, .recv_buf_bytes = 4096,
				  .buf_bytes = 1 << 20, .no_spin = true};
	int r = uring_open(&rig->heap.mem, &opts, ret, err);

	if (r == 0)
		fail_io_init(&rig->fail[index], *ret);
	return r;
}

static int rig_main(struct fiber *f, void *arg)
{
	struct rig *rig = arg;

	rig->env.home = fiber_reactor(f);
	assert_int_equal(bdev_table_new(fiber_io(f), &rig->env.table), 0);
	rig->body(f, rig);
	bdev_table_free(rig->env.table);
	return 0;
}

static unsigned rig_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void rig_remove_dir(const char *path)
{
	char text[512];
	DIR *dir = opendir(path);
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		snprintf(text, sizeof(text), "%s/%s", path, entry->d_name);
		unlink(text);
	}
	closedir(dir);
	rmdir(path);
}

void rig_run(unsigned reactors, void (*body)(struct fiber *f, struct rig *rig), void *arg)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct group_opts opts = {.count = reactors, .io_open = rig_io_open, .io_ctx = rig};
	struct err err = {0};
	unsigned fds = rig_fds();
	int r;

	must(reactors <= RIG_REACTORS_MAX);
	mem_heap_init(&rig->heap);
	pthread_mutex_init(&rig->log_lock, NULL);
	log_init(&rig->log, rig_log, rig, rig_clock, rig);
	snprintf(rig->dir, sizeof(rig->dir), "%s/rig.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	must(mkdtemp(rig->dir));
	rig->env.drivers = engine_drivers;
	rig->reactors = reactors;
	rig->body = body;
	rig->arg = arg;
	opts.mem = &rig->heap.mem;
	opts.reactor.bdev_env = &rig->env;
	opts.reactor.log = &rig->log;
	r = group_run(&opts, rig_main, rig, &err);
	if (r < 0)
		print_error("%s\n", err_words(&err));
	assert_int_equal(r, 0);
	assert_int_equal(rig->heap.blocks, 0);
	assert_int_equal(rig_fds(), fds);
	rig_remove_dir(rig->dir);
	free(rig);
}

struct bdev *rig_open(struct fiber *f, const char *uri)
{
	struct bdev *bdev = NULL;
	int r = bdev_open(f, uri, &bdev);

	if (r < 0)
		print_error("%s: %s\n", uri, fiber_words(f));
	assert_int_equal(r, 0);
	return bdev;
}

struct bdev_chan *rig_chan(struct fiber *f, struct bdev *bdev)
{
	struct bdev_chan *chan = NULL;
	int r = bdev_chan_open(f, bdev, &chan);

	if (r < 0)
		print_error("%s: %s\n", bdev->name, fiber_words(f));
	assert_int_equal(r, 0);
	return chan;
}

void rig_refused(struct fiber *f, const char *uri, int code, const char *part)
{
	struct bdev *bdev = NULL;
	int r = bdev_open(f, uri, &bdev);
	const char *words = fiber_words(f);

	if (r != code || !strstr(words, part) || strchr(words, '\n'))
		print_error("%s\n  gives %s '%s'\n  expected %s '%s'\n", uri, err_name(r), words,
			    err_name(code), part);
	assert_int_equal(r, code);
	assert_non_null(strstr(words, part));
	assert_null(strchr(words, '\n'));
	assert_null(bdev);
	fiber_clear(f);
}

const char *rig_path(struct rig *rig, const char *name, char *text, size_t size)
{
	snprintf(text, size, "%s/%s", rig->dir, name);
	return text;
}

void rig_file(struct rig *rig, const char *name, uint64_t size)
{
	char path[256];
	int fd = open(rig_path(rig, name, path, sizeof(path)), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	must(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	close(fd);
}

void rig_fill(void *buf, size_t len, uint64_t seed)
{
	struct prng prng;

	prng_init(&prng, seed, 1);
	prng_fill(&prng, buf, len);
}

/* ---- several bios ------------------------------------------------------------------ */

struct rig_bio {
	struct rig_wait *wait;
	struct bio bio;
};

struct bio *rig_bio_new(struct rig_wait *wait, struct bdev *bdev)
{
	size_t size = align_up_u64(sizeof(struct rig_bio) + bio_size(bdev), 16);
	struct rig_bio *one = aligned_alloc(16, size);

	memset(one, 0xa5, size); /* a bio needs no zeroed memory */
	one->wait = wait;
	return &one->bio;
}

void rig_bio_free(struct bio *bio)
{
	free(container_of(bio, struct rig_bio, bio));
}

void rig_bio_done(struct bio *bio)
{
	struct rig_wait *wait = container_of(bio, struct rig_bio, bio)->wait;

	if (--wait->pending == 0 && wait->waits)
		fiber_resume(wait->fiber);
}

void rig_bio_submit(struct bio *bio)
{
	container_of(bio, struct rig_bio, bio)->wait->pending++;
	bio_submit(bio);
}

void rig_bios_wait(struct fiber *f, struct rig_wait *wait)
{
	wait->fiber = f;
	wait->waits = true;
	if (wait->pending > 0)
		fiber_suspend(f);
	wait->waits = false;
}

/* ---- integrity -------------------------------------------------------------------- */

#define RIG_ZONES 6
#define RIG_BLOCKS_MAX 96	/* of one bio */
#define RIG_IOV_MAX 7

struct rig_zone {
	struct bio *bio;
	struct iovec iov[RIG_IOV_MAX];
	uint8_t *buf;	/* what is read or written, behind a gap of odd length */
	uint8_t *raw;
};

struct rig_load {
	struct rig_wait wait;
	struct fiber *fiber;
	struct prng prng;
	struct bdev *bdev;
	uint8_t *model;
	struct rig_zone zones[RIG_ZONES];
};

/* Cut the buffer in up to RIG_IOV_MAX pieces of any length. */
static uint32_t rig_cut(struct rig_load *load, struct rig_zone *zone, uint64_t len)
{
	uint32_t pieces = (uint32_t)prng_range(&load->prng, 1, RIG_IOV_MAX), count = 0;
	uint64_t off = 0;

	while (off < len) {
		uint64_t piece = len - off;

		if (count + 1 < pieces)
			piece = prng_chance_permille(&load->prng, 500)
					? min_u64(piece, 512 * prng_range(&load->prng, 1, 40))
					: prng_range(&load->prng, 1, piece);
		zone->iov[count++] = (struct iovec){zone->buf + off, piece};
		off += piece;
	}
	return count;
}

static void rig_zone_submit(struct rig_load *load, struct rig_zone *zone, struct bdev_chan *chan,
			    uint64_t first, uint64_t room)
{
	static const enum bio_op ops[] = {BIO_READ, BIO_READ, BIO_READ, BIO_WRITE, BIO_WRITE,
					  BIO_WRITE, BIO_ZEROES, BIO_UNMAP, BIO_FLUSH};
	enum bio_op op = ops[prng_below(&load->prng, ARRAY_LEN(ops))];
	uint64_t bs = load->bdev->block_size;
	uint64_t blocks = prng_range(&load->prng, 1, min_u64(room, RIG_BLOCKS_MAX));
	uint64_t lba = first + prng_below(&load->prng, room - blocks + 1);
	uint8_t *model = load->model + lba * bs;
	uint32_t iovs = 0;

	if (op == BIO_UNMAP && !(load->bdev->can_unmap && load->bdev->unmap_zeroes))
		op = BIO_ZEROES;
	zone->buf = zone->raw + (prng_chance_permille(&load->prng, 500) ? 0 : prng_below(&load->prng, 512));
	if (bio_op_has_data(op))
		iovs = rig_cut(load, zone, blocks * bs);
	if (op == BIO_WRITE) {
		prng_fill(&load->prng, zone->buf, blocks * bs);
		memcpy(model, zone->buf, blocks * bs);
	} else if (op == BIO_ZEROES || op == BIO_UNMAP) {
		memset(model, 0, blocks * bs);
	} else if (op == BIO_READ) {
		memset(zone->buf, 0x5a, blocks * bs);
	}
	bio_prep(zone->bio, chan, op, op == BIO_FLUSH ? 0 : lba, op == BIO_FLUSH ? 0 : blocks,
		 iovs ? zone->iov : NULL, iovs, rig_bio_done);
	if ((op == BIO_WRITE || op == BIO_ZEROES) && prng_chance_permille(&load->prng, 100))
		zone->bio->flags |= BIO_FUA;
	rig_bio_submit(zone->bio);
}

static void rig_zone_check(struct rig_load *load, struct rig_zone *zone)
{
	const struct bio *bio = zone->bio;
	uint64_t bs = load->bdev->block_size;

	if (bio->status != 0)
		print_error("%s: %s of %" PRIu64 " blocks at %" PRIu64 ": %s\n", load->bdev->name,
			    bio_op_name((enum bio_op)bio->op), bio->blocks, bio->lba,
			    err_name(bio->status));
	assert_int_equal(bio->status, 0);
	if (bio->op == BIO_READ)
		assert_memory_equal(zone->buf, load->model + bio->lba * bs, bio->blocks * bs);
}

static void rig_round(struct rig_load *load, struct bdev_chan *chan)
{
	uint64_t blocks = load->bdev->blocks;
	uint64_t cuts[RIG_ZONES + 1];

	/* Zones of chance that do not overlap, so that the order within a round does not matter. */
	cuts[0] = 0;
	for (unsigned i = 1; i < RIG_ZONES; i++)
		cuts[i] = prng_range(&load->prng, cuts[i - 1] + 1, blocks - (RIG_ZONES - i));
	cuts[RIG_ZONES] = blocks;
	for (unsigned i = 0; i < RIG_ZONES; i++)
		rig_zone_submit(load, &load->zones[i], chan, cuts[i], cuts[i + 1] - cuts[i]);
	rig_bios_wait(load->fiber, &load->wait);
	for (unsigned i = 0; i < RIG_ZONES; i++)
		rig_zone_check(load, &load->zones[i]);
}

void rig_integrity(struct fiber *f, struct rig *rig, const char *uri, unsigned rounds,
		   uint64_t seed)
{
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct rig_load *load = calloc(1, sizeof(*load));
	uint64_t size = bdev->blocks * bdev->block_size;
	uint8_t *all = calloc(1, size);

	(void)rig;
	load->fiber = f;
	load->bdev = bdev;
	load->model = calloc(1, size);
	prng_init(&load->prng, seed, 0);
	for (unsigned i = 0; i < RIG_ZONES; i++) {
		struct rig_zone *zone = &load->zones[i];

		zone->bio = rig_bio_new(&load->wait, bdev);
		zone->raw = aligned_alloc(4096, align_up_u64(RIG_BLOCKS_MAX * bdev->block_size + 512, 4096));
	}
	assert_int_equal(bdev_zeroes(f, chan, 0, bdev->blocks, 0), 0);
	for (unsigned i = 0; i < rounds; i++)
		rig_round(load, chan);
	assert_int_equal(bdev_read(f, chan, 0, bdev->blocks, all), 0);
	assert_memory_equal(all, load->model, size);
	for (unsigned i = 0; i < RIG_ZONES; i++) {
		rig_bio_free(load->zones[i].bio);
		free(load->zones[i].raw);
	}
	free(load->model);
	free(load);
	free(all);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}
