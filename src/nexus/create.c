// SPDX-License-Identifier: Apache-2.0
/*
 * create - a volume's record is made, and goes.
 *
 *	look at all, all held -> record -> members are told (labels, replicas) -> let go
 *	                           |            | one failed
 *	                           \<-- given back, record deleted
 *
 * CR1. Nothing is written, to a child or to the store, before everything was looked at.
 * CR2. Only members that are seen to be empty begin in sync with the first one: replicas that never
 *	held anything. Of all others the first is in sync, and the rest is rebuilt from it.
 * CR3. The record is first: what a crash leaves is a volume that can be opened or destroyed.
 * CR4. Destroying begins by taking the volume over in the record, so that nobody opens it meanwhile;
 *	the record goes last: what a crash leaves is destroyed by the same call.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nexus/belong_priv.h"
#include "nexus/nexus_priv.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "bdev/status.h"

#define PUT_TRIES 3u /* of a record whose writing nobody vouches for (ST4) */

struct create_child {
	struct bdev *bdev;	/* owned; NULL: not open */
	struct bdev_chan *chan; /* owned, or NULL */
	struct bdev_claim claim;
	bool is_claimed, is_empty, is_taken;
	uint64_t bytes; /* that it has room for */
	struct belong belong;
};

struct create {
	struct nexus_table *table;
	const struct nexus_create_args *args;
	struct volume_record rec;
	uint64_t revision;
	struct create_child child[NEXUS_CHILDREN_MAX];
};

/* ---- what was asked for -------------------------------------------------------------------- */

static int create_check_uris(struct fiber *f, const struct nexus_create_args *args)
{
	for (unsigned i = 0; i < args->count; i++) {
		if (!args->uris[i][0] || strlen(args->uris[i]) > VOLUME_URI_MAX)
			return fiber_fail(
				f, -ENAMETOOLONG,
				"volume '%s': the URI of child %u has %zu bytes, expected "
				"1 to %u",
				args->name, i, strlen(args->uris[i]), VOLUME_URI_MAX);
		for (unsigned j = 0; j < i; j++)
			if (strcmp(args->uris[i], args->uris[j]) == 0)
				return fiber_fail(f, -EINVAL, "volume '%s': child '%s' twice",
						  args->name, args->uris[i]);
	}
	return 0;
}

static int create_check(struct fiber *f, const struct nexus_create_args *args)
{
	size_t len = strlen(args->name);

	if (len == 0 || len > VOLUME_NAME_MAX || strchr(args->name, '/'))
		return fiber_fail(f, -EINVAL,
				  "volume '%.70s': a name has 1 to %u characters, no '/'",
				  args->name, VOLUME_NAME_MAX);
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)args->name[i] <= ' ' || args->name[i] == 0x7f)
			return fiber_fail(
				f, -EINVAL,
				"a volume's name has no spaces and no control characters");
	if (args->count == 0 || args->count > NEXUS_CHILDREN_MAX)
		return fiber_fail(f, -EINVAL, "volume '%s': 1 to %u children, not %u", args->name,
				  NEXUS_CHILDREN_MAX, args->count);
	return create_check_uris(f, args);
}

/* Names are for people; the store's keys are uuids. */
static int create_name_is_free(struct fiber *f, struct nexus_table *table,
			       const struct nexus_create_args *args)
{
	CLEANUP(cleanup_mem) struct store_record *at = mem_alloc(table->io->mem, sizeof(*at));
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_alloc(table->io->mem, sizeof(*rec));
	char after[STORE_KEY_MAX + 1] = "", text[UUID_TEXT_SIZE];
	int r = at && rec ? 0 : -ENOMEM;

	while (r == 0 && (r = store_next(f, table->store, "volume/", after, at)) == 0) {
		snprintf(after, sizeof(after), "%s", at->key);
		if (volume_decode(at->value, at->len, rec, NULL) < 0)
			continue;
		if (strcmp(rec->name, args->name) == 0)
			return fiber_fail(f, -EEXIST, "volume '%s' exists", rec->name);
		if (uuid_equal(&rec->volume, &args->volume))
			return fiber_fail(f, -EEXIST, "volume %s exists, as '%s'",
					  uuid_print(&rec->volume, text), rec->name);
	}
	return r == -ENOENT ? 0 : r;
}

/* ---- the children ------------------------------------------------------------------------------ */

/* Does it hold nothing? */
static int create_is_empty(struct fiber *f, struct bdev_chan *chan, bool *ret)
{
	struct bdev_extent extent;
	unsigned count;

	*ret = true;
	for (uint64_t lba = 0; lba < chan->blocks && *ret; lba += extent.blocks) {
		int r = bdev_status_get(f, chan, lba, chan->blocks - lba, &extent, 1, &count);

		if (r < 0)
			return r;
		*ret = (extent.flags & BDEV_ZERO) && (extent.flags & BDEV_HOLE);
	}
	return 0;
}

/* By whatever name. */
static int create_check_twice(struct fiber *f, const struct create *c, unsigned i)
{
	const struct create_child *child = &c->child[i];

	for (unsigned j = 0; j < i; j++) {
		const struct create_child *other = &c->child[j];
		bool same = other->bdev == child->bdev ||
			    (!uuid_is_nil(&child->bdev->uuid) &&
			     uuid_equal(&child->bdev->uuid, &other->bdev->uuid)) ||
			    (!uuid_is_nil(&child->belong.member) &&
			     uuid_equal(&child->belong.member, &other->belong.member));

		if (same)
			return fiber_fail(f, -EINVAL,
					  "volume '%s': children '%s' and '%s' are the same disk",
					  c->rec.name, c->args->uris[j], c->args->uris[i]);
	}
	return 0;
}

/* It is open and claimed. */
static int create_look_at(struct fiber *f, struct create *c, unsigned i)
{
	struct create_child *child = &c->child[i];
	struct belong *belong = &child->belong;
	const struct bdev *bdev = child->bdev;
	int r = belong_look(f, c->table, &c->rec, child->chan, c->args->uris[i], c->args->force,
			    belong);

	if (r == 0)
		r = create_check_twice(f, c, i);
	if (r == 0 && belong->ops && belong->state == REPLICA_NEW)
		r = create_is_empty(f, child->chan, &child->is_empty);
	if (r < 0)
		return r;
	child->bytes = belong->ops ? child->chan->blocks * bdev->block_size :
				     belong->label.data_bytes;
	if (uuid_is_nil(&belong->member))
		belong->member = belong_new_uuid(c->table->io);
	c->rec.members[i].replica = belong->member;
	c->rec.block_size = max_u32(c->rec.block_size, bdev->block_size);
	c->rec.epoch = max_u64(c->rec.epoch, belong->fence >> 16); /* BG3 */
	return 0;
}

static int create_open(struct fiber *f, struct create *c, unsigned i)
{
	struct create_child *child = &c->child[i];
	int r = bdev_open(f, c->args->uris[i], &child->bdev);

	if (r == 0)
		r = create_check_twice(f, c, i); /* before the other's claim is in the way */
	if (r == 0)
		r = bdev_chan_open(f, child->bdev, &child->chan);
	if (r < 0)
		return child->bdev ? r : belong_word(f, c->args->uris[i], r);
	r = bdev_claim(f, child->bdev,
		       bdev_replica_ops(child->chan) ? BDEV_CLAIM_READ : BDEV_CLAIM_WRITE,
		       "nexus create", &child->claim);
	child->is_claimed = r == 0;
	if (r < 0)
		return belong_word(f, c->args->uris[i], r);
	return create_look_at(f, c, i);
}

static void create_close(struct fiber *f, struct create_child *child)
{
	if (child->is_claimed)
		bdev_unclaim(f, &child->claim);
	if (child->chan)
		bdev_chan_close(f, child->chan);
	if (child->bdev)
		bdev_close(f, child->bdev);
}

/* ---- the record ------------------------------------------------------------------------------ */

/* CR2. */
static void create_states(struct create *c)
{
	bool all_empty = true;

	for (unsigned i = 0; i < c->rec.member_count; i++)
		all_empty = all_empty && c->child[i].is_empty;
	for (unsigned i = 0; i < c->rec.member_count; i++) {
		struct volume_member *member = &c->rec.members[i];

		member->state = all_empty || i == 0 ? VOLUME_IN_SYNC : VOLUME_OUT;
		if (member->state == VOLUME_OUT)
			snprintf(member->reason, sizeof(member->reason), "new");
	}
}

static int create_size(struct fiber *f, struct create *c)
{
	struct volume_record *rec = &c->rec;
	const struct create_child *child = c->child;
	char *const *const uris = (char *const *)c->args->uris;

	rec->size_bytes = c->args->size_bytes;
	for (unsigned i = 0; i < rec->member_count; i++) {
		if (rec->size_bytes > child[i].bytes)
			return fiber_fail(
				f, -EINVAL,
				"volume '%s': child '%s' has room for %llu bytes, expected "
				"%llu",
				rec->name, uris[i], (unsigned long long)child[i].bytes,
				(unsigned long long)rec->size_bytes);
		if (!c->args->size_bytes && child[i].bytes != child[0].bytes)
			return fiber_fail(
				f, -EINVAL,
				"volume '%s': child '%s' has room for %llu bytes, '%s' for "
				"%llu; say how large the volume is to be",
				rec->name, uris[0], (unsigned long long)child[0].bytes, uris[i],
				(unsigned long long)child[i].bytes);
	}
	if (rec->size_bytes == 0)
		rec->size_bytes = align_down_u64(child[0].bytes, rec->block_size);
	return volume_check(rec, fiber_fail_err(f));
}

/* ST4: until it is known. A record of this uuid is ours: nobody else has made one of it up. */
static int create_put(struct fiber *f, struct create *c)
{
	CLEANUP(cleanup_mem)
	struct volume_record *now = mem_alloc(c->table->io->mem, sizeof(*now));
	int r = now ? -EAGAIN : -ENOMEM;

	for (unsigned i = 0; r < 0 && r != -ENOMEM && i < PUT_TRIES; i++) {
		fiber_clear(f);
		c->revision = STORE_ABSENT;
		r = volume_put(f, c->table->store, &c->rec, &c->revision);
		if (r == 0 || r == -EINVAL || r == -E2BIG || r == -ECANCELED)
			break;
		struct err first = *fiber_err(f);
		fiber_clear(f);
		if (volume_get(f, c->table->store, &c->rec.volume, now, &c->revision) == 0)
			return 0;
		*fiber_err(f) = first;
	}
	return r;
}

/* ---- telling the members ---------------------------------------------------------------------- */

static void create_undo(struct fiber *f, struct create *c)
{
	struct err first = *fiber_err(f);
	char key[STORE_KEY_MAX + 1];

	fiber_clear(f);
	for (unsigned i = 0; i < c->args->count; i++) {
		struct create_child *child = &c->child[i];

		if (child->is_taken && belong_give_back(f, child->chan, &child->belong) < 0)
			fiber_clear(f); /* it can be taken by force */
	}
	volume_key(&c->rec.volume, key);
	if (store_del(f, c->table->store, key, c->revision) < 0)
		fiber_clear(f); /* it can be destroyed */
	*fiber_err(f) = first;
}

static int create_take(struct fiber *f, struct create *c)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < c->args->count; i++) {
		struct create_child *child = &c->child[i];

		child->is_taken = true; /* perhaps in part */
		r = belong_take(f, &c->rec, child->chan, &child->belong);
		if (r < 0)
			belong_word(f, c->args->uris[i], r);
	}
	if (r < 0)
		create_undo(f, c);
	return r;
}

static int create_run(struct fiber *f, struct create *c)
{
	struct volume_record *rec = &c->rec;
	int r = 0;

	rec->volume = uuid_is_nil(&c->args->volume) ? belong_new_uuid(c->table->io) :
						      c->args->volume;
	snprintf(rec->name, sizeof(rec->name), "%s", c->args->name);
	rec->clean = true;
	rec->member_count = c->args->count;
	for (unsigned i = 0; i < rec->member_count && r == 0; i++) {
		snprintf(rec->members[i].uri, sizeof(rec->members[i].uri), "%s", c->args->uris[i]);
		r = create_open(f, c, i);
	}
	create_states(c);
	if (r == 0)
		r = create_size(f, c);
	if (r == 0)
		r = create_put(f, c); /* CR1, CR3 */
	return r < 0 ? r : create_take(f, c);
}

int nexus_create(struct fiber *f, struct nexus_table *table, const struct nexus_create_args *args,
		 struct uuid *ret_volume)
{
	CLEANUP(cleanup_mem) struct create *c = mem_alloc(table->io->mem, sizeof(*c));
	int r = c ? create_check(f, args) : fiber_fail(f, -ENOMEM, "no memory for a volume");

	if (r == 0)
		r = create_name_is_free(f, table, args);
	if (r < 0)
		return r;
	c->table = table;
	c->args = args;
	r = create_run(f, c);
	for (unsigned i = 0; i < args->count; i++)
		create_close(f, &c->child[i]);
	if (r == 0)
		*ret_volume = c->rec.volume;
	return r;
}

/* ---- gone --------------------------------------------------------------------------------- */

/* CR4. */
static int destroy_seal(struct fiber *f, struct nexus_table *table, struct volume_record *rec,
			uint64_t *revision)
{
	int r;

	rec->epoch = min_u64(rec->epoch + 1, VOLUME_EPOCH_MAX);
	rec->owner = table->instance;
	r = volume_put(f, table->store, rec, revision);
	if (r != -ESTALE)
		return r;
	fiber_clear(f);
	return fiber_fail(f, -EBUSY, "volume '%s' was taken by somebody else meanwhile", rec->name);
}

/* ST4: what is gone was deleted. */
static int destroy_record(struct fiber *f, struct nexus_table *table,
			  const struct volume_record *rec, uint64_t revision)
{
	CLEANUP(cleanup_mem) struct store_record *now = mem_alloc(table->io->mem, sizeof(*now));
	char key[STORE_KEY_MAX + 1];
	int r;

	volume_key(&rec->volume, key);
	r = store_del(f, table->store, key, revision);
	if (r == 0 || !now)
		return r;
	struct err first = *fiber_err(f);
	fiber_clear(f);
	if (store_get(f, table->store, key, now) == -ENOENT) {
		fiber_clear(f);
		return 0;
	}
	*fiber_err(f) = first;
	return r;
}

static int destroy_load(struct fiber *f, struct nexus_table *table, const struct uuid *volume,
			struct volume_record *rec, uint64_t *revision)
{
	char text[UUID_TEXT_SIZE];
	int r;

	if (nexus_find(table, uuid_print(volume, text)))
		return fiber_fail(f, -EBUSY, "volume %s is open here", text);
	r = volume_get(f, table->store, volume, rec, revision);
	if (r == -ENOENT)
		return fiber_fail(f, r, "there is no volume %s", text);
	if (r == 0 && !rec->clean)
		r = fiber_fail(f, -EBUSY, "volume '%s' is in use, or was not closed", rec->name);
	return r;
}

int nexus_destroy(struct fiber *f, struct nexus_table *table, const struct uuid *volume)
{
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_alloc(table->io->mem, sizeof(*rec));
	uint64_t revision;
	int r = rec ? destroy_load(f, table, volume, rec, &revision) :
		      fiber_fail(f, -ENOMEM, "no memory to destroy a volume");

	if (r == 0)
		r = destroy_seal(f, table, rec, &revision);
	if (r < 0)
		return r;
	for (unsigned i = 0; r == 0 && i < rec->member_count; i++)
		r = belong_let_go(f, table, rec, &rec->members[i]);
	return r < 0 ? r : destroy_record(f, table, rec, revision);
}
