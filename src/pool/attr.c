// SPDX-License-Identifier: Apache-2.0
/*
 * attr - what is kept with a replica and does not fit its record: a tree of 232-byte values
 * under kind << 56 | index (attr_priv.h). Here: the hosts that may connect, rewritten as a whole.
 */
#include "pool/attr_priv.h"

#include <errno.h>

#include "base/err.h"
#include "base/must.h"
#include "reactor/fiber.h"

_Static_assert(REPLICA_HOST_LEN_MAX + 1 <= ATTR_VALUE_SIZE, "a host fits an attribute");

int attr_put(struct fiber *f, struct replica *rep, enum attr_kind kind, uint64_t index,
	     const uint8_t value[ATTR_VALUE_SIZE])
{
	const struct tree tree = { TREE_ATTR, rep->object, &rep->rec.attr };

	replica_dirty(rep);
	return tree_put(f, rep->pool, &tree, attr_key(kind, index), value);
}

int attr_del(struct fiber *f, struct replica *rep, enum attr_kind kind, uint64_t index)
{
	const struct tree tree = { TREE_ATTR, rep->object, &rep->rec.attr };
	int r = tree_del(f, rep->pool, &tree, attr_key(kind, index), NULL);

	replica_dirty(rep);
	return r == -ENOENT ? 0 : r;
}

int attr_seen_next(struct fiber *f, struct replica *rep, uint64_t from, uint64_t *ret_key,
		   uint8_t value[ATTR_VALUE_SIZE])
{
	const struct tree tree = { TREE_ATTR, rep->object, &rep->seen_attr };

	return tree_next(f, rep->pool, &tree, from, ret_key, value);
}

int attr_drop(struct fiber *f, struct replica *rep, enum attr_kind kind)
{
	const struct tree tree = { TREE_ATTR, rep->object, &rep->rec.attr };

	for (;;) {
		uint8_t value[ATTR_VALUE_SIZE];
		uint64_t key;
		int r = tree_next(f, rep->pool, &tree, attr_key(kind, 0), &key, value);

		if (r == -ENOENT || (r == 0 && key >> 56 != kind))
			return 0;
		if (r == 0)
			r = tree_del(f, rep->pool, &tree, key, NULL);
		if (r < 0)
			return r;
		replica_dirty(rep);
	}
}

/* ---- hosts ------------------------------------------------------------------------------- */

struct hosts {
	struct replica *rep;
	const char *const *hosts;
	unsigned count;
};

static int hosts_check(struct fiber *f, struct pool *pool, void *arg)
{
	struct hosts *hosts = arg;

	if (hosts->rep->gone)
		return fiber_fail(f, -ENOENT, "pool '%s': '%s' was destroyed", pool->super.name,
				  hosts->rep->rec.name);
	return 0;
}

static int hosts_run(struct fiber *f, struct pool *pool, void *arg)
{
	struct hosts *hosts = arg;
	int r = attr_drop(f, hosts->rep, ATTR_HOST);

	for (unsigned i = 0; r == 0 && i < hosts->count; i++) {
		uint8_t value[ATTR_VALUE_SIZE] = { 0 };

		value[0] = (uint8_t)strlen(hosts->hosts[i]);
		memcpy(value + 1, hosts->hosts[i], value[0]);
		r = attr_put(f, hosts->rep, ATTR_HOST, i, value);
	}
	return r;
}

int replica_set_hosts(struct fiber *f, struct pool *pool, const char *name,
		      const char *const *hosts, unsigned count)
{
	struct hosts arg = { .hosts = hosts, .count = count };
	struct commit_op op = { .check = hosts_check, .run = hosts_run, .arg = &arg };
	int r;

	if (count > REPLICA_HOSTS_MAX)
		return fiber_fail(f, -EINVAL, "replica '%s': %u hosts, at most %u are allowed",
				  name, count, REPLICA_HOSTS_MAX);
	for (unsigned i = 0; i < count; i++)
		if (hosts[i][0] == 0 || strlen(hosts[i]) > REPLICA_HOST_LEN_MAX)
			return fiber_fail(f, -EINVAL,
					  "replica '%s': host %u: 1 to %u bytes are wanted", name,
					  i, REPLICA_HOST_LEN_MAX);
	r = replica_find(f, pool, name, &arg.rep);
	if (r < 0)
		return r;
	r = commit_op(f, pool, &op);
	replica_put(arg.rep);
	return r;
}

int replica_get_hosts(struct fiber *f, struct pool *pool, const char *name,
		      int (*fn)(void *ctx, const char *host), void *ctx)
{
	struct replica *rep;
	int r = replica_find(f, pool, name, &rep);

	if (r < 0)
		return r;
	for (uint64_t key = attr_key(ATTR_HOST, 0); r == 0; key++) {
		uint8_t value[ATTR_VALUE_SIZE];
		char host[REPLICA_HOST_LEN_MAX + 1] = { 0 };

		r = attr_seen_next(f, rep, key, &key, value);
		if (r == -ENOENT || (r == 0 && key >> 56 != ATTR_HOST)) { /* no more */
			r = 0;
			break;
		}
		if (r == 0) {
			memcpy(host, value + 1, min_u32(value[0], REPLICA_HOST_LEN_MAX));
			r = fn(ctx, host);
		}
	}
	replica_put(rep);
	return r;
}
