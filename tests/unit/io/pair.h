/* SPDX-License-Identifier: Apache-2.0 */
/* pair - two connected sockets of one ring (or two), for the tests of streams. */
#ifndef TEST_IO_PAIR_H
#define TEST_IO_PAIR_H

#include "world.h"

struct pair {
	struct io_listener *listener;
	struct io_sock *a, *b; /* connected, accepted */
	bool accepted;
	int accept_res;
};

void pair_open(struct world *w, struct pair *p, const char *address,
	       const struct io_sock_opts *opts);
void pair_close(struct pair *p);

/* What came by io_recv_start(): collected. */
struct sink {
	uint8_t *bytes;
	size_t len, room;
	unsigned calls;
	bool ended;
	ssize_t end;
};

void sink_fn(void *ctx, const uint8_t *data, ssize_t len);
void sink_free(struct sink *sink);
void sink_wait(struct world *w, struct sink *sink, size_t len);

int64_t sock_send(struct world *w, struct io_sock *sock, const void *buf, size_t len);
int64_t sock_recv(struct world *w, struct io_sock *sock, void *buf, size_t len);

#endif
