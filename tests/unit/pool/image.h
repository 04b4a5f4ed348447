/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image - small pools of every kind of thing, made in a simulated world, as images of their disks;
 * and looking at what is on such disks, as text.
 *
 * A pool is made by a script of steps, the same for ever. It has replicas thin and thick,
 * snapshots, clones, attributes, clusters counted one, two and more times, and a replica that is
 * being taken down; what it shall hold is computed beside it, byte for byte.
 */
#ifndef TESTS_POOL_IMAGE_H
#define TESTS_POOL_IMAGE_H

#include "bdev/bdev.h"
#include "sim/disk_crash.h"
#include "sim/sim.h"

struct fiber;
struct pool;

#define IMAGE_DISKS_MAX	  2u
#define IMAGE_BYTES	  (64u << 20)
#define IMAGE_OBJECTS_MAX 12u
#define IMAGE_POOL	  "golden"

enum image_kind {
	IMAGE_CLEAN,	/* one disk, exported */
	IMAGE_CRASHED,	/* one disk, a log to be replayed */
	IMAGE_MIRRORED, /* two disks, the same */
	IMAGE_KINDS
};

const char *image_name(enum image_kind kind);
unsigned image_disk_count(enum image_kind kind);

/* What an object shall hold. */
struct image_object {
	char name[16];
	uint64_t size_bytes;
	uint8_t *bytes; /* owned; NULL: it was destroyed, or is only remembered */
};

struct image_model {
	struct image_object objects[IMAGE_OBJECTS_MAX];
	unsigned count;
};

struct image {
	struct mem *mem;
	enum image_kind kind;
	unsigned disk_count;
	struct sim_image *disks[IMAGE_DISKS_MAX];
	struct image_model model;
};

/* The script, done to a new pool; or only what shall come of it. */
void image_make(struct image *image, struct mem *mem, enum image_kind kind);
void image_model(struct image *image, struct mem *mem, enum image_kind kind);
void image_free(struct image *image);

/* ---- a world that stands on an image -------------------------------------------------------- */

struct image_world {
	struct image *image;
	struct sim *sim;
	struct sim_host *host;
	struct sim_disk *disks[IMAGE_DISKS_MAX];
	struct sim_proc *proc;
	fiber_fn fn;
	void *arg;
	bool stays, is_ready; /* stays: the process ends by a crash, when it says it is ready */
	struct sim_stacks *stacks; /* borrowed */
};

extern const char *const image_uris[IMAGE_DISKS_MAX];

void image_world_open(struct image_world *w, struct image *image, struct sim_stacks *stacks);
/* Run fn(f, arg) in the process; the world has failed if it hangs. Its result. */
int image_world_run(struct image_world *w, fiber_fn fn, void *arg);
void image_world_close(struct image_world *w);

/* A bio by the owner of the replica's present epoch. */
int image_io(struct fiber *f, struct bdev_chan *chan, enum bio_op op, uint64_t lba, uint64_t blocks,
	     void *buf, uint16_t flags);

/* ---- looking ---------------------------------------------------------------------------------- */

#define LOOK_BYTES (64u << 10)

/* Everything the faces tell of a pool, a line each; what cannot be read is told as an error. */
struct look {
	char text[LOOK_BYTES];
	size_t used;
	unsigned errors; /* things that could not be read */
};

void look_pool(struct fiber *f, struct pool *pool, struct look *ret);
/* Imported read-only. Not 0: that is told in the text, too. */
int look_disks(struct fiber *f, unsigned disk_count, struct look *ret);
/* The first line that differs; NULL: none. Both are cut there. */
const char *look_differs(const struct look *a, const struct look *b, char *line, size_t size);

/* The bytes of every object of the model are those of the pool; else a line in words. */
bool look_has_model(struct fiber *f, const struct image_model *model, char *words, size_t size);

#endif
