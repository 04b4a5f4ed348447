// SPDX-License-Identifier: Apache-2.0
/*
 * ini - the driver nvmf://host:port/nqn: a namespace behind NVMe/TCP as a disk.
 *
 * Opening connects the admin queue and looks at the namespace; each channel has a connection and
 * an I/O queue of its own, on its reactor. See ini_priv.h for the parts.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "nvmf/ini_priv.h"
#include "wire/nvme_io.h"

#define INI_ZEROES_BYTES_MAX (32u << 20) /* of one command: it should not take too long */

/* One entry is never used (Q2), and one is for commands that are no bios. */
uint32_t ini_slots(const struct ini *ini)
{
	return min_u32(ini->opts.depth + 1, ini->ctrl.entries - 1u);
}

static uint64_t ini_zeroes_blocks(const struct ini *ini)
{
	uint64_t bytes = min_u64(INI_ZEROES_BYTES_MAX, ini->ctrl.max_zeroes_bytes);
	uint64_t blocks = min_u64(bytes / ini->ns.block_size, NVME_RW_BLOCKS_MAX);

	return max_u64(1, min_u64(blocks, ini->ctrl.max_unmap_blocks));
}

static uint32_t ini_ops(const struct ini *ini)
{
	uint32_t ops = 1u << BIO_READ | 1u << BIO_WRITE;

	if (ini->ctrl.volatile_cache)
		ops |= 1u << BIO_FLUSH;
	if (ini->ctrl.oncs & NVME_ONCS_WRITE_ZEROES &&
	    ini->ctrl.max_zeroes_bytes >= ini->ns.block_size)
		ops |= 1u << BIO_ZEROES;
	if (ini->ctrl.oncs & NVME_ONCS_DATASET_MANAGEMENT)
		ops |= 1u << BIO_UNMAP;
	if (ini->ctrl.oncs & NVME_ONCS_COMPARE)
		ops |= 1u << BIO_COMPARE;
	return ops;
}

static void ini_describe(struct ini *ini)
{
	const struct ini_ns *ns = &ini->ns;
	struct bdev *bdev = ini->bdev;
	uint64_t max_bytes = min_u64(ini->opts.max_io_bytes, ini->ctrl.max_io_bytes);
	uint64_t max_blocks = min_u64(max_bytes / ns->block_size, NVME_RW_BLOCKS_MAX);
	struct bdev_limits limits = {
		.max_blocks = max_u64(1, max_blocks),
		.max_zeroes_blocks = ini_zeroes_blocks(ini),
		.iov_max = INI_IOV_MAX,
		.buf_align = 1,
		.queue_depth = ini_slots(ini) - 1,
		.ops = ini_ops(ini),
	};

	bdev->driver = ini->is_replica ? &ini_replica_driver : &ini_driver;
	bdev->uuid = uuid_is_nil(&ns->uuid) ? ns->nguid : ns->uuid;
	bdev->blocks = ns->blocks;
	bdev->block_size = ns->block_size;
	bdev->physical_block_size = ns->physical_block_size;
	bdev->optimal_io_blocks = ns->optimal_io_blocks;
	bdev->read_only = ns->read_only;
	bdev->volatile_cache = ini->ctrl.volatile_cache;
	bdev->can_unmap = limits.ops >> BIO_UNMAP & 1;
	bdev->can_zeroes = limits.ops >> BIO_ZEROES & 1;
	bdev->unmap_zeroes = ini->is_replica && bdev->can_unmap &&
			     (ns->dlfeat & NVME_DLFEAT_READ_MASK) == NVME_DLFEAT_ZEROES;
	bdev->scratch_bytes = sizeof(struct ini_req);
	bdev_set_limits(bdev, &limits);
}

/* ---- channels ------------------------------------------------------------------------- */

static int ini_chan_open(struct fiber *f, struct bdev_chan *chan)
{
	struct ini *ini = ini_of(chan->bdev);
	struct ini_queue *q;
	int r = ini_queue_new(fiber_reactor(f), ini, ini_slots(ini), &q);

	if (r < 0)
		return fiber_fail(f, r, "%s: no memory for an I/O queue", chan->bdev->name);
	q->timeout_ns = ini->opts.timeout_ns;
	r = ini_chan_join(f, ini, q);
	if (r < 0) {
		ini_queue_free(q);
		return r;
	}
	*ini_chan_of(chan) = (struct ini_chan){ .q = q };
	return 0;
}

static void ini_chan_close(struct fiber *f, struct bdev_chan *chan)
{
	struct ini_chan *ic = ini_chan_of(chan);

	if (ic->session) {
		ini_session_end(f, ic);
		return;
	}
	ini_chan_leave(f, ini_of(chan->bdev), ic->q);
	ini_queue_free(ic->q);
}

/* ---- the disk ---------------------------------------------------------------------------- */

static int ini_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	CLEANUP(cleanup_mem) struct ini_disk *disk = mem_new(fiber_io(f), sizeof(*disk));
	struct ini *ini;
	int r;

	if (!disk)
		return fiber_fail(f, -ENOMEM, "nvmf: no memory for a disk");
	ini = &disk->base;
	TRY(ini_opts_get(f, uri, &ini->opts));
	ini->bdev = &disk->bdev;
	ini->home = ini->bdev_home = fiber_reactor(f);
	r = ini_keeper_open(f, ini);
	if (r < 0) {
		if (fiber_err(f)->code)
			err_prefix(fiber_err(f), "nvmf: %s: ", ini->opts.subnqn);
		return r;
	}
	ini_describe(ini);
	*ret = &steal(disk)->bdev;
	return 0;
}

enum ini_link ini_link_of(struct bdev *bdev)
{
	static const enum ini_link links[] = {
		[INI_DOWN] = INI_LINK_DOWN, [INI_UP] = INI_LINK_UP, [INI_GONE] = INI_LINK_GONE
	};

	return links[ini_of(bdev)->state];
}

static void ini_close(struct fiber *f, struct bdev *bdev)
{
	struct ini_disk *disk = container_of(bdev, struct ini_disk, bdev);

	ini_keeper_close(f, &disk->base);
	mem_free(disk);
}

static int ini_rescan(struct fiber *f, struct bdev *bdev)
{
	return ini_keeper_rescan(f, ini_of(bdev));
}

static const char *const ini_aliases[] = { "nvmf+tcp", "nvme+tcp", NULL };

#define INI_DRIVER                                                                               \
	.scheme = "nvmf", .aliases = ini_aliases, .help = "a namespace behind NVMe/TCP",         \
	.params = ini_params, .open = ini_open, .close = ini_close, .is_here = ini_is_here,      \
	.rescan = ini_rescan, .chan_bytes = sizeof(struct ini_chan), .chan_open = ini_chan_open, \
	.chan_close = ini_chan_close, .submit = ini_bio_submit

const struct bdev_driver ini_driver = { INI_DRIVER };

/* What a disk has that turned out to be a replica. */
const struct bdev_driver ini_replica_driver = { INI_DRIVER, .replica = &ini_replica_ops,
						.status = &ini_status_ops };
