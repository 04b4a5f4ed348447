/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls - one TLS connection, bytes in and bytes out: OpenSSL on memory buffers.
 *
 *	from the socket --tls_feed()--> | |--tls_read()--> plain
 *	to the socket <--tls_take()---- | |<--tls_write()-- plain
 *
 * TL1. TLS 1.2 or newer; without ALPN "h2" agreed on by both there is no connection.
 * TL2. A server with a CA lets nobody in without a certificate that it signed; a client nobody whose
 *      certificate does not name whom it wanted.
 * TL3. No session is resumed: each connection proves its certificates anew.
 */
#ifndef RPC_TLS_PRIV_H
#define RPC_TLS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/rpc.h"

struct err;
struct tls_conn;

/* name: whom the server must be, a host name or an address (a client's); NULL for a server. */
MUST_USE int tls_conn_new(struct rpc_tls *tls, struct mem *mem, const char *name, uint64_t wall_ns,
			  struct tls_conn **ret);
void tls_conn_free(struct tls_conn *t);

/* Bytes that came, all taken. -ENOMEM. */
MUST_USE int tls_feed(struct tls_conn *t, const void *bytes, size_t len);

/*
 * Goes on with the handshake, then with what has come: > 0 plain bytes; 0: needs more;
 * -EPIPE: the peer said goodbye; -EPROTO: refused by one side, worded.
 */
MUST_USE int64_t tls_read(struct tls_conn *t, void *buf, size_t room, struct err *err);

/* Is the handshake over? Only then tls_write(). */
bool tls_is_open(const struct tls_conn *t);
MUST_USE int tls_write(struct tls_conn *t, const void *bytes, size_t len, struct err *err);

/* Bytes to be sent, as many as fit. */
size_t tls_take(struct tls_conn *t, void *buf, size_t room);

#endif
