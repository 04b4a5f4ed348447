/* SPDX-License-Identifier: Apache-2.0 */
/* nbd_client - as much of an NBD client as scenarios need: whoever fails closes and connects anew. */
#ifndef SIM_NBD_CLIENT_H
#define SIM_NBD_CLIENT_H

#include "io/io.h"
#include "reactor/fiber.h"
#include "wire/nbd_io.h"
#include "wire/nbd_option.h"

struct nbd_client {
	struct io_sock *sock; /* NULL: not connected */
	uint64_t cookie;
	bool structured;
	struct nbd_export told;
};

/* Connected, and in transmission on this share. -EPROTO: the server says what it should not. */
MUST_USE int nbd_client_open(struct fiber *f, struct nbd_client *client, const struct io_addr *addr,
			     const char *share, bool structured);
void nbd_client_close(struct nbd_client *client);

/* A request, with a write's payload behind it; returns the error of sending. */
MUST_USE int nbd_client_ask(struct fiber *f, struct nbd_client *client,
			    const struct nbd_request *ask, const void *payload);

/*
 * The head of the next answer: 0, or an error; with structured replies of the next chunk, whose
 * body follows: read with nbd_client_recv().
 */
MUST_USE int nbd_client_answer(struct fiber *f, struct nbd_client *client, struct nbd_answer *ret);
MUST_USE int nbd_client_recv(struct fiber *f, struct nbd_client *client, void *buf, size_t len);

#endif
