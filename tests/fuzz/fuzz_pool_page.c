// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_pool_page - any 4 KiB as a page of a pool, with magic and checksum put right: refused, or
 * understood within its bounds, and then the same after it was encoded anew (FM2, P6).
 *
 *	input:	type of the page (1 byte), kind of tree (1), level (1), its bytes from the head's
 *		count on
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "bdev/resv.h"
#include "fuzz.h"
#include "pool/control_priv.h"
#include "pool/control_regions_priv.h"
#include "pool/replica_priv.h"

#define COUNT_AT 12u

/* ---- label, superblock ----------------------------------------------------------------------- */

static void try_label(const uint8_t *page)
{
	struct label label = { 0 }, back = { 0 };
	uint8_t again[POOL_PAGE];

	if (label_decode(page, &label) < 0)
		return;
	must(strlen(label.name) <= POOL_NAME_MAX && label.disk_number < POOL_DISKS_MAX);
	must(is_pow2_u64(label.cluster_bytes) && label.size_bytes >= POOL_DISK_MIN);
	label_encode(&label, again);
	must(label_decode(again, &back) == 0 && memcmp(&label, &back, sizeof(label)) == 0);
}

static void try_super(const uint8_t *page)
{
	struct super super, back;
	uint8_t again[POOL_PAGE];

	memset(&super, 0, sizeof(super));
	memset(&back, 0, sizeof(back));
	if (super_decode(page, &super) < 0)
		return;
	must(strlen(super.name) <= POOL_NAME_MAX && super.log_disk < POOL_DISKS_MAX);
	must(super.refs_pages <= (uint64_t)REFS_INDEX_MAX * REFS_INDEX_MAX);
	must(super.catalog.levels <= TREE_LEVELS_MAX && super.dead.levels <= TREE_LEVELS_MAX);
	super_encode(&super, 0, again);
	must(super_decode(again, &back) == 0);
	must(back.txg == super.txg && back.space.entries == super.space.entries);
	must(memcmp(back.disks, super.disks, sizeof(super.disks)) == 0);
	must(strcmp(back.name, super.name) == 0 && back.log_first == super.log_first);
}

/* ---- what stands in leaves -------------------------------------------------------------------- */

static void try_record(const uint8_t *value)
{
	uint8_t again[CATALOG_VALUE_SIZE], once_more[CATALOG_VALUE_SIZE];
	struct record record, back;

	if (record_decode(value, &record) < 0)
		return;
	must(record.kind <= REPLICA_CLONE && record.size_bytes <= POOL_REPLICA_BYTES_MAX);
	must(strlen(record.name) <= POOL_NAME_MAX && strlen(record.entity_id) <= ENTITY_ID_MAX);
	record_encode(&record, again);
	must(record_decode(again, &back) == 0);
	record_encode(&back, once_more);
	must(memcmp(again, once_more, sizeof(again)) == 0);
}

static void try_regions(struct mem *mem, uint64_t number, const uint8_t *value)
{
	uint64_t regions = number % 4096 * 64 + number % 61;
	struct region_set set;

	region_set_init(&set, mem);
	if (region_set_load(&set, number % 4, regions, value) == 0)
		must(set.count <= regions);
	region_set_fini(&set);
}

static void try_attr(struct mem *mem, uint64_t key, const uint8_t *value, struct resv_state *resv)
{
	switch (key >> 56) {
	case ATTR_RESERVATION:
		if (resv_load_value(resv, key & UINT32_MAX, value) < 0) {
			resv_init(resv);
			return;
		}
		must(resv->count <= RESV_REGISTRANTS_MAX);
		must(resv->holder >= -1 && resv->holder < (int64_t)resv->count);
		return;
	case ATTR_ACTIVITY:
	case ATTR_MISS_MAP:
		try_regions(mem, key & UINT32_MAX, value);
		return;
	default:
		return;
	}
}

static void try_values(struct mem *mem, uint8_t *page)
{
	uint32_t size = tree_entry_size(page);
	struct resv_state resv;

	resv_init(&resv);
	for (uint32_t i = 0; i < page_count(page); i++) {
		const uint8_t *at = tree_entry(page, size, i);

		if (page[9] == TREE_CATALOG)
			try_record(at + TREE_KEY_SIZE);
		else if (page[9] == TREE_ATTR)
			try_attr(mem, le64_get(at), at + TREE_KEY_SIZE, &resv);
		else if (page[9] == TREE_MAP)
			must(map_value_get(at + TREE_KEY_SIZE).cluster <
			     UINT64_C(1) << POOL_CLUSTER_BITS);
	}
}

/* ---- trees -------------------------------------------------------------------------------------- */

static void try_slots(uint8_t *page)
{
	uint32_t size = tree_entry_size(page), count = page_count(page);

	must(PAGE_HEAD + (size_t)count * size <= POOL_PAGE && count > 0);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t key = le64_get(tree_entry(page, size, i));

		if (page[8] == PAGE_LEAF) {
			must(tree_leaf_slot(page, size, key) == i);
			must(key == UINT64_MAX || tree_leaf_slot(page, size, key + 1) == i + 1);
		} else {
			must(tree_node_slot(page, key) == i);
			(void)tree_node_ptr(page, i);
		}
	}
}

static void try_tree(struct mem *mem, uint8_t *page)
{
	struct page_want want = { .type = page[8], .tree = page[9], .level = page[10] };
	struct pool *pool = mem_alloc(mem, sizeof(*pool));
	struct page_head head;
	struct err err = { 0 };

	must(pool);
	page_head_get(page, &head);
	pool->super.pool = head.pool;
	if (page_check(pool, page, &(struct page_ptr){ head.name, head.txg, page_crc(page) }, &want,
		       &err) == 0) {
		if (page[8] == PAGE_LEAF || page[8] == PAGE_NODE)
			try_slots(page);
		if (page[8] == PAGE_LEAF)
			try_values(mem, page);
	} else {
		must(err.code == -EILSEQ && err.words[0]);
	}
	mem_free(pool);
}

/* ---- log ------------------------------------------------------------------------------------------ */

static void try_log(const uint8_t *page)
{
	for (uint32_t i = 0; i < PAGE_BODY / INTENT_ENTRY_SIZE; i++) {
		const uint8_t *at = page + PAGE_HEAD + (size_t)i * INTENT_ENTRY_SIZE;
		uint8_t again[INTENT_ENTRY_SIZE];
		struct intent_entry entry, back;

		if (!intent_entry_get(at, &entry))
			continue;
		must(entry.kind > INTENT_NONE && entry.kind < INTENT_KINDS);
		intent_entry_put(again, &entry);
		must(intent_entry_get(again, &back) && back.kind == entry.kind);
		must(back.object == entry.object && back.first == entry.first &&
		     back.second == entry.second && back.valid == entry.valid);
	}
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	uint8_t page[POOL_PAGE] = { 0 };
	struct mem_heap heap;

	if (size < 3)
		return 0;
	page[8] = (uint8_t)(data[0] % PAGE_TYPES);
	page[9] = data[1];
	page[10] = data[2];
	memcpy(page + COUNT_AT, data + 3, min_size(size - 3, POOL_PAGE - COUNT_AT));
	le32_put(page, PAGE_MAGIC);
	page_seal(page);
	mem_heap_init(&heap);
	if (page[8] == PAGE_LABEL)
		try_label(page);
	else if (page[8] == PAGE_SUPER)
		try_super(page);
	else if (page[8] == PAGE_LOG)
		try_log(page);
	else
		try_tree(&heap.mem, page);
	mem_heap_fini(&heap);
	return 0;
}
