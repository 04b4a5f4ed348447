/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_node - a storage node of the scenario `cluster`: its pool, and what its replicas hold.
 *
 * CN1. A pool that a failed metadata write has stopped, or whose disk was pulled, is imported anew
 *      as soon as nobody uses it. What could not be served, because the disk failed then, is served later.
 * CN2. Its disk lies about pages of the pool only: those say what they are, data do not
 *      (CORRUPT_READ). A page that is not itself is refused, and the member fails; it never shows in
 *      data.
 * CN3. An inspection reads what the replicas hold, from their own side, while no nexus runs.
 */
#include "cluster_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "bdev/bdev.h"
#include "bdev/replica.h"
#include "pool/check_priv.h"
#include "pool/format.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define CACHE_BYTES (256u << 10)

static const char *const replica_names[CW_REPLICAS] = { "r", "s" };

/* ---- the pool --------------------------------------------------------------------------- */

static int node_make(struct fiber *f, struct cw_node *node)
{
	static const uint32_t clusters[] = { 16 << 10, 32 << 10, 64 << 10, 256 << 10 };
	struct prng *prng = sim_prng(node->c->sim);
	const char *disk = node->disk_uri;
	const struct pool_create_args args = {
		.name = node->pool_name,
		.disks = &disk,
		.disk_count = 1,
		.cluster_bytes = clusters[prng_below(prng, ARRAY_LEN(clusters))],
		.cache_bytes = CACHE_BYTES,
		.overcommit_percent = 1000,
	};
	bool is_spare_large = prng_below(prng, 2);
	int r = pool_create(f, &args, &node->pool);

	for (unsigned i = 0; r == 0 && i < CW_REPLICAS; i++) {
		const struct replica_create_args replica = { .name = replica_names[i],
							     .uuid = &node->replica[i],
							     .size_bytes = i && is_spare_large ?
										   CW_BYTES_MAX :
										   CW_BYTES };

		r = replica_create(f, node->pool, &replica);
	}
	node->is_made = r == 0;
	return r;
}

static int node_import(struct fiber *f, struct cw_node *node)
{
	const char *disk = node->disk_uri;
	const struct pool_import_args args = { .disks = &disk,
					       .disk_count = 1,
					       .cache_bytes = CACHE_BYTES,
					       .rules_off = node->c->rules_off.pool };
	struct pool_info info;
	int r = pool_import(f, &args, &node->pool);

	if (r < 0)
		return r;
	pool_info(node->pool, &info);
	if (info.state != POOL_ONLINE && !sim_fault_fired(node->c->sim, SIM_DISK_EIO_READ) &&
	    !sim_fault_fired(node->c->sim, SIM_DISK_CORRUPT_READ))
		sim_fail(node->c->sim, "%s is imported damaged: %s", node->pool_name, info.why);
	return 0;
}

/* CN2. Not of the log: a record that is damaged is its end. */
bool cw_node_may_lie(void *arg, uint64_t off, uint64_t len)
{
	const struct cw_node *node = arg;
	uint8_t head[16];

	if (len != POOL_PAGE || off % POOL_PAGE)
		return false;
	sim_disk_peek(node->disk, off, head, sizeof(head));
	return le32_get(head) == PAGE_MAGIC && head[8] >= PAGE_NODE && head[8] < PAGE_TYPES;
}

/* Until it is there, or there is no more need. */
int cw_node_begin(struct fiber *f, struct cw_node *node)
{
	struct cluster *c = node->c;
	int r;

	node->is_pulled = false;
	for (;;) {
		r = node->is_made ? node_import(f, node) : node_make(f, node);
		if (r == 0)
			return 0;
		sim_trace(c->sim, "%s: begin: %d %s", node->pool_name, r, fiber_words(f));
		fiber_clear(f);
		if (sim_failed(c->sim) || fiber_sleep(f, 200 * SIM_MS) < 0)
			return r;
	}
}

static int node_count(struct fiber *f, struct cw_node *node);

void cw_node_end(struct fiber *f, struct cw_node *node)
{
	int r = 0;

	if (!node->pool)
		return;
	if (node->c->is_final)
		r = node_count(f, node);
	if (r == 0)
		r = pool_export(f, node->pool);
	if (r < 0 && node->c->is_final)
		sim_fail(node->c->sim, "%s: end: %d %s", node->pool_name, r, fiber_words(f));
	node->pool = NULL;
	fiber_clear(f);
}

/* ---- its replicas for other hosts -------------------------------------------------------------- */

void cw_node_nqn(unsigned member, char ret[64])
{
	snprintf(ret, 64, "nqn.2026-11.test:p%u-%s", member / CW_REPLICAS,
		 replica_names[member % CW_REPLICAS]);
}

static int node_serve_one(struct fiber *f, struct cw_node *node, unsigned i)
{
	char nqn[64], uri[32];
	const struct tgt_subsys_args args = {
		.nqn = nqn, .allow_any_host = true, .fence = true, .vendor = true
	};
	const struct tgt_ns_args ns_args = { .uri = uri };
	struct tgt_ns *ns;
	int r;

	cw_node_nqn(node->number * CW_REPLICAS + i, nqn);
	snprintf(uri, sizeof(uri), "pool:///%s/%s", node->pool_name, replica_names[i]);
	r = tgt_subsys_add(f, node->place->tgt, &args, &node->subsys[i]);
	return r < 0 ? r : tgt_ns_add(f, node->subsys[i], &ns_args, &ns);
}

int cw_node_serve(struct fiber *f, struct cw_node *node)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < CW_REPLICAS && node->place->tgt; i++)
		r = node_serve_one(f, node, i);
	if (r < 0)
		sim_trace(node->c->sim, "%s: serve: %d %s", node->pool_name, r, fiber_words(f));
	fiber_clear(f);
	node->is_served = true;
	node->is_whole = r == 0;
	return r;
}

void cw_node_unserve(struct fiber *f, struct cw_node *node)
{
	for (unsigned i = 0; i < CW_REPLICAS; i++) {
		if (node->subsys[i])
			tgt_subsys_remove(f, node->subsys[i]);
		node->subsys[i] = NULL;
	}
}

/* CN1. */
int cw_node_keeper(struct fiber *f, void *arg)
{
	struct cw_node *node = arg;
	struct pool_info info;

	while (fiber_sleep(f, 300 * SIM_MS) == 0) {
		pool_info(node->pool, &info);
		bool is_well = info.state == POOL_ONLINE && !node->is_pulled;
		if (is_well && node->is_whole)
			continue;
		cw_node_unserve(f, node);
		if (is_well) {
			(void)cw_node_serve(f, node);
			continue;
		}
		int r = pool_export(f, node->pool);
		sim_trace(node->c->sim, "%s: %s; export: %d %s", node->pool_name, info.why, r,
			  fiber_words(f));
		fiber_clear(f);
		if (r == -EBUSY)
			continue;
		node->pool = NULL;
		cw_cache_lost(node->c, node->number);
		if (cw_node_begin(f, node) < 0)
			break;
		(void)cw_node_serve(f, node);
	}
	return 0;
}

/* ---- what its replicas hold ----------------------------------------------------------------- */

static int node_read(struct fiber *f, struct bdev_chan *chan, uint64_t lba, uint64_t blocks,
		     void *buf)
{
	struct bio *bio = bio_new(chan);
	const struct iovec iov = { buf, blocks * 512 };
	uint64_t per = chan->bdev->block_size / 512;
	int r;

	must(bio);
	bio_prep(bio, chan, BIO_READ, lba / per, blocks / per, &iov, 1, NULL);
	bio->token = UINT64_MAX; /* whatever the fence is */
	r = bio_wait(f, bio);
	mem_free(bio);
	return r;
}

static int node_look_at(struct fiber *f, struct cw_node *node, struct bdev_chan *chan,
			struct cw_look *look, uint8_t *buf)
{
	struct cluster *c = node->c;
	const struct bdev_replica_ops *ops = bdev_replica_ops(chan);
	int r = ops->info(f, chan, &look->info);
	uint64_t cells;

	if (r == 0)
		r = ops->al_get(f, chan, &look->al, 1);
	look->size_bytes = chan->bdev->blocks * chan->bdev->block_size;
	cells = cw_groups(look->size_bytes) * CW_GROUP;
	for (uint64_t cell = 0; r == 0 && cell < cells; cell++) {
		r = node_read(f, chan, cw_lba(cell), CW_CELL_LBAS, buf);
		for (uint32_t i = 0; r == 0 && i < CW_SECTORS; i++)
			look->kind[cell][i] = pattern_look(buf + i * PATTERN_SECTOR,
							   sim_seed(c->sim), cell, i,
							   &look->cell[cell][i]);
	}
	for (uint64_t i = 0; r == 0 && c->is_final && i < look->size_bytes / CW_CHUNK; i++) {
		r = node_read(f, chan, i * (CW_CHUNK / 512), CW_CHUNK / 512, buf);
		look->crc[i] = crc32c(0, buf, CW_CHUNK);
	}
	return r;
}

static int node_look(struct fiber *f, struct cw_node *node, unsigned i, uint8_t *buf)
{
	struct cw_look *look = &node->c->looks[node->number * CW_REPLICAS + i];
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[32];
	int r;

	snprintf(uri, sizeof(uri), "pool:///%s/%s", node->pool_name, replica_names[i]);
	r = bdev_open(f, uri, &bdev);
	if (r < 0)
		return r;
	r = bdev_chan_open(f, bdev, &chan);
	if (r == 0) {
		r = node_look_at(f, node, chan, look, buf);
		bdev_chan_close(f, chan);
	}
	bdev_close(f, bdev);
	look->is_there = r == 0;
	return r;
}

/* ---- counts ----------------------------------------------------------------------------------- */

struct counts {
	struct cluster *c;
	char first[160];
};

static void node_say(void *ctx, const char *line)
{
	struct counts *counts = ctx;

	sim_trace(counts->c->sim, "check: %s", line);
	if (!counts->first[0])
		snprintf(counts->first, sizeof(counts->first), "%s", line);
}

static int node_count(struct fiber *f, struct cw_node *node)
{
	struct pool_check_result result = { 0 };
	struct counts counts = { .c = node->c };
	int r = pool_sync(f, node->pool);

	if (r == 0)
		r = check_walk(f, node->pool, NULL, 0, node_say, &counts, &result);
	if (r == 0 && result.errors)
		sim_fail(node->c->sim, "%s: check finds %" PRIu64 " errors: %s", node->pool_name,
			 result.errors, counts.first);
	return r;
}

/* CN3. */
void cw_node_inspect(struct fiber *f, struct cw_node *node)
{
	uint8_t *buf = io_buf_new(fiber_io(f), CW_CHUNK);
	int r = 0;

	must(buf);
	for (unsigned i = 0; r == 0 && i < CW_REPLICAS; i++)
		r = node_look(f, node, i, buf);
	if (r == 0)
		r = node_count(f, node);
	if (r < 0)
		sim_fail(node->c->sim, "%s: inspection: %d %s", node->pool_name, r, fiber_words(f));
	io_buf_free(fiber_io(f), buf, CW_CHUNK);
	fiber_clear(f);
}

/* ---- comparison --------------------------------------------------------------------------------- */

/* I1: everything acknowledged is there. */
static void compare_cells(struct cluster *c, unsigned member, uint64_t size_bytes)
{
	const struct cw_look *look = &c->looks[member];
	uint64_t mark = check_read_begin(c->check);
	char text[160];

	for (uint64_t cell = 0; cell < cw_groups(size_bytes) * CW_GROUP; cell++) {
		for (unsigned i = 0; i < CW_SECTORS && !sim_failed(c->sim); i++) {
			uint64_t serial = look->cell[cell][i];
			enum pattern_kind kind = look->kind[cell][i];

			if (kind != PATTERN_GOOD && kind != PATTERN_ALL_ZEROS)
				sim_fail(c->sim, "I1: %s: cell %" PRIu64 " sector %u is foreign",
					 cw_uri(c, member), cell, i);
			else if (!check_may_read(c->check, cell, mark, serial))
				sim_fail(c->sim,
					 "I1: %s is in sync, and holds %" PRIu64 " in cell %" PRIu64
					 "; it may be %s",
					 cw_uri(c, member), serial, cell,
					 check_explain(c->check, cell, text, sizeof(text)));
		}
	}
	check_read_end(c->check);
}

/* I4: they differ only where the logs say so. */
static void compare_two(struct cluster *c, unsigned a, unsigned b, uint64_t al,
			const struct volume_record *rec)
{
	bool is_clean = rec->clean;
	const struct cw_look *la = &c->looks[a], *lb = &c->looks[b];

	for (uint64_t cell = 0; cell < cw_groups(rec->size_bytes) * CW_GROUP; cell++) {
		uint64_t region = cw_lba(cell) * 512 / CW_REGION;

		if (memcmp(la->cell[cell], lb->cell[cell], sizeof(la->cell[cell])) == 0 ||
		    (!is_clean && al >> region & 1))
			continue;
		sim_fail(c->sim,
			 "I4: %s and %s are in sync, and differ in cell %" PRIu64 ": %" PRIu64
			 ", %" PRIu64 "; log %" PRIx64 "%s",
			 cw_uri(c, a), cw_uri(c, b), cell, la->cell[cell][0], lb->cell[cell][0], al,
			 is_clean ? ", closed clean" : "");
		return;
	}
	for (uint64_t i = 0; c->is_final && is_clean && i < rec->size_bytes / CW_CHUNK; i++)
		if (la->crc[i] != lb->crc[i])
			sim_fail(c->sim, "%s and %s are in sync, at rest, and differ at %" PRIu64,
				 cw_uri(c, a), cw_uri(c, b), i * CW_CHUNK);
}

void cw_compare(struct cluster *c)
{
	struct volume_record *rec = mem_alloc(sim_mem(c->sim), sizeof(*rec));
	int members[VOLUME_MEMBERS_MAX];
	unsigned count = 0;
	uint64_t al = 0;

	must(rec);
	if (!cw_record(c, rec))
		sim_fail(c->sim, "the record is gone");
	for (unsigned i = 0; !sim_failed(c->sim) && i < rec->member_count; i++) {
		int member = cw_member(c, rec->members[i].uri);

		if (rec->members[i].state != VOLUME_IN_SYNC)
			continue;
		must(member >= 0 && c->looks[member].is_there);
		if (c->looks[member].size_bytes < rec->size_bytes) /* CG2 */
			sim_fail(c->sim, "%s is in sync, and smaller than the volume",
				 cw_uri(c, (unsigned)member));
		al |= c->looks[member].al;
		members[count++] = member;
	}
	if (!sim_failed(c->sim) && count == 0)
		sim_fail(c->sim, "LASTONE: no member is in sync");
	for (unsigned i = 0; i < count && !sim_failed(c->sim); i++)
		if (!(c->lost >> members[i] & 1)) /* INCARN */
			compare_cells(c, (unsigned)members[i], rec->size_bytes);
	for (unsigned i = 1; i < count && !sim_failed(c->sim); i++)
		compare_two(c, (unsigned)members[0], (unsigned)members[i], al, rec);
	mem_free(rec);
}
