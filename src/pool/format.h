// SPDX-License-Identifier: Apache-2.0
/*
 * format - the pool on its disks, version 1: every structure, byte for byte.
 *
 * A disk of a pool (bytes; everything little-endian):
 *
 *	OFFSET          SIZE      WHAT
 *	0               4096      zeros (what was there before is wiped)
 *	4096            4096      label A: who this disk is; written once
 *	8192            8 x 4096  superblock ring A, slot txg % 8
 *	1 MiB           ...       clusters 0, 1, 2 ... of this disk
 *	end - 64 KiB    4096      label B
 *	end - 60 KiB    8 x 4096  superblock ring B
 *	end                       the size of the disk, rounded down to 1 MiB
 *
 * A cluster is named by disk and index: disk << 40 | index (48 bits). A metadata page
 * (4 KiB) is named by its cluster and its place in it: cluster << 8 | place. Name 0 is
 * no page: cluster 0 of disk 0 belongs to the intent log.
 *
 * What a superblock reaches, all of it in pages:
 *
 *	superblock -+- catalog  object -> record of a replica or snapshot
 *	            |              +- map   logical cluster -> cluster, valid blocks
 *	            |              +- attr  kind << 56 | index -> 232 bytes
 *	            +- names    hash of a name or uuid -> object
 *	            +- space    disk << 40 | group -> page of 2-bit counts, how many are 0
 *	            +- many     cluster -> its count where that is 3 or more
 *	            +- dead     number (descending) -> a subtree to be taken down
 *	            +- refs     counts of pages in use: two-level array of pages, no tree
 *
 * FM1. What a valid superblock reaches is never written in place: pages go to free
 *      space, are flushed, and only then named by a new superblock.
 * FM2. A page says what it is (type, pool, owner, own name, transaction) under a CRC32C;
 *      the pointer to it repeats name, transaction and CRC. A page that disagrees with
 *      its pointer is stale, misdirected or rotten, and is never used.
 * FM3. The superblock of a transaction is written to every disk, ring A then B. The
 *      highest valid one on any disk wins.
 * FM4. A reader refuses a higher version_read; it opens read-only what has a higher
 *      version_write or feature bits it does not know.
 * FM5. Reserved bytes are written as zeros and ignored when read.
 */
#ifndef POOL_FORMAT_H
#define POOL_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "base/le.h"
#include "base/uuid.h"

#define POOL_PAGE	     4096u
#define POOL_BLOCK	     4096u /* unit of the valid bitmap */
#define POOL_CLUSTER_MIN     (16u << 10)
#define POOL_CLUSTER_MAX     (1u << 20)
#define POOL_CLUSTER_DEFAULT (64u << 10)
#define POOL_VALID_BITS	     32u /* clusters of more blocks are zero-filled when first written */
#define POOL_DISKS_MAX	     64u
#define POOL_NAME_MAX	     64u /* bytes, without NUL */
#define POOL_RING_SLOTS	     8u
#define POOL_LABEL_A	     4096u
#define POOL_RING_A	     8192u
#define POOL_DATA_START	     (1u << 20)
#define POOL_TAIL_BYTES	     (64u << 10)
#define POOL_END_ALIGN	     (1u << 20)
#define POOL_DISK_MIN	     (64ull << 20)
#define POOL_VERSION	     1u
#define POOL_DISK_SHIFT	     40
#define POOL_CLUSTER_BITS    48

static inline uint64_t cluster_name(unsigned disk, uint64_t index)
{
	return (uint64_t)disk << POOL_DISK_SHIFT | index;
}

static inline unsigned cluster_disk(uint64_t cluster)
{
	return (unsigned)(cluster >> POOL_DISK_SHIFT);
}

static inline uint64_t cluster_index(uint64_t cluster)
{
	return cluster & ((UINT64_C(1) << POOL_DISK_SHIFT) - 1);
}

static inline uint64_t page_name(uint64_t cluster, unsigned place)
{
	return cluster << 8 | place;
}

static inline uint64_t page_cluster(uint64_t page)
{
	return page >> 8;
}

static inline unsigned page_place(uint64_t page)
{
	return (unsigned)(page & 255);
}

/* ---- pages (FM2) -------------------------------------------------------------- */

enum page_type {
	PAGE_NONE,
	PAGE_LABEL,
	PAGE_SUPER,
	PAGE_LOG,
	PAGE_NODE, /* inner page of a tree */
	PAGE_LEAF,
	PAGE_SPACE,
	PAGE_REFS_INDEX,
	PAGE_REFS,
	PAGE_TYPES
};

/*
 * Head of every page:
 *	OFFSET SIZE FIELD
 *	0      4    magic "MSP1"
 *	4      4    crc32c of the page with this field zero
 *	8      1    type
 *	9      1    tree (enum tree_kind): PAGE_NODE, PAGE_LEAF
 *	10     1    level: 0 for a leaf
 *	11     1    reserved
 *	12     4    count of entries
 *	16     16   pool uuid (a label or superblock: the same)
 *	32     8    owner: object; 0 for the pool's own
 *	40     8    its own name; superblock, label: disk number; log: sequence number
 *	48     8    txg
 *	56     8    space: its key; refs: its number; log: crc of the previous record
 *	64     4032 body
 */
#define PAGE_MAGIC 0x3150534du
#define PAGE_HEAD  64u
#define PAGE_BODY  (POOL_PAGE - PAGE_HEAD)

struct page_head {
	uint8_t type, tree, level;
	uint32_t count;
	struct uuid pool;
	uint64_t owner, name, txg, key;
};

void page_head_put(uint8_t *page, const struct page_head *head);
void page_head_get(const uint8_t *page, struct page_head *ret);

static inline uint32_t page_count(const uint8_t *page)
{
	return le32_get(page + 12);
}

static inline void page_count_set(uint8_t *page, uint32_t count)
{
	le32_put(page + 12, count);
}

static inline uint64_t page_txg(const uint8_t *page)
{
	return le64_get(page + 48);
}

static inline uint8_t page_level(const uint8_t *page)
{
	return page[10];
}

/* Compute and store the CRC; returns it. */
uint32_t page_seal(uint8_t *page);

/* Magic and CRC are right. */
bool page_is_sealed(const uint8_t *page);
uint32_t page_crc(const uint8_t *page);

/* Where a page is and what it must be: 8 name, 8 txg, 4 crc, 4 reserved. */
#define PAGE_PTR_SIZE 24u

struct page_ptr {
	uint64_t name; /* 0: none */
	uint64_t txg;
	uint32_t crc;
};

static inline struct page_ptr page_ptr_get(const uint8_t *at)
{
	return (struct page_ptr){ le64_get(at), le64_get(at + 8), le32_get(at + 16) };
}

static inline void page_ptr_put(uint8_t *at, const struct page_ptr *ptr)
{
	le64_put(at, ptr->name);
	le64_put(at + 8, ptr->txg);
	le32_put(at + 16, ptr->crc);
	le32_put(at + 20, 0);
}

/* ---- trees ---------------------------------------------------------------------- */

enum tree_kind {
	TREE_NONE,
	TREE_CATALOG,
	TREE_NAMES,
	TREE_SPACE,
	TREE_MANY,
	TREE_DEAD,
	TREE_MAP,
	TREE_ATTR,
	TREE_KINDS
};

#define TREE_KEY_SIZE	8u
#define TREE_NODE_ENTRY (TREE_KEY_SIZE + PAGE_PTR_SIZE)
#define TREE_NODE_MAX	(PAGE_BODY / TREE_NODE_ENTRY)
#define TREE_VALUE_MAX	480u
#define TREE_LEVELS_MAX 12u

#define CATALOG_VALUE_SIZE 480u
#define NAMES_VALUE_SIZE   8u
#define SPACE_VALUE_SIZE   32u
#define MANY_VALUE_SIZE	   8u
#define DEAD_VALUE_SIZE	   32u
#define MAP_VALUE_SIZE	   16u
#define ATTR_VALUE_SIZE	   232u

/* Bytes of a value in the leaves of this kind of tree. */
uint32_t tree_value_size(enum tree_kind kind);

/* A tree as its parent keeps it: 24 root, 1 levels, 7 reserved, 8 entries. */
#define TREE_ROOT_SIZE 40u

struct tree_root {
	struct page_ptr root;
	uint8_t levels; /* 0: empty, 1: the root is a leaf */
	uint64_t entries;
};

void tree_root_put(uint8_t *at, const struct tree_root *root);
void tree_root_get(const uint8_t *at, struct tree_root *ret);
bool tree_root_same(const struct tree_root *a, const struct tree_root *b);

/* A mapping: 6 cluster, 2 key id (reserved), 4 valid, 4 checksum reference (reserved). */
struct map_value {
	uint64_t cluster;
	uint32_t valid; /* bit i: block i is written; the others read as zeros */
};

static inline void map_value_put(uint8_t *at, const struct map_value *value)
{
	le64_put(at, value->cluster);
	le32_put(at + 8, value->valid);
	le32_put(at + 12, 0);
}

static inline struct map_value map_value_get(const uint8_t *at)
{
	return (struct map_value){ le64_get(at) & ((UINT64_C(1) << POOL_CLUSTER_BITS) - 1),
				   le32_get(at + 8) };
}

/*
 * A group of clusters: its page holds 2 bits a cluster, 4 clusters a byte from the low
 * bits up: 0 free, 1, 2, 3 = look into the tree "many". 24 page, 4 free, 4 reserved.
 * A group without an entry is free as a whole.
 */
#define SPACE_GROUP	 (PAGE_BODY * 4u)
#define SPACE_COUNT_MANY 3u

struct space_value {
	struct page_ptr page;
	uint32_t free;
};

static inline void space_value_put(uint8_t *at, const struct space_value *value)
{
	page_ptr_put(at, &value->page);
	le32_put(at + 24, value->free);
	le32_put(at + 28, 0);
}

static inline struct space_value space_value_get(const uint8_t *at)
{
	return (struct space_value){ page_ptr_get(at), le32_get(at + 24) };
}

/* A subtree to take down: 24 page, 1 tree, 1 level, 6 reserved. */
struct dead_value {
	struct page_ptr page;
	uint8_t tree, level;
};

static inline void dead_value_put(uint8_t *at, const struct dead_value *value)
{
	page_ptr_put(at, &value->page);
	le64_put(at + 24, (uint64_t)value->tree | (uint64_t)value->level << 8);
}

static inline struct dead_value dead_value_get(const uint8_t *at)
{
	return (struct dead_value){ page_ptr_get(at), at[24], at[25] };
}

/* ---- counts of pages --------------------------------------------------------------- */

/*
 * PAGE_REFS: entries of 8 cluster (0: unused) and 4 bytes a page of it.
 * PAGE_REFS_INDEX: PAGE_PTR_SIZE each; level 1 points to level 0, level 0 to PAGE_REFS.
 */
#define REFS_INDEX_MAX (PAGE_BODY / PAGE_PTR_SIZE)

static inline uint32_t refs_entry_size(uint32_t pages_per_cluster)
{
	return 8 + 4 * pages_per_cluster;
}

static inline uint32_t refs_per_page(uint32_t pages_per_cluster)
{
	return PAGE_BODY / refs_entry_size(pages_per_cluster);
}

/* ---- intent log ------------------------------------------------------------------------ */

/*
 * Two halves of log_half_clusters clusters each, one behind the other on the log's disk and
 * on its mirror. Records of transaction t stand from the start of half t % 2 on. A record is
 * a page of type PAGE_LOG with these fields of its head:
 *	count  entries            owner  sequence number of the first record of its write
 *	name   sequence number    txg    the transaction that will hold what it tells
 *	key    crc of the record before it
 *
 * When a write of records begins, all records before it are durable: a record that is missing,
 * while one with a higher `owner` is there, was lost; else it was never acknowledged.
 *
 * An entry:
 *	OFFSET SIZE FIELD
 *	0      1    kind (enum intent_kind)
 *	1      1    slot: MISS_ADD
 *	2      2    reserved
 *	4      4    MAP: valid blocks
 *	8      8    object
 *	16     8    MAP: logical cluster; HOLE: the first; AL_SET, AL_CLEAR, MISS_ADD: the first region; FENCE: token
 *	24     8    MAP: cluster; HOLE: how many clusters; AL_SET, AL_CLEAR, MISS_ADD: how many regions
 */
#define INTENT_ENTRY_SIZE     32u
#define INTENT_RECORD_ENTRIES (PAGE_BODY / INTENT_ENTRY_SIZE)

enum intent_kind {
	INTENT_NONE,
	INTENT_MAP,
	INTENT_HOLE,
	INTENT_AL_SET,
	INTENT_AL_CLEAR,
	INTENT_MISS_ADD,
	INTENT_FENCE,
	INTENT_KINDS
};

struct intent_entry {
	enum intent_kind kind;
	uint8_t slot;
	uint32_t valid;
	uint64_t object, first, second;
};

static inline void intent_entry_put(uint8_t *at, const struct intent_entry *entry)
{
	le32_put(at, (uint32_t)entry->kind | (uint32_t)entry->slot << 8);
	le32_put(at + 4, entry->valid);
	le64_put(at + 8, entry->object);
	le64_put(at + 16, entry->first);
	le64_put(at + 24, entry->second);
}

/* false: of no kind that is known. */
static inline bool intent_entry_get(const uint8_t *at, struct intent_entry *ret)
{
	if (at[0] == INTENT_NONE || at[0] >= INTENT_KINDS)
		return false;
	*ret = (struct intent_entry){ (enum intent_kind)at[0], at[1],
				      le32_get(at + 4),	       le64_get(at + 8),
				      le64_get(at + 16),       le64_get(at + 24) };
	return true;
}

/* ---- label and superblock ------------------------------------------------------------ */

/*
 * Label body:
 *	64   4   version_read       68   4  version_write
 *	72   8   features
 *	80   16  disk uuid          96   4  disk number      100  4  cluster bytes
 *	104  8   size of the disk when it joined
 *	112  8   wall clock, ns     120  1  length of the name
 *	121  64  name of the pool when the disk joined
 */
struct label {
	uint32_t version_read, version_write;
	uint64_t features;
	struct uuid pool, disk;
	uint32_t disk_number, cluster_bytes;
	uint64_t size_bytes, wall_ns;
	char name[POOL_NAME_MAX + 1];
};

void label_encode(const struct label *label, uint8_t page[POOL_PAGE]);
/* 0, -ENOMSG (no label here), -EILSEQ (a damaged one), -EPROTO (a later version); ret is undefined then. */
MUST_USE int label_decode(const uint8_t page[POOL_PAGE], struct label *ret);

enum disk_state { DISK_UNUSED, DISK_IN_USE };

struct super_disk {
	struct uuid uuid;
	uint64_t clusters; /* usable: the tail of the disk lies behind them */
	uint8_t state;
};

#define SUPER_CLEAN 1u

/*
 * Superblock body:
 *	64   4   version_read       68   4  version_write   72  8 features
 *	80   8   flags              88   8  configuration epoch
 *	96   8   incarnation        104  4  cluster bytes   108 4 over-commit, percent
 *	112  8   next object        120  8  next dead number
 *	128  8   data clusters in use        136  8  metadata clusters
 *	144  8   clusters promised to thick replicas, not yet in use
 *	152  8   sum of the sizes of replicas, bytes
 *	160  8   replicas           168  8  snapshots
 *	176  8   log: first sequence number of txg + 1
 *	184  4   log: crc of the record before it
 *	188  1   log: disk          189  1  log: mirror disk or 255      190 2 reserved
 *	192  8   log: first cluster index on its disk   200 8 on the mirror
 *	208  4   log: clusters of one half               212 4 reserved
 *	216  24  refs: root index   240 8  refs: number of PAGE_REFS pages
 *	248  40 x 5  roots: catalog, names, space, many, dead
 *	448  1   length of the name 449 64 name of the pool
 *	520  8   wall clock, ns
 *	1024 40 x 64  disks: 16 uuid, 8 clusters, 1 state, 15 reserved
 */
struct super {
	struct uuid pool;
	uint64_t txg;
	uint32_t version_read, version_write;
	uint64_t features, flags, config_epoch, incarnation;
	uint32_t cluster_bytes, overcommit_percent;
	uint64_t next_object, next_dead;
	uint64_t data_clusters, meta_clusters, thick_clusters, committed_bytes;
	uint64_t replicas, snapshots;
	uint64_t log_seq;
	uint32_t log_crc;
	uint8_t log_disk, log_mirror; /* 255: none */
	uint64_t log_first, log_mirror_first;
	uint32_t log_half_clusters;
	struct page_ptr refs_root;
	uint64_t refs_pages;
	struct tree_root catalog, names, space, many, dead;
	char name[POOL_NAME_MAX + 1];
	uint64_t wall_ns;
	struct super_disk disks[POOL_DISKS_MAX];
};

#define SUPER_NO_MIRROR 255u

/* disk: the number of the disk it is written to. */
void super_encode(const struct super *super, unsigned disk, uint8_t page[POOL_PAGE]);
/* As label_decode(); every field is within its limits when it succeeds. */
MUST_USE int super_decode(const uint8_t page[POOL_PAGE], struct super *ret);

/* Where things are on a disk of this size. */
static inline uint64_t disk_end(uint64_t size_bytes)
{
	return align_down_u64(size_bytes, POOL_END_ALIGN);
}

static inline uint64_t disk_label_b(uint64_t size_bytes)
{
	return disk_end(size_bytes) - POOL_TAIL_BYTES;
}

static inline uint64_t disk_ring(uint64_t size_bytes, bool tail, uint64_t txg)
{
	uint64_t base = tail ? disk_label_b(size_bytes) + POOL_PAGE : POOL_RING_A;

	return base + txg % POOL_RING_SLOTS * POOL_PAGE;
}

static inline uint64_t disk_clusters(uint64_t size_bytes, uint32_t cluster_bytes)
{
	return (disk_label_b(size_bytes) - POOL_DATA_START) / cluster_bytes;
}

#endif
