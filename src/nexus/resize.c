// SPDX-License-Identifier: Apache-2.0
/*
 * resize - the volume grows: members, record, disk.
 *
 *	every member that is open: as large as wanted, and empty from the old end on
 *	record: the new size
 *	the disk that users see
 *
 * RS1. Until the record says so the volume has its old size: whatever happened to members before is
 *	done again by the next call, and what they have more than the record is nobody's.
 * RS2. What is new reads as zeros on all members, whatever was there.
 * RS3. A member that joins while the volume grows is grown by who lets it in, after the record
 *	names it: it is open by then (here), or sees the new size (there).
 * RS4. Nobody waits for a member that has failed, as it does by silence (hang.c): its fiber may end at
 *	any time, and the latch is free for those who take it out of the record.
 */
#include <errno.h>
#include <string.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"
#include "base/err.h"

#define ZERO_STEP_BYTES (64u << 20)
#define RESIZE_TELL_NS	UINT64_C(1000000) /* between users */

static bool resize_concerns(const struct nexus_child *child)
{
	return child->chan && /* not being closed (CH5): it grows when it is back (RS3) */
	       (child->state == NEXUS_CHILD_IN_SYNC || child->state == NEXUS_CHILD_REBUILDING);
}

/* Of one member; its fiber's and the asker's. */
struct resize_job {
	struct nexus_child *child;
	uint64_t from, to; /* bytes of the volume */
	struct nexus_pending pending;
	unsigned users;
	bool is_done;
	int result;
	struct err err;
};

static void job_put(struct resize_job *job)
{
	if (--job->users == 0)
		mem_free(job);
}

/* RS2. */
static int job_zero(struct fiber *f, struct resize_job *job)
{
	struct nexus_child *child = job->child;
	uint32_t block_size = child->bdev->block_size;
	bool unmap = child->bdev->unmap_zeroes;
	CLEANUP(cleanup_mem) struct bio *bio = bio_new(child->chan);
	int r = bio ? 0 : fiber_fail(f, -ENOMEM, "no memory to grow a child");

	for (uint64_t from = job->from; r == 0 && from < job->to; from += ZERO_STEP_BYTES) {
		uint64_t step = min_u64(job->to - from, ZERO_STEP_BYTES);

		bio_prep(bio, child->chan, unmap ? BIO_UNMAP : BIO_ZEROES,
			 child->data_lba + from / block_size, step / block_size, NULL, 0, NULL);
		bio->token = child->token;
		hang_begin(child, &job->pending); /* each step may take its time */
		r = bio_wait(f, bio);
		hang_end(&job->pending);
	}
	return r;
}

static int job_main(struct fiber *f, void *arg)
{
	struct resize_job *job = arg;
	struct nexus_child *child = job->child;
	struct nexus *n = child->nexus;
	int r;

	hang_begin(child, &job->pending);
	r = child_grow(f, child, job->to);
	hang_end(&job->pending);
	if (r == 0)
		r = job_zero(f, job);
	job->result = r;
	job->err = *fiber_err(f);
	job->is_done = true;
	event_set(&n->answered);
	event_clear(&n->answered);
	child_let_go(child);
	fiber_clear(f);
	job_put(job);
	return 0;
}

/* RS4. */
static int resize_wait(struct fiber *f, struct resize_job *job)
{
	struct nexus_child *child = job->child;

	while (!job->is_done && !child->failed_write)
		event_wait_always(f, &child->nexus->answered);
	if (!job->is_done)
		return fiber_fail(f, -ETIMEDOUT, "child '%s' did not grow: it has failed",
				  child_member(child)->uri);
	if (job->result < 0)
		*fiber_err(f) = job->err;
	return job->result;
}

static int resize_child(struct fiber *f, struct nexus_child *child, uint64_t size_bytes)
{
	struct nexus *n = child->nexus;
	struct resize_job *job = mem_alloc(n->mem, sizeof(*job));
	int r;

	if (!job)
		return fiber_fail(f, -ENOMEM, "no memory to grow a child");
	*job = (struct resize_job){
		.child = child, .from = n->rec.size_bytes, .to = size_bytes, .users = 1
	};
	child_hold(child); /* a rebuild that fails lets go of it */
	r = fiber_start(n->home, "nexus-grow", job_main, job, NULL);
	if (r == 0) {
		job->users++;
		r = resize_wait(f, job);
	} else {
		child_let_go(child);
	}
	job_put(job);
	return r;
}

static int resize_members(struct fiber *f, struct nexus *n, uint64_t size_bytes)
{
	int r = 0;

	nexus_each_child(n, child)
		if (r == 0 && resize_concerns(child))
			r = resize_child(f, child, size_bytes);
	if (r == -ESTALE)
		owner_deposed(n);
	return r < 0 ? r : members_ready(f, n); /* one may have failed meanwhile */
}

static int resize_record(struct fiber *f, struct nexus *n, uint64_t size_bytes)
{
	uint64_t was = n->rec.size_bytes;
	int r;

	n->rec.size_bytes = size_bytes;
	r = owner_put_surely(f, n);
	if (r < 0)
		n->rec.size_bytes = was; /* RS1 */
	else
		n->size_bytes = size_bytes;
	return r;
}

/* ---- users ------------------------------------------------------------------------------- */

struct resize_tell {
	char name[BDEV_NAME_MAX];
	uint64_t blocks;
};

/* Where bdevs live. One that was closed meanwhile, or is only being opened, is not found. */
static int resize_tell_home(struct fiber *f, void *arg)
{
	const struct resize_tell *tell = arg;
	struct bdev *bdev;
	int r = bdev_find(f, tell->name, &bdev);

	if (r < 0) {
		fiber_clear(f);
		return 0;
	}
	bdev_resized(f, bdev, tell->blocks);
	bdev_close(f, bdev);
	return 0;
}

static int resize_users(struct fiber *f, struct nexus *n)
{
	uint64_t blocks = n->size_bytes >> n->block_shift;
	struct resize_tell tell = { .blocks = blocks };
	struct nexus_bdev *nb;
	bool told;
	int r;

	do { /* the list may change while one is told */
		told = false;
		list_for_each(nb, &n->bdevs, link) {
			if (nb->told_blocks == blocks)
				continue;
			told = true;
			if (!nb->bdev.name[0])
				break; /* is being opened: a name comes soon */
			nb->told_blocks = blocks;
			memcpy(tell.name, nb->bdev.name, sizeof(tell.name));
			r = fiber_call_on(f, reactor_bdev_env(n->home)->home, "nexus-resize",
					  resize_tell_home, &tell);
			if (r < 0)
				return r;
			break;
		}
	} while (told && (r = fiber_sleep(f, RESIZE_TELL_NS)) == 0);
	return told ? r : 0;
}

/* ---- face -------------------------------------------------------------------------------- */

static int resize_check(struct fiber *f, const struct nexus *n, uint64_t size_bytes)
{
	if (size_bytes == 0 || size_bytes % n->rec.block_size || size_bytes > INT64_MAX)
		return fiber_fail(f, -EINVAL,
				  "volume '%s': %llu bytes are not a number of its "
				  "blocks of %u",
				  n->rec.name, (unsigned long long)size_bytes, n->rec.block_size);
	if (size_bytes < n->rec.size_bytes)
		return fiber_fail(f, -EINVAL,
				  "volume '%s' has %llu bytes: it does not shrink to %llu",
				  n->rec.name, (unsigned long long)n->rec.size_bytes,
				  (unsigned long long)size_bytes);
	return 0;
}

int nexus_resize(struct fiber *f, struct nexus *n, uint64_t size_bytes)
{
	int r = latch_lock(f, &n->admin);

	if (r < 0)
		return r;
	r = members_ready(f, n);
	if (r == 0)
		r = resize_check(f, n, size_bytes);
	if (r == 0 && size_bytes > n->rec.size_bytes) {
		r = resize_members(f, n, size_bytes);
		if (r == 0)
			r = missed_grow(f, n, size_bytes);
		if (r == 0)
			r = resize_record(f, n, size_bytes);
	}
	latch_unlock(f, &n->admin);
	return r < 0 ? r : resize_users(f, n);
}
