// SPDX-License-Identifier: Apache-2.0
/*
 * intent - writing the intent log. See intent_priv.h.
 */
#include "pool/intent_priv.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "pool/pool_priv.h"
#include "reactor/fiber.h"

/* ---- one write ------------------------------------------------------------------------------ */

/* The disks that bear the log; NULL where there is none. */
static struct pool_disk *copy_disk(struct pool *pool, unsigned copy)
{
	unsigned disk = copy ? pool->super.log_mirror : pool->super.log_disk;

	return disk < POOL_DISKS_MAX ? &pool->disks[disk] : NULL;
}

static uint64_t copy_first(const struct pool *pool, unsigned copy)
{
	uint64_t index = copy ? pool->super.log_mirror_first : pool->super.log_first;

	return POOL_DATA_START + (index << pool->cluster_shift);
}

/* As many entries as there are and as fit; items that are all in go over to `writing`. */
static unsigned record_fill(struct intent *intent, uint8_t *page)
{
	unsigned count = 0;

	while (count < INTENT_RECORD_ENTRIES) {
		struct intent_item *item = list_first(&intent->queue, struct intent_item, link);
		bool more = false;

		if (!item)
			break;
		count += item->fill(item, page + PAGE_HEAD + (size_t)count * INTENT_ENTRY_SIZE,
				    INTENT_RECORD_ENTRIES - count, &more);
		must(count <= INTENT_RECORD_ENTRIES);
		if (more) {
			must(count > 0);
			break;
		}
		list_move_tail(&intent->writing, &item->link);
	}
	return count;
}

static void record_seal(struct pool *pool, uint8_t *page, unsigned count, uint64_t first_seq)
{
	struct intent *intent = &pool->intent;
	const struct page_head head = { .type = PAGE_LOG,
					.count = count,
					.pool = pool->super.pool,
					.owner = first_seq,
					.name = intent->seq++,
					.txg = intent->txg,
					.key = intent->crc };
	size_t used = PAGE_HEAD + (size_t)count * INTENT_ENTRY_SIZE;

	memset(page + used, 0, POOL_PAGE - used);
	page_head_put(page, &head);
	intent->crc = page_seal(page); /* IN1 */
}

/* Records for what is queued, up to a group; how many. */
static unsigned records_make(struct pool *pool)
{
	struct intent *intent = &pool->intent;
	unsigned most = min_u32(INTENT_GROUP, intent->room - intent->used), made = 0;
	uint64_t first_seq = intent->seq;

	while (made < most && !list_empty(&intent->queue)) {
		uint8_t *page = intent->buf + (size_t)made * POOL_PAGE;
		unsigned count = record_fill(intent, page);

		if (count == 0)
			continue; /* items with nothing to tell */
		record_seal(pool, page, count, first_seq);
		pool->stats.log_entries += count;
		made++;
	}
	return made;
}

static void items_end(struct list *items, int status)
{
	struct intent_item *item;
	struct list ended;

	list_init(&ended);
	list_splice_tail(&ended, items);
	while ((item = list_pop_front(&ended, struct intent_item, link)))
		item->done(item, status);
}

static void intent_kick(struct pool *pool)
{
	struct intent *intent = &pool->intent;

	if ((intent->open || intent->failed) && !intent->writes && !intent->cutting &&
	    !list_empty(&intent->queue))
		reactor_post(pool->home, &intent->kick);
}

static void write_end(struct pool *pool)
{
	struct intent *intent = &pool->intent;
	int status = intent->status;

	if (status < 0) {
		pool_fault(pool, "writing the intent log failed"); /* IN6 */
		intent->failed = true;
	}
	items_end(&intent->writing, status);
	event_set(&intent->idle);
	intent_kick(pool);
}

static void write_done(struct bio *bio)
{
	struct pool *pool = bio->layer_priv;
	struct intent *intent = &pool->intent;

	if (bio->status < 0 && intent->status == 0)
		intent->status = bio->status;
	if (--intent->writes == 0)
		write_end(pool);
}

static void copy_write(struct pool *pool, unsigned copy, unsigned records)
{
	struct intent *intent = &pool->intent;
	struct pool_disk *disk = copy_disk(pool, copy);
	struct bio *bio = intent->bio[copy];
	uint64_t offset;

	if (!disk)
		return;
	offset = intent_offset(copy_first(pool, copy), intent->room, intent->txg, intent->used);
	bio_prep(bio, disk->chan, BIO_WRITE, offset >> disk->block_shift,
		 ((uint64_t)records * POOL_PAGE) >> disk->block_shift, &intent->iov, 1, write_done);
	bio->layer_priv = pool;
	if (disk->bdev->volatile_cache)
		bio->flags = BIO_FUA;
	intent->writes++;
	bio_submit(bio);
}

static void records_write(struct pool *pool, unsigned records)
{
	struct intent *intent = &pool->intent;

	event_clear(&intent->idle);
	intent->status = 0;
	intent->iov = (struct iovec){ intent->buf, (size_t)records * POOL_PAGE };
	for (unsigned copy = 0; copy < INTENT_COPIES; copy++)
		copy_write(pool, copy, records);
	intent->used += records;
	pool->stats.log_writes++;
	pool->stats.log_pages += records;
	if (intent->used > intent->room / 2)
		commit_request(pool);
}

/* Nothing fits: items wait for the cut, but not those that the cut waits for. */
static void intent_full(struct pool *pool)
{
	struct intent_item *item;
	struct list queue;

	commit_request(pool);
	if (!pool->intent.draining)
		return;
	list_init(&queue);
	list_splice_tail(&queue, &pool->intent.queue);
	while ((item = list_pop_front(&queue, struct intent_item, link)))
		if (!item->ride || !item->ride(item))
			list_add_tail(&pool->intent.queue, &item->link);
}

static void intent_run(struct task *task)
{
	struct intent *intent = container_of(task, struct intent, kick);
	struct pool *pool = container_of(intent, struct pool, intent);
	unsigned records;

	if (intent->failed)
		items_end(&intent->queue, -EIO);
	if (!intent->open || intent->writes || intent->cutting || list_empty(&intent->queue))
		return;
	if (intent->used == intent->room) {
		intent_full(pool);
		return;
	}
	records = records_make(pool);
	if (records)
		records_write(pool, records); /* IN3: none was in flight */
	else
		items_end(&intent->writing, 0);
}

/* ---- items -------------------------------------------------------------------------------------- */

void intent_add(struct pool *pool, struct intent_item *item)
{
	list_add_tail(&pool->intent.queue, &item->link); /* IN5 */
	intent_kick(pool);
}

void intent_cancel(struct intent_item *item)
{
	list_del(&item->link);
}

struct intent_wait {
	struct intent_item item;
	const struct intent_entry *entries;
	unsigned count, at;
	struct event ended;
	int status;
};

static unsigned wait_fill(struct intent_item *item, uint8_t *at, unsigned room, bool *ret_more)
{
	struct intent_wait *wait = container_of(item, struct intent_wait, item);
	unsigned count = min_u32(room, wait->count - wait->at);

	for (unsigned i = 0; i < count; i++)
		intent_entry_put(at + (size_t)i * INTENT_ENTRY_SIZE, &wait->entries[wait->at++]);
	*ret_more = wait->at < wait->count;
	return count;
}

static void wait_done(struct intent_item *item, int status)
{
	struct intent_wait *wait = container_of(item, struct intent_wait, item);

	wait->status = status;
	event_set(&wait->ended);
}

int intent_write(struct fiber *f, struct pool *pool, const struct intent_entry *entries,
		 unsigned count)
{
	struct intent_wait wait = { .item = { .fill = wait_fill, .done = wait_done },
				    .entries = entries, .count = count };

	event_init(&wait.ended);
	intent_add(pool, &wait.item);
	event_wait_always(f, &wait.ended);
	if (wait.status < 0)
		return fiber_fail(f, -EIO, "pool '%s': %s", pool->super.name, pool->why);
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------------- */

int intent_init(struct fiber *f, struct pool *pool)
{
	struct intent *intent = &pool->intent;

	*intent = (struct intent){ .txg = pool->super.txg + 1,
				   .seq = pool->super.log_seq,
				   .crc = pool->super.log_crc,
				   .room = pool->super.log_half_clusters * pool->pages_per_cluster };
	list_init(&intent->queue);
	list_init(&intent->writing);
	task_init(&intent->kick, intent_run);
	event_init(&intent->idle);
	event_set(&intent->idle);
	intent->buf = io_buf_new(fiber_io(f), (size_t)INTENT_GROUP * POOL_PAGE);
	if (!intent->buf)
		goto no_memory;
	for (unsigned copy = 0; copy < INTENT_COPIES; copy++) {
		struct pool_disk *disk = copy_disk(pool, copy);

		if (!disk || !disk->chan)
			continue;
		intent->bio[copy] = bio_new(disk->chan);
		if (!intent->bio[copy])
			goto no_memory;
	}
	return 0;

no_memory:
	intent_fini(f, pool);
	return fiber_fail(f, -ENOMEM, "pool '%s': no memory for the log", pool->super.name);
}

void intent_fini(struct fiber *f, struct pool *pool)
{
	struct intent *intent = &pool->intent;

	event_wait_always(f, &intent->idle);
	must(list_empty(&intent->queue));
	reactor_unpost(&intent->kick);
	for (unsigned copy = 0; copy < INTENT_COPIES; copy++)
		mem_free(intent->bio[copy]);
	if (intent->buf)
		io_buf_free(fiber_io(f), intent->buf, (size_t)INTENT_GROUP * POOL_PAGE);
	*intent = (struct intent){ 0 };
}

void intent_cut(struct fiber *f, struct pool *pool)
{
	struct intent *intent = &pool->intent;

	must(pool->txn.open);
	intent->cutting = true;
	event_wait_always(f, &intent->idle); /* IN4 */
	intent->cutting = false;
	intent->txg = pool->txn.txg + 1;
	intent->used = 0;
	pool->super.log_seq = intent->seq;
	pool->super.log_crc = intent->crc;
	intent_kick(pool);
}

void intent_durable(struct pool *pool)
{
	pool->intent.open = true; /* IN2 */
	intent_kick(pool);
}

void intent_fail(struct pool *pool)
{
	pool->intent.failed = true; /* IN6 */
	intent_kick(pool);
}

void intent_drain(struct pool *pool, int change)
{
	pool->intent.draining = (unsigned)((int)pool->intent.draining + change);
	intent_kick(pool);
}
