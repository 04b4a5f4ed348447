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

#define USAGE_ENTRIES 256u /* counted before others have their turn */

static int entry_is_exclusive(struct fiber *f, struct replica *rep, struct tree_root *root,
			      uint64_t lcluster, uint64_t cluster, bool *ret)
{
	const struct tree tree = { TREE_MAP, rep->object, root };
	uint8_t value[MAP_VALUE_SIZE];
	bool shared;
	uint32_t count;
	int r = tree_find(f, rep->pool, &tree, lcluster, value, &shared);

	*ret = false;
	if (r == -ENOENT) /* it was there: cannot be */
		return fiber_fail(f, -EILSEQ, "pool '%s': the map of '%s' is damaged",
				  rep->pool->super.name, rep->rec.name);
	if (r < 0 || shared)
		return r;
	r = space_count(f, rep->pool, cluster, &count);
	*ret = r == 0 && count == 1;
	return r;
}

/* The first mapping at or after *at, which is where it is then. -ENOENT: there is none. */
static int usage_step(struct fiber *f, struct replica *rep, struct tree_root *root, uint64_t *at,
		      struct replica_usage *ret)
{
	const struct tree tree = { TREE_MAP, rep->object, root };
	uint64_t bytes = rep->pool->super.cluster_bytes;
	uint8_t value[MAP_VALUE_SIZE];
	bool exclusive;
	int r = tree_next(f, rep->pool, &tree, *at, at, value);

	if (r == 0)
		r = entry_is_exclusive(f, rep, root, *at, map_value_get(value).cluster, &exclusive);
	if (r < 0)
		return r;
	ret->referenced_bytes += bytes;
	ret->exclusive_bytes += exclusive ? bytes : 0;
	return 0;
}

static int usage_walk(struct fiber *f, struct replica *rep, struct replica_usage *ret)
{
	struct tree_root root = rep->seen;
	uint64_t at = 0;

	*ret = (struct replica_usage){ 0 };
	for (unsigned walked = 1;; walked++) {
		int r = fiber_is_cancelled(f) ?
				fiber_fail(f, -ECANCELED, "counting was cancelled") :
				usage_step(f, rep, &root, &at, ret);

		if (r == -EILSEQ && !tree_root_same(&root, &rep->seen)) {
			fiber_clear(f); /* overtaken: go on in the map as it is now */
			root = rep->seen;
			continue;
		}
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		at++;
		if (walked % USAGE_ENTRIES == 0)
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
