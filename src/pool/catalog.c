// SPDX-License-Identifier: Apache-2.0
/*
 * catalog - records by object, name and uuid. See catalog_priv.h.
 */
#include "pool/catalog_priv.h"

#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "base/must.h"
#include "pool/control_priv.h"
#include "reactor/fiber.h"

#define NAMES_SLOTS 256u

/* ---- open objects ------------------------------------------------------------------------- */

static struct replica *replica_new(struct pool *pool, uint64_t object, const struct record *record)
{
	struct replica *rep = mem_alloc(pool->mem, sizeof(*rep));

	if (!rep)
		return NULL;
	rep->pool = pool;
	rep->object = object;
	rep->rec = *record;
	rep->seen = record->map;
	rep->seen_attr = record->attr;
	list_link_init(&rep->dirty_link);
	rio_init(rep);
	if (map_u64_put(&pool->open, object, rep) < 0) {
		mem_free(rep);
		return NULL;
	}
	return rep;
}

static void replica_forget(struct replica *rep)
{
	map_u64_del(&rep->pool->open, rep->object);
	control_fini(rep);
	rio_fini(rep);
	mem_free(rep);
}

static bool replica_is_needed(const struct replica *rep)
{
	return rep->uses || rep->dirty || rio_is_busy(rep) || control_is_dirty(rep);
}

void replica_put(struct replica *rep)
{
	must(rep->uses > 0);
	rep->uses--;
	if (!replica_is_needed(rep))
		replica_forget(rep);
}

/* Not inlined: its value and the record together are too much for one frame. */
static __attribute__((noinline)) int catalog_read(struct fiber *f, struct pool *pool,
						  const struct tree_root *root, uint64_t object,
						  struct record *ret)
{
	struct tree_root copy = *root;
	const struct tree tree = { TREE_CATALOG, 0, &copy };
	uint8_t value[CATALOG_VALUE_SIZE];
	int r = tree_find(f, pool, &tree, object, value, NULL);

	if (r < 0)
		return r;
	r = record_decode(value, ret);
	if (r < 0)
		return fiber_fail(f, r, "pool '%s': the record of object %" PRIu64 " is damaged",
				  pool->super.name, object);
	return 0;
}

int replica_get(struct fiber *f, struct pool *pool, uint64_t object, struct replica **ret)
{
	struct replica *rep = map_u64_get(&pool->open, object);
	struct record record;
	int r;

	if (!rep) {
		r = catalog_read(f, pool, &pool->seen.catalog, object, &record);
		if (r < 0)
			return r;
		rep = map_u64_get(&pool->open, object); /* while we read */
	}
	if (!rep)
		rep = replica_new(pool, object, &record);
	if (!rep)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory for a replica",
				  pool->super.name);
	if (rep->gone)
		return -ENOENT;
	rep->uses++;
	*ret = rep;
	return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static uint64_t hash_bytes(const void *bytes, size_t len)
{
	uint64_t low = crc32c(0, bytes, len), high = crc32c(0x5bd1e995, bytes, len);

	return (high << 32 | low) & ~(uint64_t)(NAMES_SLOTS - 1);
}

static uint64_t hash_name(const char *name)
{
	return hash_bytes(name, strlen(name)) & INT64_MAX;
}

static uint64_t hash_uuid(const struct uuid *uuid)
{
	return hash_bytes(uuid->bytes, sizeof(uuid->bytes)) | UINT64_C(1) << 63;
}

/* What is looked for: one of the two. */
struct names_want {
	const char *name;
	const struct uuid *uuid;
};

static uint64_t want_hash(const struct names_want *want)
{
	return want->name ? hash_name(want->name) : hash_uuid(want->uuid);
}

static bool want_matches(const struct names_want *want, const struct record *record)
{
	if (want->name)
		return strcmp(record->name, want->name) == 0;
	return memcmp(record->uuid.bytes, want->uuid->bytes, sizeof(record->uuid.bytes)) == 0;
}

/* The names tree and the catalog a look-up goes by: the published or the open transaction's. */
struct names_view {
	struct tree_root names, catalog;
};

static struct names_view view_seen(const struct pool *pool)
{
	return (struct names_view){ pool->seen.names, pool->seen.catalog };
}

static struct names_view view_open(const struct pool *pool)
{
	return (struct names_view){ pool->super.names, pool->super.catalog };
}

static int object_matches(struct fiber *f, struct pool *pool, struct names_view view,
			  uint64_t object, struct names_want want, bool *ret)
{
	const struct replica *rep = map_u64_get(&pool->open, object);
	struct record record;
	int r;

	if (rep) {
		*ret = want_matches(&want, &rep->rec);
		return 0;
	}
	r = catalog_read(f, pool, &view.catalog, object, &record);
	if (r == 0)
		*ret = want_matches(&want, &record);
	return r;
}

/* The object with this name or uuid: 0 or -ENOENT. ret_key: its entry. */
static int names_find(struct fiber *f, struct pool *pool, struct names_view view,
		      struct names_want want, uint64_t *ret_object, uint64_t *ret_key)
{
	const struct tree tree = { TREE_NAMES, 0, &view.names };
	uint64_t base = want_hash(&want), key = base;

	do {
		uint8_t value[NAMES_VALUE_SIZE];
		bool matches;
		int r = tree_next(f, pool, &tree, key, &key, value);

		if (r < 0 || key - base >= NAMES_SLOTS)
			return r < 0 ? r : -ENOENT;
		r = object_matches(f, pool, view, le64_get(value), want, &matches);
		if (r < 0)
			return r;
		if (matches) {
			*ret_object = le64_get(value);
			*ret_key = key;
			return 0;
		}
	} while (++key - base < NAMES_SLOTS);
	return -ENOENT;
}

static int names_put(struct fiber *f, struct pool *pool, uint64_t base, uint64_t object)
{
	const struct tree tree = { TREE_NAMES, 0, &pool->super.names };
	uint8_t value[NAMES_VALUE_SIZE];

	for (uint64_t key = base; key < base + NAMES_SLOTS; key++) {
		int r = tree_find(f, pool, &tree, key, value, NULL);

		if (r == -ENOENT) {
			le64_put(value, object);
			return tree_put(f, pool, &tree, key, value);
		}
		if (r < 0)
			return r;
	}
	return fiber_fail(f, -ENOSPC, "pool '%s': 256 names with one hash", pool->super.name);
}

static int names_del(struct fiber *f, struct pool *pool, struct names_want want)
{
	const struct tree tree = { TREE_NAMES, 0, &pool->super.names };
	uint64_t object, key;
	int r = names_find(f, pool, view_open(pool), want, &object, &key);

	return r < 0 ? r : tree_del(f, pool, &tree, key, NULL);
}

int catalog_find_uuid(struct fiber *f, struct pool *pool, const struct uuid *uuid,
		      struct replica **ret)
{
	uint64_t object, key;
	int r = names_find(f, pool, view_open(pool), (struct names_want){ .uuid = uuid }, &object,
			   &key);

	return r < 0 ? r : replica_get(f, pool, object, ret);
}

int replica_find_any(struct fiber *f, struct pool *pool, const char *name_or_uuid,
		     struct replica **ret)
{
	uint64_t object, key;
	struct uuid uuid;
	int r = names_find(f, pool, view_seen(pool), (struct names_want){ .name = name_or_uuid },
			   &object, &key);

	if (r == -ENOENT && uuid_parse(name_or_uuid, &uuid) == 0)
		r = names_find(f, pool, view_seen(pool), (struct names_want){ .uuid = &uuid },
			       &object, &key);
	if (r == 0)
		r = replica_get(f, pool, object, ret);
	if (r == -ENOENT)
		return fiber_fail(f, r, "pool '%s' has no replica or snapshot '%s'",
				  pool->super.name, name_or_uuid);
	return r;
}

int replica_find(struct fiber *f, struct pool *pool, const char *name_or_uuid, struct replica **ret)
{
	struct replica *rep;
	int r = replica_find_any(f, pool, name_or_uuid, &rep);

	if (r < 0)
		return r;
	if (rep->rec.flags & RECORD_PREPARED) {
		replica_put(rep);
		return fiber_fail(f, -ENOENT, "pool '%s': snapshot '%s' is not committed yet",
				  pool->super.name, name_or_uuid);
	}
	*ret = rep;
	return 0;
}

int catalog_check_free(struct fiber *f, struct pool *pool, const char *name,
		       const struct uuid *uuid)
{
	uint64_t object, key;
	int r = names_find(f, pool, view_open(pool), (struct names_want){ .name = name }, &object,
			   &key);

	if (r == 0)
		return fiber_fail(f, -EEXIST, "pool '%s': '%s' exists", pool->super.name, name);
	if (r == -ENOENT && uuid) {
		char text[UUID_TEXT_SIZE];

		r = names_find(f, pool, view_open(pool), (struct names_want){ .uuid = uuid },
			       &object, &key);
		if (r == 0)
			return fiber_fail(f, -EEXIST, "pool '%s': uuid %s exists", pool->super.name,
					  uuid_print(uuid, text));
	}
	return r == -ENOENT ? 0 : r;
}

static bool name_char_ok(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

int catalog_check_name(struct fiber *f, const char *what, const char *name)
{
	size_t len = strnlen(name, POOL_NAME_LEN_MAX + 1);
	bool ok = len > 0 && len <= POOL_NAME_LEN_MAX && name[0] != '.' && name[0] != '-';

	for (size_t i = 0; ok && i < len; i++)
		ok = name_char_ok(name[i]);
	if (ok)
		return 0;
	return fiber_fail(
		f, -EINVAL,
		"%s name '%.80s': 1 to %u of letters, digits, '.', '_' and '-' are wanted, not beginning with '.' or '-'",
		what, name, POOL_NAME_LEN_MAX);
}

/* ---- in a transaction ---------------------------------------------------------------------------- */

void replica_dirty(struct replica *rep)
{
	if (rep->dirty)
		return;
	rep->dirty = true;
	list_add_tail(&rep->pool->dirty_replicas, &rep->dirty_link);
}

int catalog_add(struct fiber *f, struct pool *pool, const struct record *record,
		struct replica **ret)
{
	uint64_t object = pool->super.next_object++;
	struct replica *rep = replica_new(pool, object, record);
	int r;

	if (!rep)
		return fiber_fail(f, -ENOMEM, "pool '%s': no memory for a replica",
				  pool->super.name);
	rep->uses++;
	replica_dirty(rep);
	*ret = rep;
	r = names_put(f, pool, hash_name(record->name), object);
	if (r == 0)
		r = names_put(f, pool, hash_uuid(&record->uuid), object);
	if (r < 0)
		rep->uses--; /* it stays, as dirty as it is, until the faulted pool is closed */
	return r;
}

int catalog_rename(struct fiber *f, struct replica *rep, const char *name)
{
	int r = names_del(f, rep->pool, (struct names_want){ .name = rep->rec.name });

	if (r == 0)
		r = names_put(f, rep->pool, hash_name(name), rep->object);
	memcpy(rep->rec.name, name, strlen(name) + 1);
	replica_dirty(rep);
	return r;
}

int catalog_remove(struct fiber *f, struct replica *rep)
{
	struct pool *pool = rep->pool;
	const struct tree catalog = { TREE_CATALOG, 0, &pool->super.catalog };
	int r = names_del(f, pool, (struct names_want){ .name = rep->rec.name });

	if (r == 0)
		r = names_del(f, pool, (struct names_want){ .uuid = &rep->rec.uuid });
	if (r == 0)
		r = tree_del(f, pool, &catalog, rep->object, NULL);
	if (r == 0)
		r = reap_add(f, pool, TREE_MAP, &rep->rec.map);
	if (r == 0)
		r = reap_add(f, pool, TREE_ATTR, &rep->rec.attr);
	rep->gone = true;
	if (rep->dirty) {
		rep->dirty = false;
		list_del(&rep->dirty_link);
	}
	return r;
}

static int record_put(struct fiber *f, struct replica *rep)
{
	struct pool *pool = rep->pool;
	const struct tree catalog = { TREE_CATALOG, 0, &pool->super.catalog };
	const struct tree map = { TREE_MAP, rep->object, &rep->rec.map };
	const struct tree attr = { TREE_ATTR, rep->object, &rep->rec.attr };
	uint8_t value[CATALOG_VALUE_SIZE];
	int r = tree_seal(pool, &map);

	if (r == 0)
		r = tree_seal(pool, &attr);
	if (r < 0)
		return r;
	record_encode(&rep->rec, value);
	return tree_put(f, pool, &catalog, rep->object, value);
}

int catalog_settle(struct fiber *f, struct pool *pool)
{
	struct replica *rep;

	list_for_each(rep, &pool->dirty_replicas, dirty_link) {
		int r = record_put(f, rep);

		if (r < 0)
			return r;
	}
	return 0;
}

void catalog_publish(struct pool *pool)
{
	struct replica *rep;

	while ((rep = list_pop_front(&pool->dirty_replicas, struct replica, dirty_link))) {
		rep->dirty = false;
		rep->seen = rep->rec.map;
		rep->seen_attr = rep->rec.attr;
		if (!replica_is_needed(rep))
			replica_forget(rep);
	}
}
