// SPDX-License-Identifier: Apache-2.0
/* image - see image.h. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "bdev/replica.h"
#include "bdev/resv.h"
#include "engine/drivers.h"
#include "pool/pool.h"
#include "reactor/fiber.h"

#define SECTOR	   512u
#define CLUSTER	   (16u << 10)
#define HOUR_NS	   (3600 * SIM_S)
#define TOKEN	   replica_token(3, 1)
#define OBJECT_MAX (1u << 20)

const char *const image_uris[IMAGE_DISKS_MAX] = { "file:///dev/sda", "file:///dev/sdb" };
static const char *const paths[IMAGE_DISKS_MAX] = { "/dev/sda", "/dev/sdb" };

const char *image_name(enum image_kind kind)
{
	static const char *const names[] = { "clean", "crashed", "mirrored" };

	return names[kind];
}

unsigned image_disk_count(enum image_kind kind)
{
	return kind == IMAGE_MIRRORED ? 2 : 1;
}

/* ---- the script ------------------------------------------------------------------------------- */

enum what { CREATE, THICK, WRITE, UNMAP, SNAPSHOT, CLONE, DESTROY, DISCARD, RESIZE, ATTRS, SYNC };

struct line {
	enum what what;
	const char *name;
	const char *to;	       /* SNAPSHOT, CLONE: the new one */
	uint32_t first, count; /* sectors; CREATE, THICK, RESIZE: count is the size */
};

/* All of it is in the trees. */
static const struct line at_rest[] = {
	{ CREATE, "thin", NULL, 0, 2048 },   { THICK, "thick", NULL, 0, 256 },
	{ CREATE, "other", NULL, 0, 512 },   { WRITE, "thin", NULL, 0, 64 },
	{ WRITE, "thin", NULL, 100, 3 },     { WRITE, "thin", NULL, 1024, 200 },
	{ WRITE, "thick", NULL, 8, 40 },     { WRITE, "other", NULL, 32, 32 },
	{ SNAPSHOT, "thin", "snap1", 0, 0 }, { WRITE, "thin", NULL, 0, 8 },
	{ CLONE, "snap1", "clone1", 0, 0 },  { WRITE, "clone1", NULL, 1030, 10 },
	{ SNAPSHOT, "thin", "snap2", 0, 0 }, { WRITE, "thin", NULL, 33, 1 },
	{ CLONE, "snap2", "clone2", 0, 0 },  { WRITE, "clone2", NULL, 1100, 1 },
	{ UNMAP, "thin", NULL, 1024, 64 },   { RESIZE, "thick", NULL, 0, 320 },
	{ DISCARD, "snap2", NULL, 0, 0 },    { ATTRS, "thin", NULL, 0, 0 },
	{ SYNC, NULL, NULL, 0, 0 },
};

/* This is in the log when the process stops. */
static const struct line at_work[] = {
	{ WRITE, "thin", NULL, 512, 40 },
	{ WRITE, "clone1", NULL, 0, 9 },
	{ UNMAP, "thin", NULL, 1120, 32 },
	{ WRITE, "thick", NULL, 0, 16 },
};

struct play {
	struct image *image;
	struct fiber *f; /* NULL: only the model */
	struct pool *pool;
	uint32_t serial;
	uint8_t *buf;
};

static struct image_object *object_find(struct image_model *model, const char *name)
{
	for (unsigned i = 0; i < model->count; i++)
		if (strcmp(model->objects[i].name, name) == 0)
			return &model->objects[i];
	must(!"the script names what is there");
	return NULL;
}

static struct image_object *object_new(struct play *p, const char *name, uint64_t size_bytes)
{
	struct image_model *model = &p->image->model;
	struct image_object *o = &model->objects[model->count++];

	must(model->count <= IMAGE_OBJECTS_MAX && size_bytes <= OBJECT_MAX);
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->size_bytes = size_bytes;
	o->bytes = mem_alloc(p->image->mem, OBJECT_MAX);
	must(o->bytes);
	memset(o->bytes, 0, OBJECT_MAX);
	return o;
}

static void object_free(struct image_object *o)
{
	mem_free(o->bytes);
	o->bytes = NULL;
}

/* A word for each sector, so that images stay small. */
static void fill(uint8_t *to, uint32_t first, uint32_t count, uint32_t serial)
{
	for (uint32_t s = 0; s < count; s++) {
		uint64_t word = (uint64_t)serial << 32 | UINT64_C(0xa5000000) | (first + s);

		for (uint32_t i = 0; i < SECTOR; i += 8)
			memcpy(to + (size_t)s * SECTOR + i, &word, 8);
	}
}

static void ok(int r, struct fiber *f, const struct line *line)
{
	if (r < 0)
		fprintf(stderr, "%s: %d %s\n", line->name ? line->name : "", r, fiber_words(f));
	must(r == 0);
}

int image_io(struct fiber *f, struct bdev_chan *chan, enum bio_op op, uint64_t lba, uint64_t blocks,
	     void *buf, uint16_t flags)
{
	struct iovec iov = { buf, blocks * chan->bdev->block_size };
	struct bio *bio = bio_new(chan);
	int r;

	must(bio);
	bio_prep(bio, chan, op, lba, blocks, buf ? &iov : NULL, buf != NULL, NULL);
	bio->flags |= flags;
	bio->token = TOKEN;
	r = bio_wait(f, bio);
	mem_free(bio);
	return r;
}

static void bdev_do(struct play *p, const struct line *line)
{
	struct fiber *f = p->f;
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[64];

	snprintf(uri, sizeof(uri), "pool:///" IMAGE_POOL "/%s", line->name);
	ok(bdev_open(f, uri, &bdev), f, line);
	ok(bdev_chan_open(f, bdev, &chan), f, line);
	if (line->what == UNMAP)
		ok(image_io(f, chan, BIO_UNMAP, line->first, line->count, NULL, 0), f, line);
	else
		ok(image_io(f, chan, BIO_WRITE, line->first, line->count, p->buf, BIO_FUA), f,
		   line);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void io_do(struct play *p, const struct line *line)
{
	struct image_object *o = object_find(&p->image->model, line->name);
	uint8_t *at = o->bytes + (size_t)line->first * SECTOR;

	must((uint64_t)(line->first + line->count) * SECTOR <= o->size_bytes);
	if (line->what == UNMAP)
		memset(at, 0, (size_t)line->count * SECTOR);
	else
		fill(at, line->first, line->count, ++p->serial);
	if (!p->f)
		return;
	memcpy(p->buf, at, (size_t)line->count * SECTOR);
	bdev_do(p, line);
}

static void derive_do(struct play *p, const struct line *line)
{
	struct image_object *from = object_find(&p->image->model, line->name);
	struct image_object *to = object_new(p, line->to, from->size_bytes);

	memcpy(to->bytes, from->bytes, OBJECT_MAX);
	if (p->f)
		ok(line->what == CLONE ? clone_create(p->f, p->pool, line->name, line->to, NULL) :
					 snapshot_create(p->f, p->pool, line->name, line->to, NULL),
		   p->f, line);
}

static void create_do(struct play *p, const struct line *line)
{
	const struct replica_create_args args = { .name = line->name,
						  .size_bytes = (uint64_t)line->count * SECTOR,
						  .thick = line->what == THICK,
						  .entity_id = "volume-1" };

	object_new(p, line->name, args.size_bytes);
	if (p->f)
		ok(replica_create(p->f, p->pool, &args), p->f, line);
}

/* ---- what a nexus and a target keep ------------------------------------------------------------ */

static void nexus_do(struct fiber *f, struct bdev_chan *chan, const struct line *line)
{
	const struct bdev_replica_ops *ops = bdev_replica_ops(chan);
	const uint64_t regions[] = { 0 };
	struct replica_info info = { .gen = { 3, 9 }, .state = REPLICA_IN_SYNC, .member_count = 2 };
	const struct uuid peer = { { 7, 7, 7 } };
	unsigned slot;

	memset(info.volume.bytes, 5, 16);
	memset(info.members[0].bytes, 1, 16);
	memset(info.members[1].bytes, 2, 16);
	ok(ops->fence(f, chan, TOKEN), f, line);
	ok(ops->set(f, chan, TOKEN, REPLICA_SET_VOLUME | REPLICA_SET_GEN | REPLICA_SET_STATE,
		    &info),
	   f, line);
	ok(ops->al_update(f, chan, TOKEN, REPLICA_AL_SET, regions, 1), f, line);
	ok(ops->miss_open(f, chan, TOKEN, &peer, (struct replica_gen){ 2, 4 }, &slot), f, line);
	ok(ops->miss_add(f, chan, TOKEN, slot, regions, 1), f, line);
}

static void target_do(struct fiber *f, struct bdev_chan *chan, const struct line *line)
{
	struct resv_state *state = mem_new(fiber_io(f), sizeof(*state));

	must(state);
	state->generation = 12;
	state->type = 1;
	state->ptpl = true;
	state->count = 11;
	for (unsigned i = 0; i < state->count; i++) {
		state->registrant[i].key = 1000 + i;
		memset(state->registrant[i].host_id.bytes, (int)i + 1, 16);
	}
	ok(bdev_resv_ops(chan)->store(f, chan, state, 0), f, line);
	mem_free(state);
}

static void attrs_do(struct play *p, const struct line *line)
{
	static const char *const hosts[] = { "nqn.2014-08.org.nvmexpress:uuid:1",
					     "nqn.2014-08.org.nvmexpress:uuid:2" };
	struct fiber *f = p->f;
	struct bdev_chan *chan;
	struct bdev *bdev;

	if (!f)
		return;
	ok(replica_set_hosts(f, p->pool, line->name, hosts, ARRAY_LEN(hosts)), f, line);
	ok(replica_set_shared(f, p->pool, line->name, true), f, line);
	ok(bdev_open(f, "pool:///" IMAGE_POOL "/thin", &bdev), f, line);
	ok(bdev_chan_open(f, bdev, &chan), f, line);
	target_do(f, chan, line);
	nexus_do(f, chan, line);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

/* ---- playing ---------------------------------------------------------------------------------- */

static void destroy_do(struct play *p, const struct line *line)
{
	object_free(object_find(&p->image->model, line->name));
	if (p->f)
		ok(line->what == DISCARD ? snapshot_destroy(p->f, p->pool, line->name) :
					   replica_destroy(p->f, p->pool, line->name),
		   p->f, line);
}

static void resize_do(struct play *p, const struct line *line)
{
	struct image_object *o = object_find(&p->image->model, line->name);

	o->size_bytes = (uint64_t)line->count * SECTOR;
	if (p->f)
		ok(replica_resize(p->f, p->pool, line->name, o->size_bytes), p->f, line);
}

static void line_do(struct play *p, const struct line *line)
{
	switch (line->what) {
	case CREATE:
	case THICK:
		create_do(p, line);
		break;
	case WRITE:
	case UNMAP:
		io_do(p, line);
		break;
	case SNAPSHOT:
	case CLONE:
		derive_do(p, line);
		break;
	case DESTROY:
	case DISCARD:
		destroy_do(p, line);
		break;
	case RESIZE:
		resize_do(p, line);
		break;
	case ATTRS:
		attrs_do(p, line);
		break;
	default:
		if (p->f)
			ok(pool_sync(p->f, p->pool), p->f, line);
	}
}

static void script_do(struct play *p)
{
	static const struct line last = { DESTROY, "other", NULL, 0, 0 };

	for (unsigned i = 0; i < ARRAY_LEN(at_rest); i++)
		line_do(p, &at_rest[i]);
	line_do(p, &last);
	if (p->image->kind == IMAGE_CLEAN)
		return;
	for (unsigned i = 0; i < ARRAY_LEN(at_work); i++)
		line_do(p, &at_work[i]);
}

static int make_main(struct fiber *f, void *arg)
{
	struct image_world *w = arg;
	const struct pool_create_args args = { .name = IMAGE_POOL,
					       .disks = image_uris,
					       .disk_count = w->image->disk_count,
					       .cluster_bytes = CLUSTER };
	struct play p = { .image = w->image, .f = f };

	p.buf = mem_alloc_aligned(fiber_io(f)->mem, 4096, OBJECT_MAX);
	must(p.buf && pool_create(f, &args, &p.pool) == 0);
	script_do(&p);
	mem_free(p.buf);
	if (!w->stays)
		return pool_export(f, p.pool);
	w->is_ready = true;
	return fiber_sleep(f, HOUR_NS);
}

/* What is on a disk now. */
static struct sim_image *disk_image(struct sim_disk *disk, struct mem *mem)
{
	static const uint8_t zeros[4096];
	struct sim_image *image = sim_image_new(mem);

	for (uint64_t off = 0; off < IMAGE_BYTES; off += 4096) {
		uint8_t page[4096];

		sim_disk_peek(disk, off, page, sizeof(page));
		if (memcmp(page, zeros, sizeof(page)) != 0)
			sim_image_write(image, off, page, sizeof(page));
	}
	return image;
}

void image_model(struct image *image, struct mem *mem, enum image_kind kind)
{
	struct play p = { .image = image };

	*image = (struct image){ .mem = mem, .kind = kind, .disk_count = image_disk_count(kind) };
	script_do(&p);
}

void image_make(struct image *image, struct mem *mem, enum image_kind kind)
{
	struct sim_stacks *stacks = sim_stacks_new(mem);
	struct image_world w;

	*image = (struct image){ .mem = mem, .kind = kind, .disk_count = image_disk_count(kind) };
	image_world_open(&w, image, stacks);
	w.stays = kind != IMAGE_CLEAN;
	must(image_world_run(&w, make_main, &w) == 0 && !sim_failed(w.sim));
	for (unsigned i = 0; i < image->disk_count; i++)
		image->disks[i] = disk_image(w.disks[i], mem);
	image_world_close(&w);
	sim_stacks_free(stacks);
}

void image_free(struct image *image)
{
	for (unsigned i = 0; i < image->model.count; i++)
		object_free(&image->model.objects[i]);
	for (unsigned i = 0; i < image->disk_count; i++)
		if (image->disks[i])
			sim_image_free(image->disks[i]);
}

/* ---- worlds ---------------------------------------------------------------------------------- */

void image_world_open(struct image_world *w, struct image *image, struct sim_stacks *stacks)
{
	*w = (struct image_world){ .image = image, .stacks = stacks };
	w->sim = sim_new(&(struct sim_opts){ .seed = 1, .mem = image->mem, .stacks = stacks });
	w->host = sim_host_add(w->sim, "a");
	for (unsigned i = 0; i < image->disk_count; i++)
		w->disks[i] = sim_disk_add(w->host, paths[i],
					   &(struct sim_disk_opts){ .size_bytes = IMAGE_BYTES,
								    .image = image->disks[i] });
}

static bool has_ended(void *ctx)
{
	const struct image_world *w = ctx;

	return w->is_ready || sim_proc_state(w->proc) != SIM_PROC_RUNNING;
}

static int world_main(struct fiber *f, void *arg)
{
	struct image_world *w = arg;

	return w->fn(f, w->arg);
}

int image_world_run(struct image_world *w, fiber_fn fn, void *arg)
{
	w->fn = fn;
	w->arg = arg;
	if (w->proc)
		sim_proc_start(w->proc);
	else
		w->proc =
			sim_proc_add(w->host, &(struct sim_proc_opts){ .name = "pool",
								       .main = world_main,
								       .arg = w,
								       .drivers = engine_drivers });
	if (!sim_run_until(w->sim, has_ended, w, 100 * HOUR_NS))
		sim_fail(w->sim, "it hangs");
	if (!w->is_ready)
		return sim_proc_result(w->proc);
	sim_proc_crash(w->proc);
	return 0;
}

void image_world_close(struct image_world *w)
{
	sim_free(w->sim);
}
