// SPDX-License-Identifier: Apache-2.0
/*
 * create - a volume's record is made, and goes.
 *
 * CR1. Nothing is written, to a child or to the store, before everything was looked at.
 * CR2. Only members that are seen to be empty begin in sync with the first one: replicas that never
 *	held anything. Of all others the first is in sync, and the rest is rebuilt from it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nexus/nexus_priv.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "bdev/status.h"

struct create {
	struct volume_record *rec; /* owned */
	bool empty[NEXUS_CHILDREN_MAX];
	uint64_t least_bytes;
};

static int create_check(struct fiber *f, const struct nexus_create_args *args)
{
	if (!args->name[0] || strlen(args->name) > VOLUME_NAME_MAX || strchr(args->name, '/'))
		return fiber_fail(f, -EINVAL, "a volume's name has 1 to %u characters, no '/'",
				  VOLUME_NAME_MAX);
	if (args->count == 0 || args->count > NEXUS_CHILDREN_MAX)
		return fiber_fail(f, -EINVAL, "volume '%s': 1 to %u children, not %u", args->name,
				  NEXUS_CHILDREN_MAX, args->count);
	for (unsigned i = 0; i < args->count; i++) {
		if (strlen(args->uris[i]) > VOLUME_URI_MAX)
			return fiber_fail(f, -ENAMETOOLONG,
					  "volume '%s': the URI of child %u is longer than %u",
					  args->name, i, VOLUME_URI_MAX);
		for (unsigned j = 0; j < i; j++)
			if (strcmp(args->uris[i], args->uris[j]) == 0)
				return fiber_fail(f, -EINVAL, "volume '%s': child '%s' twice",
						  args->name, args->uris[i]);
	}
	return 0;
}

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

/* Open and claimed: is it ours to take? */
static int create_look_at(struct fiber *f, struct create *c, unsigned i, struct bdev_chan *chan)
{
	const struct bdev_replica_ops *ops = bdev_replica_ops(chan);
	struct volume_member *member = &c->rec->members[i];
	CLEANUP(cleanup_mem) struct replica_info *info = mem_new(fiber_io(f), sizeof(*info));
	const struct bdev *bdev = chan->bdev;
	int r = info ? 0 : -ENOMEM;

	if (r == 0 && bdev->read_only)
		r = fiber_fail(f, -EROFS, "child '%s' is read-only", member->uri);
	if (r == 0 && ops) {
		r = ops->info(f, chan, info);
		if (r == 0)
			r = child_check_info(f, c->rec, info, member->uri);
		member->replica = info->replica;
		if (r == 0 && info->state == REPLICA_NEW)
			r = create_is_empty(f, chan, &c->empty[i]);
	}
	c->rec->block_size = max_u32(c->rec->block_size, bdev->block_size);
	c->least_bytes = min_u64(c->least_bytes, bdev->blocks * bdev->block_size);
	return r;
}

static int create_look(struct fiber *f, struct create *c, unsigned i)
{
	const char *uri = c->rec->members[i].uri;
	struct bdev_claim claim;
	struct bdev_chan *chan;
	struct bdev *bdev;
	int r = bdev_open(f, uri, &bdev);

	if (r < 0)
		return r;
	r = bdev_chan_open(f, bdev, &chan);
	if (r == 0) {
		bool has_fence = bdev_replica_ops(chan) != NULL;

		r = bdev_claim(f, bdev, has_fence ? BDEV_CLAIM_READ : BDEV_CLAIM_WRITE,
			       "nexus create", &claim);
		if (r == 0) {
			r = create_look_at(f, c, i, chan);
			bdev_unclaim(f, &claim);
		}
		bdev_chan_close(f, chan);
	}
	bdev_close(f, bdev);
	return r;
}

/* CR2. */
static void create_states(struct create *c)
{
	bool all_empty = true;

	for (unsigned i = 0; i < c->rec->member_count; i++)
		all_empty = all_empty && c->empty[i];
	for (unsigned i = 0; i < c->rec->member_count; i++) {
		struct volume_member *member = &c->rec->members[i];

		member->state = all_empty || i == 0 ? VOLUME_IN_SYNC : VOLUME_OUT;
		if (member->state == VOLUME_OUT)
			snprintf(member->reason, sizeof(member->reason), "new");
	}
}

static int create_size(struct fiber *f, struct create *c, uint64_t wanted)
{
	struct volume_record *rec = c->rec;

	rec->size_bytes = wanted ? wanted : c->least_bytes - c->least_bytes % rec->block_size;
	if (rec->size_bytes > c->least_bytes)
		return fiber_fail(f, -EINVAL,
				  "volume '%s': %llu bytes, its smallest child has %llu", rec->name,
				  (unsigned long long)rec->size_bytes,
				  (unsigned long long)c->least_bytes);
	return volume_check(rec, fiber_fail_err(f));
}

/* Names are for people; the store's keys are uuids. */
static int create_name_is_free(struct fiber *f, struct nexus_table *table, const char *name)
{
	CLEANUP(cleanup_mem) struct store_record *at = mem_new(fiber_io(f), sizeof(*at));
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	char after[STORE_KEY_MAX + 1] = "";
	int r = at && rec ? 0 : -ENOMEM;

	while (r == 0 && (r = store_next(f, table->store, "volume/", after, at)) == 0) {
		snprintf(after, sizeof(after), "%s", at->key);
		if (volume_decode(at->value, at->len, rec, NULL) == 0 &&
		    strcmp(rec->name, name) == 0)
			return fiber_fail(f, -EEXIST, "volume '%s' exists", name);
	}
	return r == -ENOENT ? 0 : r;
}

int nexus_create(struct fiber *f, struct nexus_table *table, const struct nexus_create_args *args,
		 struct uuid *ret_volume)
{
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	struct create c = { .rec = rec, .least_bytes = UINT64_MAX };
	uint64_t revision = STORE_ABSENT;
	uint8_t random[16];
	int r = rec ? create_check(f, args) : -ENOMEM;

	if (r == 0)
		r = create_name_is_free(f, table, args->name);
	if (r < 0)
		return r;
	io_random(table->io, random, sizeof(random));
	rec->volume = uuid_is_nil(&args->volume) ? uuid_v4(random) : args->volume;
	snprintf(rec->name, sizeof(rec->name), "%s", args->name);
	rec->clean = true;
	rec->member_count = args->count;
	for (unsigned i = 0; i < args->count && r == 0; i++) {
		snprintf(rec->members[i].uri, sizeof(rec->members[i].uri), "%s", args->uris[i]);
		r = create_look(f, &c, i);
	}
	create_states(&c);
	if (r == 0)
		r = create_size(f, &c, args->size_bytes);
	if (r == 0)
		r = volume_put(f, table->store, rec, &revision); /* CR1 */
	if (r == 0)
		*ret_volume = rec->volume;
	return r;
}

int nexus_destroy(struct fiber *f, struct nexus_table *table, const struct uuid *volume)
{
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	char key[STORE_KEY_MAX + 1], text[UUID_TEXT_SIZE];
	uint64_t revision;
	int r;

	if (!rec)
		return fiber_fail(f, -ENOMEM, "no memory to destroy a volume");
	if (nexus_find(table, uuid_print(volume, text)))
		return fiber_fail(f, -EBUSY, "volume %s is open here", text);
	r = volume_get(f, table->store, volume, rec, &revision);
	if (r == -ENOENT)
		return fiber_fail(f, r, "there is no volume %s", text);
	if (r < 0)
		return r;
	if (!rec->clean)
		return fiber_fail(f, -EBUSY, "volume '%s' is in use, or was not closed", rec->name);
	volume_key(volume, key);
	return store_del(f, table->store, key, revision);
}
