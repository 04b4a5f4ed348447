// SPDX-License-Identifier: Apache-2.0
/*
 * nbd_conn - the life of a connection: its stream, its deadlines, its end.
 *
 *	start -> handshake -> transmission -> DRAIN (what is in flight is answered) -> DEAD -> freed
 *
 * NC1. While a connection is blocked, it waits for exactly one of: its own answer in the handshake,
 *      its own requests (full), the side's memory (starved).
 * NC2. One timer: it is due no later than the first deadline, and looks again when it fires. So
 *      deadlines cost nothing while messages come and go.
 */
#include <string.h>

#include "base/log.h"
#include "base/must.h"
#include "export/nbd_priv.h"
#include "io/addr.h"

static size_t (*const steps[])(struct nbd_conn *conn, const uint8_t *data, size_t len) = {
	[NBD_CONN_FLAGS] = nbd_shake_flags,    [NBD_CONN_OPTION] = nbd_shake_option,
	[NBD_CONN_DATA] = nbd_shake_data,      [NBD_CONN_SKIP] = nbd_shake_skip,
	[NBD_CONN_REQUEST] = nbd_recv_request, [NBD_CONN_PAYLOAD] = nbd_recv_payload,
	[NBD_CONN_DISCARD] = nbd_recv_discard,
};

static const char *const drop_words[] = {
	[NBD_DROP_BYE] = "goodbye",
	[NBD_DROP_STOP] = "the server ends",
	[NBD_DROP_LOST] = "connection lost",
	[NBD_DROP_PROTOCOL] = "not the NBD protocol",
	[NBD_DROP_LIMIT] = "beyond a limit",
	[NBD_DROP_SLOW] = "too slow",
	[NBD_DROP_UNKNOWN] = "no such export",
	[NBD_DROP_MEMORY] = "no memory",
};

_Static_assert(ARRAY_LEN(drop_words) == NBD_DROPS, "each reason has words");

static bool conn_receives(const struct nbd_conn *conn)
{
	return conn->state < NBD_CONN_DRAIN;
}

/* ---- deadlines -------------------------------------------------------------------------- */

static uint64_t conn_due(const struct nbd_conn *conn)
{
	const struct nbd_opts *opts = &conn->server->opts;
	const uint64_t grace = conn->message_bytes / NBD_BYTES_PER_S * 1000000000;
	uint64_t due = IO_FOREVER;

	if (conn->shake)
		due = conn->shake_due_ns;
	if (conn->message_ns)
		due = min_u64(due, conn->message_ns + opts->message_ns + grace);
	if (conn->send_ns)
		due = min_u64(due, conn->send_ns + opts->send_ns);
	return due;
}

static void conn_timer_fired(struct timer *timer)
{
	struct nbd_conn *conn = container_of(timer, struct nbd_conn, timer);

	if (conn_due(conn) <= reactor_now(conn->side->reactor))
		nbd_conn_drop(conn, NBD_DROP_SLOW);
	else
		nbd_conn_watch(conn);
}

void nbd_conn_watch(struct nbd_conn *conn)
{
	uint64_t due = conn_due(conn);

	if (conn->state == NBD_CONN_DEAD || due == IO_FOREVER)
		return;
	if (timer_is_armed(&conn->timer)) {
		if (conn->timer.due_ns <= due) /* NC2 */
			return;
		timer_stop(&conn->timer);
	}
	timer_start_at(conn->side->reactor, &conn->timer, due, conn_timer_fired);
}

/* Has a message begun that is not here as a whole? */
static void conn_watch_message(struct nbd_conn *conn)
{
	const bool begun = conn->state == NBD_CONN_PAYLOAD || conn->state == NBD_CONN_DISCARD ||
			   conn->state == NBD_CONN_DATA || conn->state == NBD_CONN_SKIP ||
			   conn->head_have > 0;

	if (!begun || conn->blocked) {
		conn->message_ns = 0; /* it is our turn */
	} else if (conn->message_ns == 0) {
		conn->message_ns = reactor_now(conn->side->reactor);
		nbd_conn_watch(conn);
	}
}

/* ---- the stream --------------------------------------------------------------------------- */

size_t nbd_conn_collect(struct nbd_conn *conn, const uint8_t *data, size_t len, uint32_t want)
{
	size_t taken = min_size(len, want - conn->head_have);

	if (conn->head_have == 0)
		conn->message_bytes = 0;
	if (taken)
		memcpy(conn->head + conn->head_have, data, taken);
	conn->head_have += (uint32_t)taken;
	return taken;
}

/* NP3 */
static void conn_hold(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	must(!conn->held);
	conn->held = mem_new(conn->side->io, len);
	if (!conn->held) {
		nbd_conn_drop(conn, NBD_DROP_MEMORY);
		return;
	}
	memcpy(conn->held, data, len);
	conn->held_bytes = (uint32_t)len;
}

void nbd_conn_take(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	if (conn->state == NBD_CONN_REQUEST && conn->head_have == NBD_REQUEST_BYTES)
		(void)nbd_recv_request(conn, data, 0); /* was blocked */
	while (len && conn_receives(conn) && !conn->blocked) {
		size_t taken = steps[conn->state](conn, data, len);

		data += taken;
		len -= taken;
	}
	if (!conn_receives(conn))
		return;
	if (len)
		conn_hold(conn, data, len);
	if (!conn_receives(conn))
		return;
	if (conn->blocked)
		io_recv_stop(conn->sock);
	else
		nbd_recv_direct(conn);
	conn_watch_message(conn);
}

static void conn_stream_ended(struct nbd_conn *conn, ssize_t res)
{
	const bool between = conn->head_have == 0 &&
			     (conn->state == NBD_CONN_REQUEST || conn->state == NBD_CONN_OPTION);

	if (res < 0 || !between)
		nbd_conn_drop(conn, NBD_DROP_LOST);
	else
		nbd_conn_drain(conn, NBD_DROP_BYE); /* it may still read its answers */
}

static void conn_received(void *ctx, const uint8_t *data, ssize_t len)
{
	struct nbd_conn *conn = ctx;

	if (len > 0)
		nbd_conn_take(conn, data, (size_t)len);
	else
		conn_stream_ended(conn, len);
}

void nbd_conn_unblock(struct nbd_conn *conn)
{
	if (!conn_receives(conn) || !conn->blocked)
		return;
	CLEANUP(cleanup_mem) uint8_t *held = steal(conn->held);
	conn->blocked = false;
	nbd_conn_take(conn, held, held ? conn->held_bytes : 0);
	if (conn_receives(conn) && !conn->blocked)
		io_recv_start(conn->sock, conn_received, conn);
}

static void conn_wake(struct task *task)
{
	nbd_conn_unblock(container_of(task, struct nbd_conn, wake_task));
}

/* ---- the end -------------------------------------------------------------------------------- */

static void conn_end(struct task *task)
{
	struct nbd_conn *conn = container_of(task, struct nbd_conn, end_task);
	struct nbd_view *view = conn->view;

	reactor_unpost(&conn->send_task);
	reactor_unpost(&conn->wake_task);
	conn->side->stats.dropped[conn->why]++;
	if (view && --view->conns == 0)
		event_set(&view->idle);
	mem_free(conn->shake);
	mem_free(conn->gather);
	nbd_side_conn_ended(conn);
}

void nbd_conn_settle(struct nbd_conn *conn)
{
	if (conn->state == NBD_CONN_DRAIN && conn->inflight == 0 && !conn->send_busy)
		nbd_conn_drop(conn, conn->why);
	if (conn->state == NBD_CONN_DEAD && conn->inflight == 0 && !conn->send_busy &&
	    !conn->recv_busy && !conn->ending) {
		conn->ending = true;
		reactor_post(conn->side->reactor, &conn->end_task); /* NP2 */
	}
}

static void conn_log(const struct nbd_conn *conn, enum nbd_drop why)
{
	char text[IO_ADDR_TEXT_MAX];

	log_debug(reactor_log(conn->side->reactor), "NBD connection ends",
		  LOG_STR("peer", io_addr_print(&conn->peer, text)),
		  LOG_STR("why", drop_words[why]),
		  LOG_STR("share", conn->view ? conn->view->share->name : NULL));
}

void nbd_conn_drop(struct nbd_conn *conn, enum nbd_drop why)
{
	struct nbd_req *req;

	if (conn->state == NBD_CONN_DEAD)
		return;
	if (conn->state != NBD_CONN_DRAIN)
		conn->why = why;
	conn_log(conn, conn->why);
	conn->state = NBD_CONN_DEAD;
	timer_stop(&conn->timer);
	list_del(&conn->starved_link);
	io_sock_close(steal(conn->sock));
	mem_free(steal(conn->held));
	while ((req = list_pop_front(&conn->out, struct nbd_req, link)))
		nbd_req_free(req);
	if (conn->filling && !conn->recv_busy)
		nbd_req_free(steal(conn->filling));
	nbd_side_feed(conn->side); /* whoever waits behind it */
	nbd_conn_settle(conn);
}

void nbd_conn_drain(struct nbd_conn *conn, enum nbd_drop why)
{
	if (!conn_receives(conn))
		return;
	if (conn->shake || conn->filling) {
		nbd_conn_drop(conn, why);
		return;
	}
	conn->state = NBD_CONN_DRAIN;
	conn->why = why;
	conn->message_ns = 0;
	list_del(&conn->starved_link);
	io_recv_stop(conn->sock);
	mem_free(steal(conn->held));
	reactor_post(conn->side->reactor, &conn->send_task); /* settles, too */
}

/* ---- the start -------------------------------------------------------------------------------- */

void nbd_conn_start(struct nbd_conn *conn)
{
	list_init(&conn->out);
	list_init(&conn->sending);
	timer_init(&conn->timer);
	task_init(&conn->send_task, nbd_send_task);
	task_init(&conn->wake_task, conn_wake);
	task_init(&conn->end_task, conn_end);
	conn->state = NBD_CONN_FLAGS;
	conn->shake_due_ns = reactor_now(conn->side->reactor) + conn->server->opts.shake_ns;
	conn->shake = mem_new(conn->side->io, sizeof(*conn->shake));
	if (!conn->shake)
		nbd_conn_drop(conn, NBD_DROP_MEMORY);
	else if (conn->side->stopping)
		nbd_conn_drop(conn, NBD_DROP_STOP);
	else
		nbd_shake_start(conn);
}
