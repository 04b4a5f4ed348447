// SPDX-License-Identifier: Apache-2.0
/* record - a catalog record and its bytes. See replica_priv.h. */
#include <errno.h>

#include "pool/replica_priv.h"

static void text_put(uint8_t *at, const char *text, size_t max)
{
	size_t len = strnlen(text, max);

	at[0] = (uint8_t)len;
	memcpy(at + 1, text, len);
}

static int text_get(const uint8_t *at, size_t max, char *ret)
{
	if (at[0] > max || memchr(at + 1, 0, at[0]))
		return -EILSEQ;
	memcpy(ret, at + 1, at[0]);
	ret[at[0]] = 0;
	return 0;
}

void record_encode(const struct record *record, uint8_t value[CATALOG_VALUE_SIZE])
{
	memset(value, 0, CATALOG_VALUE_SIZE);
	value[0] = (uint8_t)record->kind;
	value[1] = record->state;
	le32_put(value + 4, record->flags);
	memcpy(value + 8, record->uuid.bytes, 16);
	le64_put(value + 24, record->parent);
	le64_put(value + 32, record->size_bytes);
	le64_put(value + 40, record->mapped);
	le64_put(value + 48, record->txg);
	le64_put(value + 56, record->wall_ns);
	le32_put(value + 64, record->snapshots);
	le32_put(value + 68, record->clones);
	tree_root_put(value + 72, &record->map);
	tree_root_put(value + 112, &record->attr);
	le64_put(value + 152, record->fence);
	le64_put(value + 160, record->incarnation);
	le64_put(value + 168, record->gen.epoch);
	le64_put(value + 176, record->gen.n);
	memcpy(value + 184, record->volume.bytes, 16);
	text_put(value + 200, record->name, POOL_NAME_MAX);
	text_put(value + 265, record->entity_id, ENTITY_ID_MAX);
	le32_put(value + 332, record->prepared);
}

static bool root_ok(const struct tree_root *root)
{
	return root->levels <= TREE_LEVELS_MAX && (root->levels == 0) == (root->root.name == 0);
}

int record_decode(const uint8_t value[CATALOG_VALUE_SIZE], struct record *ret)
{
	ret->kind = (enum replica_kind)value[0];
	ret->state = value[1];
	ret->flags = le32_get(value + 4);
	memcpy(ret->uuid.bytes, value + 8, 16);
	ret->parent = le64_get(value + 24);
	ret->size_bytes = le64_get(value + 32);
	ret->mapped = le64_get(value + 40);
	ret->txg = le64_get(value + 48);
	ret->wall_ns = le64_get(value + 56);
	ret->snapshots = le32_get(value + 64);
	ret->clones = le32_get(value + 68);
	tree_root_get(value + 72, &ret->map);
	tree_root_get(value + 112, &ret->attr);
	ret->fence = le64_get(value + 152);
	ret->incarnation = le64_get(value + 160);
	ret->gen.epoch = le64_get(value + 168);
	ret->gen.n = le64_get(value + 176);
	memcpy(ret->volume.bytes, value + 184, 16);
	ret->prepared = le32_get(value + 332);
	if (value[0] > REPLICA_CLONE || ret->state > REPLICA_OUTDATED || !root_ok(&ret->map) ||
	    !root_ok(&ret->attr) || ret->size_bytes > POOL_REPLICA_BYTES_MAX ||
	    ret->size_bytes % POOL_BLOCK || text_get(value + 200, POOL_NAME_MAX, ret->name) < 0 ||
	    text_get(value + 265, ENTITY_ID_MAX, ret->entity_id) < 0)
		return -EILSEQ;
	return 0;
}
