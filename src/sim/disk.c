/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk - requests to a device, or to a file: how long they take and what goes wrong.
 *
 *   disk_submit: data copied, faults drawn --> in flight --disk_fire--> applied, completed
 *                                                 |  \-- process crashed: goes on, nobody is told
 *                                                 \--power cut: any part of it has happened
 *
 * DK1. A request in flight belongs to the device: it needs nothing of the process that asked,
 *      but for the memory a read fills.
 * DK2. A write is seen by others somewhere between its submission and its completion.
 * DK3. Each deviation from what was told has a fault that was counted, and silent ones leave a
 *      taint on the pages they touched.
 */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "sim/sim_priv.h"

#define DISK_READ_NS	(80 * SIM_US)
#define DISK_WRITE_NS	(20 * SIM_US)
#define DISK_FLUSH_NS	(400 * SIM_US)
#define DISK_NS_PER_KIB 250u
#define DISK_CACHE	(8u << 20)

struct disk_req {
	struct sim_event event;
	struct list_link link;	    /* of the disk */
	struct list_link hung_link; /* of the world, while hung */
	struct sim_disk *disk;	    /* counted */
	struct io_file *file;	    /* held */
	struct sim_io *io;
	struct io_op *op; /* NULL: its process is gone */
	struct media_write *write;
	uint64_t off, len;
	uint64_t flush_seq;
	enum io_code code;
	uint32_t flags;
	int error; /* to be told */
	bool lost, lies, rots, corrupts, skips;
};

struct sim_disk *sim_disk_make(struct sim_host *host, enum io_kind kind, const char *path,
			       const struct sim_disk_opts *opts)
{
	struct sim_disk *disk = arena_zalloc(&host->sim->arena, sizeof(*disk));
	struct sim_disk_opts *o = &disk->opts;

	*o = *opts;
	o->logical_block = o->logical_block ? o->logical_block : SECTOR_BYTES;
	o->physical_block = o->physical_block ? o->physical_block : PAGE_BYTES;
	o->atomic_bytes = o->atomic_bytes ? o->atomic_bytes : SECTOR_BYTES;
	o->cache_bytes = o->cache_bytes ? o->cache_bytes : DISK_CACHE;
	o->read_ns = o->read_ns ? o->read_ns : DISK_READ_NS;
	o->write_ns = o->write_ns ? o->write_ns : DISK_WRITE_NS;
	o->flush_ns = o->flush_ns ? o->flush_ns : DISK_FLUSH_NS;
	must(is_pow2_u64(o->logical_block) && o->size_bytes % o->logical_block == 0);
	must(is_pow2_u64(o->atomic_bytes) && o->atomic_bytes >= SECTOR_BYTES);
	disk->host = host;
	disk->kind = kind;
	disk->ino = ++host->next_ino;
	list_init(&disk->reqs);
	size_t n = min_size(strlen(path), sizeof(disk->path) - 1);
	memcpy(disk->path, path, n);
	media_init(&disk->media, &host->sim->arena, o->image ? sim_image_pages(o->image) : NULL);
	disk->media.size = o->size_bytes;
	disk->media.stable_size = o->size_bytes;
	disk->media.grows = kind == IO_KIND_FILE;
	disk->media.loses = o->volatile_cache || kind == IO_KIND_FILE;
	disk->media.atomic_bytes = o->atomic_bytes;
	disk->media.cache_bytes = o->cache_bytes;
	disk->mtime_ns = sim_host_wall(host);
	list_add_tail(&host->disks, &disk->link);
	host->disk_count++;
	return disk;
}

void sim_disk_ref(struct sim_disk *disk)
{
	disk->refs++;
}

void sim_disk_unref(struct sim_disk *disk)
{
	must(disk->refs > 0);
	if (--disk->refs > 0 || disk->kind == IO_KIND_DIR)
		return; /* directories stay with their history until the world ends */
	list_del(&disk->link);
	disk->host->disk_count--;
	media_fini(&disk->media);
	arena_put(&disk->host->sim->arena, disk, sizeof(*disk));
}

static struct io_file *file_make(struct sim_io *io, struct sim_disk *disk,
				 struct sim_opened *opened, uint32_t flags)
{
	struct io_file *file = arena_zalloc(&io->sim->arena, sizeof(*file));

	file->io = &io->io;
	file->disk = disk;
	file->opened = opened;
	file->proc = io->proc;
	file->flags = flags;
	opened->handles++;
	sim_disk_ref(disk);
	list_add_tail(&io->proc->files, &file->link);
	return file;
}

struct io_file *file_open(struct sim_io *io, struct sim_disk *disk, uint32_t flags)
{
	struct sim_opened *opened = arena_zalloc(&io->sim->arena, sizeof(*opened));

	opened->locks = (flags & IO_OPEN_LOCK) ||
			((flags & IO_OPEN_EXCL) && disk->kind == IO_KIND_BLOCK);
	opened->pulls = disk->pulls;
	disk->writers += opened->locks;
	return file_make(io, disk, opened, flags);
}

struct io_file *file_share(struct sim_io *io, struct io_file *from)
{
	must(from->proc == io->proc && !from->closed);
	return file_make(io, from->disk, from->opened, from->flags);
}

/* IO7, DK1: the lock is held until the device is done with what went through any handle. */
static void file_end(struct sim *sim, struct io_file *file)
{
	struct sim_opened *opened = file->opened;

	if (--opened->handles == 0) {
		file->disk->writers -= opened->locks;
		arena_put(&sim->arena, opened, sizeof(*opened));
	}
	sim_disk_unref(file->disk);
	arena_put(&sim->arena, file, sizeof(*file));
}

void file_close(struct io_file *file)
{
	struct sim *sim = file->disk->host->sim;

	must(!file->closed);
	file->closed = true;
	list_del(&file->link);
	if (!file->inflight)
		file_end(sim, file);
}

void file_unhold(struct io_file *file)
{
	struct sim *sim = file->disk->host->sim;

	must(file->inflight > 0);
	if (--file->inflight == 0 && file->closed)
		file_end(sim, file);
}

/* ---- the end of a request --------------------------------------------------------- */

static void disk_req_free(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	struct sim *sim = disk->host->sim;

	sim_unschedule(sim, &req->event);
	list_del(&req->link);
	list_del(&req->hung_link);
	disk->inflight--;
	sim->busy--;
	file_unhold(req->file);
	arena_put(&sim->arena, req, sizeof(*req));
	sim_disk_unref(disk);
}

/* Some bits of one sector of this range are wrong. */
static void disk_flip(struct sim *sim, uint8_t *bytes, size_t len)
{
	struct prng *prng = &sim->prng[SIM_STREAM_FAULTS];
	size_t at = prng_below(prng, len);

	bytes[at] ^= (uint8_t)prng_range(prng, 1, 255);
}

static void disk_corrupt(struct disk_req *req, uint64_t len)
{
	struct io_op *op = req->op;
	uint64_t at = prng_below(&req->disk->host->sim->prng[SIM_STREAM_FAULTS], len);

	media_taint(&req->disk->media, req->off + at, 1, 1u << SIM_DISK_CORRUPT_READ);
	for (uint32_t i = 0; i < op->file.iov_count; i++) {
		if (at < op->file.iov[i].iov_len) {
			disk_flip(req->disk->host->sim, (uint8_t *)op->file.iov[i].iov_base + at,
				  1);
			return;
		}
		at -= op->file.iov[i].iov_len;
	}
}

static int64_t disk_end_read(struct disk_req *req)
{
	struct media *media = &req->disk->media;
	uint64_t len = req->off >= media->size ? 0 : min_u64(req->len, media->size - req->off);

	if (req->error || !req->op)
		return req->error;
	media_read(media, req->off, req->op->file.iov, req->op->file.iov_count, len);
	if (req->corrupts && len)
		disk_corrupt(req, len);
	return (int64_t)len;
}

/* After a write: bits rot on the medium; what is unflushed of it has them too. */
static void disk_rot(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	uint64_t at = req->off + prng_below(&disk->host->sim->prng[SIM_STREAM_FAULTS], req->len);
	uint8_t byte;

	pages_read(&disk->media.pages, at, &byte, 1);
	disk_flip(disk->host->sim, &byte, 1);
	pages_write(&disk->media.pages, at, &byte, 1);
	media_taint(&disk->media, at, 1, 1u << SIM_DISK_ROT);
}

static int64_t disk_end_write(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	int64_t res = req->error ? req->error : (int64_t)(req->code == IO_WRITE ? req->len : 0);

	if (!req->write)
		return res;
	if (!req->write->applied)
		media_apply(&disk->media, req->write);
	if (req->rots)
		disk_rot(req);
	disk->mtime_ns = sim_host_wall(disk->host);
	media_done(&disk->media, req->write, (req->flags & IO_DSYNC) && !req->error);
	req->write = NULL;
	return res;
}

static int64_t disk_end_flush(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;

	if (disk->kind == IO_KIND_DIR) {
		if (!req->error)
			fs_dir_sync(disk);
	} else if (!req->skips) {
		media_flush_end(&disk->media, req->flush_seq,
				req->error ? MEDIA_FLUSH_FAILS :
				req->lies  ? MEDIA_FLUSH_LIES :
					     MEDIA_FLUSH_OK);
	}
	return req->error;
}

static void disk_fire(struct sim *sim, struct sim_event *event)
{
	struct disk_req *req = container_of(event, struct disk_req, event);
	int64_t res;

	switch (req->code) {
	case IO_READ:
		res = disk_end_read(req);
		break;
	case IO_FSYNC:
		res = disk_end_flush(req);
		break;
	default:
		res = disk_end_write(req);
	}
	sim_mix(sim, (uint64_t)res);
	if (sim_traces(sim))
		sim_trace(sim, "%s%s: %s off=%llu len=%llu res=%lld%s", req->disk->host->name,
			  req->disk->path, sim_code_name(req->code), (unsigned long long)req->off,
			  (unsigned long long)req->len, (long long)res, req->op ? "" : " (orphan)");
	if (req->op)
		sim_io_complete(req->io, req->op, res);
	disk_req_free(req);
}

/* ---- the begin of a request --------------------------------------------------------- */

static bool disk_aligned(const struct io_op *op, uint32_t unit)
{
	if ((op->file.off & (unit - 1)) != 0)
		return false;
	if (op->code == IO_DISCARD || op->code == IO_ZERO)
		return (op->file.len & (unit - 1)) == 0;
	for (uint32_t i = 0; i < op->file.iov_count; i++)
		if (((op->file.iov[i].iov_len | (uintptr_t)op->file.iov[i].iov_base) &
		     (unit - 1)) != 0)
			return false;
	return true;
}

/* What the kernel would refuse at once. */
static int disk_refuse(struct io_op *op, uint64_t len)
{
	struct io_file *file = op->file.file;
	struct sim_disk *disk = file->disk;
	bool writes = op->code != IO_READ && op->code != IO_FSYNC;

	if (file->opened->pulls != disk->pulls)
		return -EIO;
	if (op->code == IO_FSYNC)
		return 0;
	if (disk->kind == IO_KIND_DIR)
		return -EISDIR;
	if (!(file->flags & (writes ? IO_OPEN_WRITE : IO_OPEN_READ)))
		return -EBADF;
	if (writes && disk->opts.read_only)
		return -EROFS;
	if (op->code == IO_TRUNCATE)
		return disk->kind == IO_KIND_FILE ? 0 : -EINVAL;
	bool strict =
		(file->flags & IO_OPEN_DIRECT) ||
		(disk->kind == IO_KIND_BLOCK && (op->code == IO_DISCARD || op->code == IO_ZERO));
	if (strict && !disk_aligned(op, disk->opts.logical_block))
		return -EINVAL;
	if (op->code == IO_DISCARD && disk->kind == IO_KIND_BLOCK && !disk->opts.discard_bytes)
		return -EOPNOTSUPP;
	if (writes && disk->kind == IO_KIND_BLOCK &&
	    (op->file.off >= disk->media.size || len > disk->media.size - op->file.off))
		return -ENOSPC;
	return 0;
}

/* Loud faults of writes: told, and a part may have happened. */
static void disk_draw_write_errors(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	struct sim *sim = disk->host->sim;
	struct media *media = &disk->media;
	struct prng *prng = &sim->prng[SIM_STREAM_FAULTS];
	uint64_t sectors = div_up_u64(req->len, SECTOR_BYTES);
	uint64_t kept = 0;

	if (disk->kind == IO_KIND_FILE && sim_fault(sim, SIM_DISK_ENOSPC, disk->path))
		req->error = -ENOSPC;
	else if (sim_fault(sim, SIM_DISK_EIO_WRITE, disk->path))
		req->error = -EIO;
	else if (sectors > 1 && sim_fault(sim, SIM_DISK_SHORT_WRITE, disk->path))
		req->error = -EIO;
	if (!req->error)
		return;
	if (req->error == -EIO)
		kept = prng_below(prng, sectors + 1);
	if (kept == 0) {
		media_drop(media, req->write);
		req->write = NULL;
	} else if (kept < sectors) {
		media_trim(media, req->write, kept * SECTOR_BYTES);
	}
}

/* A place elsewhere on the disk where a write of this length fits. */
static void disk_misdirect(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	struct prng *prng = &disk->host->sim->prng[SIM_STREAM_FAULTS];
	uint64_t in_page = req->off % PAGE_BYTES;
	uint64_t pages =
		(disk->media.size - min_u64(in_page + req->len, disk->media.size)) / PAGE_BYTES;
	uint64_t off = prng_below(prng, pages + 1) * PAGE_BYTES + in_page;
	uint32_t taint = 1u << SIM_DISK_MISDIRECT;

	media_taint(&disk->media, req->off, req->len, taint);
	media_taint(&disk->media, off, req->len, taint);
	sim_trace(disk->host->sim, "%s: misdirected %llu -> %llu", disk->path,
		  (unsigned long long)req->off, (unsigned long long)off);
	media_move(req->write, off);
}

/* Silent faults of writes: nobody is told. */
static void disk_draw_write_lies(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	struct sim *sim = disk->host->sim;

	if (!req->write || !req->len)
		return;
	if (sim_fault(sim, SIM_DISK_LOST_WRITE, disk->path)) {
		media_taint(&disk->media, req->off, req->len, 1u << SIM_DISK_LOST_WRITE);
		media_drop(&disk->media, req->write);
		req->write = NULL;
	} else if (req->code == IO_WRITE && disk->kind == IO_KIND_BLOCK &&
		   sim_fault(sim, SIM_DISK_MISDIRECT, disk->path)) {
		disk_misdirect(req);
	} else if (sim_fault(sim, SIM_DISK_ROT, disk->path)) {
		req->rots = true;
	}
}

static void disk_draw(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	struct sim *sim = disk->host->sim;

	switch (req->code) {
	case IO_READ:
		if (sim_fault(sim, SIM_DISK_EIO_READ, disk->path))
			req->error = -EIO;
		else if (!disk->may_lie || disk->may_lie(disk->lie_ctx, req->off, req->len))
			req->corrupts = sim_fault(sim, SIM_DISK_CORRUPT_READ, disk->path);
		break;
	case IO_FSYNC:
		if (sim_fault(sim, SIM_DISK_EIO_FLUSH, disk->path))
			req->error = -EIO;
		else if (disk->kind != IO_KIND_DIR)
			req->lies = sim_fault(sim, SIM_DISK_LYING_FLUSH, disk->path);
		req->skips = disk->plant_skip_flush;
		break;
	default:
		disk_draw_write_errors(req);
		disk_draw_write_lies(req);
	}
}

static uint64_t disk_latency(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	struct sim *sim = disk->host->sim;
	struct prng *prng = &sim->prng[SIM_STREAM_DISK];
	uint64_t ns = disk->opts.write_ns;

	if (req->code == IO_READ)
		ns = disk->opts.read_ns;
	else if (req->code == IO_FSYNC || (req->flags & IO_DSYNC))
		ns = disk->opts.flush_ns;
	ns = sim_delay(prng, ns);
	if (req->code == IO_READ || req->code == IO_WRITE)
		ns += (req->len >> 10) * DISK_NS_PER_KIB;
	if (sim_fault(sim, SIM_DISK_SLOW, disk->path))
		ns += SIM_MS << prng_below(prng, 12);
	if (sim_fault(sim, SIM_DISK_HANG, disk->path)) {
		ns += prng_range(prng, 30 * SIM_S, 300 * SIM_S);
		list_add_tail(&sim->hung, &req->hung_link);
	}
	return ns;
}

static void disk_stage(struct disk_req *req, struct io_op *op)
{
	struct media *media = &req->disk->media;

	switch (req->code) {
	case IO_WRITE:
		req->write =
			media_write(media, req->off, op->file.iov, op->file.iov_count, req->len);
		break;
	case IO_DISCARD:
	case IO_ZERO:
		req->write = media_zeros(media, req->off, req->len);
		break;
	case IO_TRUNCATE:
		req->write = media_truncate(media, op->file.len);
		break;
	case IO_FSYNC:
		req->flush_seq = media_flush_begin(media);
		break;
	default:
		break;
	}
}

void disk_submit(struct sim_io *io, struct io_op *op)
{
	struct sim *sim = io->sim;
	struct io_file *file = op->file.file;
	uint64_t len = op->code == IO_DISCARD || op->code == IO_ZERO ? op->file.len : 0;

	if (op->code == IO_READ || op->code == IO_WRITE)
		for (uint32_t i = 0; i < op->file.iov_count; i++)
			len += op->file.iov[i].iov_len;
	int r = disk_refuse(op, len);
	if (r < 0) {
		sim_io_complete(io, op, r);
		return;
	}
	struct disk_req *req = arena_zalloc(&sim->arena, sizeof(*req));
	req->disk = file->disk;
	req->file = file;
	req->io = io;
	req->op = op;
	req->code = op->code;
	req->flags = op->code == IO_WRITE ? op->flags : 0;
	req->off = op->file.off;
	req->len = len;
	file->inflight++;
	sim->busy++;
	sim_disk_ref(req->disk);
	req->disk->inflight++;
	list_add_tail(&req->disk->reqs, &req->link);
	disk_stage(req, op);
	disk_draw(req);
	if (unlikely(req->disk->plant) && (op->code == IO_WRITE || op->code == IO_FSYNC) &&
	    req->disk->plant(req->disk->plant_ctx, op)) {
		req->skips = true;
		req->flags &= ~(uint32_t)IO_DSYNC;
	}
	uint64_t ns = disk_latency(req);
	/* DK2: one of four is seen at once */
	if (req->write && !req->error && prng_below(&sim->prng[SIM_STREAM_DISK], 4) == 0)
		media_apply(&req->disk->media, req->write);
	sim_after(sim, &req->event, ns, disk_fire);
}

/* ---- crashes, power, healing ----------------------------------------------------------- */

void disk_forget_proc(struct sim_disk *disk, struct sim_proc *proc)
{
	struct disk_req *req;

	list_for_each(req, &disk->reqs, link)
		if (req->file->proc == proc)
			req->op = NULL;
}

/* Any part of what was not flushed is gone, also of what is in flight. */
static void disk_lose_cache(struct sim_disk *disk)
{
	struct sim *sim = disk->host->sim;
	struct prng *prng = &sim->prng[SIM_STREAM_CUT];
	struct media_cut cut = { 0 };
	struct disk_req *req;

	list_for_each(req, &disk->reqs, link) {
		if (req->write && !req->write->applied)
			media_apply(&disk->media, req->write);
		req->write = NULL;
	}
	static const uint32_t keeps[] = { 0, 10000, 500000, 500000, 900000, 990000 };
	cut.loses = prng_chance_ppm(prng, sim->ppm[SIM_DISK_LOST_CACHE]);
	cut.tears = prng_chance_ppm(prng, sim->ppm[SIM_DISK_TORN]);
	cut.keep_ppm = keeps[prng_below(prng, ARRAY_LEN(keeps))];
	media_power_cut(&disk->media, prng, &cut, 1u << SIM_DISK_LYING_FLUSH);
	if (cut.lost_sectors)
		sim_fault_count(sim, SIM_DISK_LOST_CACHE);
	if (cut.torn_writes)
		sim_fault_count(sim, SIM_DISK_TORN);
	if (cut.lost_sectors)
		sim_trace(sim, "%s%s: lost %llu sectors, tore %llu writes", disk->host->name,
			  disk->path, (unsigned long long)cut.lost_sectors,
			  (unsigned long long)cut.torn_writes);
}

/* W5: what is in flight has happened or not, and then it is like everything in the cache. */
void sim_disk_power_cut(struct sim_disk *disk)
{
	struct disk_req *req, *after;

	sim_disk_ref(disk);
	disk_lose_cache(disk);
	list_for_each_safe(req, after, &disk->reqs, link)
		disk_req_free(req);
	sim_disk_unref(disk);
}

void sim_disk_pull(struct sim_disk *disk)
{
	struct disk_req *req;

	sim_trace(disk->host->sim, "%s%s: pulled", disk->host->name, disk->path);
	sim_fault_count(disk->host->sim, SIM_DISK_PULL);
	disk_lose_cache(disk);
	list_for_each(req, &disk->reqs, link)
		req->error = -EIO;
	disk->pulls++;
}

void disk_let_go(struct sim *sim)
{
	struct disk_req *req;

	while ((req = list_pop_front(&sim->hung, struct disk_req, hung_link))) {
		sim_unschedule(sim, &req->event);
		sim_after(sim, &req->event, SIM_MS, disk_fire);
	}
}
