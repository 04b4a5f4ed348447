// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_side - what the server has on one reactor: connections, views of the shares, memory.
 *
 * ND1. Everything here is of one reactor; the server calls by fibers, connections come by mail.
 * ND2. Who waits for memory is woken in a task, never from where it was given back; and now and
 *      then, since the memory may be somebody else's.
 */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "export/nbd_priv.h"
#include "reactor/fiber.h"

/* ---- those who wait for memory -------------------------------------------------------- */

#define RETRY_NS 10000000u

static void side_retry(struct timer *timer)
{
	nbd_side_feed(container_of(timer, struct nbd_side, retry));
}

void nbd_side_starve(struct nbd_side *side, struct nbd_conn *conn)
{
	conn->blocked = true;
	if (!timer_is_armed(&side->retry))
		timer_start(side->reactor, &side->retry, RETRY_NS, side_retry);
	if (list_is_linked(&conn->starved_link))
		return;
	side->stats.starved++;
	list_add_tail(&side->starved, &conn->starved_link);
}

void nbd_side_feed(struct nbd_side *side)
{
	if (unlikely(!list_empty(&side->starved)))
		reactor_post(side->reactor, &side->feed); /* ND2 */
}

/* Whoever is first goes on, until one has to stay first. */
static void side_feed(struct task *task)
{
	struct nbd_side *side = container_of(task, struct nbd_side, feed);
	struct nbd_conn *conn, *last = NULL;

	while ((conn = list_first(&side->starved, struct nbd_conn, starved_link)) && conn != last) {
		last = conn;
		nbd_conn_unblock(conn);
	}
}

/* ---- views ------------------------------------------------------------------------------- */

struct nbd_view *nbd_side_find(struct nbd_side *side, const char *name, size_t length)
{
	struct nbd_view *view, *first = NULL;

	list_for_each(view, &side->views, link) {
		const char *known = view->share->name;

		if (view->going)
			continue;
		first = first ? first : view;
		if (strlen(known) == length && memcmp(known, name, length) == 0)
			return view;
	}
	return length == 0 ? first : NULL;
}

static struct nbd_view *side_view(struct nbd_side *side, const struct nbd_share *share)
{
	struct nbd_view *view;

	list_for_each(view, &side->views, link)
		if (view->share == share)
			return view;
	return NULL;
}

int nbd_view_open(struct fiber *f, struct nbd_side *side, struct nbd_share *share)
{
	struct nbd_view *view = mem_new(side->io, sizeof(*view));
	int r;

	if (!view)
		return fiber_fail(f, -ENOMEM, "%s: no memory for an export", share->name);
	r = bdev_chan_open(f, share->bdev, &view->chan);
	if (r < 0) {
		mem_free(view);
		return r;
	}
	view->share = share;
	event_init(&view->idle);
	event_set(&view->idle);
	slab_init(&view->reqs, side->io->mem, offsetof(struct nbd_req, bio) + bio_size(share->bdev),
		  64, NBD_REQS_MAX);
	list_add_tail(&side->views, &view->link);
	return 0;
}

void nbd_view_close(struct fiber *f, struct nbd_side *side, struct nbd_share *share)
{
	struct nbd_view *view = side_view(side, share);
	struct nbd_conn *conn, *next;

	if (!view)
		return;
	view->going = true;
	list_for_each_safe(conn, next, &side->conns, link)
		if (conn->view == view)
			nbd_conn_drain(conn, NBD_DROP_STOP);
	if (event_wait_until(f, &view->idle,
			     reactor_now(side->reactor) + side->server->opts.drain_ns) < 0) {
		list_for_each_safe(conn, next, &side->conns, link)
			if (conn->view == view)
				nbd_conn_drop(conn, NBD_DROP_STOP);
		event_wait_always(f, &view->idle); /* NP4 */
	}
	list_del(&view->link);
	slab_fini(&view->reqs);
	bdev_chan_close(f, view->chan);
	mem_free(view);
}

/* ---- life ----------------------------------------------------------------------------------- */

int nbd_side_new(struct fiber *f, struct nbd_server *server, struct nbd_side **ret)
{
	struct io *io = fiber_io(f);
	struct nbd_side *side = mem_new(io, sizeof(*side));
	uint64_t memory = server->opts.memory_bytes / server->side_count;

	if (!side)
		return fiber_fail(f, -ENOMEM, "no memory for an NBD server");
	side->server = server;
	side->reactor = fiber_reactor(f);
	side->io = io;
	list_init(&side->views);
	list_init(&side->conns);
	list_init(&side->starved);
	list_init(&side->slow);
	task_init(&side->feed, side_feed);
	timer_init(&side->retry);
	event_init(&side->slow_idle);
	event_set(&side->slow_idle);
	event_init(&side->conns_idle);
	event_set(&side->conns_idle);
	nbd_bufs_init(&side->bufs, io, max_u64(memory, NBD_PAYLOAD_MAX));
	*ret = side;
	return 0;
}

static void side_drain(struct fiber *f, struct nbd_side *side)
{
	struct nbd_conn *conn, *next;

	side->stopping = true;
	list_for_each_safe(conn, next, &side->conns, link)
		nbd_conn_drain(conn, NBD_DROP_STOP);
	if (event_wait_until(f, &side->conns_idle,
			     reactor_now(side->reactor) + side->server->opts.drain_ns) < 0) {
		list_for_each_safe(conn, next, &side->conns, link)
			nbd_conn_drop(conn, NBD_DROP_STOP);
		event_wait_always(f, &side->conns_idle);
	}
	event_wait_always(f, &side->slow_idle);
}

void nbd_side_free(struct fiber *f, struct nbd_side *side)
{
	side_drain(f, side);
	must(list_empty(&side->views) && list_empty(&side->slow));
	reactor_unpost(&side->feed);
	timer_stop(&side->retry);
	nbd_bufs_fini(&side->bufs);
	mem_free(side);
}

void nbd_side_conn_ended(struct nbd_conn *conn)
{
	struct nbd_side *side = conn->side;

	list_del(&conn->link);
	if (list_empty(&side->conns))
		event_set(&side->conns_idle);
	nbd_server_conn_ended(conn);
}
