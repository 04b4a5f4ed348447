// SPDX-License-Identifier: Apache-2.0
/* pool_rig - see pool_rig.h. */
#include "pool_rig.h"

#include "pool/check_priv.h"
#include "pool/import_priv.h"

void pool_rig_start(struct fiber *f, struct rig *rig, struct pool_rig *pr, const char *const *uris,
		    unsigned count, uint32_t cluster_bytes)
{
	const struct pool_create_args args = { .name = "p",
					       .disks = uris,
					       .disk_count = count,
					       .cluster_bytes = cluster_bytes,
					       .cache_bytes = 1 << 20,
					       .overcommit_percent = 10000 };

	*pr = (struct pool_rig){ .rig = rig, .disks = count };
	if (!rig->env.pools)
		assert_int_equal(pool_table_new(fiber_io(f), &rig->env.pools), 0);
	for (unsigned i = 0; i < count; i++) {
		pr->uris[i] = uris[i];
		pr->keep[i] = rig_open(f, uris[i]);
	}
	pool_ok(f, pool_create(f, &args, &pr->pool));
}

void pool_rig_stop(struct fiber *f, struct pool_rig *pr)
{
	pool_ok(f, pool_export(f, pr->pool));
	for (unsigned i = 0; i < pr->disks; i++)
		bdev_close(f, pr->keep[i]);
	pool_table_free(pr->rig->env.pools);
	pr->rig->env.pools = NULL;
}

static void import(struct fiber *f, struct pool_rig *pr)
{
	const struct pool_import_args args = { .disks = pr->uris,
					       .disk_count = pr->disks,
					       .cache_bytes = 1 << 20 };

	pool_ok(f, pool_import(f, &args, &pr->pool));
}

void pool_rig_crash(struct fiber *f, struct pool_rig *pr)
{
	pool_fault(pr->pool, "crash"); /* nothing more is written */
	pool_close(f, pr->pool);
	import(f, pr);
}

void pool_rig_remount(struct fiber *f, struct pool_rig *pr)
{
	pool_ok(f, pool_export(f, pr->pool));
	import(f, pr);
}

static void say(void *ctx, const char *line)
{
	(void)ctx;
	print_message("check: %s\n", line);
}

void pool_rig_check(struct fiber *f, struct pool_rig *pr)
{
	struct pool_check_result result;

	pool_ok(f, pool_sync(f, pr->pool));
	pool_ok(f, check_walk(f, pr->pool, NULL, 0, say, NULL, &result));
	assert_int_equal(result.errors, 0);
}
