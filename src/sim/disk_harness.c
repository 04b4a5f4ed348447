// SPDX-License-Identifier: Apache-2.0
/* disk_harness - what a test does with a simulated disk: made, looked at, spoilt, recorded. See disk.c. */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "sim/sim_priv.h"

struct sim_disk *sim_disk_add(struct sim_host *host, const char *path,
			      const struct sim_disk_opts *opts)
{
	struct sim_disk *disk = sim_disk_make(host, IO_KIND_BLOCK, path, opts);

	must(fs_link_new(host, path, disk) == 0);
	return disk;
}

struct sim_disk *sim_disk_find(struct sim_host *host, const char *path)
{
	return fs_lookup(host, path);
}

void sim_disk_grow(struct sim_disk *disk, uint64_t size_bytes)
{
	must(size_bytes >= disk->media.size);
	disk->media.size = size_bytes;
	disk->media.stable_size = size_bytes;
}

uint64_t sim_disk_size(const struct sim_disk *disk)
{
	return disk->media.size;
}

void sim_disk_peek(struct sim_disk *disk, uint64_t off, void *buf, size_t len)
{
	pages_read(&disk->media.pages, off, buf, len);
}

void sim_disk_poke(struct sim_disk *disk, uint64_t off, const void *buf, size_t len)
{
	pages_write(&disk->media.pages, off, buf, len);
	if (disk->media.grows && off + len > disk->media.size)
		disk->media.size = disk->media.stable_size = off + len;
}

uint32_t sim_disk_taints(struct sim_disk *disk, uint64_t off, uint64_t len)
{
	return media_taints(&disk->media, off, len);
}

unsigned sim_disk_inflight(const struct sim_disk *disk)
{
	return disk->inflight;
}

void sim_disk_plant_skipped_flush(struct sim_disk *disk, bool on)
{
	disk->plant_skip_flush = on;
}

void sim_disk_plant_lost_lock(struct sim_disk *disk, bool on)
{
	disk->plant_lost_lock = on;
}

void sim_disk_lie_about(struct sim_disk *disk, sim_disk_lie_fn fn, void *ctx)
{
	disk->may_lie = fn;
	disk->lie_ctx = ctx;
}

void sim_disk_plant(struct sim_disk *disk, sim_disk_plant_fn fn, void *ctx)
{
	disk->plant = fn;
	disk->plant_ctx = ctx;
}

void sim_disk_record(struct sim_disk *disk, struct disk_log *log)
{
	disk->media.recorder = log;
}
