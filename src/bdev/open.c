/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open - a URI becomes a disk, once; the last user closes it.
 *
 *   (none) -> OPENING --driver->open--> OPEN --last close--> CLOSING --driver->close--> DEAD
 *                 \--------------- failed ----------------------------------------------^
 *
 * OP1. All of it happens at home; OPENING and CLOSING may suspend, others wait for the end.
 * OP2. A fiber never waits for what waits for it: who opens what is known by fiber, and a
 *      wait that would close a circle is refused (-ELOOP).
 * OP3. At most BDEV_STACK_MAX disks stand on each other.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"
#include "base/uri.h"
#include "bdev/bdev_priv.h"

/* ---- cores ------------------------------------------------------------ */

static void core_free(struct bdev_core *core)
{
	for (unsigned i = 0; i < core->side_count; i++)
		mem_free(core->at[i].side);
	for (unsigned op = 0; op < BIO_OPS; op++)
		mem_free(core->past_hist[op]);
	uri_free(core->uri);
	mem_free(core);
}

static void core_unref(struct bdev_core *core)
{
	if (--core->refs == 0)
		core_free(core);
}

static void cleanup_core(struct bdev_core **core)
{
	if (*core)
		core_free(*core);
}

static unsigned sides_of(struct reactor *home)
{
	unsigned count = reactor_index(home) + 1;

	for (unsigned i = 0; i < REACTORS_MAX; i++)
		if (i >= count && reactor_peer(home, i))
			count = i + 1;
	return count;
}

static int core_new(struct fiber *f, struct bdev_table *table, const struct uri *uri,
		    const char *key, struct bdev_core **ret)
{
	struct mem *mem = table->io->mem;
	struct reactor *home = fiber_reactor(f);
	unsigned sides = sides_of(home);
	CLEANUP(cleanup_core)
	struct bdev_core *core = mem_alloc(mem, sizeof(*core) + sides * sizeof(core->at[0]));
	int r;

	if (!core)
		return -ENOMEM;
	core->table = table;
	core->home = home;
	core->side_count = sides;
	core->refs = 1;
	core->users = 1;
	core->depth = 1;
	core->opener = f;
	event_init(&core->settled);
	event_init(&core->quiet);
	event_set(&core->quiet);
	latch_init(&core->resize);
	list_init(&core->claims);
	list_init(&core->locks);
	snprintf(core->key, sizeof(core->key), "%s", key);
	r = uri_parse(mem, uri_print(uri), &core->uri, fiber_err(f));
	if (r < 0)
		return r;
	r = map_put(&table->by_name, key, core);
	if (r < 0)
		return r;
	list_add_tail(&table->opening, &core->opening);
	table->count++;
	*ret = steal(core);
	return 0;
}

/* It is no more; who waited for it looks again. */
static void core_dead(struct bdev_core *core)
{
	struct bdev_table *table = core->table;

	list_del(&core->opening);
	core->opener = NULL;
	map_del(&table->by_name, core->key);
	table->count--;
	core->state = CORE_DEAD;
	event_set(&core->settled);
	core_unref(core);
}

/* ---- who waits for whom (OP2, OP3) ------------------------------------ */

static void fiber_waits_for(struct bdev_table *table, struct fiber *f, struct bdev_core *what)
{
	struct bdev_core *core;

	list_for_each(core, &table->opening, opening)
		if (core->opener == f)
			core->waits_for = what;
}

static int core_await(struct fiber *f, struct bdev_core *core)
{
	int r;

	for (const struct bdev_core *c = core; c; c = c->waits_for)
		if (c->opener == f)
			return fiber_fail(f, -ELOOP, "%s would stand on itself", c->key);
	fiber_waits_for(core->table, f, core);
	core->refs++;
	r = event_wait(f, &core->settled);
	fiber_waits_for(core->table, f, NULL);
	if (r < 0)
		fiber_fail(f, r, "%s: the open was cancelled", core->key);
	core_unref(core);
	return r;
}

/* A disk of that depth is wanted by f, which may be opening others on top of it. */
static int depth_check(struct fiber *f, struct bdev_table *table, const char *key, unsigned depth)
{
	struct bdev_core *core, *parent = NULL;
	unsigned above = 0;

	list_for_each(core, &table->opening, opening) {
		if (core->opener != f)
			continue;
		above++;
		parent = core;
	}
	if (above + depth > BDEV_STACK_MAX)
		return fiber_fail(f, -E2BIG, "%s: more than %d disks on top of each other", key,
				  BDEV_STACK_MAX);
	if (parent && parent->depth < depth + 1)
		parent->depth = depth + 1;
	return 0;
}

/* ---- the same disk again ---------------------------------------------- */

static const char *uri_nth(const struct uri *uri, const char *name, uint32_t n)
{
	for (uint32_t i = 0; i < uri_param_count(uri); i++)
		if (strcmp(uri_param_name(uri, i), name) == 0 && n-- == 0)
			return uri_param_value(uri, i);
	return NULL;
}

/* The first parameter of a that b has not, or otherwise; NULL: none. */
static const char *uri_other_param(const struct uri *a, const struct uri *b)
{
	for (uint32_t i = 0; i < uri_param_count(a); i++) {
		const char *name = uri_param_name(a, i), *value;
		uint32_t before = 0;

		for (uint32_t j = 0; j < i; j++)
			before += strcmp(uri_param_name(a, j), name) == 0;
		value = uri_nth(b, name, before);
		if (!value || strcmp(value, uri_param_value(a, i)) != 0)
			return name;
	}
	return NULL;
}

static int core_share(struct fiber *f, struct bdev_core *core, const struct uri *uri)
{
	const char *other = uri ? uri_other_param(uri, core->uri) : NULL;
	int r;

	if (uri && !other)
		other = uri_other_param(core->uri, uri);
	if (other)
		return fiber_fail(f, -EEXIST, "%s is already open with another '%s'", core->key,
				  other);
	r = depth_check(f, core->table, core->key, core->depth);
	if (r < 0)
		return r;
	core->users++;
	return 0;
}

/* One that is open under this name, or none (0, NULL); waits while it comes or goes. */
static int core_get(struct fiber *f, struct bdev_table *table, const char *name,
		    struct bdev_core **ret)
{
	struct bdev_core *core;

	while ((core = map_get(&table->by_name, name)) && core->state != CORE_OPEN) {
		int r = core_await(f, core);

		if (r < 0)
			return r;
	}
	*ret = core;
	return 0;
}

/* ---- what the driver made --------------------------------------------- */

void bdev_set_limits(struct bdev *bdev, const struct bdev_limits *limits)
{
	bdev->limits = *limits;
}

static void limits_check(const struct bdev *bdev)
{
	const struct bdev_limits *limits = &bdev->limits;
	uint64_t unit = limits->write_unit_blocks;

	must(is_pow2_u64(bdev->block_size));
	must(bdev->block_size >= BDEV_BLOCK_MIN && bdev->block_size <= BDEV_BLOCK_MAX);
	must(limits->buf_align == 0 ||
	     (is_pow2_u64(limits->buf_align) && limits->buf_align <= 4096));
	must(!(limits->ops >> BIO_OPS));
	must((limits->ops & BDEV_OPS_DEFAULT) || bdev->read_only);
	must(!bdev->volatile_cache || (limits->ops >> BIO_FLUSH & 1));
	if (unit == 0)
		return;
	must(is_pow2_u64(unit) && unit * bdev->block_size <= LAYER_BOUNCE_BYTES);
	must(limits->max_blocks % unit == 0 && limits->boundary_blocks % unit == 0);
	must(limits->max_zeroes_blocks == 0 || limits->max_zeroes_blocks >= unit);
}

static void limits_complete(struct bdev *bdev)
{
	struct bdev_limits *limits = &bdev->limits;

	if (limits->ops == 0)
		limits->ops = BDEV_OPS_DEFAULT;
	if (bdev->can_unmap)
		limits->ops |= 1u << BIO_UNMAP;
	if (bdev->can_zeroes)
		limits->ops |= 1u << BIO_ZEROES;
	bdev->can_unmap = limits->ops >> BIO_UNMAP & 1;
	bdev->can_zeroes = limits->ops >> BIO_ZEROES & 1;
	limits_check(bdev);
	if (limits->write_unit_blocks)
		bdev->blocks = align_down_u64(bdev->blocks, limits->write_unit_blocks);
}

static int core_name(struct fiber *f, struct bdev_core *core, struct bdev *bdev)
{
	int r;

	if (bdev->name[0] == '\0')
		snprintf(bdev->name, sizeof(bdev->name), "%s", core->key);
	if (strcmp(bdev->name, core->key) == 0)
		return 0;
	r = map_put(&core->table->by_name, bdev->name, core);
	if (r == -EEXIST)
		return fiber_fail(f, r, "%s: a disk named '%s' is already open", core->key,
				  bdev->name);
	return r;
}

/* Common parameters, limits, name. */
static int core_adopt(struct fiber *f, struct bdev_core *core, const struct bdev_driver *driver,
		      const struct uri *uri, struct bdev *bdev)
{
	struct uuid uuid;
	int r = uri_uuid(uri, "uuid", &uuid);

	if (r < 0 && r != -ENOENT)
		return fiber_fail(f, r, "%s: 'uuid' is not a UUID", core->key);
	if (r == 0 && uuid_is_nil(&bdev->uuid))
		bdev->uuid = uuid;
	if (!bdev->driver)
		bdev->driver = driver;
	must(strcmp(bdev->driver->scheme, driver->scheme) == 0); /* DR1 */
	if (bdev->is_removed)
		return fiber_fail(f, -ENODEV, "%s: the disk went away", core->key);
	limits_complete(bdev);
	r = core_name(f, core, bdev);
	if (r < 0)
		return r;
	bdev->core = core;
	core->bdev = bdev;
	return 0;
}

/* ---- open ------------------------------------------------------------- */

/* Scheme and path; all of it where there is no path, since it has no other name. */
static int key_make(struct fiber *f, const struct bdev_driver *driver, const struct uri *uri,
		    char key[BDEV_NAME_MAX])
{
	const char *rest = strchr(uri_print(uri), ':');
	bool has_path = uri_segment_count(uri) > 0 || *uri_host(uri);
	int len = (int)(has_path ? strcspn(rest, "?") : strlen(rest));

	if (snprintf(key, BDEV_NAME_MAX, "%s%.*s", driver->scheme, len, rest) < BDEV_NAME_MAX)
		return 0;
	return fiber_fail(f, -ENAMETOOLONG, "%s: the disk's name would have more than %d bytes%s",
			  driver->scheme, BDEV_NAME_MAX - 1, has_path ? "" : ": give it a path");
}

static int core_open(struct fiber *f, struct bdev_table *table, const struct bdev_driver *driver,
		     const struct uri *uri, const char *key, struct bdev_core **ret)
{
	struct bdev_core *core;
	struct bdev *bdev = NULL;
	int r = depth_check(f, table, key, 1);

	if (r < 0)
		return r;
	if (table->count >= BDEV_OPEN_MAX)
		return fiber_fail(f, -EMFILE, "%s: %u disks are open, and no more can be", key,
				  BDEV_OPEN_MAX);
	r = core_new(f, table, uri, key, &core);
	if (r < 0)
		return r == -ENOMEM ? fiber_fail(f, r, "%s: no memory for a disk", key) : r;
	r = driver->open(f, uri, &bdev);
	if (r == 0) {
		r = core_adopt(f, core, driver, uri, bdev);
		if (r < 0)
			driver->close(f, bdev);
	}
	if (r < 0) {
		core_dead(core);
		return r;
	}
	list_del(&core->opening);
	core->opener = NULL;
	core->state = CORE_OPEN;
	event_set(&core->settled);
	*ret = core;
	return depth_check(f, table, key, core->depth); /* tells the parent; cannot fail any more */
}

struct open_call {
	const struct uri *uri;
	const char *name;
	struct bdev_core *core;
};

static int find_home(struct fiber *f, void *arg)
{
	struct open_call *call = arg;
	int r = core_get(f, env_of(f)->table, call->name, &call->core);

	if (r < 0)
		return r;
	if (!call->core)
		return fiber_fail(f, -ENODEV, "no disk named '%s' is open", call->name);
	return core_share(f, call->core, NULL);
}

static int open_home(struct fiber *f, void *arg)
{
	const struct bdev_env *env = env_of(f);
	struct open_call *call = arg;
	const struct bdev_driver *driver;
	char key[BDEV_NAME_MAX];
	int r = driver_for(f, env, call->uri, &driver);

	if (r == 0 && driver->is_here)
		r = driver->is_here(f, call->uri, key);
	if (r > 0) {
		call->name = key;
		return find_home(f, call);
	}
	if (r < 0)
		return r;
	r = key_make(f, driver, call->uri, key);
	if (r < 0)
		return r;
	r = core_get(f, env->table, key, &call->core);
	if (r < 0)
		return r;
	if (call->core)
		return core_share(f, call->core, call->uri);
	return core_open(f, env->table, driver, call->uri, key, &call->core);
}

int bdev_open_uri(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	struct open_call call = { .uri = uri };
	int r = home_run(f, env_of(f)->home, open_home, &call);

	if (r == 0)
		*ret = call.core->bdev;
	return r;
}

int bdev_open(struct fiber *f, const char *text, struct bdev **ret)
{
	CLEANUP(cleanup_uri) struct uri *uri = NULL;
	int r = uri_parse(fiber_io(f)->mem, text, &uri, fiber_err(f));

	return r < 0 ? r : bdev_open_uri(f, uri, ret);
}

int bdev_find(struct fiber *f, const char *name, struct bdev **ret)
{
	struct open_call call = { .name = name };
	int r = home_run(f, env_of(f)->home, find_home, &call);

	if (r == 0)
		*ret = call.core->bdev;
	return r;
}

/* ---- close ------------------------------------------------------------ */

static int close_home(struct fiber *f, void *arg)
{
	struct bdev_core *core = arg;
	struct bdev *bdev = core->bdev;

	must(core->users > 0);
	if (--core->users > 0)
		return 0;
	must(list_empty(&core->claims));
	must(core->chans == 0); /* B6 */
	core->state = CORE_CLOSING;
	event_clear(&core->settled);
	event_wait_always(f, &core->quiet);
	for (unsigned i = 0; i < core->side_count; i++)
		must(core->at[i].present == 0); /* a watch was not deleted */
	if (strcmp(bdev->name, core->key) != 0)
		map_del(&core->table->by_name, bdev->name);
	bdev->driver->close(f, bdev);
	core_dead(core);
	return 0;
}

void bdev_close(struct fiber *f, struct bdev *bdev)
{
	struct bdev_core *core = bdev->core;

	home_run(f, core->home, close_home, core);
}
