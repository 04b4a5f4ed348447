// SPDX-License-Identifier: Apache-2.0
/*
 * What must not grow with size: the cost of a snapshot, of I/O under many snapshots, of an import.
 *
 * Figures are printed; those of processor time are bounds in the plain build only. Small in
 * `make check`; POOL_SCALE=full: 10,000 snapshots; 100 TiB, 10,000 replicas, 1,000,000 clusters.
 */
#include "unit/unit.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include "pool/catalog_priv.h"
#include "pool/import_priv.h"
#include "pool_rig.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIN false
#else
#define PLAIN true
#endif

static bool full_size(void)
{
	const char *scale = getenv("POOL_SCALE");

	return scale && strcmp(scale, "full") == 0;
}

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ---- many snapshots -------------------------------------------------------------------------- */

#define PAGE  4096u
#define PAGES 16384u /* of the replica: 64 MiB */
#define CLUSTER \
	16384u /* small ones, so that all that is copied fits a disk that is written before */
#define PER_ROUND  4u /* pages written between two snapshots */
#define IO_OPS_MAX 20000u
#define PROBES	   64u
#define ROUNDS	   15u

struct story {
	struct fiber *f;
	struct pool_rig pr;
	struct prng prng;
	struct bdev *bdev, *other_bdev;
	struct bdev_chan *chan, *other; /* other: a volume of the same size, with one snapshot */
	unsigned snapshots;
	struct {
		uint32_t page, snapshot; /* written when there were so many snapshots */
	} * writes;
	uint32_t write_count;
	uint32_t *order; /* snapshots that are left */
	uint32_t left;
	uint32_t *buf;
};

/* A page says which write it is of: 1 + its number, 0 of the first filling. */
static void page_write(struct story *s, uint32_t page, uint32_t number)
{
	for (uint32_t i = 0; i < PAGE / 4; i++)
		s->buf[i] = number;
	pool_ok(s->f,
		bdev_write(s->f, s->chan, (uint64_t)page * (PAGE / 512), PAGE / 512, s->buf, 0));
}

static uint32_t page_expected(const struct story *s, uint32_t page, uint32_t snapshot)
{
	for (uint32_t i = s->write_count; i > 0; i--)
		if (s->writes[i - 1].page == page && s->writes[i - 1].snapshot <= snapshot)
			return i;
	return 0;
}

static void pages_probe(struct story *s, struct bdev_chan *chan, uint32_t snapshot)
{
	for (unsigned i = 0; i < PROBES; i++) {
		uint32_t page = (uint32_t)prng_below(&s->prng, PAGES);

		if (s->write_count && i % 2)
			page = s->writes[prng_below(&s->prng, s->write_count)].page;
		pool_ok(s->f,
			bdev_read(s->f, chan, (uint64_t)page * (PAGE / 512), PAGE / 512, s->buf));
		assert_int_equal(s->buf[0], page_expected(s, page, snapshot));
		assert_int_equal(s->buf[PAGE / 4 - 1], s->buf[0]);
	}
}

static void snapshot_probe(struct story *s, uint32_t snapshot)
{
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[64];

	snprintf(uri, sizeof(uri), "pool:///p/s%u", snapshot);
	bdev = rig_open(s->f, uri);
	chan = rig_chan(s->f, bdev);
	pages_probe(s, chan, snapshot);
	bdev_chan_close(s->f, chan);
	bdev_close(s->f, bdev);
}

static void story_begin(struct story *s)
{
	struct replica_create_args args = { .name = "r", .size_bytes = (uint64_t)PAGES * PAGE };

	pool_ok(s->f, replica_create(s->f, s->pr.pool, &args));
	args.name = "q";
	pool_ok(s->f, replica_create(s->f, s->pr.pool, &args));
	s->bdev = rig_open(s->f, "pool:///p/r");
	s->chan = rig_chan(s->f, s->bdev);
	s->other_bdev = rig_open(s->f, "pool:///p/q");
	s->other = rig_chan(s->f, s->other_bdev);
	for (uint32_t page = 0; page < PAGES; page++)
		page_write(s, page, 0);
	for (uint32_t page = 0; page < PAGES; page++)
		pool_ok(s->f, bdev_write(s->f, s->other, (uint64_t)page * (PAGE / 512), PAGE / 512,
					 s->buf, 0));
	pool_ok(s->f, snapshot_create(s->f, s->pr.pool, "q", "t", NULL));
}

static void story_end(struct story *s)
{
	bdev_chan_close(s->f, s->chan);
	bdev_close(s->f, s->bdev);
	bdev_chan_close(s->f, s->other);
	bdev_close(s->f, s->other_bdev);
	pool_rig_stop(s->f, &s->pr);
	free(s->writes);
	free(s->order);
	free(s->buf);
}

static double snapshot_one(struct story *s, uint32_t number)
{
	char name[32];
	double begin, us;

	for (unsigned i = 0; i < PER_ROUND; i++) {
		uint32_t page = (uint32_t)prng_below(&s->prng, PAGES);

		s->writes[s->write_count].page = page;
		s->writes[s->write_count].snapshot = number;
		page_write(s, page, ++s->write_count);
	}
	snprintf(name, sizeof(name), "s%u", number);
	begin = cpu_us();
	pool_ok(s->f, snapshot_create(s->f, s->pr.pool, "r", name, NULL));
	us = cpu_us() - begin;
	s->order[s->left++] = number;
	return us;
}

/* Processor time of an I/O: reads all over, writes of one page, which stays as it is. */
static double io_cost(struct story *s, struct bdev_chan *chan, bool write, uint32_t seed)
{
	uint32_t count = full_size() ? IO_OPS_MAX : 2000;
	double begin;

	pool_ok(s->f, bdev_read(s->f, chan, 0, PAGE / 512, s->buf));
	pool_ok(s->f, bdev_write(s->f, chan, 0, PAGE / 512, s->buf, 0));
	begin = cpu_us();
	for (uint32_t i = 0; i < count; i++) {
		uint64_t lba = (uint64_t)((i + seed) * 7919 % PAGES) * (PAGE / 512);

		if (write)
			pool_ok(s->f, bdev_write(s->f, chan, 0, PAGE / 512, s->buf, 0));
		else
			pool_ok(s->f, bdev_read(s->f, chan, lba, PAGE / 512, s->buf));
	}
	return (cpu_us() - begin) / count;
}

static int number_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The other volume's cost to this one's, in turns: the median of the ratios. */
static double io_ratio(struct story *s, bool write, double *ret_us)
{
	double ratio[ROUNDS], us[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct bdev_chan *first = i % 2 ? s->other : s->chan,
				 *second = i % 2 ? s->chan : s->other;
		double a = io_cost(s, first, write, i), b = io_cost(s, second, write, i);

		us[i] = i % 2 ? b : a;
		ratio[i] = i % 2 ? a / b : b / a;
	}
	qsort(us, ROUNDS, sizeof(us[0]), number_compare);
	qsort(ratio, ROUNDS, sizeof(ratio[0]), number_compare);
	*ret_us = us[ROUNDS / 2];
	return ratio[ROUNDS / 2];
}

static void snapshots_delete(struct story *s)
{
	unsigned total = s->left;
	double begin = cpu_us();

	while (s->left) {
		uint32_t i = (uint32_t)prng_below(&s->prng, s->left);
		char name[32];

		if (s->left % (total / 4) == 1)
			snapshot_probe(s, s->order[i]);
		snprintf(name, sizeof(name), "s%u", s->order[i]);
		pool_ok(s->f, snapshot_destroy(s->f, s->pr.pool, name));
		s->order[i] = s->order[--s->left];
		if (s->left % (total / 4) == 0) {
			pool_ok(s->f, pool_reap_wait(s->f, s->pr.pool));
			pool_rig_check(s->f, &s->pr);
			pages_probe(s, s->chan, UINT32_MAX);
		}
	}
	print_message("deleting: %.1f us of CPU each, checks included\n",
		      (cpu_us() - begin) / total);
}

static void snapshots_take(struct story *s)
{
	double sum = 0, worst = 0, read, write, read_us, write_us;
	unsigned over = 0, at = 0;

	for (uint32_t n = 0; n < s->snapshots; n++) {
		double us = snapshot_one(s, n);

		sum += us;
		over += us > 1000;
		at = us > worst ? n : at;
		worst = us > worst ? us : worst;
	}
	read = io_ratio(s, false, &read_us);
	write = io_ratio(s, true, &write_us);
	print_message(
		"%u snapshots: %.1f us of CPU each, %.1f us at most (the %u.), %u above 1000; I/O against a volume with one: "
		"read %.3f us (ratio %.3f), write %.3f us (ratio %.3f)\n",
		s->snapshots, sum / s->snapshots, worst, at + 1, over, read_us, read, write_us,
		write);
	if (PLAIN) {
		assert_true(sum / s->snapshots < 1000);
		assert_true(over * 100 <= s->snapshots); /* a shared machine */
		assert_true(read > 0.7 && write > 0.7);
	}
}

/* Memory that is used for the first time costs the kernel more than a snapshot costs us. */
static void disk_prewrite(struct fiber *f, struct bdev *bdev)
{
	uint64_t blocks = (1u << 20) / bdev->block_size;
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t *buf = aligned_alloc(PAGE, 1 << 20);

	memset(buf, 0, 1 << 20); /* blank, and there all the same */
	for (uint64_t lba = 0; lba < bdev->blocks; lba += blocks)
		pool_ok(f, bdev_write(f, chan, lba, blocks, buf, 0));
	bdev_chan_close(f, chan);
	free(buf);
}

RIG_TEST(many_snapshots_cost_nothing)
{
	const char *const uris[] = { full_size() ? "malloc:///d0?size_mb=1536" :
						   "malloc:///d0?size_mb=256" };
	struct bdev *disk = rig_open(f, uris[0]);
	struct story s = { .f = f, .snapshots = full_size() ? 10000 : 400 };
	struct replica_stat stat;
	struct pool_info info;

	prng_init(&s.prng, 4, 1);
	s.writes = malloc((size_t)(s.snapshots + 1) * PER_ROUND * sizeof(*s.writes));
	s.order = malloc((size_t)s.snapshots * sizeof(*s.order));
	s.buf = aligned_alloc(PAGE, PAGE);
	disk_prewrite(f, disk);
	pool_rig_start(f, rig, &s.pr, uris, 1, CLUSTER);
	bdev_close(f, disk);
	story_begin(&s);
	snapshots_take(&s);
	pool_rig_check(f, &s.pr);
	for (unsigned i = 0; i < 8; i++)
		snapshot_probe(&s, (uint32_t)prng_below(&s.prng, s.snapshots));
	snapshots_delete(&s);
	pool_ok(f, replica_stat(f, s.pr.pool, "r", &stat));
	pool_info(s.pr.pool, &info);
	assert_int_equal(stat.allocated_bytes, (uint64_t)PAGES * PAGE);
	assert_int_equal(info.used_bytes,
			 2 * (uint64_t)PAGES * PAGE + CLUSTER); /* that page of q */
	assert_int_equal(stat.snapshots, 0);
	story_end(&s);
}

/* ---- a large pool ------------------------------------------------------------------------------ */

#define DISKS	     8
#define DISK_BYTES   ((uint64_t)25 << 39) /* 12.5 TiB */
#define BATCH	     100u		  /* replicas of a transaction */
#define SPREAD	     200u		  /* groups of clusters that one takes from */
#define EACH	     100u		  /* clusters of a replica */
#define LATE	     64u		  /* replicas written to just before the stop */
#define LATE_EACH    80u
#define IMPORT_PAGES 1024u /* of metadata, that an import may read */

struct large {
	struct fiber *f;
	struct rig *rig;
	struct pool *pool;
	struct prng prng;
	char paths[DISKS][300];
	const char *uris[DISKS];
	struct bdev *keep[DISKS]; /* of memory */
	uint32_t replicas, next;
	uint64_t groups[SPREAD];
};

static uint64_t cluster_take(struct large *l)
{
	for (;;) {
		uint64_t group = l->groups[prng_below(&l->prng, SPREAD)];
		uint64_t cluster = group + prng_below(&l->prng, SPACE_GROUP);

		if (space_claim_this(l->f, l->pool, cluster) == 0)
			return cluster;
		fiber_clear(l->f); /* taken */
	}
}

static int replica_make(struct fiber *f, struct large *l, uint32_t number)
{
	struct pool *pool = l->pool;
	struct record record = { .size_bytes = (uint64_t)16 << 30 };
	struct replica *rep;
	int r;

	snprintf(record.name, sizeof(record.name), "pvc-%u", number);
	memcpy(record.uuid.bytes, &number, sizeof(number));
	record.uuid.bytes[15] = 1;
	record.txg = pool->txn.txg;
	r = catalog_add(f, pool, &record, &rep);
	pool->super.replicas++;
	pool->super.committed_bytes += record.size_bytes;
	for (unsigned i = 0; r == 0 && i < EACH; i++) {
		const struct tree map = { TREE_MAP, rep->object, &rep->rec.map };
		struct map_value value = { .cluster = cluster_take(l), .valid = 0xffff };
		uint8_t bytes[MAP_VALUE_SIZE];

		map_value_put(bytes, &value);
		r = tree_put(f, pool, &map, (uint64_t)i * 2609 + number % 7, bytes);
		if (r == 0)
			r = txn_count(pool, value.cluster, 1);
		rep->rec.mapped++;
	}
	replica_put(rep);
	return r;
}

static int batch_check(struct fiber *f, struct pool *pool, void *arg)
{
	return 0;
}

static int batch_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct large *l = arg;
	int r = 0;

	l->f = f;
	for (unsigned i = 0; i < SPREAD; i++) {
		unsigned disk = (unsigned)prng_below(&l->prng, DISKS);
		uint64_t group = prng_below(&l->prng, pool->disks[0].clusters / SPACE_GROUP);

		l->groups[i] = cluster_name(disk, group * SPACE_GROUP);
	}
	for (unsigned i = 0; r == 0 && i < BATCH; i++)
		r = replica_make(f, l, l->next++);
	return r;
}

/* In full a sparse file; in memory `make check` does not wait for the machine's disk. */
static void disk_make(struct large *l, struct fiber *f, unsigned i)
{
	char name[16], path[256];

	snprintf(name, sizeof(name), "d%u", i);
	if (full_size()) {
		rig_file(l->rig, name, DISK_BYTES);
		snprintf(l->paths[i], sizeof(l->paths[i]), "file://%s",
			 rig_path(l->rig, name, path, sizeof(path)));
	} else {
		snprintf(l->paths[i], sizeof(l->paths[i]), "malloc:///%s?size_mb=%" PRIu64, name,
			 DISK_BYTES >> 20);
		l->keep[i] = rig_open(f, l->paths[i]);
	}
	l->uris[i] = l->paths[i];
}

static void large_make(struct large *l, struct fiber *f)
{
	const struct pool_create_args args = {
		.name = "p", .disks = l->uris, .disk_count = DISKS, .overcommit_percent = 10000
	};
	double begin = cpu_us();

	for (unsigned i = 0; i < DISKS; i++)
		disk_make(l, f, i);
	pool_ok(f, pool_create(f, &args, &l->pool));
	while (l->next < l->replicas) {
		struct commit_op op = { .check = batch_check, .run = batch_run, .arg = l };

		pool_ok(f, commit_op(f, l->pool, &op));
	}
	print_message(
		"a pool of %u x 12.5 TiB, %u replicas, %u clusters: made with %.1f s of CPU\n",
		DISKS, l->replicas, l->replicas * EACH, (cpu_us() - begin) / 1e6);
}

static uint64_t rss_bytes(void)
{
	unsigned long size = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
	fclose(file);
	return (uint64_t)resident * 4096;
}

static void large_import(struct large *l, struct fiber *f, bool crashed)
{
	const struct pool_import_args args = { .disks = l->uris, .disk_count = DISKS };
	uint64_t heap, rss, begin;
	struct pool_io_stats stats;
	struct replica_stat stat;
	double cpu, ms;

	malloc_trim(0);
	heap = l->rig->heap.bytes;
	rss = rss_bytes();
	begin = io_now(fiber_io(f));
	cpu = cpu_us();
	pool_ok(f, pool_import(f, &args, &l->pool));
	pool_ok(f, replica_stat(f, l->pool, "pvc-0", &stat));
	cpu = cpu_us() - cpu;
	ms = (double)(io_now(fiber_io(f)) - begin) / 1e6;
	pool_io_stats(l->pool, &stats);
	print_message(
		"import after %s: %.1f ms (%.1f ms of CPU), %.1f MiB of heap, %.1f MiB of RSS, %" PRIu64
		" pages read, %" PRIu64 " log records replayed\n",
		crashed ? "a crash" : "a clean stop", ms, cpu / 1e3,
		(double)(l->rig->heap.bytes - heap) / (1 << 20),
		((double)rss_bytes() - (double)rss) / (1 << 20), stats.pages_read,
		stats.log_replayed);
	assert_int_equal(stats.log_replayed > 0, crashed);
	assert_true(stat.allocated_bytes >= (uint64_t)EACH << 16);
	assert_true(l->rig->heap.bytes - heap < 2 * POOL_CACHE_DEFAULT);
	assert_true(stats.pages_read <
		    IMPORT_PAGES); /* what the time is made of; itself it is only told */
	if (PLAIN)
		assert_true(cpu < 500e3);
}

/* What was flushed and is in no tree yet. */
static void large_write(struct large *l, struct fiber *f)
{
	uint8_t *buf = aligned_alloc(PAGE, PAGE);

	memset(buf, 0x5a, PAGE);
	for (uint32_t i = 0; i < LATE; i++) {
		struct bdev_chan *chan;
		struct bdev *bdev;
		char uri[64];

		snprintf(uri, sizeof(uri), "pool:///p/pvc-%u",
			 (uint32_t)prng_below(&l->prng, l->replicas));
		bdev = rig_open(f, uri);
		chan = rig_chan(f, bdev);
		for (unsigned n = 0; n < LATE_EACH; n++)
			pool_ok(f, bdev_write(f, chan, prng_below(&l->prng, bdev->blocks / 8) * 8,
					      8, buf, 0));
		pool_ok(f, bdev_flush(f, chan));
		bdev_chan_close(f, chan);
		bdev_close(f, bdev);
	}
	free(buf);
}

RIG_TEST(an_import_does_not_grow_with_the_pool)
{
	struct large l = { .f = f, .rig = rig, .replicas = full_size() ? 10000 : 300 };

	prng_init(&l.prng, 5, 1);
	assert_int_equal(pool_table_new(fiber_io(f), &rig->env.pools), 0);
	large_make(&l, f);
	pool_ok(f, pool_export(f, l.pool));
	large_import(&l, f, false);
	large_write(&l, f);
	pool_fault(l.pool, "crash");
	pool_close(f, l.pool);
	large_import(&l, f, true);
	pool_ok(f, pool_export(f, l.pool));
	for (unsigned i = 0; i < DISKS; i++)
		if (l.keep[i])
			bdev_close(f, l.keep[i]);
	pool_table_free(rig->env.pools);
	rig->env.pools = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_snapshots_cost_nothing),
		cmocka_unit_test(an_import_does_not_grow_with_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
