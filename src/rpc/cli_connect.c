// SPDX-License-Identifier: Apache-2.0
/*
 * cli_connect - how a channel gets a connection, and what it does when it gets none.
 *
 * CN1. A fiber of its own connects, so that no call has to outlive its deadline for it.
 * CN2. After a failure nothing is tried for backoff_min, then 1.6 times as long each time up to
 *      backoff_max, 20 % more or less by chance. A connection that gets ready forgives all.
 * CN3. While a back-off lasts, a call fails at once with the words of the last attempt, unless it
 *      is one that waits for ready.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/must.h"
#include "io/addr.h"
#include "reactor/fiber_io.h"
#include "rpc/cli_priv.h"

static void channel_set(struct rpc_channel *channel, enum channel_state state)
{
	channel->state = state;
	event_set(&channel->changed);
}

void cli_left(struct rpc_channel *channel, struct cli_conn *conn)
{
	if (channel->conn != conn)
		return;
	channel->conn = NULL;
	if (channel->state == CHANNEL_READY)
		channel_set(channel, CHANNEL_IDLE);
}

/* ---- back-off (CN2) -------------------------------------------------------------- */

static void backoff_over(struct timer *timer)
{
	channel_set(container_of(timer, struct rpc_channel, timer), CHANNEL_IDLE);
}

static void channel_failed(struct fiber *f, struct rpc_channel *channel)
{
	const uint64_t ns = channel->backoff_ns;

	channel->err = *fiber_err(f);
	channel->conn = NULL;
	log_info(reactor_log(channel->reactor), "gRPC: no connection",
		 LOG_STR("to", channel->authority), LOG_STR("why", fiber_words(f)),
		 LOG_U64("backoff_ms", ns / 1000000));
	channel->backoff_ns = min_u64(ns / 10 * 16, channel->opts.backoff_max_ns);
	timer_start(channel->reactor, &channel->timer,
		    prng_range(&channel->prng, ns / 10 * 8, ns / 10 * 12), backoff_over);
	channel_set(channel, CHANNEL_WAITING);
}

/* ---- one attempt ----------------------------------------------------------------- */

struct connect_limit {
	struct timer timer;
	struct rpc_channel *channel;
};

static void connect_timed_out(struct timer *timer)
{
	struct connect_limit *limit = container_of(timer, struct connect_limit, timer);

	if (limit->channel->connect_op)
		io_cancel(limit->channel->io, limit->channel->connect_op);
}

static int connect_socket(struct fiber *f, struct rpc_channel *channel, const struct io_addr *addr,
			  uint64_t due_ns, struct io_sock **ret)
{
	const struct io_sock_opts opts = { .keepalive_s = 30 };
	struct connect_limit limit = { .channel = channel };
	char text[IO_ADDR_TEXT_MAX];
	struct io_op op = { 0 };
	int64_t res;

	io_prep_connect(&op, addr, &opts, ret, NULL);
	channel->connect_op = &op;
	timer_start_at(channel->reactor, &limit.timer, due_ns, connect_timed_out);
	res = fiber_io_wait(f, &op);
	channel->connect_op = NULL;
	timer_stop(&limit.timer);
	if (res >= 0)
		return 0;
	res = res == -ECANCELED ? -ETIMEDOUT : res;
	return fiber_fail(f, (int)res, "connect to %s: %s", io_addr_print(addr, text),
			  strerrordesc_np((int)-res));
}

/* A socket, TLS, and the server's SETTINGS. */
static int connect_one(struct fiber *f, struct rpc_channel *channel, const struct io_addr *addr,
		       uint64_t due_ns)
{
	struct io_sock *sock;
	struct cli_conn *conn;
	int r = connect_socket(f, channel, addr, due_ns, &sock);

	if (r < 0)
		return r;
	r = cli_conn_new(channel, sock, &conn);
	if (r < 0)
		return fiber_fail(f, r, "connect to %s: %s", channel->authority,
				  strerrordesc_np(-r));
	channel->conn = conn;
	r = event_wait_until(f, &conn->shaken, due_ns);
	if (r < 0 || conn->is_retired) {
		fiber_fail(f, r < 0 ? r : -ENOTCONN, "connect to %s: %s", channel->authority,
			   r < 0		  ? "the server does not begin to speak HTTP/2" :
			   conn->h2.link.err.code ? conn->h2.link.err.words :
						    "the server went away");
		cli_conn_drop(conn, "it never got ready");
		return r < 0 ? r : -ENOTCONN;
	}
	cli_conn_watch(conn);
	return 0;
}

static int channel_resolve(struct fiber *f, struct rpc_channel *channel, uint32_t *ret_count)
{
	struct io_addr *addr = &channel->addrs[0];

	if (channel->port)
		return fiber_resolve(f, channel->host, channel->port, addr, CLI_ADDRS_MAX,
				     ret_count);
	*addr = (struct io_addr){ .family = AF_UNIX };
	memcpy(addr->path, channel->host, strlen(channel->host) + 1);
	*ret_count = 1;
	return 0;
}

static int connect_any(struct fiber *f, struct rpc_channel *channel)
{
	const uint64_t due_ns = io_now(channel->io) + channel->opts.connect_ns;
	uint32_t count = 0;
	int r = channel_resolve(f, channel, &count);

	if (r == 0 && count == 0)
		r = fiber_fail(f, -ENOTCONN, "'%s' has no address", channel->host);
	for (uint32_t i = 0; i < count && r == 0; i++) {
		fiber_clear(f);
		r = connect_one(f, channel, &channel->addrs[i], due_ns);
		if (r == 0 || channel->is_closing)
			return r;
		r = i + 1 < count ? 0 : r;
	}
	return r;
}

/* CN1 */
static int connect_main(struct fiber *f, void *arg)
{
	struct rpc_channel *channel = arg;
	int r = connect_any(f, channel);

	if (r < 0) {
		if (channel->is_closing)
			channel_set(channel, CHANNEL_IDLE);
		else
			channel_failed(f, channel);
		return 0;
	}
	channel->backoff_ns = channel->opts.backoff_min_ns; /* CN2 */
	channel_set(channel, CHANNEL_READY);
	return 0;
}

/* ---- for calls ------------------------------------------------------------------- */

static int connect_start(struct fiber *f, struct rpc_channel *channel)
{
	int r = fiber_start(channel->reactor, "rpc-connect", connect_main, channel, NULL);

	if (r < 0)
		return fiber_fail(f, r, "no fiber to connect to %s", channel->authority);
	channel_set(channel, CHANNEL_CONNECTING);
	return 0;
}

int cli_connect(struct fiber *f, struct cli_call *call, struct cli_conn **ret)
{
	struct rpc_channel *channel = call->channel;
	int r = 0;

	while (r == 0 && channel->state != CHANNEL_READY) {
		if (channel->state == CHANNEL_WAITING && !call->wait_for_ready) /* CN3 */
			return fiber_fail(f, -ENOTCONN, "%s", channel->err.words);
		if (channel->state == CHANNEL_IDLE)
			r = connect_start(f, channel);
		if (r < 0)
			return r;
		event_clear(&channel->changed);
		r = event_wait_until(f, &channel->changed, call->deadline_ns);
	}
	if (r == -ETIMEDOUT)
		return fiber_fail(f, r, "no connection to %s within the time-out%s%s",
				  channel->authority, channel->err.code ? ": " : "",
				  channel->err.code ? channel->err.words : "");
	if (r < 0)
		return fiber_fail(f, r, "cancelled");
	*ret = channel->conn;
	return 0;
}

void cli_connect_stop(struct fiber *f, struct rpc_channel *channel)
{
	channel->is_closing = true;
	timer_stop(&channel->timer);
	if (channel->connect_op)
		io_cancel(channel->io, channel->connect_op);
	if (channel->conn && channel->state == CHANNEL_CONNECTING)
		cli_conn_drop(channel->conn, "the channel is closed");
	while (channel->state == CHANNEL_CONNECTING) {
		event_clear(&channel->changed);
		event_wait_always(f, &channel->changed);
	}
	timer_stop(&channel->timer);
}
