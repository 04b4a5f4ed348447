// SPDX-License-Identifier: Apache-2.0
/* pool_bed - see pool_bed.h. */
#include "pool_bed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "bdev/bdev.h"
#include "io/io.h"
#include "pool/format.h"
#include "reactor/fiber.h"
#include "world.h"

#define PREWRITE_BYTES (1u << 20)

int bed_prewrite(struct fiber *f, struct bdev *bdev)
{
	struct io *io = fiber_io(f);
	uint32_t step = PREWRITE_BYTES / bdev->block_size;
	void *buf = io_buf_new(io, PREWRITE_BYTES);
	struct bdev_chan *chan;
	int r = buf ? bdev_chan_open(f, bdev, &chan) :
		      fiber_fail(f, -ENOMEM, "no memory to write a disk");

	if (r == 0) {
		for (uint64_t lba = 0; r == 0 && lba < bdev->blocks; lba += step) {
			uint64_t left = bdev->blocks - lba;

			r = bdev_write(f, chan, lba, left < step ? (uint32_t)left : step, buf, 0);
		}
		bdev_chan_close(f, chan);
	}
	if (buf)
		io_buf_free(io, buf, PREWRITE_BYTES);
	return r;
}

int pool_bed_open(struct fiber *f, struct pool_bed *bed)
{
	const struct pool_create_args pool = { .name = "p",
					       .disks = bed->disks,
					       .disk_count = bed->disk_count,
					       .cluster_bytes = bed->cluster_bytes,
					       .overcommit_percent = 10000,
					       .force = true };
	const struct replica_create_args replica = { .name = "r",
						     .size_bytes = bed->replica_bytes };
	int r = 0;

	if (bed->disk_count == 0)
		return 0;
	for (unsigned i = 0; r == 0 && i < bed->disk_count; i++) {
		r = bdev_open(f, bed->disks[i], &bed->kept[i]);
		if (r == 0 && bed->prewrite)
			r = bed_prewrite(f, bed->kept[i]);
	}
	if (r == 0)
		r = pool_create(f, &pool, &bed->pool);
	return r < 0 ? r : replica_create(f, bed->pool, &replica);
}

static double cpu_between(const struct world_cpu *a, const struct world_cpu *z)
{
	return z->user_s - a->user_s + z->sys_s - a->sys_s;
}

int pool_bed_snapshots(struct fiber *f, struct pool_bed *bed)
{
	struct world_cpu first = world_cpu(), before, after = first;
	int r = 0;

	for (unsigned i = 0; r == 0 && bed->pool && i < bed->snapshots; i++) {
		char name[32];

		before = after;
		snprintf(name, sizeof(name), "s%u", i);
		r = snapshot_create(f, bed->pool, "r", name, NULL);
		after = world_cpu();
		if (cpu_between(&before, &after) > bed->snapshot_cpu_max_s)
			bed->snapshot_cpu_max_s = cpu_between(&before, &after);
	}
	bed->snapshot_cpu_s = cpu_between(&first, &after);
	return r;
}

int pool_bed_begin(struct fiber *f, struct pool_bed *bed)
{
	int r;

	if (!bed->pool)
		return 0;
	r = pool_sync(f, bed->pool);
	pool_io_stats(bed->pool, &bed->begin);
	return r;
}

int pool_bed_end(struct fiber *f, struct pool_bed *bed)
{
	int r;

	if (!bed->pool)
		return 0;
	r = pool_sync(f, bed->pool);
	pool_io_stats(bed->pool, &bed->end);
	return r;
}

void pool_bed_close(struct fiber *f, struct pool_bed *bed)
{
	if (bed->pool)
		(void)!pool_export(f, bed->pool);
	for (unsigned i = 0; i < bed->disk_count; i++)
		if (bed->kept[i])
			bdev_close(f, bed->kept[i]);
}

/* ---- figures -------------------------------------------------------------------------- */

struct figures {
	double flushes, log_writes, meta_bytes, first_writes, copies, misses;
};

static struct figures bed_figures(const struct pool_bed *bed, uint64_t ios)
{
	const struct pool_io_stats *a = &bed->begin, *z = &bed->end;
	double n = ios ? (double)ios : 1;
	uint64_t pages = z->log_pages - a->log_pages + z->commit_pages - a->commit_pages;

	return (struct figures){
		.flushes = (double)(z->disk_flushes - a->disk_flushes) / n,
		.log_writes = (double)(z->log_writes - a->log_writes) / n,
		.meta_bytes = (double)(pages * POOL_PAGE) / n,
		.first_writes = (double)(z->first_writes - a->first_writes) / n,
		.copies = (double)(z->copies - a->copies) / n,
		.misses = (double)(z->lookups_miss - a->lookups_miss) / n,
	};
}

static double snapshot_us(const struct pool_bed *bed)
{
	return bed->snapshots ? bed->snapshot_cpu_s * 1e6 / bed->snapshots : 0;
}

void pool_bed_json(const struct pool_bed *bed, uint64_t ios)
{
	struct figures v = bed_figures(bed, ios);

	if (!bed->pool)
		return;
	printf(",\"pool_flushes_per_io\":%.6f,\"pool_log_writes_per_io\":%.6f,"
	       "\"pool_meta_bytes_per_io\":%.3f,\"pool_first_writes_per_io\":%.4f,"
	       "\"pool_copies_per_io\":%.4f,\"pool_misses_per_io\":%.4f,\"pool_commits\":%" PRIu64
	       ",\"pool_commit_ms\":%.3f,\"pool_snapshot_cpu_us\":%.2f,"
	       "\"pool_snapshot_cpu_max_us\":%.2f",
	       v.flushes, v.log_writes, v.meta_bytes, v.first_writes, v.copies, v.misses,
	       bed->end.commits - bed->begin.commits,
	       (double)(bed->end.commit_ns - bed->begin.commit_ns) / 1e6, snapshot_us(bed),
	       bed->snapshot_cpu_max_s * 1e6);
}

void pool_bed_table(const struct pool_bed *bed, uint64_t ios)
{
	struct figures v = bed_figures(bed, ios);

	if (!bed->pool)
		return;
	printf("pool, per I/O: %.4f device flushes, %.4f log writes, %.1f bytes of metadata, "
	       "%.3f first writes, %.3f copies, %.3f look-ups missed; %" PRIu64 " commits\n",
	       v.flushes, v.log_writes, v.meta_bytes, v.first_writes, v.copies, v.misses,
	       bed->end.commits - bed->begin.commits);
	if (bed->snapshots)
		printf("%u snapshots, CPU %.1f us each, %.1f us at most\n", bed->snapshots,
		       snapshot_us(bed), bed->snapshot_cpu_max_s * 1e6);
}
