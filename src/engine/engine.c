// SPDX-License-Identifier: Apache-2.0
/*
 * engine - the life of a storage node. See engine.h.
 *
 *	state read -> store, lease -> half-made pools undone -> pools back -> target listens
 *	  -> half-made replicas and nexuses undone -> shares -> (tender) disks, nexuses
 *
 * The tender is a fiber that brings back what is away, now and every TEND_NS: a start does not
 * wait for disks and peers that do not answer.
 *
 * EC1. Nothing is served before what is half made has been undone.
 * EC2. The target listens before the first share, so that a URI has its port from the beginning.
 */
#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "bdev/bdev_driver.h"
#include "engine/doors.h"
#include "engine/engine_priv.h"
#include "engine/events_source.h"
#include "engine/identity.h"
#include "engine/stores.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "reactor/reactor.h"

#define TEND_NS	       UINT64_C(2000000000)
#define STATE_DIR_MODE 0700
#define IDENTITY_FILE  "instance"
#define BUSY_NS	       UINT64_C(5000000000) /* a process that was killed may hold its disks so long */
#define BUSY_STEP_NS   UINT64_C(50000000)

void engine_note(struct fiber *f, struct engine *e, const char *what, const char *name)
{
	if (e->log)
		log_warn(e->log, what, LOG_STR("name", name), LOG_STR("why", fiber_words(f)));
	fiber_clear(f);
}

void engine_uuid_new(struct fiber *f, struct uuid *ret)
{
	uint8_t bytes[16];

	io_random(fiber_io(f), bytes, sizeof(bytes));
	*ret = uuid_v4(bytes);
}

int engine_uuid_of(struct fiber *f, const char *what, const char *text, struct uuid *ret)
{
	if (!text || !text[0])
		return fiber_fail(f, -EINVAL, "%s is missing", what);
	if (uuid_parse(text, ret) < 0)
		return fiber_fail(f, -EINVAL, "%s is '%.64s', expected a uuid", what, text);
	return 0;
}

const struct engine_opts *engine_opts_of(const struct engine *e)
{
	return &e->opts;
}

void engine_addrs(const struct engine *e, struct io_addr *ret_replicas, struct io_addr *ret_nexuses)
{
	*ret_replicas = e->replica_addr;
	*ret_nexuses = e->nexus_addr;
}

void engine_set_endpoint(struct engine *e, const char *endpoint)
{
	e->opts.endpoint = endpoint;
}

struct store *engine_store(struct engine *e)
{
	return e->store;
}

const struct uuid *engine_instance(const struct engine *e)
{
	return &e->instance;
}

bool engine_wait_busy(struct fiber *f, struct engine *e, int r)
{
	if ((r != -EBUSY && r != -EADDRINUSE) || io_now(e->io) >= e->busy_until_ns)
		return false;
	fiber_clear(f);
	return fiber_sleep(f, BUSY_STEP_NS) == 0;
}

/* ---- what was away ------------------------------------------------------------------------------ */

static void tend_pools(struct fiber *f, struct engine *e)
{
	struct engine_pool *ep;

	if (latch_lock(f, &e->change) < 0)
		return;
	list_for_each(ep, &e->pools, link) {
		if (ep->pool || e->is_closing)
			continue;
		if (pools_restore(f, e, ep) == 0 && e->log)
			log_info(e->log, "pool is back", LOG_STR("name", ep->name));
		fiber_clear(f);
	}
	latch_unlock(f, &e->change);
}

static void tend_disks(struct fiber *f, struct engine *e)
{
	struct engine_disk *disk;

	if (latch_lock(f, &e->change) < 0)
		return;
	list_for_each(disk, &e->disks, link) {
		if (disk->bdev || e->is_closing)
			continue;
		if (disks_restore(f, e, disk) == 0 && e->log)
			log_info(e->log, "disk is back", LOG_STR("uri", disk->uri));
		fiber_clear(f);
	}
	latch_unlock(f, &e->change);
}

/* With what it may touch: pools and replicas by the latch, nexuses by being listed no more. */
static void tend_makings(struct fiber *f, struct engine *e)
{
	bool is_less;

	if (list_empty(&e->makings) || latch_lock(f, &e->change) < 0)
		return;
	is_less = making_undo(f, e, MAKING_POOL);
	is_less |= making_undo(f, e, MAKING_DISK);
	is_less |= making_undo(f, e, MAKING_REPLICA);
	latch_unlock(f, &e->change);
	is_less |= making_undo(f, e, MAKING_NEXUS);
	if (is_less && state_save(f, e) < 0)
		engine_note(f, e, "state not saved", "");
}

static int tender_main(struct fiber *f, void *arg)
{
	struct engine *e = arg;

	while (!e->is_closing) {
		tend_makings(f, e);
		tend_pools(f, e);
		nexuses_tend(f, e);
		tend_disks(f, e); /* they may stand on nexuses */
		doors_tend(f, e);
		fiber_clear(f);
		if (!e->is_closing &&
		    event_wait_until(f, &e->tender_wake, reactor_now(fiber_reactor(f)) + TEND_NS) ==
			    0)
			event_clear(&e->tender_wake);
		fiber_clear(f);
	}
	return 0;
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static int port_add(struct fiber *f, struct engine *e, const struct tgt_port_args *args,
		    struct tgt_port **ret)
{
	int r;

	do
		r = tgt_port_add(f, e->tgt, args, ret);
	while (engine_wait_busy(f, e, r));
	return r;
}

static int open_target(struct fiber *f, struct engine *e)
{
	struct tgt_opts opts = { .reactors = e->opts.reactors };
	struct tgt_port_args port = { .addr = e->opts.replicas };
	int r;

	memcpy(&opts.instance, e->instance.bytes, sizeof(opts.instance));
	r = tgt_open(f, &opts, &e->tgt);
	if (r < 0)
		return r;
	e->opts.env->target = e->tgt;
	r = port_add(f, e, &port, &e->ports[0]);
	if (r < 0)
		return r;
	tgt_port_addr(e->ports[0], &e->replica_addr);
	e->nexus_addr = e->replica_addr;
	if (e->opts.nexuses.port == e->opts.replicas.port && e->opts.nexuses.port != 0)
		return 0;
	port.addr = e->opts.nexuses;
	r = port_add(f, e, &port, &e->ports[1]);
	if (r == 0)
		tgt_port_addr(e->ports[1], &e->nexus_addr);
	return r;
}

static int take_identity(struct fiber *f, struct engine *e)
{
	CLEANUP(cleanup_mem)
	char *path = mem_printf(e->io->mem, "%s/" IDENTITY_FILE, e->opts.state_dir);

	if (!path)
		return fiber_fail(f, -ENOMEM, "no memory");
	return identity_take(f, path, e->store, &e->instance, &e->identity);
}

static int open_store(struct fiber *f, struct engine *e)
{
	struct nexus_table_opts opts = { .instance = e->instance };
	CLEANUP(cleanup_mem) char *uri = NULL;
	int r;

	uri = e->opts.store_uri ?
		      mem_strdup(e->io->mem, e->opts.store_uri) :
		      mem_printf(e->io->mem, "sqlite://%s/volumes.db", e->opts.state_dir);
	if (!uri)
		return fiber_fail(f, -ENOMEM, "no memory");
	r = store_open(f, engine_stores, uri, &e->store);
	if (r < 0)
		return r;
	opts.store = e->store;
	r = take_identity(f, e);
	if (r < 0)
		return r;
	r = nexus_table_new(f, &opts, &e->nexus_table);
	if (r < 0)
		return r;
	e->opts.env->nexuses = e->nexus_table;
	return events_open(f, e);
}

static void open_pools(struct fiber *f, struct engine *e)
{
	struct engine_pool *ep;

	list_for_each(ep, &e->pools, link) {
		int r;

		do
			r = pools_restore(f, e, ep);
		while (engine_wait_busy(f, e, r));
		if (r < 0)
			engine_note(f, e, "pool not imported", ep->name);
	}
}

/* Of this machine: they do not keep a start waiting, as those of other nodes may. */
static void open_disks(struct fiber *f, struct engine *e)
{
	struct engine_disk *disk;

	list_for_each(disk, &e->disks, link) {
		if (strncmp(disk->uri, "nvmf", 4) == 0 || strncmp(disk->uri, "iscsi", 5) == 0)
			continue;
		if (disks_restore(f, e, disk) < 0)
			engine_note(f, e, "disk not opened", disk->uri);
	}
}

static int open_dir(struct fiber *f, struct engine *e)
{
	int r = fiber_mkdir(f, e->opts.state_dir, STATE_DIR_MODE);

	if (r == -EEXIST) {
		fiber_clear(f);
		r = 0;
	}
	return r;
}

static int open_all(struct fiber *f, struct engine *e)
{
	bool had_makings;
	int r = open_dir(f, e);

	if (r == 0)
		r = state_load(f, e);
	if (r == 0)
		r = open_store(f, e);
	if (r < 0)
		return r;
	had_makings = !list_empty(&e->makings);
	(void)making_undo(f, e, MAKING_POOL);
	r = open_target(f, e); /* EC2 */
	if (r < 0)
		return r;
	open_disks(f, e);
	open_pools(f, e);
	(void)making_undo(f, e, MAKING_DISK);
	(void)making_undo(f, e, MAKING_REPLICA);
	(void)making_undo(f, e, MAKING_NEXUS);
	if (had_makings)
		r = state_save(f, e);
	if (r == 0)
		r = fiber_start(fiber_reactor(f), "tender", tender_main, e, &e->tender);
	return r;
}

static void engine_init(struct fiber *f, struct engine *e)
{
	e->io = fiber_io(f);
	e->log = e->opts.log;
	list_init(&e->pools);
	list_init(&e->disks);
	list_init(&e->nexuses);
	list_init(&e->makings);
	list_init(&e->shares);
	list_init(&e->doors);
	latch_init(&e->door_turn);
	latch_init(&e->change);
	latch_init(&e->saving);
	event_init(&e->tender_wake);
	event_init(&e->crew.ended);
	engine_uuid_new(f, &e->instance);
	e->busy_until_ns = io_now(e->io) + BUSY_NS;
}

int engine_open(struct fiber *f, const struct engine_opts *opts, struct engine **ret)
{
	struct engine *e = mem_new(fiber_io(f), sizeof(*e));
	int r;

	if (!e)
		return fiber_fail(f, -ENOMEM, "no memory");
	e->opts = *opts;
	engine_init(f, e);
	r = open_all(f, e);
	if (r < 0) {
		struct err why = *fiber_err(f);

		fiber_clear(f);
		engine_close(f, e);
		*fiber_err(f) = why;
		return r;
	}
	*ret = e;
	return 0;
}

/* ---- closing ------------------------------------------------------------------------------------------ */

void engine_close(struct fiber *f, struct engine *e)
{
	struct making *making, *after;

	e->is_closing = true;
	events_add(e->events, EVENTS_NODE, "stopping", e->opts.node_name, &e->instance, "%s", "");
	if (e->tender) {
		event_set(&e->tender_wake);
		fiber_cancel(e->tender);
		(void)fiber_join(f, e->tender);
		fiber_clear(f);
	}
	nexuses_tend_no_more(f, e);
	doors_fini(f, e);
	disks_close(f, e); /* US2 */
	nexuses_close(f, e);
	pools_close(f, e);
	if (e->tgt)
		tgt_close(f, e->tgt);
	events_detach(f, e);
	if (e->nexus_table)
		nexus_table_free(f, e->nexus_table);
	if (e->identity)
		fiber_close(f, e->identity);
	if (e->store)
		store_close(f, e->store);
	e->opts.env->target = NULL;
	e->opts.env->nexuses = NULL;
	list_for_each_safe(making, after, &e->makings, link)
		making_end(making); /* noted in the file still */
	events_close(e);
	mem_free(e);
}
