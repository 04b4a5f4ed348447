/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http - a small HTTP/1.1 server for texts that are made when they are asked for: GET and HEAD.
 *
 *	bytes -> request (libhttp-parser) -> route, on the connection's fiber -> answer -> next request
 *
 * Files, from the bottom: request (a request out of bytes), server.
 *
 * HT1. A request gets one answer, in order; what is wrong with it is said in one (400 not HTTP, 404 no such
 *      path, 405 another method, 408 too slow, 414 and 431 too long, 503 too many at once, 505).
 * HT2. What peers can make us hold is bounded: connections, bytes of a request, the time a request may
 *      take to come and an answer to go, answers under way.
 * HT3. At the limit of connections the one that is idle longest makes room.
 *
 * A server belongs to the reactor of the fiber that made it.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"

struct fiber;
struct http_server;
struct io_addr;

#define HTTP_CONNS_MAX	32u
#define HTTP_BUSY_MAX	4u    /* answers that are made or sent at a time */
#define HTTP_HEAD_MAX	8192u /* bytes of a request, without a body */
#define HTTP_PATH_MAX	255u
#define HTTP_ROUTES_MAX 16u
#define HTTP_REQUEST_NS 10000000000ull /* from its first byte to its last */
#define HTTP_IDLE_NS	75000000000ull /* between two requests */
#define HTTP_SEND_NS	30000000000ull /* for an answer */
#define HTTP_LINGER_NS	2000000000ull  /* for a client to read a refusal, before we close */

/* A text of mem_new(), which the server frees. A negative errno is answered 500, with the fiber's words. */
typedef int (*http_answer_fn)(struct fiber *f, void *ctx, char **ret_text, size_t *ret_len);

struct http_route {
	const char *path; /* "/metrics" */
	const char *type; /* Content-Type */
	http_answer_fn answer;
};

struct http_stats {
	uint64_t conns, conns_refused, requests, refused; /* refused: answered other than 200 */
	unsigned conns_now, busy_now;
};

/* routes stay until http_server_free(). */
MUST_USE int http_server_new(struct fiber *f, const struct http_route *routes, unsigned count,
			     void *ctx, struct http_server **ret);
/* Once. *ret_addr (or NULL): where, with the port that was chosen. */
MUST_USE int http_server_listen(struct fiber *f, struct http_server *server,
				const struct io_addr *addr, struct io_addr *ret_addr);
/* Connections end at once; answers that are made are cancelled. */
void http_server_free(struct fiber *f, struct http_server *server);
void http_server_stats(const struct http_server *server, struct http_stats *ret);

#endif
