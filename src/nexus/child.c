// SPDX-License-Identifier: Apache-2.0
/*
 * child - a member of the volume as an open disk: opened, looked at, fenced, closed.
 *
 *	OUT -> OPENING -> IN_SYNC -> DROPPING -> OUT
 *	           \----> REBUILDING -> IN_SYNC
 *
 * CH1. A replica is used under a token, which its fence has seen before the first request (N4).
 * CH2. A replica that belongs to another volume, or says it is newer than the record, is not ours.
 * CH3. What has a fence is shared with other openers, who are kept out by it; anything else is
 *      claimed for ourselves alone.
 * CH4. A member in sync is the very replica, or bears the very label, that the record names: one that
 *	was made anew under the same URI is not. One that never was told (NEW) is what nexus_create()
 *	found empty.
 * CH5. A child is closed when nothing is in flight on it, and from then on nothing begins: its channel is
 *	gone before the closing, which suspends.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nexus/belong_priv.h"
#include "nexus/nexus_priv.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"

struct nexus_child *child_new(struct nexus *n, unsigned member)
{
	unsigned index = 0;

	while (index < NEXUS_CHILDREN_MAX && n->child[index].is_used)
		index++;
	if (index == NEXUS_CHILDREN_MAX)
		return NULL;
	struct nexus_child *child = &n->child[index];
	*child = (struct nexus_child){ .nexus = n,
				       .index = index,
				       .member = member,
				       .is_used = true,
				       .state = NEXUS_CHILD_OUT };
	event_init(&child->idle);
	event_set(&child->idle);
	list_init(&child->pending);
	rebuild_init(child);
	return child;
}

/* ---- what it is ------------------------------------------------------------------------------ */

uint64_t child_bytes(const struct nexus_child *child)
{
	return child->ops ? child->chan->blocks * child->bdev->block_size : child->label.data_bytes;
}

static int child_too_small(struct fiber *f, struct nexus_child *child, uint64_t size_bytes)
{
	return fiber_fail(f, -EINVAL, "child '%s': %llu bytes, the volume needs %llu",
			  child_member(child)->uri, (unsigned long long)child_bytes(child),
			  (unsigned long long)size_bytes);
}

/* A replica that joins is made as large when it has a token. */
static int child_check_size(struct fiber *f, struct nexus_child *child, bool in_sync)
{
	const struct volume_record *rec = &child->nexus->rec;
	const struct bdev *bdev = child->bdev;
	const char *uri = child_member(child)->uri;

	if (bdev->block_size > rec->block_size)
		return fiber_fail(f, -EINVAL, "child '%s': blocks of %u bytes, the volume has %u",
				  uri, bdev->block_size, rec->block_size);
	if (child_bytes(child) < rec->size_bytes && (in_sync || !child->ops))
		return child_too_small(f, child, rec->size_bytes);
	return 0;
}

/* CH4. */
static int child_check_sync(struct fiber *f, struct nexus_child *child, const struct belong *belong)
{
	const struct volume_member *member = child_member(child);
	/* all was copied to it, it was recorded, and not told yet that it is in sync (rebuild.c) */
	bool is_admitted = belong->state == REPLICA_OUTDATED;

	if (!belong->ops && uuid_is_nil(&belong->member))
		return fiber_fail(f, -ESTALE, "child '%s' bears no label of volume '%s'",
				  member->uri, child->nexus->rec.name);
	if (!uuid_equal(&belong->member, &member->replica))
		return fiber_fail(f, -ESTALE, "child '%s' is not the replica it was", member->uri);
	if (belong->ops && belong->state != REPLICA_IN_SYNC && belong->state != REPLICA_NEW &&
	    !is_admitted)
		return fiber_fail(f, -ESTALE, "child '%s' says that it is not in sync",
				  member->uri);
	return 0;
}

/* VO3, before the record is asked. */
static int child_check_alone(struct fiber *f, struct nexus_child *child, const struct uuid *member)
{
	nexus_each_child(child->nexus, other)
		if (other != child && uuid_equal(&child_member(other)->replica, member))
			return fiber_fail(f, -EEXIST, "child '%s' is the same as child '%s'",
					  child_member(child)->uri, child_member(other)->uri);
	return 0;
}

static void child_is_labelled(struct nexus_child *child, const struct belong *belong)
{
	child->label = belong->label;
	child->has_label = !uuid_is_nil(&belong->member);
	child->data_lba = LABEL_DATA / child->bdev->block_size;
}

static int child_look(struct fiber *f, struct nexus_child *child, bool in_sync)
{
	struct nexus *n = child->nexus;
	struct volume_member *member;
	CLEANUP(cleanup_mem) struct belong *belong = mem_alloc(n->mem, sizeof(*belong));
	int r = belong ? 0 : fiber_fail(f, -ENOMEM, "no memory to look at a child");

	if (r == 0)
		r = belong_look(f, n->table, &n->rec, child->chan, child_member(child)->uri,
				child->force, belong); /* CH2 */
	if (r == 0 && !belong->ops)
		child_is_labelled(child, belong);
	if (r == 0 && in_sync)
		r = child_check_sync(f, child, belong);
	if (r == 0)
		r = child_check_size(f, child, in_sync);
	if (r == 0 && !uuid_is_nil(&belong->member))
		r = child_check_alone(f, child, &belong->member);
	if (r < 0)
		return r;
	member = child_member(child); /* members move when one is removed */
	member->replica = belong->ops || child->has_label ? belong->member : belong_new_uuid(n->io);
	child->label.member = member->replica;
	child->gen = belong->gen;
	child->left_in_doubt = false;
	child->regions = belong->regions;
	child->fence = belong->fence;
	child->said = belong->state;
	return 0;
}

int child_look_again(struct fiber *f, struct nexus_child *child)
{
	return child->ops ? child_look(f, child, false) : 0;
}

/* ---- open, fence, close ------------------------------------------------------------------------ */

static int child_claim(struct fiber *f, struct nexus_child *child)
{
	char who[64];

	snprintf(who, sizeof(who), "nexus %.50s", child->nexus->rec.name);
	int r = bdev_claim(f, child->bdev, child->ops ? BDEV_CLAIM_READ : BDEV_CLAIM_WRITE, who,
			   &child->claim); /* CH3 */
	return r < 0 ? belong_word(f, child_member(child)->uri, r) : 0;
}

int child_open(struct fiber *f, struct nexus_child *child, bool in_sync)
{
	int r;

	must(!child->bdev);
	child_become(child, NEXUS_CHILD_OPENING);
	child->failed_write = false;
	r = bdev_open(f, child_member(child)->uri, &child->bdev);
	if (r < 0)
		belong_word(f, child_member(child)->uri, r);
	else
		r = bdev_chan_open(f, child->bdev, &child->chan);
	if (r == 0) {
		child->nexus->near |= child_is_local(child) ? nexus_bit(child) : 0;
		child->ops = bdev_replica_ops(child->chan);
		r = child_claim(f, child);
		child->is_claimed = r == 0;
	}
	if (r == 0)
		r = child_look(f, child, in_sync);
	if (r == 0)
		child->block_shift = (uint32_t)__builtin_ctz(child->nexus->rec.block_size /
							     child->bdev->block_size);
	if (r == 0 && bio_size(child->bdev) > sizeof(struct bio) + NEXUS_CHILD_ROOM)
		r = fiber_fail(f, -E2BIG, "child '%s' stands on too many drivers",
			       child_member(child)->uri);
	if (r < 0)
		child_close(f, child);
	return r;
}

void child_close(struct fiber *f, struct nexus_child *child)
{
	struct bdev_chan *chan;

	while (child->inflight > 0)
		event_wait_always(f, &child->idle);
	chan = steal(child->chan); /* closing suspends: nobody begins anything on it (CH5) */
	child->has_maps = false;
	if (chan)
		bdev_chan_close(f, chan);
	if (child->is_claimed)
		bdev_unclaim(f, &child->claim);
	if (child->bdev)
		bdev_close(f, child->bdev);
	child->bdev = NULL;
	child->nexus->near &= (nexus_mask)~nexus_bit(child);
	child->ops = NULL;
	child->is_claimed = false;
	child->token = 0;
	child->has_maps = child->is_reset = false;
	child->data_lba = 0;
	child_become(child, NEXUS_CHILD_OUT);
}

/* CH1. */
int child_fence(struct fiber *f, struct nexus_child *child)
{
	struct nexus *n = child->nexus;
	uint64_t token;

	if (!child->ops)
		return 0;
	if (n->session == NEXUS_SESSION_MAX)
		return fiber_fail(f, -EOVERFLOW, "volume '%s': its epoch has no sessions left",
				  n->rec.name);
	n->session = nexus_is_off(n, NEXUS_RULE_SESSION) ? 1 : n->session + 1;
	token = replica_token(n->rec.epoch, n->session);
	int r = nexus_is_off(n, NEXUS_RULE_FENCE) ? 0 :
						    child->ops->fence(f, child->chan, token);
	if (r == 0)
		child->token = token;
	return r < 0 ? r : child_grow(f, child, n->rec.size_bytes);
}

int child_grow(struct fiber *f, struct nexus_child *child, uint64_t size_bytes)
{
	uint32_t block_size = child->bdev->block_size;
	int r;

	if (child_bytes(child) >= size_bytes)
		return 0;
	if (child->ops)
		r = child->ops->resize(f, child->chan, child->token, size_bytes / block_size);
	else
		r = bdev_rescan(f, child->bdev);
	if (r == 0 && !child->ops && child->has_label &&
	    nexus_label_room(child->chan->blocks, block_size) >= size_bytes)
		r = nexus_label_grow(f, child->chan, &child->label);
	if (r == 0 && child_bytes(child) < size_bytes)
		r = child_too_small(f, child, size_bytes);
	return r;
}

void child_hold(struct nexus_child *child)
{
	child->inflight++;
	event_clear(&child->idle);
}

void child_let_go(struct nexus_child *child)
{
	if (--child->inflight == 0)
		event_set(&child->idle);
}

/* A label says less than a replica's metadata: of what generation the member is. */
static int child_tell_label(struct fiber *f, struct nexus_child *child)
{
	const struct replica_gen *gen = &child->nexus->gen; /* BG4 */
	struct nexus_label *label = &child->label;
	bool is_new = label->gen_epoch != gen->epoch || label->gen_n != gen->n;
	int r = 0;

	label->gen_epoch = gen->epoch;
	label->gen_n = gen->n;
	if (!child->has_label)
		r = nexus_label_make(f, child->chan, label);
	else if (is_new)
		r = nexus_label_write(f, child->chan, label);
	if (r < 0)
		label->gen_n = UINT64_MAX; /* told again by the next one */
	else
		child->has_label = true;
	return r;
}

int child_tell_gen(struct fiber *f, struct nexus_child *child, enum replica_state state,
		   bool is_unclean, const struct replica_gen *gen)
{
	struct nexus *n = child->nexus;
	unsigned which = REPLICA_SET_VOLUME | REPLICA_SET_STATE | REPLICA_SET_UNCLEAN;
	struct replica_info *info;
	int r;

	if (!child->ops)
		return child_tell_label(f, child);
	info = mem_alloc(n->mem, sizeof(*info));
	if (!info)
		return fiber_fail(f, -ENOMEM, "no memory to tell a child");
	info->volume = n->rec.volume;
	info->state = state;
	info->unclean = is_unclean;
	if (gen) {
		which |= REPLICA_SET_GEN;
		info->gen = *gen;
	}
	for (unsigned i = 0; i < n->rec.member_count; i++)
		if (n->rec.members[i].state == VOLUME_IN_SYNC)
			info->members[info->member_count++] = n->rec.members[i].replica;
	child_hold(child);
	r = child->ops->set(f, child->chan, child->token, which, info);
	child_let_go(child);
	if (r == 0 && gen)
		child->gen = info->gen;
	mem_free(info);
	return r;
}

int child_tell(struct fiber *f, struct nexus_child *child, enum replica_state state,
	       bool is_unclean)
{
	struct replica_gen gen = child->nexus->gen; /* BG4 */

	return child_tell_gen(f, child, state, is_unclean, &gen);
}

int child_flush(struct fiber *f, struct nexus_child *child)
{
	CLEANUP(cleanup_mem) struct bio *bio = bio_new(child->chan);

	if (!bio)
		return fiber_fail(f, -ENOMEM, "no memory to flush a child");
	bio_prep(bio, child->chan, BIO_FLUSH, 0, 0, NULL, 0, NULL);
	bio->token = child->token;
	uint64_t serial = ++child->nexus->serial;
	child_hold(child);
	int r = bio_wait(f, bio);
	child_let_go(child);
	if (r == 0)
		child->flushed = max_u64(child->flushed, serial);
	return r;
}

/* Better to read from: local ones first, then who has less to do. */
bool child_is_closer(const struct nexus_child *child, const struct nexus_child *than)
{
	bool local = child_is_local(child);

	if (local != child_is_local(than))
		return local;
	return child->inflight < than->inflight;
}

bool child_is_local(const struct nexus_child *child)
{
	return child->bdev && strcmp(child->bdev->driver->scheme, "nvmf") != 0;
}
