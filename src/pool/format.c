// SPDX-License-Identifier: Apache-2.0
/*
 * format - reading and writing the structures of format.h. Pure: no I/O, no memory.
 */
#include "pool/format.h"

#include <errno.h>

#include "base/crc32c.h"
#include "base/must.h"

void page_head_put(uint8_t *page, const struct page_head *head)
{
	le32_put(page, PAGE_MAGIC);
	le32_put(page + 4, 0);
	page[8] = head->type;
	page[9] = head->tree;
	page[10] = head->level;
	page[11] = 0;
	le32_put(page + 12, head->count);
	memcpy(page + 16, head->pool.bytes, 16);
	le64_put(page + 32, head->owner);
	le64_put(page + 40, head->name);
	le64_put(page + 48, head->txg);
	le64_put(page + 56, head->key);
}

void page_head_get(const uint8_t *page, struct page_head *ret)
{
	ret->type = page[8];
	ret->tree = page[9];
	ret->level = page[10];
	ret->count = le32_get(page + 12);
	memcpy(ret->pool.bytes, page + 16, 16);
	ret->owner = le64_get(page + 32);
	ret->name = le64_get(page + 40);
	ret->txg = le64_get(page + 48);
	ret->key = le64_get(page + 56);
}

/* The CRC as if its own four bytes were zero. */
static uint32_t page_crc_compute(const uint8_t *page)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(0, page, 4);

	crc = crc32c(crc, zero, 4);
	return crc32c(crc, page + 8, POOL_PAGE - 8);
}

uint32_t page_seal(uint8_t *page)
{
	uint32_t crc = page_crc_compute(page);

	le32_put(page + 4, crc);
	return crc;
}

uint32_t page_crc(const uint8_t *page)
{
	return le32_get(page + 4);
}

bool page_is_sealed(const uint8_t *page)
{
	return le32_get(page) == PAGE_MAGIC && page_crc(page) == page_crc_compute(page);
}

uint32_t tree_value_size(enum tree_kind kind)
{
	switch (kind) {
	case TREE_CATALOG:
		return CATALOG_VALUE_SIZE;
	case TREE_NAMES:
		return NAMES_VALUE_SIZE;
	case TREE_SPACE:
		return SPACE_VALUE_SIZE;
	case TREE_MANY:
		return MANY_VALUE_SIZE;
	case TREE_DEAD:
		return DEAD_VALUE_SIZE;
	case TREE_MAP:
		return MAP_VALUE_SIZE;
	case TREE_ATTR:
		return ATTR_VALUE_SIZE;
	case TREE_NONE:
	case TREE_KINDS:
		break;
	}
	must(!"a kind of tree");
	return 0;
}

void tree_root_put(uint8_t *at, const struct tree_root *root)
{
	page_ptr_put(at, &root->root);
	le64_put(at + 24, root->levels);
	le64_put(at + 32, root->entries);
}

void tree_root_get(const uint8_t *at, struct tree_root *ret)
{
	ret->root = page_ptr_get(at);
	ret->levels = at[24];
	ret->entries = le64_get(at + 32);
}

bool tree_root_same(const struct tree_root *a, const struct tree_root *b)
{
	return a->root.name == b->root.name && a->root.txg == b->root.txg &&
	       a->root.crc == b->root.crc && a->levels == b->levels && a->entries == b->entries;
}

static void name_put(uint8_t *at, const char *name)
{
	size_t len = strnlen(name, POOL_NAME_MAX);

	at[0] = (uint8_t)len;
	memcpy(at + 1, name, len);
}

/* A name with a length beyond the limit or a NUL within is damage. */
static int name_get(const uint8_t *at, char ret[POOL_NAME_MAX + 1])
{
	if (at[0] > POOL_NAME_MAX || memchr(at + 1, 0, at[0]))
		return -EILSEQ;
	memcpy(ret, at + 1, at[0]);
	ret[at[0]] = 0;
	return 0;
}

static bool cluster_bytes_ok(uint32_t bytes)
{
	return bytes >= POOL_CLUSTER_MIN && bytes <= POOL_CLUSTER_MAX && is_pow2_u64(bytes);
}

void label_encode(const struct label *label, uint8_t page[POOL_PAGE])
{
	const struct page_head head = { .type = PAGE_LABEL,
					.pool = label->pool,
					.name = label->disk_number };

	memset(page, 0, POOL_PAGE);
	page_head_put(page, &head);
	le32_put(page + 64, label->version_read);
	le32_put(page + 68, label->version_write);
	le64_put(page + 72, label->features);
	memcpy(page + 80, label->disk.bytes, 16);
	le32_put(page + 96, label->disk_number);
	le32_put(page + 100, label->cluster_bytes);
	le64_put(page + 104, label->size_bytes);
	le64_put(page + 112, label->wall_ns);
	name_put(page + 120, label->name);
	page_seal(page);
}

/* Is it one of ours, whole, and of the right type? */
static int page_examine(const uint8_t *page, enum page_type type)
{
	if (le32_get(page) != PAGE_MAGIC || page[8] != type)
		return -ENOMSG;
	return page_is_sealed(page) ? 0 : -EILSEQ;
}

int label_decode(const uint8_t page[POOL_PAGE], struct label *ret)
{
	struct page_head head;
	int r = page_examine(page, PAGE_LABEL);

	if (r < 0)
		return r;
	page_head_get(page, &head);
	ret->pool = head.pool;
	ret->version_read = le32_get(page + 64);
	ret->version_write = le32_get(page + 68);
	if (ret->version_read > POOL_VERSION)
		return -EPROTO; /* FM4 */
	ret->features = le64_get(page + 72);
	memcpy(ret->disk.bytes, page + 80, 16);
	ret->disk_number = le32_get(page + 96);
	ret->cluster_bytes = le32_get(page + 100);
	ret->size_bytes = le64_get(page + 104);
	ret->wall_ns = le64_get(page + 112);
	r = name_get(page + 120, ret->name);
	if (r < 0)
		return r;
	if (!cluster_bytes_ok(ret->cluster_bytes) || ret->disk_number >= POOL_DISKS_MAX ||
	    ret->size_bytes < POOL_DISK_MIN)
		return -EILSEQ;
	return 0;
}

static void super_put_log(const struct super *super, uint8_t *page)
{
	le64_put(page + 176, super->log_seq);
	le32_put(page + 184, super->log_crc);
	page[188] = super->log_disk;
	page[189] = super->log_mirror;
	le64_put(page + 192, super->log_first);
	le64_put(page + 200, super->log_mirror_first);
	le32_put(page + 208, super->log_half_clusters);
}

static void super_put_roots(const struct super *super, uint8_t *page)
{
	page_ptr_put(page + 216, &super->refs_root);
	le64_put(page + 240, super->refs_pages);
	tree_root_put(page + 248, &super->catalog);
	tree_root_put(page + 288, &super->names);
	tree_root_put(page + 328, &super->space);
	tree_root_put(page + 368, &super->many);
	tree_root_put(page + 408, &super->dead);
}

static void super_put_disks(const struct super *super, uint8_t *page)
{
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++) {
		uint8_t *at = page + 1024 + 40 * i;

		memcpy(at, super->disks[i].uuid.bytes, 16);
		le64_put(at + 16, super->disks[i].clusters);
		at[24] = super->disks[i].state;
	}
}

void super_encode(const struct super *super, unsigned disk, uint8_t page[POOL_PAGE])
{
	const struct page_head head = {
		.type = PAGE_SUPER, .pool = super->pool, .name = disk, .txg = super->txg
	};

	memset(page, 0, POOL_PAGE);
	page_head_put(page, &head);
	le32_put(page + 64, super->version_read);
	le32_put(page + 68, super->version_write);
	le64_put(page + 72, super->features);
	le64_put(page + 80, super->flags);
	le64_put(page + 88, super->config_epoch);
	le64_put(page + 96, super->incarnation);
	le32_put(page + 104, super->cluster_bytes);
	le32_put(page + 108, super->overcommit_percent);
	le64_put(page + 112, super->next_object);
	le64_put(page + 120, super->next_dead);
	le64_put(page + 128, super->data_clusters);
	le64_put(page + 136, super->meta_clusters);
	le64_put(page + 144, super->thick_clusters);
	le64_put(page + 152, super->committed_bytes);
	le64_put(page + 160, super->replicas);
	le64_put(page + 168, super->snapshots);
	super_put_log(super, page);
	super_put_roots(super, page);
	name_put(page + 448, super->name);
	le64_put(page + 520, super->wall_ns);
	super_put_disks(super, page);
	page_seal(page);
}

static void super_get_counters(const uint8_t *page, struct super *super)
{
	super->features = le64_get(page + 72);
	super->flags = le64_get(page + 80);
	super->config_epoch = le64_get(page + 88);
	super->incarnation = le64_get(page + 96);
	super->cluster_bytes = le32_get(page + 104);
	super->overcommit_percent = le32_get(page + 108);
	super->next_object = le64_get(page + 112);
	super->next_dead = le64_get(page + 120);
	super->data_clusters = le64_get(page + 128);
	super->meta_clusters = le64_get(page + 136);
	super->thick_clusters = le64_get(page + 144);
	super->committed_bytes = le64_get(page + 152);
	super->replicas = le64_get(page + 160);
	super->snapshots = le64_get(page + 168);
	super->wall_ns = le64_get(page + 520);
}

static void super_get_places(const uint8_t *page, struct super *super)
{
	super->log_seq = le64_get(page + 176);
	super->log_crc = le32_get(page + 184);
	super->log_disk = page[188];
	super->log_mirror = page[189];
	super->log_first = le64_get(page + 192);
	super->log_mirror_first = le64_get(page + 200);
	super->log_half_clusters = le32_get(page + 208);
	super->refs_root = page_ptr_get(page + 216);
	super->refs_pages = le64_get(page + 240);
	tree_root_get(page + 248, &super->catalog);
	tree_root_get(page + 288, &super->names);
	tree_root_get(page + 328, &super->space);
	tree_root_get(page + 368, &super->many);
	tree_root_get(page + 408, &super->dead);
}

static void super_get_disks(const uint8_t *page, struct super *super)
{
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++) {
		const uint8_t *at = page + 1024 + 40 * i;

		memcpy(super->disks[i].uuid.bytes, at, 16);
		super->disks[i].clusters = le64_get(at + 16);
		super->disks[i].state = at[24];
	}
}

static bool super_log_ok(const struct super *super)
{
	const struct super_disk *disk = &super->disks[super->log_disk % POOL_DISKS_MAX];
	const struct super_disk *mirror = &super->disks[super->log_mirror % POOL_DISKS_MAX];
	uint64_t clusters = 2ull * super->log_half_clusters;

	if (super->log_disk >= POOL_DISKS_MAX || disk->state != DISK_IN_USE || !clusters ||
	    super->log_first > disk->clusters || disk->clusters - super->log_first < clusters)
		return false;
	if (super->log_mirror == SUPER_NO_MIRROR)
		return true;
	return super->log_mirror < POOL_DISKS_MAX && super->log_mirror != super->log_disk &&
	       mirror->state == DISK_IN_USE && super->log_mirror_first <= mirror->clusters &&
	       mirror->clusters - super->log_mirror_first >= clusters;
}

static bool super_roots_ok(const struct super *super)
{
	const struct tree_root *roots[] = { &super->catalog, &super->names, &super->space,
					    &super->many, &super->dead };

	for (unsigned i = 0; i < ARRAY_LEN(roots); i++)
		if (roots[i]->levels > TREE_LEVELS_MAX ||
		    (roots[i]->levels == 0) != (roots[i]->root.name == 0))
			return false;
	return super->refs_pages <= (uint64_t)REFS_INDEX_MAX * REFS_INDEX_MAX;
}

static bool super_ok(const struct super *super)
{
	if (!cluster_bytes_ok(super->cluster_bytes) || super->next_object == 0)
		return false;
	for (unsigned i = 0; i < POOL_DISKS_MAX; i++)
		if (super->disks[i].state > DISK_IN_USE ||
		    super->disks[i].clusters >= UINT64_C(1) << POOL_DISK_SHIFT)
			return false;
	return super_log_ok(super) && super_roots_ok(super);
}

int super_decode(const uint8_t page[POOL_PAGE], struct super *ret)
{
	struct page_head head;
	int r = page_examine(page, PAGE_SUPER);

	if (r < 0)
		return r;
	page_head_get(page, &head);
	ret->pool = head.pool;
	ret->txg = head.txg;
	ret->version_read = le32_get(page + 64);
	ret->version_write = le32_get(page + 68);
	if (ret->version_read > POOL_VERSION)
		return -EPROTO; /* FM4 */
	super_get_counters(page, ret);
	super_get_places(page, ret);
	super_get_disks(page, ret);
	r = name_get(page + 448, ret->name);
	if (r < 0)
		return r;
	if (!super_ok(ret))
		return -EILSEQ;
	return 0;
}
