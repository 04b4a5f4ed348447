// SPDX-License-Identifier: Apache-2.0
/*
 * usage - what a replica or snapshot refers to, and what would be freed with it: a walk of
 * its map. A cluster is exclusive if every page on the way to it and the cluster itself have
 * one pointer.
 */
#include <errno.h>

#include "base/err.h"
#include "pool/catalog_priv.h"
#include "reactor/fiber.h"

static int entry_is_exclusive(struct fiber *f, struct replica *rep, struct tree_root *root,
			      uint64_t lcluster, uint64_t cluster, bool *ret)
{
	const struct tree tree = { TREE_MAP, rep->object, root };
	uint8_t value[MAP_VALUE_SIZE];
	bool shared;
	uint32_t count;
	int r = tree_find(f, rep->pool, &tree, lcluster, value, &shared);

	*ret = false;
	if (r < 0 || shared)
		return r;
	r = space_count(f, rep->pool, cluster, &count);
	*ret = r == 0 && count == 1;
	return r;
}

static int usage_walk(struct fiber *f, struct replica *rep, struct replica_usage *ret)
{
	struct tree_root root = rep->seen;
	const struct tree tree = { TREE_MAP, rep->object, &root };
	uint64_t bytes = rep->pool->super.cluster_bytes, lcluster = 0;

	*ret = (struct replica_usage){ 0 };
	for (;; lcluster++) {
		uint8_t value[MAP_VALUE_SIZE];
		bool exclusive;
		int r = tree_next(f, rep->pool, &tree, lcluster, &lcluster, value);

		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = entry_is_exclusive(f, rep, &root, lcluster,
					       map_value_get(value).cluster, &exclusive);
		if (r < 0)
			return r;
		if (fiber_is_cancelled(f))
			return fiber_fail(f, -ECANCELED, "counting was cancelled");
		ret->referenced_bytes += bytes;
		ret->exclusive_bytes += exclusive ? bytes : 0;
		if (lcluster % 1024 == 1023)
			fiber_yield(f);
	}
}

int replica_usage(struct fiber *f, struct pool *pool, const char *name, struct replica_usage *ret)
{
	struct replica *rep;
	int r = commit_wait(f, pool); /* what was written is in the trees */

	if (r == 0)
		r = replica_find(f, pool, name, &rep);
	if (r < 0)
		return r;
	r = usage_walk(f, rep, ret);
	replica_put(rep);
	return r;
}
