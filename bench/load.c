// SPDX-License-Identifier: Apache-2.0
/* load - see load.h. */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "pattern.h"
#include "reactor/fiber.h"
#include "world.h"

/* What a unit may hold: the serial of a write in the upper bits, and these. 0: unknown. */
#define UNIT_BUSY  1u /* a bio is in flight (L2) */
#define UNIT_ZEROS 2u /* zeros are right */
#define UNIT_DATA  4u /* the data of the serial are right */
#define UNIT_SHIFT 3

struct load_slot {
	struct load_job *job;
	enum bio_op op;
	uint64_t unit, serial, start_ns;
	struct iovec iov;
	struct bio bio; /* last: its scratch follows */
};

/* ---- verify ------------------------------------------------------------------ */

static void job_fails(struct load_job *job, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void job_fails(struct load_job *job, int status, const char *fmt, ...)
{
	va_list args;

	if (job->status == -EILSEQ || (job->status < 0 && status != -EILSEQ))
		return; /* the first, but wrong data is worse than any error */
	job->status = status;
	va_start(args, fmt);
	vsnprintf(job->words, sizeof(job->words), fmt, args);
	va_end(args);
}

static bool block_is_right(const struct load_job *job, const void *block, uint64_t lba,
			   uint64_t state)
{
	uint32_t size = job->disk->bdev->block_size;

	if (state & UNIT_DATA && pattern_is(block, size, job->opts->seed, lba, state >> UNIT_SHIFT))
		return true;
	return state & UNIT_ZEROS && pattern_is_zero(block, size);
}

static void slot_blame(struct load_slot *slot, const void *block, uint64_t lba, uint64_t state)
{
	struct load_job *job = slot->job;
	char found[PATTERN_WORDS_SIZE], wanted[64];

	snprintf(wanted, sizeof(wanted), "serial %" PRIu64, state >> UNIT_SHIFT);
	job_fails(job, -EILSEQ, "verify: %s: lba %" PRIu64 ": wanted %s%s%s, found %s",
		  job->disk->uri, lba, state & UNIT_DATA ? wanted : "",
		  (state & UNIT_DATA) && (state & UNIT_ZEROS) ? " or " : "",
		  state & UNIT_ZEROS ? "zeros" : "",
		  pattern_words(block, job->disk->bdev->block_size, job->opts->seed, found));
}

/* A read has come back: is it what the unit may hold (L3)? */
static void slot_check(struct load_slot *slot, uint64_t state)
{
	struct load_job *job = slot->job;
	uint32_t size = job->disk->bdev->block_size;
	uint64_t lba = slot->bio.lba;

	if (!(state & (UNIT_ZEROS | UNIT_DATA)))
		return;
	for (uint32_t i = 0; i < job->disk->unit_blocks; i++) {
		const char *block = (const char *)slot->iov.iov_base + (size_t)i * size;

		job->checks.verified++;
		if (block_is_right(job, block, lba + i, state))
			continue;
		job->checks.verify_errors++;
		slot_blame(slot, block, lba + i, state);
		return;
	}
}

/* The unit's state after this bio (L3). */
static uint64_t slot_state_after(const struct load_slot *slot, uint64_t before)
{
	if (slot->op == BIO_READ)
		return before;
	if (slot->bio.status < 0)
		return 0;
	if (slot->op == BIO_WRITE)
		return slot->serial << UNIT_SHIFT | UNIT_DATA;
	if (slot->op == BIO_ZEROES || slot->job->disk->bdev->unmap_zeroes)
		return UNIT_ZEROS;
	return before ? before | UNIT_ZEROS : 0; /* an unmap that may or may not have done it */
}

static void slot_settle(struct load_slot *slot)
{
	uint64_t *state = &slot->job->disk->states[slot->unit];
	uint64_t before = *state & ~(uint64_t)UNIT_BUSY;

	must(*state & UNIT_BUSY); /* L2 */
	if (slot->op == BIO_READ && slot->bio.status == 0)
		slot_check(slot, before);
	*state = slot_state_after(slot, before);
}

static void slot_fill_data(struct load_slot *slot, uint64_t lba)
{
	struct load_job *job = slot->job;
	uint32_t size = job->disk->bdev->block_size;

	slot->serial = ++job->serial;
	for (uint32_t i = 0; i < job->disk->unit_blocks; i++)
		pattern_fill((char *)slot->iov.iov_base + (size_t)i * size, size, job->opts->seed,
			     lba + i, slot->serial);
}

/* ---- what comes next ------------------------------------------------------------ */

static uint64_t job_random(struct load_job *job, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)prng_u64(&job->prng) * n) >> 64);
}

static uint64_t job_sequential(struct load_job *job)
{
	uint64_t unit = job->next++;

	if (job->next == job->units)
		job->next = 0;
	return job->first + unit;
}

/* A unit nobody is at: a job has more units than slots, so there is one. */
static uint64_t job_free_unit(const struct load_job *job, uint64_t unit)
{
	while (job->disk->states[unit] & UNIT_BUSY)
		if (++unit == job->first + job->units)
			unit = job->first;
	return unit;
}

static enum bio_op job_pick_op(struct load_job *job)
{
	const struct load_opts *o = job->opts;
	uint64_t draw;

	if (o->flush_every && job->unflushed >= o->flush_every) {
		job->unflushed = 0;
		return BIO_FLUSH;
	}
	if (o->unmap_pct | o->zeroes_pct) {
		draw = job_random(job, 100);
		if (draw < o->unmap_pct)
			return BIO_UNMAP;
		if (draw < o->unmap_pct + o->zeroes_pct)
			return BIO_ZEROES;
	}
	if (o->read_pct == 0 || o->read_pct == 100)
		return o->read_pct ? BIO_READ : BIO_WRITE;
	return job_random(job, 100) < o->read_pct ? BIO_READ : BIO_WRITE;
}

static void job_pick_run(struct load_job *job, struct load_slot *slot)
{
	slot->op = job_pick_op(job);
	slot->unit = job->opts->random ? job->first + job_random(job, job->units) :
					 job_sequential(job);
}

/* False: there is nothing more to do in this phase. */
static bool job_pick(struct load_job *job, struct load_slot *slot)
{
	if (job->stopping || job->left == 0)
		return false;
	job->left--;
	if (likely(job->phase == LOAD_RUN)) {
		job_pick_run(job, slot);
	} else {
		slot->op = job->phase == LOAD_FILL ? BIO_WRITE : BIO_READ;
		slot->unit = job_sequential(job);
	}
	if (unlikely(job->disk->states) && slot->op != BIO_FLUSH) {
		slot->unit = job_free_unit(job, slot->unit);
		job->disk->states[slot->unit] |= UNIT_BUSY;
	}
	return true;
}

/* ---- the hot loop ------------------------------------------------------------------ */

/* One reading per I/O: the end of one is the begin of the next. */
static inline uint64_t job_clock(const struct load_job *job)
{
	return job->opts->turn_clock ? job->io->turn_ns : io_now(job->io);
}

/* A crew has become idle: told on reactor 0. */
static void crew_is_idle(struct load_crew *crew)
{
	struct load *load = crew->load;

	if (--load->busy == 0)
		event_set(&load->changed);
}

static void crew_mail_run(struct mail *mail, struct reactor *at)
{
	crew_is_idle(container_of(mail, struct load_crew, idle_mail));
}

/* One slot less in flight; the last one of the last job reports. */
static void job_rest(struct load_job *job)
{
	struct load_crew *crew = job->crew;
	struct load_crew *home = &crew->load->crews[0];

	if (--job->inflight > 0 || --crew->busy > 0)
		return;
	if (crew == home)
		crew_is_idle(crew);
	else
		reactor_send(crew->reactor, home->reactor, &crew->idle_mail);
}

static void slot_done(struct bio *bio);

static void slot_submit(struct load_slot *slot, uint64_t now_ns)
{
	struct load_job *job = slot->job;
	struct bio *bio = &slot->bio;
	uint64_t lba;
	bool data;

	if (!job_pick(job, slot)) {
		job_rest(job);
		return;
	}
	lba = slot->unit * job->disk->unit_blocks;
	data = slot->op <= BIO_WRITE;
	if (slot->op == BIO_FLUSH)
		bio_prep(bio, job->chan, BIO_FLUSH, 0, 0, NULL, 0, slot_done);
	else
		bio_prep(bio, job->chan, slot->op, lba, job->disk->unit_blocks,
			 data ? &slot->iov : NULL, data, slot_done);
	bio->token = job->opts->token;
	if (slot->op == BIO_WRITE) {
		job->unflushed++;
		if (job->opts->fua)
			bio->flags = BIO_FUA;
		if (unlikely(job->disk->states))
			slot_fill_data(slot, lba);
	}
	slot->start_ns = now_ns;
	bio_submit(bio);
}

static void slot_failed(struct load_slot *slot)
{
	struct load_job *job = slot->job;

	if (slot->op == BIO_FLUSH)
		job_fails(job, slot->bio.status, "%s: flush failed: %s", job->disk->uri,
			  err_name(slot->bio.status));
	else
		job_fails(job, slot->bio.status,
			  "%s: %s of %u blocks at lba %" PRIu64 " failed: %s", job->disk->uri,
			  bio_op_name(slot->op), job->disk->unit_blocks, slot->bio.lba,
			  err_name(slot->bio.status));
	if (++job->checks.errors > job->opts->errors_max)
		job->stopping = true;
}

static void slot_done(struct bio *bio)
{
	struct load_slot *slot = container_of(bio, struct load_slot, bio);
	struct load_job *job = slot->job;
	uint64_t now_ns = job_clock(job);

	if (likely(job->counting)) { /* L4 */
		hist_add(&job->counts.lat[slot->op], now_ns - slot->start_ns);
		job->counts.ios[slot->op]++;
	}
	if (unlikely(job->disk->states) && slot->op != BIO_FLUSH)
		slot_settle(slot);
	if (unlikely(bio->status < 0))
		slot_failed(slot);
	slot_submit(slot, now_ns);
}

/* ---- set-up, on the crew's reactor --------------------------------------------------- */

static int slot_new(struct fiber *f, struct load_job *job, struct load_slot **ret)
{
	size_t size = offsetof(struct load_slot, bio) + bio_size(job->disk->bdev);
	struct load_slot *slot = mem_new(job->io, size);

	if (!slot)
		return fiber_fail(f, -ENOMEM, "no memory for %zu bytes of a bio", size);
	*ret = slot;
	slot->job = job;
	slot->iov.iov_len = job->opts->bs;
	slot->iov.iov_base = io_buf_new(job->io, job->opts->bs);
	if (!slot->iov.iov_base)
		return fiber_fail(f, -ENOMEM, "no memory for a buffer of %u bytes", job->opts->bs);
	prng_fill(&job->prng, slot->iov.iov_base, job->opts->bs);
	return 0;
}

/* Without verify all jobs share the whole disk, and start in different places. */
static void job_take_slice(struct load_job *job, unsigned jobs_total)
{
	struct load_disk *disk = job->disk;
	uint64_t each = disk->units / jobs_total;

	job->first = job->index * each;
	job->units = job->index == jobs_total - 1 ? disk->units - job->first : each;
	if (!disk->states) {
		job->next = job->first;
		job->first = job->opts->offset_bytes / job->opts->bs;
		job->units = disk->units;
	}
}

static int job_open(struct fiber *f, struct load_job *job)
{
	const struct load *load = job->crew->load;
	int r;

	job->opts = &load->opts;
	job->io = fiber_io(f);
	prng_init(&job->prng, job->opts->seed,
		  job->index * LOAD_DISKS_MAX + (uint64_t)(job->disk - load->disks));
	job_take_slice(job, load->reactors * load->opts.jobs);
	r = bdev_chan_open(f, job->disk->bdev, &job->chan);
	if (r < 0)
		return r;
	job->slots = mem_new(job->io, job->opts->depth * sizeof(struct load_slot *));
	if (!job->slots)
		return fiber_fail(f, -ENOMEM, "no memory for a job");
	for (unsigned i = 0; i < job->opts->depth && r == 0; i++)
		r = slot_new(f, job, &job->slots[i]);
	return r;
}

static void job_close(struct fiber *f, struct load_job *job)
{
	for (unsigned i = 0; job->slots && i < job->opts->depth; i++) {
		struct load_slot *slot = job->slots[i];

		if (slot && slot->iov.iov_base && !job->borrows)
			io_buf_free(job->io, slot->iov.iov_base, slot->iov.iov_len);
		mem_free(slot);
	}
	mem_free(job->slots);
	if (job->chan)
		bdev_chan_close(f, job->chan);
}

static void job_borrow(struct load_job *job, const struct load_job *from)
{
	for (unsigned i = 0; i < job->opts->depth; i++) {
		io_buf_free(job->io, job->slots[i]->iov.iov_base, job->slots[i]->iov.iov_len);
		job->slots[i]->iov = from->slots[i]->iov;
	}
	job->borrows = true;
}

static int crew_open(struct fiber *f, void *arg)
{
	struct load_crew *crew = arg;
	struct load *load = crew->load;
	unsigned index = reactor_index(crew->reactor);

	crew->jobs =
		mem_new(fiber_io(f), load->disk_count * load->opts.jobs * sizeof(struct load_job));
	if (!crew->jobs)
		return fiber_fail(f, -ENOMEM, "no memory for jobs");
	for (unsigned d = 0; d < load->disk_count; d++)
		for (unsigned j = 0; j < load->opts.jobs; j++) {
			struct load_job *job = &crew->jobs[crew->job_count++];
			int r;

			job->crew = crew;
			job->disk = &load->disks[d];
			job->index = index * load->opts.jobs + j;
			r = job_open(f, job);
			if (r < 0)
				return r;
		}
	return 0;
}

static int crew_close(struct fiber *f, void *arg)
{
	struct load_crew *crew = arg;

	for (unsigned i = 0; i < crew->job_count; i++)
		job_close(f, &crew->jobs[i]);
	mem_free(crew->jobs);
	return 0;
}

static void counts_reset(struct load_counts *counts)
{
	memset(counts, 0, sizeof(*counts));
	for (unsigned op = 0; op < BIO_OPS; op++)
		hist_reset(&counts->lat[op]);
}

static void job_start(struct load_job *job, enum load_phase phase)
{
	job->phase = phase;
	job->stopping = false;
	job->counting = phase == LOAD_RUN;
	if (job->counting)
		counts_reset(&job->counts);
	job->left = UINT64_MAX;
	if (phase == LOAD_RUN && job->opts->ios)
		job->left = job->opts->ios;
	if (phase != LOAD_RUN) {
		job->next = 0;
		job->left = job->disk->states || job->index == 0 ? job->units : 0;
	}
	job->inflight = job->opts->depth;
	for (unsigned i = 0; i < job->opts->depth; i++)
		slot_submit(job->slots[i], job_clock(job));
}

static int crew_start(struct fiber *f, void *arg)
{
	struct load_crew *crew = arg;

	crew->busy = crew->job_count;
	if (crew->jobs[0].phase == LOAD_RUN)
		io_stats(fiber_io(f), &crew->io_begin);
	for (unsigned i = 0; i < crew->job_count; i++)
		job_start(&crew->jobs[i], crew->jobs[i].phase);
	return 0;
}

static int crew_begin(struct fiber *f, void *arg)
{
	struct load_crew *crew = arg;

	io_stats(fiber_io(f), &crew->io_begin);
	for (unsigned i = 0; i < crew->job_count; i++)
		counts_reset(&crew->jobs[i].counts);
	return 0;
}

static int crew_end(struct fiber *f, void *arg)
{
	struct load_crew *crew = arg;

	if (crew->jobs[0].phase == LOAD_RUN)
		io_stats(fiber_io(f), &crew->io_end);
	for (unsigned i = 0; i < crew->job_count; i++) {
		crew->jobs[i].counting = false;
		crew->jobs[i].stopping = true;
	}
	return 0;
}

/* ---- the whole, on reactor 0 ------------------------------------------------------------ */

static int load_each(struct fiber *f, struct load *load, fiber_fn fn)
{
	int r = 0;

	for (unsigned i = 0; i < load->reactors && r == 0; i++)
		r = fiber_call_on(f, load->crews[i].reactor, "load", fn, &load->crews[i]);
	return r;
}

static int disk_open(struct fiber *f, const struct load *load, struct load_disk *disk)
{
	const struct load_opts *o = &load->opts;
	uint64_t jobs = (uint64_t)load->reactors * o->jobs, bytes;
	int r = bdev_open(f, disk->uri, &disk->bdev);

	if (r < 0)
		return r;
	if (o->bs % disk->bdev->block_size)
		return fiber_fail(f, -EINVAL, "%s: --bs %u is not a multiple of its block size %u",
				  disk->uri, o->bs, disk->bdev->block_size);
	if (disk->bdev->read_only && (o->read_pct < 100 || o->unmap_pct || o->zeroes_pct))
		return fiber_fail(f, -EROFS, "%s: is read-only", disk->uri);
	bytes = disk->bdev->blocks * disk->bdev->block_size;
	if (o->size_bytes > bytes || o->offset_bytes > bytes - o->size_bytes)
		return fiber_fail(f, -EINVAL,
				  "%s: --size %" PRIu64 " is more than its %" PRIu64 " bytes",
				  disk->uri, o->size_bytes, bytes);
	disk->unit_blocks = o->bs / disk->bdev->block_size;
	disk->units = (o->size_bytes ? o->size_bytes : bytes) / o->bs;
	if (disk->units == 0 || (o->verify && disk->units / jobs <= o->depth))
		return fiber_fail(f, -EINVAL, "%s: too small: %" PRIu64 " units of --bs %u%s",
				  disk->uri, disk->units, o->bs,
				  o->verify ? ", and each job needs more than --depth of its own" :
					      "");
	if (!o->verify)
		return 0;
	if (disk->units > LOAD_VERIFY_UNITS_MAX)
		return fiber_fail(f, -EINVAL, "%s: too large to remember each unit: give a --size",
				  disk->uri);
	disk->states = mem_new(fiber_io(f), disk->units * sizeof(uint64_t));
	return disk->states ? 0 :
			      fiber_fail(f, -ENOMEM, "no memory to remember %" PRIu64 " units",
					 disk->units);
}

int load_open(struct fiber *f, struct load *load)
{
	int r = 0;

	event_init(&load->changed);
	for (unsigned i = 0; i < load->disk_count && r == 0; i++)
		r = disk_open(f, load, &load->disks[i]);
	if (r < 0)
		return r;
	load->crews = mem_new(fiber_io(f), load->reactors * sizeof(struct load_crew));
	if (!load->crews)
		return fiber_fail(f, -ENOMEM, "no memory for crews");
	for (unsigned i = 0; i < load->reactors; i++) {
		load->crews[i].load = load;
		load->crews[i].reactor = world_reactor(f, i);
		load->crews[i].idle_mail.run = crew_mail_run;
	}
	return load_each(f, load, crew_open);
}

void load_close(struct fiber *f, struct load *load)
{
	for (unsigned i = 0; load->crews && i < load->reactors; i++)
		(void)!fiber_call_on(f, load->crews[i].reactor, "close", crew_close,
				     &load->crews[i]);
	mem_free(load->crews);
	for (unsigned i = 0; i < load->disk_count; i++) {
		mem_free(load->disks[i].states);
		if (load->disks[i].bdev)
			bdev_close(f, load->disks[i].bdev);
	}
}

void load_borrow_buffers(struct load *load, const struct load *from)
{
	for (unsigned i = 0; i < load->reactors; i++)
		for (unsigned j = 0; j < load->crews[i].job_count; j++)
			job_borrow(&load->crews[i].jobs[j], &from->crews[i].jobs[j]);
}

int load_start(struct fiber *f, struct load *load, enum load_phase phase)
{
	event_clear(&load->changed);
	load->busy = load->reactors;
	for (unsigned i = 0; i < load->reactors; i++)
		for (unsigned j = 0; j < load->crews[i].job_count; j++)
			load->crews[i].jobs[j].phase = phase;
	return load_each(f, load, crew_start);
}

int load_wait(struct fiber *f, struct load *load, uint64_t deadline_ns)
{
	int r = event_wait_until(f, &load->changed, deadline_ns);

	return r == -ETIMEDOUT ? 0 : r;
}

int load_begin(struct fiber *f, struct load *load)
{
	return load_each(f, load, crew_begin);
}

int load_end(struct fiber *f, struct load *load)
{
	int r = load_each(f, load, crew_end);

	while (r == 0 && load->busy > 0) {
		event_clear(&load->changed);
		r = event_wait(f, &load->changed);
	}
	return r;
}

void load_counts(const struct load *load, const struct load_disk *disk, struct load_counts *ret)
{
	counts_reset(ret);
	for (unsigned i = 0; i < load->reactors; i++)
		for (unsigned j = 0; j < load->crews[i].job_count; j++) {
			const struct load_job *job = &load->crews[i].jobs[j];

			for (unsigned op = 0; op < BIO_OPS && (!disk || job->disk == disk); op++) {
				ret->ios[op] += job->counts.ios[op];
				hist_merge(&ret->lat[op], &job->counts.lat[op]);
			}
		}
}

void load_checks(const struct load *load, const struct load_disk *disk, struct load_checks *ret)
{
	*ret = (struct load_checks){ 0 };
	for (unsigned i = 0; i < load->reactors; i++)
		for (unsigned j = 0; j < load->crews[i].job_count; j++) {
			const struct load_job *job = &load->crews[i].jobs[j];

			if (disk && job->disk != disk)
				continue;
			ret->errors += job->checks.errors;
			ret->verify_errors += job->checks.verify_errors;
			ret->verified += job->checks.verified;
		}
}

static bool job_failed(const struct load_job *job)
{
	return job->checks.verify_errors > 0 || job->checks.errors > job->opts->errors_max;
}

const char *load_failure(const struct load *load)
{
	for (unsigned i = 0; load->crews && i < load->reactors; i++)
		for (unsigned j = 0; j < load->crews[i].job_count; j++)
			if (job_failed(&load->crews[i].jobs[j]))
				return load->crews[i].jobs[j].words;
	return NULL;
}
