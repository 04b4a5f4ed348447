// SPDX-License-Identifier: Apache-2.0
/*
 * h2_link - an HTTP/2 session and its link, as clients and servers have them alike: the session
 * begins when the link is open, eats what comes, is asked for what goes, and ends with it.
 */
#include "base/cleanup.h"
#include "rpc/h2_priv.h"

static struct h2 *h2_of(struct link *link)
{
	return container_of(link, struct h2, link);
}

static void session_opened(struct link *link)
{
	struct h2 *h2 = h2_of(link);
	struct h2_opts opts = { 0 };

	h2->ops->describe(h2, &opts);
	if (h2_start(h2, &opts) < 0)
		h2->ops->drop(h2, "no memory");
	else
		link_kick(link);
}

static void session_input(struct link *link, const uint8_t *data, size_t len)
{
	struct h2 *h2 = h2_of(link);

	if (!h2_input(h2, data, len))
		h2->ops->drop(h2, link->err.words);
	else
		h2->ops->heard(h2);
}

static size_t session_output(struct link *link, uint8_t *buf, size_t room)
{
	struct h2 *h2 = h2_of(link);
	size_t len = h2_output(h2, buf, room);

	if (len == 0 && h2_is_done(h2))
		h2->ops->done(h2);
	return len;
}

static void session_lost(struct link *link, int error)
{
	h2_of(link)->ops->lost(h2_of(link), error);
}

static void session_gone(struct link *link)
{
	h2_of(link)->ops->gone(h2_of(link));
}

static const struct link_ops session_link_ops = {
	.opened = session_opened,
	.input = session_input,
	.output = session_output,
	.lost = session_lost,
	.gone = session_gone,
};

int h2_link_start(struct h2 *h2, struct reactor *r, struct io_sock *take_sock, struct rpc_tls *tls,
		  const char *name)
{
	return link_start(&h2->link, &session_link_ops, r, take_sock, tls, name);
}
