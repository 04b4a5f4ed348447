// SPDX-License-Identifier: Apache-2.0
/* nbd_peer - a client that sends what it is told. See nbd_peer.h. */
#include "nbd_peer.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/must.h"
#include "reactor/fiber_io.h"

#define OK(bench, call)                                                            \
	do {                                                                       \
		if ((call) < 0) {                                                  \
			print_message("%s: %s\n", #call, fiber_words((bench)->f)); \
			fail();                                                    \
		}                                                                  \
	} while (0)

void bench_start(struct fiber *f, struct rig *rig, struct bench *bench, const struct nbd_opts *opts,
		 const char *const *shares)
{
	*bench = (struct bench){ .rig = rig, .f = f, .addr = { .family = AF_UNIX } };
	snprintf(bench->addr.path, sizeof(bench->addr.path), "%.100s/nbd", rig->dir);
	OK(bench, nbd_server_new(f, opts, &bench->server));
	for (; *shares; shares++) {
		char name[64];
		const char *at = strchr(*shares, '=');

		snprintf(name, sizeof(name), "%.*s", (int)(at - *shares), *shares);
		OK(bench, nbd_server_add(f, bench->server,
					 &(struct nbd_share_args){ .name = name, .uri = at + 1 }));
	}
	OK(bench, nbd_server_listen(f, bench->server, &bench->addr, NULL));
}

void bench_stop(struct bench *bench)
{
	nbd_server_free(bench->f, bench->server);
}

struct nbd_stats bench_stats(struct bench *bench)
{
	struct nbd_stats stats;

	nbd_server_stats(bench->f, bench->server, &stats);
	return stats;
}

void bench_expect_drops(struct bench *bench, enum nbd_drop why, uint64_t count)
{
	while (bench_stats(bench).conns_now)
		assert_int_equal(fiber_sleep(bench->f, 1000000), 0);
	assert_int_equal(bench_stats(bench).dropped[why], count);
	assert_int_equal(bench_stats(bench).memory_bytes, 0);
}

/* ---- bytes --------------------------------------------------------------------------- */

struct peer peer_connect(struct bench *bench)
{
	struct peer peer = { .bench = bench };

	OK(bench, fiber_connect(bench->f, &bench->addr, NULL, &peer.sock));
	return peer;
}

void peer_close(struct peer *peer)
{
	io_sock_close(peer->sock);
	peer->sock = NULL;
}

void peer_send(struct peer *peer, const void *bytes, size_t len)
{
	if (len && fiber_send(peer->bench->f, peer->sock, bytes, len) < 0)
		fiber_clear(peer->bench->f); /* it may be closed: the answers tell */
}

void peer_recv(struct peer *peer, void *bytes, size_t len)
{
	if (len)
		assert_int_equal(fiber_recv(peer->bench->f, peer->sock, bytes, len), len);
}

void peer_expect_end(struct peer *peer)
{
	uint8_t byte[4096];

	while (fiber_recv(peer->bench->f, peer->sock, byte, sizeof(byte)) > 0)
		;
	fiber_clear(peer->bench->f);
	peer_close(peer);
}

/* ---- handshake ------------------------------------------------------------------------- */

struct peer peer_open(struct bench *bench)
{
	static const uint8_t flags[] = { 0, 0, 0, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES };
	struct peer peer = peer_connect(bench);
	uint8_t greeting[NBD_GREETING_BYTES];
	uint16_t offered;

	peer_recv(&peer, greeting, sizeof(greeting));
	assert_int_equal(nbd_greeting_decode(greeting, sizeof(greeting), &offered), 0);
	assert_int_equal(offered, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	peer_send(&peer, flags, sizeof(flags));
	return peer;
}

void peer_option(struct peer *peer, uint32_t type, const void *data, uint32_t len)
{
	const struct nbd_option option = { .type = type, .length = len };
	uint8_t head[NBD_OPTION_BYTES];

	nbd_option_encode(&option, head);
	peer_send(peer, head, sizeof(head));
	peer_send(peer, data, data ? len : 0);
}

struct nbd_reply peer_reply(struct peer *peer, uint8_t *data)
{
	uint8_t head[NBD_REPLY_BYTES], room[NBD_REPLY_DATA_MAX];
	struct nbd_reply reply;

	peer_recv(peer, head, sizeof(head));
	assert_int_equal(nbd_reply_decode(head, sizeof(head), &reply), 0);
	peer_recv(peer, data ? data : room, reply.length);
	return reply;
}

uint32_t peer_replies(struct peer *peer)
{
	struct nbd_reply reply;

	do {
		reply = peer_reply(peer, NULL);
	} while (reply.type != NBD_REP_ACK && !(reply.type & NBD_REP_ERROR));
	return reply.type;
}

static struct nbd_text text_of(const char *text)
{
	return (struct nbd_text){ .text = text, .length = (uint32_t)strlen(text) };
}

uint32_t peer_go_option(struct peer *peer, uint32_t type, const char *name, uint32_t wanted)
{
	const struct nbd_info_request request = { .name = text_of(name), .wanted = wanted };
	uint8_t data[NBD_NAME_MAX + 1024];
	struct builder builder;

	builder_init(&builder, data, sizeof(data));
	assert_int_equal(nbd_info_request_put(&builder, &request), 0);
	peer_option(peer, type, data, (uint32_t)builder.pos);
	return peer_replies(peer);
}

uint32_t peer_meta_option(struct peer *peer, uint32_t type, const char *name, const char *query)
{
	const struct nbd_text text = text_of(name), queries = text_of(query ? query : "");
	uint8_t data[2 * NBD_NAME_MAX];
	struct builder builder;

	builder_init(&builder, data, sizeof(data));
	assert_int_equal(nbd_meta_request_put(&builder, &text, &queries, query ? 1 : 0), 0);
	peer_option(peer, type, data, (uint32_t)builder.pos);
	return peer_replies(peer);
}

struct peer peer_go(struct bench *bench, const char *share, bool structured, bool meta)
{
	struct peer peer = peer_open(bench);

	if (structured) {
		peer_option(&peer, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
		assert_int_equal(peer_replies(&peer), NBD_REP_ACK);
	}
	if (meta)
		assert_int_equal(peer_meta_option(&peer, NBD_OPT_SET_META_CONTEXT, share,
						  NBD_CONTEXT_ALLOCATION),
				 NBD_REP_ACK);
	assert_int_equal(peer_go_option(&peer, NBD_OPT_GO, share, 0), NBD_REP_ACK);
	peer.structured = structured;
	return peer;
}

/* ---- transmission ------------------------------------------------------------------------ */

uint64_t peer_request(struct peer *peer, uint16_t type, uint16_t flags, uint64_t offset,
		      uint32_t length)
{
	const struct nbd_request request = { flags, type, ++peer->cookie * 0x9e3779b97f4a7c15,
					     offset, length };
	uint8_t head[NBD_REQUEST_BYTES];

	nbd_request_encode(&request, head);
	peer_send(peer, head, sizeof(head));
	return request.cookie;
}

static uint32_t chunk_body(struct peer *peer, const struct nbd_chunk *chunk,
			   const struct nbd_request *ask, uint8_t *buf, unsigned *ret_holes)
{
	uint8_t *body = malloc(chunk->length + 1);
	struct nbd_failure failure = { 0 };
	struct nbd_range range;

	peer_recv(peer, body, chunk->length);
	if (chunk->type & NBD_CHUNK_IS_ERROR) {
		assert_int_equal(nbd_failure_decode(chunk, body, chunk->length, &failure), 0);
	} else if (chunk->type == NBD_CHUNK_BLOCK_STATUS) {
		uint32_t context;
		size_t extents;

		assert_int_equal(nbd_status_decode(body, chunk->length, &context, &extents), 0);
		assert_int_equal(context, 1);
		if (buf)
			memcpy(buf, body, chunk->length);
		if (ret_holes)
			*ret_holes = (unsigned)extents;
	} else {
		assert_int_equal(nbd_range_decode(chunk, body, chunk->length, ask, &range), 0);
		if (chunk->type == NBD_CHUNK_HOLE) {
			memset(buf + range.offset - ask->offset, 0, range.length);
			if (ret_holes)
				(*ret_holes)++;
		} else {
			memcpy(buf + range.offset - ask->offset, body + NBD_DATA_BYTES,
			       range.length);
		}
	}
	free(body);
	return failure.error;
}

uint32_t peer_answer(struct peer *peer, uint64_t cookie, const struct nbd_request *ask, void *buf,
		     unsigned *ret_holes)
{
	struct nbd_request as_sent = *ask;
	uint8_t head[NBD_CHUNK_BYTES];
	struct nbd_answer answer;
	uint32_t error = 0;
	int have = 0, more;

	as_sent.cookie = cookie;
	do {
		have = 0;
		while ((more = nbd_answer_decode(head, (size_t)have, peer->structured, &answer)) >
		       0) {
			peer_recv(peer, head + have, (size_t)(more - have));
			have = more;
		}
		assert_int_equal(more, 0);

		assert_int_equal(nbd_answer_check(&answer, &as_sent, peer->structured), 0);
		if (answer.simple) {
			if (answer.error == NBD_OK && ask->type == NBD_CMD_READ)
				peer_recv(peer, buf, ask->length);
			return answer.error;
		}
		if (answer.chunk.type != NBD_CHUNK_NONE)
			error |= chunk_body(peer, &answer.chunk, ask, buf, ret_holes);
	} while (!(answer.chunk.flags & NBD_CHUNK_DONE));
	return error;
}

uint32_t peer_do(struct peer *peer, uint16_t type, uint16_t flags, uint64_t offset, uint32_t length,
		 void *buf)
{
	const uint64_t cookie = peer_request(peer, type, flags, offset, length);
	const struct nbd_request ask = { flags, type, cookie, offset, length };

	if (type == NBD_CMD_WRITE)
		peer_send(peer, buf, length);
	return peer_answer(peer, cookie, &ask, buf, NULL);
}
