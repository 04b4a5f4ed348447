// SPDX-License-Identifier: Apache-2.0
/*
 * offline - looking at disks and a pool that no node has imported: look, check and dump.
 *
 * The pool is imported read-only, log and all, in a table beside others; nothing is written.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "pool/check_priv.h"
#include "pool/control_priv.h"
#include "pool/import_priv.h"
#include "pool/label_priv.h"
#include "reactor/fiber.h"

int pool_look(struct fiber *f, const char *uri, struct pool_label *ret)
{
	struct pool_disk disk = { 0 };
	struct label label;
	int r = disk_open(f, uri, true, &disk);

	if (r < 0)
		return r;
	r = label_read(f, fiber_io(f)->mem, &disk, &label);
	disk_close(f, &disk);
	if (r < 0)
		return r;
	*ret = (struct pool_label){ .pool = label.pool,
				    .disk = label.disk,
				    .disk_number = label.disk_number,
				    .cluster_bytes = label.cluster_bytes,
				    .size_bytes = label.size_bytes };
	memcpy(ret->name, label.name, sizeof(ret->name));
	return 0;
}

struct attr_say {
	pool_check_say_fn say;
	void *ctx;
	struct pool_check_result *ret;
};

static void attr_bad(void *ctx, const char *words)
{
	const struct attr_say *as = ctx;

	as->ret->errors++;
	if (as->say)
		as->say(as->ctx, words);
}

int pool_check(struct fiber *f, const char *const *disks, unsigned count, pool_check_say_fn say,
	       void *ctx, struct pool_check_result *ret)
{
	const struct pool_import_args args = { .disks = disks,
					       .disk_count = count,
					       .read_only = true };
	struct attr_say as = { say, ctx, ret };
	struct pool *pool;
	int r = pool_import(f, &args, &pool);

	if (r < 0)
		return r;
	r = check_walk(f, pool, NULL, 0, say, ctx, ret);
	if (r == 0)
		r = control_verify(f, pool, attr_bad, &as);
	if (r == 0 && pool->damaged) {
		ret->errors++;
		say(ctx, pool->why);
	}
	ret->log_records = pool->stats.log_replayed;
	pool_close(f, pool);
	return r;
}

struct dump {
	pool_check_say_fn say;
	void *ctx;
};

static void PRINTF_LIKE(2, 3) dump_line(const struct dump *dump, const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	dump->say(dump->ctx, line);
}

static const char *const kind_names[] = { "replica", "snapshot", "clone" };

static int dump_replica(void *ctx, const struct replica_stat *stat)
{
	char uuid[UUID_TEXT_SIZE];

	dump_line(ctx, "%s '%s' %s: %" PRIu64 " bytes, %" PRIu64 " allocated%s%s%s%s%s%s",
		  kind_names[stat->kind], stat->name, uuid_print(&stat->uuid, uuid),
		  stat->size_bytes, stat->allocated_bytes, stat->thick ? ", thick" : "",
		  stat->shared ? ", shared" : "", stat->discarded ? ", discarded" : "",
		  stat->parent[0] ? ", of '" : "", stat->parent, stat->parent[0] ? "'" : "");
	return 0;
}

static void dump_super(const struct dump *dump, const struct pool *pool)
{
	const struct super *super = &pool->super;
	char uuid[UUID_TEXT_SIZE];

	dump_line(dump,
		  "pool '%s' %s: version %u, transaction %" PRIu64 ", incarnation %" PRIu64 ", %s",
		  super->name, uuid_print(&super->pool, uuid), super->version_write, super->txg,
		  super->incarnation,
		  super->flags & SUPER_CLEAN ? "clean" : "not exported cleanly");
	dump_line(dump,
		  "clusters of %u bytes: %" PRIu64 " in all, %" PRIu64 " data, %" PRIu64
		  " metadata, %" PRIu64 " promised",
		  super->cluster_bytes, pool->space.total, super->data_clusters,
		  super->meta_clusters, super->thick_clusters);
	dump_line(dump,
		  "log: disk %u from cluster %" PRIu64
		  ", two halves of %u clusters, next record %" PRIu64,
		  super->log_disk, super->log_first, super->log_half_clusters, super->log_seq);
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		if (pool->disks[i].bdev)
			dump_line(dump, "disk %u '%s' %s: %" PRIu64 " bytes, %" PRIu64 " clusters",
				  i, pool->disks[i].uri, uuid_print(&super->disks[i].uuid, uuid),
				  pool->disks[i].size_bytes, super->disks[i].clusters);
}

int pool_dump(struct fiber *f, const char *const *disks, unsigned count, pool_check_say_fn say,
	      void *ctx)
{
	const struct pool_import_args args = { .disks = disks,
					       .disk_count = count,
					       .read_only = true };
	struct dump dump = { say, ctx };
	struct pool *pool;
	int r = pool_import(f, &args, &pool);

	if (r < 0)
		return r;
	dump_super(&dump, pool);
	r = replica_each(f, pool, dump_replica, &dump);
	pool_close(f, pool);
	return r;
}
