// SPDX-License-Identifier: Apache-2.0
/* replica_stat - looking at replicas, snapshots and clones: one, or all of them. */
#include <errno.h>

#include "base/err.h"
#include "pool/catalog_priv.h"
#include "reactor/fiber.h"

static int parent_stat(struct fiber *f, struct pool *pool, uint64_t object,
		       struct replica_stat *ret)
{
	struct replica *parent;
	int r;

	if (object == 0)
		return 0;
	r = replica_get(f, pool, object, &parent);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	memcpy(ret->parent, parent->rec.name, sizeof(ret->parent));
	ret->parent_uuid = parent->rec.uuid;
	replica_put(parent);
	return 0;
}

static int replica_stat_of(struct fiber *f, struct replica *rep, struct replica_stat *ret)
{
	const struct record *rec = &rep->rec;

	*ret = (struct replica_stat){ .uuid = rec->uuid,
				      .kind = rec->kind,
				      .size_bytes = rec->size_bytes,
				      .thick = rec->flags & RECORD_THICK,
				      .shared = rec->flags & RECORD_SHARED,
				      .discarded = rec->flags & RECORD_DISCARDED,
				      .clones = rec->clones,
				      .snapshots = rec->snapshots,
				      .txg = rec->txg,
				      .wall_ns = rec->wall_ns };
	memcpy(ret->name, rec->name, sizeof(ret->name));
	memcpy(ret->entity_id, rec->entity_id, sizeof(ret->entity_id));
	ret->allocated_bytes = (rec->mapped + (uint64_t)rio_unapplied(rep))
			       << rep->pool->cluster_shift;
	return parent_stat(f, rep->pool, rec->parent, ret);
}

int replica_stat(struct fiber *f, struct pool *pool, const char *name_or_uuid,
		 struct replica_stat *ret)
{
	struct replica *rep;
	int r = replica_find(f, pool, name_or_uuid, &rep);

	if (r < 0)
		return r;
	r = replica_stat_of(f, rep, ret);
	replica_put(rep);
	return r;
}

int replica_each(struct fiber *f, struct pool *pool,
		 int (*fn)(void *ctx, const struct replica_stat *stat), void *ctx)
{
	uint64_t object = 0;

	for (;; object++) {
		struct tree_root root = pool->seen.catalog;
		const struct tree tree = { TREE_CATALOG, 0, &root };
		uint8_t value[CATALOG_VALUE_SIZE];
		struct replica_stat stat;
		struct replica *rep;
		int r = tree_next(f, pool, &tree, object, &object, value);

		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = replica_get(f, pool, object, &rep);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		if (rep->rec.flags & RECORD_PREPARED) {
			replica_put(rep);
			continue;
		}
		r = replica_stat_of(f, rep, &stat);
		replica_put(rep);
		if (r == 0)
			r = fn(ctx, &stat);
		if (r != 0)
			return r;
	}
}
