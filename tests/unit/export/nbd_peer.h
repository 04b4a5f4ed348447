/* SPDX-License-Identifier: Apache-2.0 */
/* nbd_peer - a client that sends what it is told, byte for byte, and a server to send it to. */
#ifndef TESTS_NBD_PEER_H
#define TESTS_NBD_PEER_H

#include "export/nbd.h"
#include "io/io.h"
#include "rig.h"
#include "wire/nbd_io.h"
#include "wire/nbd_option.h"

struct bench {
	struct rig *rig;
	struct fiber *f;
	struct nbd_server *server;
	struct io_addr addr;
};

/* A server with these shares ("name=uri", NULL-terminated), on a Unix socket. */
void bench_start(struct fiber *f, struct rig *rig, struct bench *bench, const struct nbd_opts *opts,
		 const char *const *shares);
void bench_stop(struct bench *bench);
struct nbd_stats bench_stats(struct bench *bench);
/* Until all connections have ended; the reason of the last `count` of them was this. */
void bench_expect_drops(struct bench *bench, enum nbd_drop why, uint64_t count);

struct peer {
	struct bench *bench;
	struct io_sock *sock;
	uint64_t cookie;
	bool structured;
};

/* Connected; nothing said yet. */
struct peer peer_connect(struct bench *bench);
/* ... greeted, and flags sent. */
struct peer peer_open(struct bench *bench);
/* ... in transmission on this share. */
struct peer peer_go(struct bench *bench, const char *share, bool structured, bool meta);
void peer_close(struct peer *peer);

void peer_send(struct peer *peer, const void *bytes, size_t len);
void peer_recv(struct peer *peer, void *bytes, size_t len); /* all, or the test fails */
/* The server has closed it: maybe after more bytes. */
void peer_expect_end(struct peer *peer);

void peer_option(struct peer *peer, uint32_t type, const void *data, uint32_t len);
/* The next reply; data has room for NBD_REPLY_DATA_MAX, or NULL. */
struct nbd_reply peer_reply(struct peer *peer, uint8_t *data);
/* Replies up to the ACK or the error, whose type is returned. */
uint32_t peer_replies(struct peer *peer);
uint32_t peer_go_option(struct peer *peer, uint32_t type, const char *name, uint32_t wanted);
uint32_t peer_meta_option(struct peer *peer, uint32_t type, const char *name, const char *query);

/* A request's head; a write's payload is sent by the caller. Returns its cookie. */
uint64_t peer_request(struct peer *peer, uint16_t type, uint16_t flags, uint64_t offset,
		      uint32_t length);
/* The answer to this one: its error. A read's data go to buf, holes as zeros. */
uint32_t peer_answer(struct peer *peer, uint64_t cookie, const struct nbd_request *ask, void *buf,
		     unsigned *ret_holes);
/* Both. buf: a write's payload or a read's data. */
uint32_t peer_do(struct peer *peer, uint16_t type, uint16_t flags, uint64_t offset, uint32_t length,
		 void *buf);

#endif
