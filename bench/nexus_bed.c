// SPDX-License-Identifier: Apache-2.0
/* nexus_bed - see nexus_bed.h. */
#include "nexus_bed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/stores.h"
#include "pool_bed.h"
#include "pool/pool.h"
#include "reactor/fiber.h"

static int bed_replica(struct fiber *f, struct nexus_bed *bed, unsigned i)
{
	char name[16];
	const struct pool_create_args pool = { .name = name,
					       .disks = &bed->disks[i],
					       .disk_count = 1,
					       .overcommit_percent = 10000,
					       .force = true };
	const struct replica_create_args replica = { .name = "r",
						     .size_bytes = bed->replica_bytes };
	int r = bdev_open(f, bed->disks[i], &bed->kept[i]);

	snprintf(name, sizeof(name), "q%u", i);
	snprintf(bed->uris[i], sizeof(bed->uris[i]), "pool:///%s/r", name);
	if (r == 0 && bed->prewrite)
		r = bed_prewrite(f, bed->kept[i]);
	if (r == 0)
		r = pool_create(f, &pool, &bed->pools[i]);
	return r < 0 ? r : replica_create(f, bed->pools[i], &replica);
}

static int bed_store(struct fiber *f, struct nexus_bed *bed)
{
	snprintf(bed->dir, sizeof(bed->dir), "/tmp/bench-nexus.XXXXXX");
	if (!mkdtemp(bed->dir))
		return fiber_fail(f, -EIO, "no directory %s", bed->dir);
	snprintf(bed->store_uri, sizeof(bed->store_uri), "sqlite://%s/store", bed->dir);
	return store_open(f, engine_stores, bed->store_uri, &bed->store);
}

static int bed_table(struct fiber *f, struct nexus_bed *bed)
{
	struct nexus_table_opts opts = { .store = bed->store };
	uint8_t random[16];
	int r;

	io_random(fiber_io(f), random, sizeof(random));
	opts.instance = uuid_v4(random);
	r = nexus_table_new(f, &opts, &bed->table);
	if (r == 0)
		bed->env->nexuses = bed->table;
	return r;
}

static int bed_volume(struct fiber *f, struct nexus_bed *bed, const char *name,
		      const char *const *uris, unsigned count, struct nexus **ret)
{
	const struct nexus_create_args args = {
		.name = name, .uris = uris, .count = count, .force = true
	};
	struct uuid volume;
	int r = nexus_create(f, bed->table, &args, &volume);

	if (r == 0)
		r = nexus_open(f, bed->table, &volume, false, ret);
	return r < 0 ? r : nexus_settle(f, *ret);
}

static int bed_volumes(struct fiber *f, struct nexus_bed *bed)
{
	const char *uris[NEXUS_CHILDREN_MAX];
	unsigned count = 0, own = bed->disk_count - bed->last_alone;
	const char *last = bed->uris[own];
	int r;

	while (count < own) {
		uris[count] = bed->uris[count];
		count++;
	}
	for (unsigned i = 0; i < bed->member_count && count < NEXUS_CHILDREN_MAX; i++)
		uris[count++] = bed->members[i];
	r = bed_volume(f, bed, "n", uris, count, &bed->nexus);
	if (r == 0 && bed->last_alone)
		r = bed_volume(f, bed, "one", &last, 1, &bed->one);
	return r;
}

int nexus_bed_open(struct fiber *f, struct nexus_bed *bed)
{
	int r = 0;

	if (bed->disk_count + bed->member_count == 0)
		return 0;
	for (unsigned i = 0; r == 0 && i < bed->disk_count; i++)
		r = bed_replica(f, bed, i);
	if (r == 0)
		r = bed_store(f, bed);
	if (r == 0)
		r = bed_table(f, bed);
	return r < 0 ? r : bed_volumes(f, bed);
}

static void bed_remove_store(const struct nexus_bed *bed)
{
	static const char *const names[] = { "store", "store-wal", "store-shm" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/%s", bed->dir, names[i]);
		(void)!unlink(path);
	}
	(void)!rmdir(bed->dir);
}

void nexus_bed_close(struct fiber *f, struct nexus_bed *bed)
{
	if (bed->one)
		nexus_close(f, bed->one);
	if (bed->nexus)
		nexus_close(f, bed->nexus);
	bed->env->nexuses = NULL;
	if (bed->table)
		nexus_table_free(f, bed->table);
	if (bed->store)
		store_close(f, bed->store);
	if (bed->dir[0])
		bed_remove_store(bed);
	for (unsigned i = 0; i < bed->disk_count; i++) {
		if (bed->pools[i])
			(void)!pool_export(f, bed->pools[i]);
		if (bed->kept[i])
			bdev_close(f, bed->kept[i]);
	}
}

uint64_t nexus_bed_token(struct fiber *f, const struct nexus_bed *bed)
{
	struct nexus_info *info = mem_new(fiber_io(f), sizeof(*info));
	uint64_t token = 0;

	if (info) {
		nexus_info(bed->nexus, info);
		token = info->children[0].token;
	}
	mem_free(info);
	return token;
}

void nexus_bed_json(const struct nexus_bed *bed)
{
	struct nexus_info info;

	if (!bed->nexus)
		return;
	nexus_info(bed->nexus, &info);
	printf(",\"nexus_al_updates\":%" PRIu64 ",\"nexus_al_active\":%" PRIu64, info.al_updates,
	       info.al_active);
}
