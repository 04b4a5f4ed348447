// SPDX-License-Identifier: Apache-2.0
/*
 * intent_replay - reading the log at import.
 *
 * The records of the two transactions after the superblock's, as one chain: a commit may have
 * been under way when the power went, with records of the next transaction acknowledged. The
 * chain ends at the first record that is not the next one. That is the end of the log if no
 * record of these transactions claims that it was written after the missing one was durable
 * (IN3: its `owner`); otherwise something that was acknowledged is gone.
 *
 * A byte of the very last record that has rotted since cannot be told from a write that was cut
 * short, and so never acknowledged: that needs the second copy of a log, on another disk.
 *
 * IR1. Nothing is written. The first commit brings what was replayed into the trees; until it
 *      is durable the halves stay as they are: a crash meanwhile finds the same.
 * IR2. A mapping to a cluster that the object does not map yet claims it: it must be free.
 * IR3. A record that no disk can read now may have been acknowledged: that is an error, not the
 *      end of the log. A copy that can be read and does not have it says that it was not.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "pool/catalog_priv.h"
#include "pool/map_priv.h"
#include "reactor/fiber.h"

#define READ_PAGES 64u

struct replay {
	struct pool *pool;
	intent_fn fn;
	uint8_t *buf;		 /* READ_PAGES of one half of one copy */
	uint8_t *page;		 /* the record at work */
	uint64_t buf_txg;
	uint32_t buf_first, buf_count;
	bool unread;		 /* buf is one page that cannot be read */
	uint64_t seq;		 /* the next record */
	uint32_t crc;
	struct replica *rep;	 /* owned use: of the object looked up last; NULL: none */
	uint64_t object;
	struct tree_root root;	 /* its map */
	uint64_t lclusters;	 /* its size */
};

/* ---- reading records ------------------------------------------------------------------------ */

static struct pool_disk *disk_of(struct pool *pool, unsigned number)
{
	return number < POOL_DISKS_MAX && pool->disks[number].bdev ? &pool->disks[number] : NULL;
}

/* Pages of the half of transaction txg; false: they cannot be read. */
static bool pages_read(struct fiber *f, struct replay *r, bool mirror, uint64_t txg, uint32_t first,
		       uint32_t count, uint8_t *ret)
{
	struct pool *pool = r->pool;
	const struct super *super = &pool->super;
	struct pool_disk *disk = disk_of(pool, mirror ? super->log_mirror : super->log_disk);
	uint64_t index = mirror ? super->log_mirror_first : super->log_first;
	uint64_t start = POOL_DATA_START + (index << pool->cluster_shift);

	if (disk && disk_read(f, disk, intent_offset(start, pool->intent.room, txg, first), ret,
			      (size_t)count * POOL_PAGE) == 0)
		return true;
	if (disk)
		fiber_clear(f);
	return false;
}

static bool record_is_ours(const struct replay *r, const uint8_t *page, uint64_t txg)
{
	struct page_head head;

	page_head_get(page, &head);
	return head.type == PAGE_LOG && head.txg == txg && head.count <= INTENT_RECORD_ENTRIES &&
	       uuid_equal(&head.pool, &r->pool->super.pool) && page_is_sealed(page);
}

static const uint8_t *record_at(struct fiber *f, struct replay *r, uint64_t txg, uint32_t i)
{
	if (txg != r->buf_txg || i < r->buf_first || i >= r->buf_first + r->buf_count) {
		r->buf_txg = txg;
		r->buf_first = i;
		r->buf_count = min_u32(READ_PAGES, r->pool->intent.room - i);
		r->unread = false;
		if (!pages_read(f, r, false, txg, i, r->buf_count, r->buf)) {
			r->buf_count = 1; /* which of them is it? */
			r->unread = !pages_read(f, r, false, txg, i, 1, r->buf);
		}
		if (r->unread)
			memset(r->buf, 0, POOL_PAGE); /* no record */
	}
	return r->buf + (size_t)(i - r->buf_first) * POOL_PAGE;
}

static bool record_is_next(const struct replay *r, const uint8_t *page, uint64_t txg)
{
	struct page_head head;

	page_head_get(page, &head);
	return record_is_ours(r, page, txg) && head.name == r->seq && head.key == r->crc;
}

/* Record i of this half, to r->page, from whichever copy has it: 1 if it is the next of the chain, 0, -EIO. */
static int record_next(struct fiber *f, struct replay *r, uint64_t txg, uint32_t i)
{
	bool unread;

	memcpy(r->page, record_at(f, r, txg, i), POOL_PAGE);
	unread = r->unread;
	if (record_is_next(r, r->page, txg))
		return 1;
	if (disk_of(r->pool, r->pool->super.log_mirror) && pages_read(f, r, true, txg, i, 1, r->page)) {
		unread = false;
		if (record_is_next(r, r->page, txg))
			return 1;
	}
	if (!unread)
		return 0;
	return fiber_fail(f, -EIO, "pool '%s': log record %" PRIu64 " cannot be read: what was acknowledged may be there",
			  r->pool->super.name, r->seq); /* IR3 */
}

/* ---- what an entry says ------------------------------------------------------------------------ */

static int entry_fail(struct fiber *f, const struct replay *r, const struct intent_entry *entry,
		      const char *what)
{
	return fiber_fail(f, -EILSEQ, "pool '%s': log record %" PRIu64 ": object %" PRIu64 ", cluster %" PRIu64 ": %s",
			  r->pool->super.name, r->seq, entry->object, entry->first, what);
}

static void object_leave(struct replay *r)
{
	if (r->rep)
		replica_put(r->rep);
	r->rep = NULL;
}

static int object_find(struct fiber *f, struct replay *r, const struct intent_entry *entry)
{
	struct replica *rep;
	int status;

	if (r->rep && r->object == entry->object)
		return 0;
	status = replica_get(f, r->pool, entry->object, &rep);
	if (status == -ENOENT)
		return entry_fail(f, r, entry, "there is no such replica");
	if (status < 0)
		return status;
	object_leave(r);
	r->rep = rep;
	r->object = entry->object;
	r->root = rep->seen;
	r->lclusters = rep->rec.size_bytes >> r->pool->cluster_shift;
	return 0;
}

/* What the object maps there now: cluster 0: nothing. */
static int mapping_now(struct fiber *f, struct replay *r, uint64_t lcluster, struct map_value *ret)
{
	const struct delta_entry *entry = delta_find(r->pool, r->object, lcluster);
	const struct tree map = { TREE_MAP, r->object, &r->root };
	uint8_t value[MAP_VALUE_SIZE];
	int status;

	*ret = (struct map_value){ 0 };
	if (entry) {
		*ret = (struct map_value){ entry->cluster, entry->valid };
		return 0;
	}
	status = tree_find(f, r->pool, &map, lcluster, value, NULL);
	if (status == 0)
		*ret = map_value_get(value);
	if (status == 0 && !map_value_ok(r->pool, ret))
		return fiber_fail(f, -EILSEQ,
				  "pool '%s': object %" PRIu64 ", cluster %" PRIu64 ": its mapping is damaged",
				  r->pool->super.name, r->object, lcluster);
	return status == -ENOENT ? 0 : status;
}

static int replay_put(struct fiber *f, struct replay *r, uint64_t lcluster,
		      const struct map_value *was, uint64_t cluster, uint32_t valid, uint32_t flags)
{
	const struct delta_put put = { .rep = r->rep, .object = r->object, .lcluster = lcluster, .cluster = cluster,
				       .valid = valid, .flags = flags,
				       .was_mapped = was->cluster != 0,
				       .frees = was->cluster && was->cluster != cluster };
	int status = delta_reserve(r->pool, 1);

	if (status < 0)
		return fiber_fail(f, status, "pool '%s': no memory to replay the log",
				  r->pool->super.name);
	delta_put(r->pool, &put);
	return 0;
}

static int replay_map(struct fiber *f, struct replay *r, const struct intent_entry *entry)
{
	struct map_value was;
	int status;

	if (entry->first >= r->lclusters)
		return entry_fail(f, r, entry, "is past the end of the replica");
	if (!map_value_ok(r->pool, &(struct map_value){ entry->second, entry->valid }))
		return entry_fail(f, r, entry, "is mapped to a place that is on no disk");
	status = mapping_now(f, r, entry->first, &was);
	if (status < 0)
		return status;
	if (was.cluster == entry->second)
		return replay_put(f, r, entry->first, &was, entry->second, entry->valid, DELTA_SHARED);
	status = space_claim_this(f, r->pool, entry->second); /* IR2 */
	if (status < 0)
		return status;
	return replay_put(f, r, entry->first, &was, entry->second, entry->valid, DELTA_FRESH);
}

static int replay_hole(struct fiber *f, struct replay *r, const struct intent_entry *entry)
{
	uint64_t at = entry->first, end = entry->first + entry->second;

	if (end < at || end > r->lclusters)
		return entry_fail(f, r, entry, "is unmapped past the end of the replica");
	while (at < end) {
		struct map_value was;
		int status = map_seek_root(f, r->pool, r->object, &r->root, at, end, &at);

		if (status < 0 || at == end)
			return status;
		status = mapping_now(f, r, at, &was);
		if (status == 0 && was.cluster)
			status = replay_put(f, r, at, &was, 0, 0, 0);
		if (status < 0)
			return status;
		at++;
	}
	return 0;
}

static int replay_entry(struct fiber *f, struct replay *r, const uint8_t *at)
{
	struct intent_entry entry;
	int status;

	if (!intent_entry_get(at, &entry))
		return fiber_fail(f, -EILSEQ, "pool '%s': log record %" PRIu64 " has an entry of kind %u, which is unknown",
				  r->pool->super.name, r->seq, at[0]);
	status = object_find(f, r, &entry);
	if (status < 0)
		return status;
	if (entry.kind == INTENT_MAP)
		return replay_map(f, r, &entry);
	if (entry.kind == INTENT_HOLE)
		return replay_hole(f, r, &entry);
	return r->fn(f, r->pool, &entry);
}

/* ---- the chain --------------------------------------------------------------------------------------- */

static int replay_record(struct fiber *f, struct replay *r)
{
	const uint8_t *page = r->page;
	uint32_t count = page_count(page);

	for (uint32_t i = 0; i < count; i++) {
		int status = replay_entry(f, r, page + PAGE_HEAD + (size_t)i * INTENT_ENTRY_SIZE);

		if (status < 0)
			return status;
	}
	r->crc = page_crc(page);
	r->seq++;
	r->pool->intent.replayed++;
	return 0;
}

/* As far as the chain goes in this half; *ret_end: the first record that is none of it. */
static int replay_half(struct fiber *f, struct replay *r, uint64_t txg, uint32_t *ret_end)
{
	int status = 0;
	uint32_t i;

	for (i = 0; status == 0 && i < r->pool->intent.room; i++) {
		status = record_next(f, r, txg, i);
		if (status == 0)
			break;
		if (status > 0)
			status = replay_record(f, r);
	}
	*ret_end = i;
	return status;
}

/* Is there a record that was written when the one missing from the chain was durable? */
static int half_check_rest(struct fiber *f, struct replay *r, uint64_t txg, uint32_t from)
{
	for (uint32_t i = from; i < r->pool->intent.room; i++) {
		const uint8_t *page = record_at(f, r, txg, i);
		struct page_head head;

		page_head_get(page, &head);
		if (record_is_ours(r, page, txg) && head.name > r->seq && head.owner > r->seq)
			return fiber_fail(f, -EILSEQ, "pool '%s': log record %" PRIu64 " is damaged or missing, %" PRIu64
					  " was written after it: what was acknowledged since is lost",
					  r->pool->super.name, r->seq, head.name);
	}
	return 0;
}

static int replay_do(struct fiber *f, struct replay *r)
{
	uint64_t txg = r->pool->super.txg;
	uint32_t end1, end2;
	int status = replay_half(f, r, txg + 1, &end1);

	if (status == 0)
		status = replay_half(f, r, txg + 2, &end2);
	if (status == 0)
		status = half_check_rest(f, r, txg + 1, end1);
	if (status == 0)
		status = half_check_rest(f, r, txg + 2, end2);
	return status;
}

int intent_replay(struct fiber *f, struct pool *pool, intent_fn fn)
{
	struct intent *intent = &pool->intent;
	struct replay r = { .pool = pool, .fn = fn, .seq = intent->seq, .crc = intent->crc };
	struct io *io = fiber_io(f);
	int status;

	r.buf = io_buf_new(io, (size_t)READ_PAGES * POOL_PAGE);
	r.page = io_buf_new(io, POOL_PAGE);
	if (r.buf && r.page)
		status = replay_do(f, &r);
	else
		status = fiber_fail(f, -ENOMEM, "pool '%s': no memory to replay the log",
				    pool->super.name);
	object_leave(&r);
	if (r.buf)
		io_buf_free(io, r.buf, (size_t)READ_PAGES * POOL_PAGE);
	if (r.page)
		io_buf_free(io, r.page, POOL_PAGE);
	intent->seq = r.seq + INTENT_SKIP;
	intent->crc = r.crc;
	pool->stats.log_replayed = intent->replayed;
	return status;
}
