// SPDX-License-Identifier: Apache-2.0
/* look - what the faces tell of a pool, as text. See image.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/must.h"
#include "bdev/bdev.h"
#include "bdev/replica.h"
#include "bdev/resv.h"
#include "image.h"
#include "pool/pool.h"
#include "reactor/fiber.h"

#define READ_BYTES (256u << 10)
#define SIZE_MAX_  (8u << 20) /* of an object that is read: damage may claim any size */

static void PRINTF_LIKE(2, 3) say(struct look *look, const char *fmt, ...)
{
	size_t room = sizeof(look->text) - look->used;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(look->text + look->used, room, fmt, args);
	va_end(args);
	look->used += min_size((size_t)n, room - 1);
}

/* 0, or the error is said. */
static int said(struct look *look, struct fiber *f, const char *what, int r)
{
	if (r >= 0)
		return r;
	look->errors++;
	say(look, "  %s: %s\n", what, err_name(r));
	fiber_clear(f);
	return r;
}

struct look_ctx {
	struct look *look;
	struct fiber *f;
	struct pool *pool;
	uint8_t *buf;
};

static int look_host(void *ctx, const char *host)
{
	say(((struct look_ctx *)ctx)->look, "  host %s\n", host);
	return 0;
}

static void look_nexus(struct look_ctx *c, struct bdev_chan *chan)
{
	const struct bdev_replica_ops *ops = bdev_replica_ops(chan);
	struct look *look = c->look;
	struct replica_info *info = mem_new(fiber_io(c->f), sizeof(*info));
	uint64_t words[8] = { 0 };

	must(info);
	if (said(look, c->f, "info", ops->info(c->f, chan, info)) == 0) {
		say(look,
		    "  fence %" PRIu64 " incarnation %" PRIu64 " gen %" PRIu64 ".%" PRIu64
		    " state %d unclean %d regions %" PRIu64 " volume %08x ids %08x\n",
		    info->fence, info->incarnation, info->gen.epoch, info->gen.n, info->state,
		    info->unclean, info->regions, crc32c(0, info->volume.bytes, 16),
		    crc32c(0, info->members, info->member_count * sizeof(info->members[0])));
		for (unsigned i = 0; i < REPLICA_MISS_SLOTS; i++)
			say(look, "  miss %08x gen %" PRIu64 ".%" PRIu64 " dirty %" PRIu64 "\n",
			    crc32c(0, info->miss[i].peer.bytes, 16), info->miss[i].peer_gen.epoch,
			    info->miss[i].peer_gen.n, info->miss[i].dirty_regions);
		if (info->regions <= 64 * ARRAY_LEN(words) &&
		    said(look, c->f, "al",
			 ops->al_get(c->f, chan, words, div_up_u64(info->regions, 64))) == 0)
			say(look, "  al %" PRIx64 "\n", words[0]);
	}
	mem_free(info);
}

static void look_target(struct look_ctx *c, struct bdev_chan *chan)
{
	struct resv_state *state = mem_new(fiber_io(c->f), sizeof(*state));

	must(state);
	if (said(c->look, c->f, "resv", bdev_resv_ops(chan)->load(c->f, chan, state)) == 0)
		say(c->look, "  resv %u type %u ptpl %d holder %d count %u %08x\n",
		    state->generation, state->type, state->ptpl, state->holder, state->count,
		    crc32c(0, state->registrant, state->count * sizeof(state->registrant[0])));
	mem_free(state);
}

/* A checksum of each stretch, so that a difference has a place. */
static void look_bytes(struct look_ctx *c, struct bdev *bdev, struct bdev_chan *chan)
{
	uint64_t step = READ_BYTES / bdev->block_size, end = SIZE_MAX_ / bdev->block_size;

	for (uint64_t lba = 0; lba < bdev->blocks && lba < end; lba += step) {
		uint64_t blocks = min_u64(step, bdev->blocks - lba);
		int r = image_io(c->f, chan, BIO_READ, lba, blocks, c->buf, 0);

		if (said(c->look, c->f, "read", r) == 0)
			say(c->look, "  at %" PRIu64 " %08x\n", lba,
			    crc32c(0, c->buf, blocks * bdev->block_size));
	}
}

static int look_replica(void *ctx, const struct replica_stat *stat)
{
	struct look_ctx *c = ctx;
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[256];

	say(c->look,
	    "%s %08x: kind %d of %s size %" PRIu64 " allocated %" PRIu64
	    " thick %d shared %d discarded %d"
	    " clones %u snapshots %u txg %" PRIu64 " wall %" PRIu64 " entity %s\n",
	    stat->name, crc32c(0, stat->uuid.bytes, 16), stat->kind, stat->parent, stat->size_bytes,
	    stat->allocated_bytes, stat->thick, stat->shared, stat->discarded, stat->clones,
	    stat->snapshots, stat->txg, stat->wall_ns, stat->entity_id);
	(void)said(c->look, c->f, "hosts",
		   replica_get_hosts(c->f, c->pool, stat->name, look_host, c));
	snprintf(uri, sizeof(uri), "pool:///" IMAGE_POOL "/%s", stat->name);
	if (said(c->look, c->f, "open", bdev_open(c->f, uri, &bdev)) < 0)
		return 0;
	if (said(c->look, c->f, "channel", bdev_chan_open(c->f, bdev, &chan)) == 0) {
		look_nexus(c, chan);
		look_target(c, chan);
		look_bytes(c, bdev, chan);
		bdev_chan_close(c->f, chan);
	}
	bdev_close(c->f, bdev);
	return 0;
}

void look_pool(struct fiber *f, struct pool *pool, struct look *ret)
{
	struct look_ctx c = { ret, f, pool, mem_alloc_aligned(fiber_io(f)->mem, 4096, READ_BYTES) };
	struct pool_info info;

	must(c.buf);
	pool_info(pool, &info);
	ret->used = 0;
	ret->errors = 0;
	say(ret,
	    "%s %08x cluster %u disks %u capacity %" PRIu64 " used %" PRIu64 " metadata %" PRIu64
	    " reserved %" PRIu64 " committed %" PRIu64 " overcommit %u replicas %" PRIu64
	    " snapshots %" PRIu64 "\n",
	    info.name, crc32c(0, info.uuid.bytes, 16), info.cluster_bytes, info.disks,
	    info.capacity_bytes, info.used_bytes, info.metadata_bytes, info.reserved_bytes,
	    info.committed_bytes, info.overcommit_percent, info.replicas, info.snapshots);
	(void)said(ret, f, "list", replica_each(f, pool, look_replica, &c));
	mem_free(c.buf);
}

int look_disks(struct fiber *f, unsigned disk_count, struct look *ret)
{
	const struct pool_import_args args = { .disks = image_uris,
					       .disk_count = disk_count,
					       .read_only = true };
	struct pool *pool;
	int r = pool_import(f, &args, &pool);

	ret->used = 0;
	ret->errors = 0;
	if (said(ret, f, "import", r) < 0)
		return r;
	look_pool(f, pool, ret);
	r = pool_export(f, pool);
	return said(ret, f, "export", r);
}

const char *look_differs(const struct look *a, const struct look *b, char *line, size_t size)
{
	size_t at = 0, begin;

	if (a->used == b->used && memcmp(a->text, b->text, a->used) == 0)
		return NULL;
	while (at < a->used && at < b->used && a->text[at] == b->text[at])
		at++;
	for (begin = at; begin > 0 && a->text[begin - 1] != '\n';)
		begin--;
	snprintf(line, size, "'%.*s' and '%.*s'", (int)strcspn(a->text + begin, "\n"),
		 a->text + begin, (int)strcspn(b->text + begin, "\n"), b->text + begin);
	return line;
}

/* ---- the model -------------------------------------------------------------------------------- */

static bool object_is_there(struct fiber *f, const struct image_object *o, uint8_t *buf,
			    char *words, size_t size)
{
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[64];
	int r;

	snprintf(uri, sizeof(uri), "pool:///" IMAGE_POOL "/%s", o->name);
	r = bdev_open(f, uri, &bdev);
	if (r == 0)
		r = bdev_chan_open(f, bdev, &chan);
	if (r == 0)
		r = image_io(f, chan, BIO_READ, 0, o->size_bytes / bdev->block_size, buf, 0);
	if (r < 0) {
		snprintf(words, size, "%s: %s", o->name, fiber_words(f));
		return false; /* the world is done with */
	}
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	for (uint64_t i = 0; i < o->size_bytes; i++)
		if (buf[i] != o->bytes[i]) {
			snprintf(words, size, "%s: byte %" PRIu64 " is %02x, and should be %02x",
				 o->name, i, buf[i], o->bytes[i]);
			return false;
		}
	return true;
}

bool look_has_model(struct fiber *f, const struct image_model *model, char *words, size_t size)
{
	uint8_t *buf = mem_alloc_aligned(fiber_io(f)->mem, 4096, 1 << 20);
	bool good = true;

	must(buf);
	for (unsigned i = 0; good && i < model->count; i++)
		if (model->objects[i].bytes)
			good = object_is_there(f, &model->objects[i], buf, words, size);
	mem_free(buf);
	return good;
}
