// SPDX-License-Identifier: Apache-2.0
/* nbd_client - as much of an NBD client as scenarios need. */
#include "nbd_client.h"

#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "reactor/fiber_io.h"

static const struct io_sock_opts client_opts = { .keepalive_s = 5, .user_timeout_ms = 10000 };

int nbd_client_recv(struct fiber *f, struct nbd_client *client, void *buf, size_t len)
{
	int64_t r = len ? fiber_recv(f, client->sock, buf, len) : 0;

	if (r < 0)
		return (int)r;
	return (size_t)r == len ? 0 : -ECONNRESET;
}

static int reply_await(struct fiber *f, struct nbd_client *client, uint32_t option)
{
	uint8_t head[NBD_REPLY_BYTES], data[64];
	struct nbd_reply reply;

	do {
		TRY(nbd_client_recv(f, client, head, sizeof(head)));
		if (nbd_reply_decode(head, sizeof(head), &reply) < 0 || reply.option != option ||
		    reply.length > sizeof(data))
			return -EPROTO;
		TRY(nbd_client_recv(f, client, data, reply.length));
		if (reply.type == NBD_REP_INFO && data[1] == NBD_INFO_EXPORT &&
		    nbd_export_decode(data + 2, reply.length - 2, &client->told) < 0)
			return -EPROTO;
	} while (reply.type == NBD_REP_INFO);
	return reply.type == NBD_REP_ACK ? 0 : -EPROTO;
}

static int client_shake(struct fiber *f, struct nbd_client *client, const char *share)
{
	const struct nbd_info_request go = { .name = { share, (uint32_t)strlen(share) } };
	const struct nbd_option structured = { NBD_OPT_STRUCTURED_REPLY, 0 };
	uint8_t bytes[512], greeting[NBD_GREETING_BYTES];
	struct builder builder;
	uint16_t flags;
	uint8_t *head;

	TRY(nbd_client_recv(f, client, greeting, sizeof(greeting)));
	if (nbd_greeting_decode(greeting, sizeof(greeting), &flags) < 0)
		return -EPROTO;
	builder_init(&builder, bytes, sizeof(bytes));
	must(builder_put_be32(&builder, flags) == 0);
	if (client->structured) {
		must(builder_reserve(&builder, &head, NBD_OPTION_BYTES) == 0);
		nbd_option_encode(&structured, head);
	}
	must(builder_reserve(&builder, &head, NBD_OPTION_BYTES) == 0);
	must(nbd_info_request_put(&builder, &go) == 0);
	const struct nbd_option option = { NBD_OPT_GO, (uint32_t)(bytes + builder.pos - head -
								  NBD_OPTION_BYTES) };
	nbd_option_encode(&option, head);
	TRY(fiber_send(f, client->sock, bytes, builder.pos));
	if (client->structured)
		TRY(reply_await(f, client, NBD_OPT_STRUCTURED_REPLY));
	return reply_await(f, client, NBD_OPT_GO);
}

int nbd_client_open(struct fiber *f, struct nbd_client *client, const struct io_addr *addr,
		    const char *share, bool structured)
{
	int r;

	*client = (struct nbd_client){ .structured = structured };
	TRY(fiber_connect(f, addr, &client_opts, &client->sock));
	r = client_shake(f, client, share);
	if (r < 0)
		nbd_client_close(client);
	return r;
}

void nbd_client_close(struct nbd_client *client)
{
	if (client->sock)
		io_sock_close(client->sock);
	client->sock = NULL;
}

int nbd_client_ask(struct fiber *f, struct nbd_client *client, const struct nbd_request *ask,
		   const void *payload)
{
	uint8_t head[NBD_REQUEST_BYTES];
	uint32_t length = nbd_request_payload(ask);

	nbd_request_encode(ask, head);
	TRY(fiber_send(f, client->sock, head, sizeof(head)));
	return length ? fiber_send(f, client->sock, payload, length) : 0;
}

int nbd_client_answer(struct fiber *f, struct nbd_client *client, struct nbd_answer *ret)
{
	uint8_t head[NBD_CHUNK_BYTES];
	int have = 0, more;

	while ((more = nbd_answer_decode(head, (size_t)have, client->structured, ret)) > 0) {
		TRY(nbd_client_recv(f, client, head + have, (size_t)(more - have)));
		have = more;
	}
	return more < 0 ? -EPROTO : 0;
}
