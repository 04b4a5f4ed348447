// SPDX-License-Identifier: Apache-2.0
/*
 * belong - whose a disk is: seen, taken for a volume, given back.
 *
 * BG1. A disk that another volume's record names is never taken. One that says it belongs to a volume,
 *	but no record of this store names it there, is taken by force only.
 * BG2. So is one that bears anything else (foreign.c), or a label that cannot be read.
 * BG3. What was given back can be taken anew: it names no volume and has no generation. The fence
 *	of a replica stays where it is; a volume begins above it.
 * BG4. Members are told what the record says, never before it: one that knows better proves that the
 *	record is an old one, and nothing that it says can be relied on. Not so one that says it is
 *	not in sync: it is told a generation just before it is admitted (MS3).
 * BG5. A session of another node's replica takes its token before it fences. One that ended in between, by a crash
 *	or because a rebuild was stopped, keeps a token that the fence does not tell of: the next ones are tried.
 */
#include <errno.h>
#include <string.h>

#include "nexus/belong_priv.h"
#include "nexus/nexus_priv.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

#define FENCE_TRIES 8u

struct uuid belong_new_uuid(struct io *io)
{
	uint8_t random[16];

	io_random(io, random, sizeof(random));
	return uuid_v4(random);
}

int belong_word(struct fiber *f, const char *uri, int error)
{
	if (fiber_words(f)[0])
		err_prefix(fiber_err(f), "child '%s': ", uri);
	else
		fiber_fail(f, error, "child '%s': %s", uri, err_name(error));
	return error;
}

/* ---- whose ----------------------------------------------------------------------------- */

static bool record_names(const struct volume_record *rec, const struct uuid *member)
{
	for (unsigned i = 0; i < rec->member_count; i++)
		if (uuid_equal(&rec->members[i].replica, member))
			return true;
	return false;
}

/* BG1. It says it is a member of another volume. */
static int belong_other(struct fiber *f, struct nexus_table *table, const struct uuid *volume,
			const struct uuid *member, const char *uri, bool force)
{
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_alloc(table->io->mem, sizeof(*rec));
	char text[UUID_TEXT_SIZE];
	uint64_t revision;
	int r = rec ? volume_get(f, table->store, volume, rec, &revision) : -ENOMEM;

	uuid_print(volume, text);
	if (r == 0 && record_names(rec, member))
		return fiber_fail(f, -EBUSY, "child '%s' is a replica of volume %s ('%s')", uri,
				  text, rec->name);
	if (r < 0 && r != -ENOENT)
		return r;
	fiber_clear(f);
	if (force)
		return 0;
	return fiber_fail(f, -EBUSY,
			  "child '%s' is a replica of volume %s, which does not know it; force to "
			  "take it all the same",
			  uri, text);
}

/* It was told a generation that may never have been recorded, as one that is not in sync. */
static bool belong_is_ahead(const struct volume_record *rec, const struct replica_info *info)
{
	if (info->state == REPLICA_OUTDATED)
		for (unsigned i = 0; i < rec->member_count; i++)
			if (uuid_equal(&rec->members[i].replica, &info->replica) &&
			    rec->members[i].state == VOLUME_IN_SYNC)
				return false;
	return info->state == REPLICA_OUTDATED || info->state == REPLICA_INCONSISTENT;
}

/* BG4. */
static int belong_check_gen(struct fiber *f, const struct volume_record *rec, uint64_t epoch,
			    uint64_t number, const char *uri)
{
	if (epoch > rec->gen_epoch || (epoch == rec->gen_epoch && number > rec->gen_n))
		return fiber_fail(f, -EUCLEAN,
				  "child '%s': its generation %llu.%llu is newer than the record's "
				  "%llu.%llu",
				  uri, (unsigned long long)epoch, (unsigned long long)number,
				  (unsigned long long)rec->gen_epoch,
				  (unsigned long long)rec->gen_n);
	return 0;
}

/* ---- replicas ---------------------------------------------------------------------------- */

static int belong_replica(struct fiber *f, struct nexus_table *table,
			  const struct volume_record *rec, struct bdev_chan *chan, const char *uri,
			  bool force, struct belong *ret)
{
	CLEANUP(cleanup_mem) struct replica_info *info = mem_alloc(table->io->mem, sizeof(*info));
	int r = info ? ret->ops->info(f, chan, info) : -ENOMEM;

	if (r == 0 && !uuid_is_nil(&info->volume) && !uuid_equal(&info->volume, &rec->volume))
		r = belong_other(f, table, &info->volume, &info->replica, uri, force);
	else if (r == 0 && !force && !belong_is_ahead(rec, info))
		r = belong_check_gen(f, rec, info->gen.epoch, info->gen.n, uri);
	if (r < 0)
		return r;
	ret->member = info->replica;
	ret->fence = info->fence;
	ret->state = info->state;
	ret->gen = info->gen;
	ret->regions = info->regions;
	for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
		ret->miss |= (uint8_t)(!uuid_is_nil(&info->miss[i].peer) << i);
	return 0;
}

/* ---- labels ------------------------------------------------------------------------------ */

static int belong_ours(struct fiber *f, const struct volume_record *rec, struct bdev_chan *chan,
		       const char *uri, bool force, struct belong *ret)
{
	const struct nexus_label *label = &ret->label;
	uint64_t bytes = chan->blocks * chan->bdev->block_size;

	if (label->data_bytes + LABEL_DATA > bytes)
		return fiber_fail(f, -EINVAL,
				  "child '%s' has %llu bytes, its label says %llu and %u", uri,
				  (unsigned long long)bytes, (unsigned long long)label->data_bytes,
				  LABEL_DATA);
	ret->member = label->member;
	return force ? 0 : belong_check_gen(f, rec, label->gen_epoch, label->gen_n, uri);
}

/* BG2. */
static int belong_check_unlabelled(struct fiber *f, struct bdev_chan *chan, const char *uri,
				   int error)
{
	if (error == -ENOMSG)
		return foreign_check_blank(f, chan, uri);
	if (error == -EILSEQ)
		return fiber_fail(f, -EILSEQ,
				  "child '%s': both copies of its label are damaged, or of other "
				  "blocks; force to take it all the same",
				  uri);
	if (error == -EPROTO)
		return fiber_fail(f, -EPROTO,
				  "child '%s': its label was written by a later version; force to "
				  "take it all the same",
				  uri);
	return belong_word(f, uri, error);
}

static int belong_new_label(struct fiber *f, struct nexus_table *table,
			    const struct volume_record *rec, struct bdev_chan *chan,
			    const char *uri, struct nexus_label *ret)
{
	uint32_t block_size = chan->bdev->block_size;

	*ret = (struct nexus_label){ .volume = rec->volume,
				     .data_bytes = nexus_label_room(chan->blocks, block_size),
				     .block_size = block_size };
	if (ret->data_bytes == 0)
		return fiber_fail(f, -EINVAL,
				  "child '%s': %llu bytes are too small for a label and 1 MiB", uri,
				  (unsigned long long)chan->blocks * block_size);
	memcpy(ret->name, rec->name, sizeof(ret->name));
	memcpy(ret->store, table->store->uri, LABEL_STORE_MAX);
	return 0;
}

static int belong_foreign(struct fiber *f, struct nexus_table *table,
			  const struct volume_record *rec, struct bdev_chan *chan, const char *uri,
			  bool force, struct belong *ret)
{
	int r = nexus_label_read(f, chan, &ret->label);

	if (r == 0 && uuid_equal(&ret->label.volume, &rec->volume))
		return belong_ours(f, rec, chan, uri, force, ret);
	if (r == 0)
		r = belong_other(f, table, &ret->label.volume, &ret->label.member, uri, force);
	else if (!force)
		r = belong_check_unlabelled(f, chan, uri, r);
	else
		r = r == -ENOMSG || r == -EILSEQ || r == -EPROTO ? 0 : r;
	return r < 0 ? r : belong_new_label(f, table, rec, chan, uri, &ret->label);
}

int belong_look(struct fiber *f, struct nexus_table *table, const struct volume_record *rec,
		struct bdev_chan *chan, const char *uri, bool force, struct belong *ret)
{
	*ret = (struct belong){ .ops = bdev_replica_ops(chan) };
	if (chan->bdev->read_only)
		return fiber_fail(f, -EROFS, "child '%s' is read-only", uri);
	if (ret->ops)
		return belong_replica(f, table, rec, chan, uri, force, ret);
	return belong_foreign(f, table, rec, chan, uri, force, ret);
}

/* ---- taken, given back --------------------------------------------------------------------- */

/*
 * Under a token of its own: who used it before ends here, and a replica of another node asks for
 * one.
 */
static int belong_fence(struct fiber *f, struct bdev_chan *chan, struct belong *belong)
{
	uint64_t token = belong->fence;
	int r = -ESTALE;

	for (unsigned i = 0; i < FENCE_TRIES && r == -ESTALE; i++) { /* BG5 */
		fiber_clear(f);
		r = belong->ops->fence(f, chan, ++token);
	}
	if (r == 0)
		belong->fence = token; /* BG3: the epochs of a volume begin above it */
	return r;
}

static int belong_set(struct fiber *f, struct bdev_chan *chan, const struct belong *belong,
		      const struct uuid *volume)
{
	CLEANUP(cleanup_mem)
	struct replica_info *info = mem_alloc(fiber_io(f)->mem, sizeof(*info));

	if (!info)
		return fiber_fail(f, -ENOMEM, "no memory to tell a child");
	info->volume = *volume;
	info->state = REPLICA_NEW;
	return belong->ops->set(f, chan, belong->fence,
				REPLICA_SET_VOLUME | REPLICA_SET_GEN | REPLICA_SET_STATE |
					REPLICA_SET_UNCLEAN,
				info);
}

int belong_take(struct fiber *f, const struct volume_record *rec, struct bdev_chan *chan,
		struct belong *belong)
{
	struct nexus_label label;
	int r;

	if (belong->ops) {
		r = belong_fence(f, chan, belong);
		return r < 0 ? r : belong_set(f, chan, belong, &rec->volume);
	}
	belong->label.member = belong->member;
	r = nexus_label_make(f, chan, &belong->label);
	if (r == 0)
		r = nexus_label_read(f, chan, &label);
	if (r == 0 && !uuid_equal(&label.member, &belong->member))
		r = -EIO;
	return r;
}

static int belong_clear_log(struct fiber *f, struct bdev_chan *chan, const struct belong *belong)
{
	uint64_t numbers[NEXUS_AL_BATCH], count;
	CLEANUP(cleanup_mem)
	struct replica_info *info = mem_alloc(fiber_io(f)->mem, sizeof(*info));
	int r = info ? belong->ops->info(f, chan, info) : -ENOMEM;
	unsigned batch = 0;

	if (r < 0)
		return r;
	count = div_up_u64(info->regions, 64);
	CLEANUP(cleanup_mem)
	uint64_t *words = mem_alloc_array(fiber_io(f)->mem, count, sizeof(*words));
	r = words ? belong->ops->al_get(f, chan, words, count) : -ENOMEM;
	for (uint64_t i = 0; r == 0 && i <= info->regions; i++) {
		if (i < info->regions && words[i / 64] >> (i % 64) & 1)
			numbers[batch++] = i;
		if (batch == 0 || (batch < NEXUS_AL_BATCH && i < info->regions))
			continue;
		r = belong->ops->al_update(f, chan, belong->fence, REPLICA_AL_CLEAR, numbers,
					   batch);
		batch = 0;
	}
	return r;
}

int belong_give_back(struct fiber *f, struct bdev_chan *chan, struct belong *belong)
{
	static const struct uuid nobody;
	int r;

	if (!belong->ops)
		return nexus_label_wipe(f, chan, &belong->label);
	r = belong_fence(f, chan, belong);
	for (unsigned i = 0; r == 0 && i < REPLICA_MISS_SLOTS; i++)
		if (belong->miss >> i & 1)
			r = belong->ops->miss_drop(f, chan, belong->fence, i);
	if (r == 0)
		r = belong_clear_log(f, chan, belong);
	return r < 0 ? r : belong_set(f, chan, belong, &nobody);
}

static int belong_let_go_open(struct fiber *f, struct nexus_table *table,
			      const struct volume_record *rec, const struct volume_member *member,
			      struct bdev *bdev)
{
	CLEANUP(cleanup_mem) struct belong *belong = mem_alloc(table->io->mem, sizeof(*belong));
	struct bdev_claim claim;
	struct bdev_chan *chan;
	int r = belong ? bdev_chan_open(f, bdev, &chan) : -ENOMEM;

	if (r < 0)
		return r;
	r = bdev_claim(f, bdev, bdev_replica_ops(chan) ? BDEV_CLAIM_READ : BDEV_CLAIM_WRITE,
		       "nexus let go", &claim);
	if (r == 0) {
		r = belong_look(f, table, rec, chan, member->uri, false, belong);
		if (r == 0 && uuid_equal(&belong->member, &member->replica))
			r = belong_give_back(f, chan, belong);
		bdev_unclaim(f, &claim);
	}
	bdev_chan_close(f, chan);
	return r;
}

int belong_let_go(struct fiber *f, struct nexus_table *table, const struct volume_record *rec,
		  const struct volume_member *member)
{
	struct bdev *bdev;
	int r = bdev_open(f, member->uri, &bdev);

	if (r == 0) {
		r = belong_let_go_open(f, table, rec, member, bdev);
		bdev_close(f, bdev);
	}
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		log_warn(reactor_log(table->home), "a child was let go, and does not know of it",
			 LOG_STR("volume", rec->name), LOG_STR("child", member->uri),
			 LOG_STR("words", fiber_words(f)));
	fiber_clear(f);
	return 0;
}
