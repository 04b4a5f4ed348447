// SPDX-License-Identifier: Apache-2.0
/* change - an operation on what exists, and what several of them ask. See change_priv.h. */
#include "pool/change_priv.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "reactor/fiber.h"

int change_do(struct fiber *f, struct pool *pool, const char *name, struct change *change,
	      bool gate, change_fn check, change_fn run)
{
	struct commit_op op = { .check = check, .run = run, .arg = change };
	int r = change->any ? replica_find_any(f, pool, name, &change->rep) :
			      replica_find(f, pool, name, &change->rep);

	if (r < 0)
		return r;
	if (gate)
		op.gate = change->rep;
	r = commit_op(f, pool, &op);
	replica_put(change->rep);
	return r;
}

int change_check_there(struct fiber *f, struct replica *rep)
{
	if (rep->gone)
		return fiber_fail(f, -ENOENT, "pool '%s': '%s' was destroyed",
				  rep->pool->super.name, rep->rec.name);
	return 0;
}

void change_take_uuid(struct fiber *f, const struct uuid *given, struct uuid *ret)
{
	uint8_t bytes[16];

	if (given) {
		*ret = *given;
		return;
	}
	io_random(fiber_io(f), bytes, sizeof(bytes));
	*ret = uuid_v4(bytes);
}

int change_check_metadata(struct fiber *f, struct pool *pool)
{
	if (!space_meta_is_low(pool))
		return 0;
	return fiber_fail(f, -ENOSPC, "pool '%s': little space is left for metadata, unmap and delete need it",
			  pool->super.name);
}

int change_check_room(struct fiber *f, struct pool *pool, uint64_t more_bytes, bool thick)
{
	uint64_t capacity = pool->space.total << pool->cluster_shift;
	uint64_t limit = capacity / 100 * pool->super.overcommit_percent;

	if (more_bytes > limit || pool->super.committed_bytes > limit - more_bytes)
		return fiber_fail(f, -ENOSPC,
				  "pool '%s': %" PRIu64
				  " bytes more than the over-commit limit of %u %% allows",
				  pool->super.name,
				  pool->super.committed_bytes + more_bytes - limit,
				  pool->super.overcommit_percent);
	if (thick && change_clusters(pool, more_bytes) > space_free(pool, SPACE_DATA))
		return fiber_fail(f, -ENOSPC,
				  "pool '%s': %" PRIu64
				  " bytes are free, a thick replica needs %" PRIu64,
				  pool->super.name,
				  space_free(pool, SPACE_DATA) << pool->cluster_shift, more_bytes);
	return change_check_metadata(f, pool);
}
