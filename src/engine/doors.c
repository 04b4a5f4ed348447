// SPDX-License-Identifier: Apache-2.0
/* doors - disks of a node for clients. See doors.h. */
#include "engine/doors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "engine/uses.h"
#include "export/nbd.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"

void engine_door_free(struct engine_door *door)
{
	list_del(&door->link);
	mem_free(door->name);
	mem_free(door->bdev);
	mem_free(door->uri);
	mem_free(door->description);
	texts_free(&door->hosts);
	mem_free(door);
}

static struct engine_door *door_find(struct engine *e, const char *name, bool is_nvmf)
{
	struct engine_door *door;

	list_for_each(door, &e->doors, link)
		if (strcmp(door->name, name) == 0 && door->is_nvmf == is_nvmf)
			return door;
	return NULL;
}

/* What share.c makes its NQN of. */
static void door_share_name(const struct engine_door *door, char ret[SHARE_NAME_SIZE])
{
	snprintf(ret, SHARE_NAME_SIZE, DOORS_NQN_PREFIX "%s", door->name);
}

/* ---- telling -------------------------------------------------------------------------------- */

static int door_tell_nvmf(struct engine *e, const struct engine_door *door, engine_door_fn fn,
			  void *ctx)
{
	CLEANUP(cleanup_mem) char *uri = mem_new(e->io, ENGINE_URI_MAX);
	char name[SHARE_NAME_SIZE];

	if (!uri)
		return -ENOMEM;
	door_share_name(door, name);
	share_uri(e, name, NULL, uri);
	return fn(ctx, door, uri);
}

static int door_tell(struct engine *e, const struct engine_door *door, engine_door_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) char *uri = NULL;

	if (door->is_nvmf)
		return door_tell_nvmf(e, door, fn, ctx);
	uri = mem_printf(e->io->mem, "nbd+unix:///%s?socket=%s/" DOORS_SOCKET, door->name,
			 e->opts.state_dir);
	return uri ? fn(ctx, door, uri) : -ENOMEM;
}

int engine_door_each(struct engine *e, engine_door_fn fn, void *ctx)
{
	struct engine_door *door;
	int r = 0;

	list_for_each(door, &e->doors, link) {
		r = door_tell(e, door, fn, ctx);
		if (r != 0)
			break;
	}
	return r;
}

/* ---- the server ------------------------------------------------------------------------------- */

static int server_start(struct fiber *f, struct engine *e)
{
	struct io_addr addr = { .family = AF_UNIX };
	int r;

	if (e->nbd)
		return 0;
	if (snprintf(addr.path, sizeof(addr.path), "%s/" DOORS_SOCKET, e->opts.state_dir) >=
	    (int)sizeof(addr.path))
		return fiber_fail(f, -ENAMETOOLONG, "'%s' is too long for a socket's place",
				  e->opts.state_dir);
	if (fiber_unlink(f, addr.path) < 0) /* left by a crash, perhaps */
		fiber_clear(f);
	r = nbd_server_new(f, &(struct nbd_opts){ .reactors = e->opts.reactors }, &e->nbd);
	if (r < 0)
		return r;
	r = nbd_server_listen(f, e->nbd, &addr, NULL);
	if (r < 0) {
		nbd_server_free(f, e->nbd);
		e->nbd = NULL;
	}
	return r;
}

static int door_open_nvmf(struct fiber *f, struct engine *e, const struct engine_door *door)
{
	char name[SHARE_NAME_SIZE];
	const struct share_args args = { .name = name,
					 .uri = door->uri,
					 .hosts = texts_list(&door->hosts),
					 .host_count = door->hosts.count,
					 .is_door = true,
					 .read_only = door->read_only };

	door_share_name(door, name);
	return share_open(f, e, &args);
}

static int door_open_nbd(struct fiber *f, struct engine *e, const struct engine_door *door)
{
	const struct nbd_share_args args = { .name = door->name,
					     .uri = door->uri,
					     .description = door->description,
					     .read_only = door->read_only,
					     .is_door = true };
	int r = server_start(f, e);

	return r < 0 ? r : nbd_server_add(f, e->nbd, &args);
}

static int door_open(struct fiber *f, struct engine *e, struct engine_door *door)
{
	int r = uses_may_open(f, e, door->uri);

	if (r == 0)
		r = door->is_nvmf ? door_open_nvmf(f, e, door) : door_open_nbd(f, e, door);
	door->is_open = r == 0;
	return r;
}

static void door_close(struct fiber *f, struct engine *e, struct engine_door *door)
{
	char name[SHARE_NAME_SIZE];

	if (!door->is_open)
		return;
	door->is_open = false;
	if (door->is_nvmf) {
		door_share_name(door, name);
		share_close(f, share_find(e, name));
		return;
	}
	if (nbd_server_remove(f, e->nbd, door->name) < 0)
		fiber_clear(f);
}

void doors_tend(struct fiber *f, struct engine *e)
{
	struct engine_door *door;

	if (latch_lock(f, &e->door_turn) < 0)
		return;
	list_for_each(door, &e->doors, link) {
		if (!door->is_open && !e->is_closing && door_open(f, e, door) < 0)
			fiber_clear(f);
	}
	latch_unlock(f, &e->door_turn);
}

void doors_close(struct fiber *f, struct engine *e, const struct uses_thing *thing)
{
	struct engine_door *door;

	if (latch_lock(f, &e->door_turn) < 0)
		return;
	list_for_each(door, &e->doors, link)
		if (uses_leads(e, door->uri, thing))
			door_close(f, e, door);
	latch_unlock(f, &e->door_turn);
}

void doors_fini(struct fiber *f, struct engine *e)
{
	struct engine_door *door, *after;

	list_for_each(door, &e->doors, link)
		if (door->is_nvmf)
			door_close(f, e, door);
	if (e->nbd)
		nbd_server_free(f, e->nbd);
	e->nbd = NULL;
	list_for_each_safe(door, after, &e->doors, link)
		engine_door_free(door);
}

/* ---- create, destroy ------------------------------------------------------------------------------ */

/* The URI that a name stands for: of a replica, a nexus, a disk; or it is a URI itself. */
static int door_uri(struct fiber *f, struct engine *e, const char *bdev, char uri[ENGINE_URI_MAX])
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	CLEANUP(cleanup_mem) char *spelled = NULL;
	int r = at ? replicas_find(f, e, bdev, NULL, at) : -ENOMEM;

	if (r == 0) {
		replica_local_uri(at, uri);
		pools_put(at->ep);
		return 0;
	}
	if (r != -ENOENT)
		return r;
	fiber_clear(f);
	if (nexus_local_uri(e, bdev, uri) || disk_local_uri(e, bdev, uri))
		return 0;
	if (!strchr(bdev, ':'))
		return fiber_fail(f, -ENOENT, "there is no bdev '%s'", bdev);
	r = uses_spell(f, e, bdev, &spelled);
	if (r == 0)
		snprintf(uri, ENGINE_URI_MAX, "%s", spelled);
	return r;
}

/* Over NVMe/TCP these two have doors of their own. */
static int door_may_be_nvmf(struct fiber *f, const char *bdev, const char *uri)
{
	if (strncmp(uri, "pool:", 5) == 0)
		return fiber_fail(f, -EINVAL, "'%s' is a replica: ShareReplica shares it", bdev);
	if (strncmp(uri, "nexus:", 6) == 0)
		return fiber_fail(f, -EINVAL, "'%s' is a nexus: PublishNexus publishes it", bdev);
	return 0;
}

static int door_fill(struct engine *e, struct engine_door *door,
		     const struct engine_door_args *args, const char *uri)
{
	struct mem *mem = e->io->mem;

	door->read_only = args->read_only;
	door->is_nvmf = args->is_nvmf;
	door->name = mem_strdup(mem, args->name);
	door->bdev = mem_strdup(mem, args->bdev);
	door->uri = mem_strdup(mem, uri);
	door->description = mem_strdup(mem, args->description);
	if (!door->name || !door->bdev || !door->uri || !door->description)
		return -ENOMEM;
	return texts_copy(mem, args->hosts, args->host_count, &door->hosts);
}

static void door_event(struct engine *e, const struct engine_door *door, const char *what)
{
	events_add(e->events, EVENTS_SHARE, what, door->name, NULL, "of '%s', over %s", door->bdev,
		   door->is_nvmf ? "NVMe/TCP" : "NBD");
}

static int door_new(struct fiber *f, struct engine *e, const struct engine_door_args *args,
		    struct engine_door **ret)
{
	CLEANUP(cleanup_mem) char *uri = mem_new(e->io, ENGINE_URI_MAX);
	struct engine_door *door;
	int r = uri ? door_uri(f, e, args->bdev, uri) : -ENOMEM;

	if (r == 0 && args->is_nvmf)
		r = door_may_be_nvmf(f, args->bdev, uri);
	if (r < 0)
		return r;
	door = mem_new(e->io, sizeof(*door));
	if (!door)
		return fiber_fail(f, -ENOMEM, "no memory");
	list_add_tail(&e->doors, &door->link);
	r = door_fill(e, door, args, uri);
	if (r < 0)
		r = fiber_fail(f, r, "no memory");
	if (r == 0)
		r = door_open(f, e, door);
	if (r == 0) {
		r = state_save(f, e);
		if (r < 0)
			door_close(f, e, door);
	}
	if (r < 0) {
		engine_door_free(door);
		return r;
	}
	door_event(e, door, "created");
	*ret = door;
	return 0;
}

static int door_have(struct fiber *f, struct engine *e, const struct engine_door_args *args,
		     struct engine_door **ret)
{
	struct engine_door *door = door_find(e, args->name, args->is_nvmf);
	unsigned count = 0;

	if (door && (strcmp(door->bdev, args->bdev) != 0 || door->read_only != args->read_only ||
		     !texts_are(&door->hosts, args->hosts, args->host_count)))
		return fiber_fail(f, -EEXIST, "share '%s' exists, of '%s'", args->name, door->bdev);
	if (door) {
		*ret = door;
		return 0;
	}
	list_for_each(door, &e->doors, link)
		count++;
	if (count >= ENGINE_DOORS_MAX)
		return fiber_fail(f, -ENOSPC, "there are %u shares, the most there can be", count);
	return door_new(f, e, args, ret);
}

static int door_check(struct fiber *f, const struct engine_door_args *args)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    ".-_";

	if (!args->name[0] || strchr(args->name, '/'))
		return fiber_fail(f, -EINVAL, "a share's name is not empty and has no '/'");
	if (args->is_nvmf &&
	    (args->name[strspn(args->name, plain)] || strlen(args->name) > DOORS_NAME_MAX))
		return fiber_fail(f, -EINVAL,
				  "share '%.64s': over NVMe/TCP a name is 1 to %u letters, digits, "
				  "dots, dashes and underscores",
				  args->name, DOORS_NAME_MAX);
	if (!args->bdev[0])
		return fiber_fail(f, -EINVAL, "share '%s': the bdev is missing", args->name);
	if (strlen(args->bdev) >= ENGINE_URI_MAX)
		return fiber_fail(f, -EINVAL, "share '%s': the bdev's name is longer than %u",
				  args->name, ENGINE_URI_MAX - 1);
	if (!args->is_nvmf && args->host_count)
		return fiber_fail(f, -EINVAL, "NBD has no names of hosts to allow");
	return share_check_hosts(f, args->hosts, args->host_count);
}

int engine_door_create(struct fiber *f, struct engine *e, const struct engine_door_args *args,
		       engine_door_fn fn, void *ctx)
{
	struct engine_door *door;
	int r = door_check(f, args);

	if (r == 0)
		r = latch_lock(f, &e->door_turn);
	if (r < 0)
		return r;
	r = door_have(f, e, args, &door);
	if (r == 0)
		r = door_tell(e, door, fn, ctx);
	latch_unlock(f, &e->door_turn);
	return r;
}

int engine_door_destroy(struct fiber *f, struct engine *e, const char *name, bool is_nvmf)
{
	struct engine_door *door;
	int r = latch_lock(f, &e->door_turn);

	if (r < 0)
		return r;
	door = door_find(e, name, is_nvmf);
	if (!door) {
		r = fiber_fail(f, -ENOENT, "there is no share '%s'", name);
	} else {
		door_close(f, e, door);
		door_event(e, door, "destroyed");
		engine_door_free(door);
		r = state_save(f, e);
	}
	latch_unlock(f, &e->door_turn);
	return r;
}
