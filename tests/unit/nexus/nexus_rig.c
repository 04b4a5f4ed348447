// SPDX-License-Identifier: Apache-2.0
/* nexus_rig - see nexus_rig.h. */
#include "nexus_rig.h"

#include "pool/import_priv.h"

const char *const nr_uris[] = { "pool:///p0/r", "pool:///p1/r", "pool:///p2/r", "pool:///p3/r" };

static const char *const disks[] = { "malloc:///d0?size_mb=96", "malloc:///d1?size_mb=96",
				     "malloc:///d2?size_mb=96", "malloc:///d3?size_mb=96" };
static const char *const names[] = { "p0", "p1", "p2", "p3" };

static void nr_pool(struct fiber *f, struct nexus_rig *nr, unsigned i)
{
	const struct pool_create_args args = {
		.name = names[i],
		.disks = &disks[i],
		.disk_count = 1,
		.cache_bytes = 1 << 20,
		.overcommit_percent = 10000,
	};
	const struct replica_create_args replica = { .name = "r", .size_bytes = NR_SIZE };

	nr->disk[i] = rig_open(f, disks[i]);
	nr_ok(f, pool_create(f, &args, &nr->pool[i]));
	nr_ok(f, replica_create(f, nr->pool[i], &replica));
}

void nr_open(struct fiber *f, struct nexus_rig *nr)
{
	nr_ok(f, nexus_open(f, nr->table, &nr->volume, false, &nr->nexus));
}

void nr_start(struct fiber *f, struct rig *rig, struct nexus_rig *nr, unsigned children)
{
	const struct nexus_create_args args = { .name = "v", .uris = nr_uris, .count = children };
	struct nexus_table_opts opts = { .instance = { { 1 } },
					 .verify = true,
					 .log_rest_ms = 3600000 }; /* what is real time here? */

	*nr = (struct nexus_rig){ .rig = rig };
	assert_int_equal(pool_table_new(fiber_io(f), &rig->env.pools), 0);
	for (unsigned i = 0; i <= NR_CHILDREN; i++)
		nr_pool(f, nr, i);
	nr_ok(f, store_open(f, ram_drivers, "ram:///", &nr->store));
	nr->ram = ram_of(nr->store);
	opts.store = nr->store;
	nr_ok(f, nexus_table_new(f, &opts, &nr->table));
	rig->env.nexuses = nr->table;
	if (children == 0)
		return;
	nr_ok(f, nexus_create(f, nr->table, &args, &nr->volume));
	nr_open(f, nr);
}

void nr_stop(struct fiber *f, struct nexus_rig *nr)
{
	if (nr->nexus)
		nexus_close(f, nr->nexus);
	nexus_table_free(f, nr->table);
	store_close(f, nr->store);
	for (unsigned i = 0; i <= NR_CHILDREN; i++) {
		nr_ok(f, pool_export(f, nr->pool[i]));
		bdev_close(f, nr->disk[i]);
	}
	pool_table_free(nr->rig->env.pools);
	nr->rig->env.pools = NULL;
	nr->rig->env.nexuses = NULL;
}

void nr_break(struct nexus_rig *nr, unsigned i)
{
	pool_fault(nr->pool[i], "broken by a test");
}

void nr_import(struct fiber *f, struct nexus_rig *nr, unsigned i)
{
	const struct pool_import_args args = {
		.disks = &disks[i],
		.disk_count = 1,
		.cache_bytes = 1 << 20,
	};

	nr_ok(f, pool_import(f, &args, &nr->pool[i]));
}

void nr_crash(struct fiber *f, struct nexus_rig *nr, unsigned i)
{
	pool_close(f, nr->pool[i]);
}

void nr_repair(struct fiber *f, struct nexus_rig *nr, unsigned i)
{
	nr_crash(f, nr, i);
	nr_import(f, nr, i);
}

void nr_read_member(struct fiber *f, struct nexus_rig *nr, unsigned i, uint64_t lba,
		    uint64_t blocks, void *buf)
{
	struct bdev *bdev = rig_open(f, nr_uris[i]);
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct bio *bio = bio_new(chan);
	const struct iovec iov = { buf, blocks * 512 };

	(void)nr;
	bio_prep(bio, chan, BIO_READ, lba, blocks, &iov, 1, NULL);
	bio->token = UINT64_MAX; /* whatever the fence is */
	nr_ok(f, bio_wait(f, bio));
	mem_free(bio);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

void nr_check_equal(struct fiber *f, struct nexus_rig *nr)
{
	enum { STEP = 2048 };
	uint8_t *buf = mem_new(fiber_io(f), 2 * STEP * 512);
	struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	uint64_t revision;
	int first = -1;

	nr_ok(f, volume_get(f, nr->store, &nr->volume, rec, &revision));
	for (unsigned i = 0; i < rec->member_count; i++) {
		unsigned at = (unsigned)(rec->members[i].uri[9] - '0');

		if (rec->members[i].state != VOLUME_IN_SYNC)
			continue;
		if (first < 0)
			first = (int)at;
		for (uint64_t lba = 0; lba < NR_BLOCKS; lba += STEP) {
			nr_read_member(f, nr, (unsigned)first, lba, STEP, buf);
			nr_read_member(f, nr, at, lba, STEP, buf + STEP * 512);
			assert_memory_equal(buf, buf + STEP * 512, STEP * 512);
		}
	}
	mem_free(rec);
	mem_free(buf);
}

void nr_put(struct fiber *f, const char *uri, uint64_t lba, uint64_t blocks, uint8_t byte)
{
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t *buf = mem_new(fiber_io(f), blocks * 512);

	memset(buf, byte, blocks * 512);
	nr_ok(f, bdev_write(f, chan, lba, blocks, buf, 0));
	mem_free(buf);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

uint8_t nr_get(struct fiber *f, const char *uri, uint64_t lba)
{
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t buf[512];

	nr_ok(f, bdev_read(f, chan, lba, 1, buf));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return buf[0];
}

struct replica_info nr_replica(struct fiber *f, unsigned i)
{
	struct bdev *bdev = rig_open(f, nr_uris[i]);
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct replica_info info;

	nr_ok(f, bdev_replica_ops(chan)->info(f, chan, &info));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return info;
}

void nr_user_start(struct fiber *f, struct rig *rig, struct nexus_user *u, unsigned children)
{
	nr_start(f, rig, &u->nr, children);
	u->bdev = rig_open(f, "nexus:///v");
	u->chan = rig_chan(f, u->bdev);
}

void nr_user_let_go(struct fiber *f, struct nexus_user *u)
{
	bdev_chan_close(f, u->chan);
	bdev_close(f, u->bdev);
}

void nr_user_stop(struct fiber *f, struct nexus_user *u)
{
	nr_user_let_go(f, u);
	nr_stop(f, &u->nr);
}

int nr_user_write(struct fiber *f, struct nexus_user *u, uint64_t lba, uint8_t byte)
{
	uint8_t buf[512];

	memset(buf, byte, sizeof(buf));
	int r = bdev_write(f, u->chan, lba, 1, buf, 0);
	fiber_clear(f);
	return r;
}
