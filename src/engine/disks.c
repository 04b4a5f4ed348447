// SPDX-License-Identifier: Apache-2.0
/*
 * disks - any disk that a node was told to open by URI, and shares of them over NVMe/TCP.
 *
 * What is here is open, so that its name is known; a pool on it, or a share, has its own use of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "bdev/bdev_driver.h"
#include "engine/uses.h"
#include "reactor/fiber.h"

#define NAME_SIZE BDEV_NAME_MAX

/* The NQN's part: what a name has that an NQN or a URI must not is a dash. */
static void share_name(const struct engine_disk *disk, char ret[NAME_SIZE])
{
	size_t len = 0;

	for (const char *c = disk->bdev->name; *c && len + 1 < NAME_SIZE; c++) {
		bool is_plain = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
				(*c >= 'A' && *c <= 'Z') || *c == '.' || *c == '_' || *c == '-';

		if (is_plain)
			ret[len++] = *c;
		else if (len > 0 && ret[len - 1] != '-')
			ret[len++] = '-';
	}
	ret[len] = '\0';
}

void engine_disk_free(struct engine_disk *disk)
{
	list_del(&disk->link);
	texts_free(&disk->hosts);
	mem_free(disk->uri);
	mem_free(disk);
}

/* By URI, by name or by the last part of the name (malloc:///ram: "ram"), by uuid. */
static struct engine_disk *disk_find(struct engine *e, const char *name)
{
	struct engine_disk *disk;
	struct uuid uuid;
	bool is_uuid = uuid_parse(name, &uuid) == 0;

	list_for_each(disk, &e->disks, link) {
		const char *last = disk->bdev ? strrchr(disk->bdev->name, '/') : NULL;

		if (strcmp(disk->uri, name) == 0)
			return disk;
		if (disk->bdev &&
		    (strcmp(disk->bdev->name, name) == 0 || (last && strcmp(last + 1, name) == 0) ||
		     (is_uuid && uuid_equal(&disk->bdev->uuid, &uuid))))
			return disk;
	}
	return NULL;
}

bool disk_local_uri(struct engine *e, const char *name, char ret[ENGINE_URI_MAX])
{
	const struct engine_disk *disk = disk_find(e, name);

	if (disk)
		snprintf(ret, ENGINE_URI_MAX, "%s", disk->uri);
	return disk != NULL;
}

/* ---- telling ------------------------------------------------------------------------------------ */

static int disk_tell(struct engine *e, const struct engine_disk *disk, engine_bdev_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) char *share = mem_new(e->io, ENGINE_URI_MAX);
	struct engine_bdev_info info = { .name = disk->uri,
					 .uri = disk->uri,
					 .product = "",
					 .share_uri = share,
					 .claimed_by = "" };

	if (!share)
		return -ENOMEM;
	if (disk->bdev) {
		char name[NAME_SIZE];

		info.name = disk->bdev->name;
		info.product = disk->bdev->driver->scheme;
		info.uuid = disk->bdev->uuid;
		info.blocks = disk->bdev->blocks;
		info.block_size = disk->bdev->block_size;
		share_name(disk, name);
		if (disk->is_shared) {
			share_uri(e, name, NULL, share);
			info.claimed_by = "share";
		}
	}
	return fn(ctx, &info);
}

struct each {
	struct engine *e;
	const char *name;
	engine_bdev_fn fn;
	void *ctx;
	unsigned found;
};

static int each_replica(void *ctx, const struct engine_replica_info *replica)
{
	struct each *each = ctx;
	char uuid[UUID_TEXT_SIZE];
	struct engine_bdev_info info = {
		.name = replica->stat.name,
		.uri = replica->uri,
		.share_uri = replica->stat.shared ? replica->uri : "",
		.product = "replica",
		.claimed_by = replica->stat.shared ? "share" : "",
		.uuid = replica->stat.uuid,
		.blocks = replica->stat.size_bytes / BDEV_BLOCK_MIN,
		.block_size = BDEV_BLOCK_MIN,
	};

	uuid_print(&info.uuid, uuid);
	if (each->name && strcmp(each->name, info.name) != 0 && strcmp(each->name, uuid) != 0)
		return 0;
	each->found++;
	return each->fn(each->ctx, &info);
}

static int each_nexus(void *ctx, const struct engine_nexus_info *nexus)
{
	struct each *each = ctx;
	char uuid[UUID_TEXT_SIZE], uri[sizeof("nexus:///") + UUID_TEXT_SIZE];
	struct engine_bdev_info info = {
		.name = nexus->name,
		.uri = uri,
		.share_uri = nexus->device_uri,
		.product = "nexus",
		.claimed_by = nexus->device_uri[0] ? "share" : "",
		.uuid = nexus->uuid,
		.block_size = nexus->nexus.block_size ? nexus->nexus.block_size : BDEV_BLOCK_MIN,
	};

	info.blocks = nexus->size_bytes / info.block_size;
	snprintf(uri, sizeof(uri), "nexus:///%s", uuid_print(&info.uuid, uuid));
	if (each->name && strcmp(each->name, info.name) != 0 && strcmp(each->name, uuid) != 0)
		return 0;
	each->found++;
	return each->fn(each->ctx, &info);
}

int engine_bdev_each(struct fiber *f, struct engine *e, const char *name, engine_bdev_fn fn,
		     void *ctx)
{
	struct each each = { .e = e, .name = name, .fn = fn, .ctx = ctx };
	const struct engine_disk *disk;
	int r = 0;

	list_for_each(disk, &e->disks, link) {
		if (name && disk_find(e, name) != disk)
			continue;
		each.found++;
		r = disk_tell(e, disk, fn, ctx);
		if (r != 0)
			return r;
	}
	r = engine_replica_each(f, e, NULL, each_replica, &each);
	if (r == 0)
		r = engine_nexus_each(f, e, NULL, each_nexus, &each);
	if (r == 0 && name && !each.found)
		return fiber_fail(f, -ENOENT, "there is no bdev '%s'", name);
	return r;
}

/* ---- create, destroy -------------------------------------------------------------------------------- */

static int disk_share(struct fiber *f, struct engine *e, struct engine_disk *disk)
{
	CLEANUP(cleanup_mem) char *uri = NULL;
	char name[NAME_SIZE];
	struct share_args args = { .name = name,
				   .hosts = texts_list(&disk->hosts),
				   .host_count = disk->hosts.count };
	int r = uses_spell(f, e, disk->uri, &uri);

	if (r < 0)
		return r;
	args.uri = uri;
	share_name(disk, name);
	return share_hosts(f, e, &args);
}

static int disk_open(struct fiber *f, struct engine *e, struct engine_disk *disk)
{
	CLEANUP(cleanup_mem) char *uri = NULL;
	int r = uses_spell(f, e, disk->uri, &uri);

	if (r == 0)
		r = uses_may_open(f, e, uri);
	return r < 0 ? r : bdev_open(f, uri, &disk->bdev);
}

int disks_restore(struct fiber *f, struct engine *e, struct engine_disk *disk)
{
	int r = disk_open(f, e, disk);

	if (r == 0 && disk->is_shared)
		r = disk_share(f, e, disk);
	return r;
}

static int disk_add(struct fiber *f, struct engine *e, const char *uri, struct engine_disk **ret)
{
	struct engine_disk *disk = mem_new(e->io, sizeof(*disk));
	int r;

	if (!disk)
		return fiber_fail(f, -ENOMEM, "no memory");
	list_add_tail(&e->disks, &disk->link);
	disk->uri = mem_strdup(e->io->mem, uri);
	r = disk->uri ? disk_open(f, e, disk) : fiber_fail(f, -ENOMEM, "no memory");
	if (r == 0) {
		r = state_save(f, e);
		if (r < 0)
			bdev_close(f, disk->bdev);
	}
	if (r < 0) {
		engine_disk_free(disk);
		return r;
	}
	events_add(e->events, EVENTS_BDEV, "created", uri, &disk->bdev->uuid, "%s", "");
	*ret = disk;
	return 0;
}

static int disk_have(struct fiber *f, struct engine *e, const char *uri, struct engine_disk **ret)
{
	struct engine_disk *disk;
	unsigned count = 0;

	list_for_each(disk, &e->disks, link) {
		count++;
		if (strcmp(disk->uri, uri) != 0)
			continue;
		*ret = disk;
		return disk->bdev ? 0 : disks_restore(f, e, disk);
	}
	if (count >= ENGINE_BDEVS_MAX)
		return fiber_fail(f, -ENOSPC, "there are %u bdevs, the most there can be", count);
	return disk_add(f, e, uri, ret);
}

int engine_bdev_create(struct fiber *f, struct engine *e, const char *uri, engine_bdev_fn fn,
		       void *ctx)
{
	struct engine_disk *disk = NULL;
	int r = latch_lock(f, &e->change);

	if (r < 0)
		return r;
	if (!uri[0])
		r = fiber_fail(f, -EINVAL, "the bdev's uri is missing");
	else
		r = disk_have(f, e, uri, &disk);
	if (r == 0)
		r = disk_tell(e, disk, fn, ctx);
	latch_unlock(f, &e->change);
	return r;
}

/* A replica or a nexus: it does not go with our use of it. */
static bool disk_is_view(const struct engine_disk *disk)
{
	return disk->bdev && (strcmp(disk->bdev->driver->scheme, "pool") == 0 ||
			      strcmp(disk->bdev->driver->scheme, "nexus") == 0);
}

/* Somebody else's use of it shows in a claim: ours would be refused. */
static int disk_is_unused(struct fiber *f, const struct engine_disk *disk)
{
	struct bdev_claim claim = { 0 };
	int r;

	if (disk->is_shared)
		return fiber_fail(f, -EBUSY, "bdev '%s' is shared", disk->uri);
	if (disk_is_view(disk))
		return 0;
	r = disk->bdev ? bdev_claim(f, disk->bdev, BDEV_CLAIM_WRITE, "destroy", &claim) : 0;
	if (r == 0 && disk->bdev)
		bdev_unclaim(f, &claim);
	return r;
}

int engine_bdev_destroy(struct fiber *f, struct engine *e, const char *uri)
{
	struct engine_disk *disk;
	struct bdev *bdev;
	int r = latch_lock(f, &e->change);

	if (r < 0)
		return r;
	disk = disk_find(e, uri);
	r = !uri[0] ? fiber_fail(f, -EINVAL, "the bdev's uri is missing") :
	    !disk   ? fiber_fail(f, -ENOENT, "there is no bdev '%s'", uri) :
		      disk_is_unused(f, disk);
	if (r == 0) {
		bdev = disk->bdev;
		events_add(e->events, EVENTS_BDEV, "destroyed", disk->uri,
			   bdev ? &bdev->uuid : NULL, "%s", "");
		engine_disk_free(disk);
		r = state_save(f, e);
		if (bdev)
			bdev_close(f, bdev);
	}
	latch_unlock(f, &e->change);
	return r;
}

void disks_close(struct fiber *f, struct engine *e)
{
	struct engine_disk *disk, *after;

	list_for_each_safe(disk, after, &e->disks, link) {
		if (disk->bdev && disk->is_shared) {
			char name[NAME_SIZE];

			share_name(disk, name);
			share_close(f, share_find(e, name));
		}
		if (disk->bdev)
			bdev_close(f, disk->bdev);
		engine_disk_free(disk);
	}
}

/* ---- shares --------------------------------------------------------------------------------------------- */

static int disk_share_now(struct fiber *f, struct engine *e, struct engine_disk *disk,
			  const char *const *hosts, unsigned count)
{
	struct texts copy = { 0 };
	int r;

	if (disk->is_shared && texts_are(&disk->hosts, hosts, count))
		return 0;
	r = texts_copy(e->io->mem, hosts, count, &copy);
	if (r < 0)
		return fiber_fail(f, r, "no memory");
	texts_free(&disk->hosts);
	disk->hosts = copy;
	r = disk_share(f, e, disk);
	disk->is_shared = r == 0;
	if (r == 0)
		events_add(e->events, EVENTS_BDEV, "shared", disk->uri, &disk->bdev->uuid, "%s",
			   "");
	return r < 0 ? r : state_save(f, e);
}

static int bdev_is_other(struct fiber *f, struct engine *e, const char *name)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	int r = at ? replicas_find(f, e, name, NULL, at) : -ENOMEM;

	if (r == 0) {
		pools_put(at->ep);
		return 1;
	}
	return r;
}

int engine_bdev_share(struct fiber *f, struct engine *e, const char *name, const char *const *hosts,
		      unsigned host_count, engine_bdev_fn fn, void *ctx)
{
	struct engine_disk *disk;
	int r = share_check_hosts(f, hosts, host_count);

	if (r == 0)
		r = latch_lock(f, &e->change);
	if (r < 0)
		return r;
	disk = disk_find(e, name);
	if (disk && disk->bdev)
		r = disk_share_now(f, e, disk, hosts, host_count);
	else if (disk)
		r = fiber_fail(f, -EAGAIN, "bdev '%s' is away", name);
	else
		r = bdev_is_other(f, e, name);
	if (r == 0)
		r = disk_tell(e, disk, fn, ctx);
	latch_unlock(f, &e->change);
	if (r > 0)
		r = fiber_fail(f, -EPERM, "'%s' is a replica: ShareReplica shares it", name);
	return r;
}

int engine_bdev_unshare(struct fiber *f, struct engine *e, const char *name)
{
	struct engine_disk *disk;
	int r = latch_lock(f, &e->change);

	if (r < 0)
		return r;
	disk = disk_find(e, name);
	if (!disk) {
		r = fiber_fail(f, -ENOENT, "there is no bdev '%s'", name);
	} else if (disk->is_shared) {
		char share[NAME_SIZE];

		disk->is_shared = false;
		texts_free(&disk->hosts);
		r = state_save(f, e);
		events_add(e->events, EVENTS_BDEV, "unshared", disk->uri,
			   disk->bdev ? &disk->bdev->uuid : NULL, "%s", "");
		if (disk->bdev) {
			share_name(disk, share);
			share_close(f, share_find(e, share));
		}
	}
	latch_unlock(f, &e->change);
	return r;
}
