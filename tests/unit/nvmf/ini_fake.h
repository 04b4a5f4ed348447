/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ini_fake - a controller for tests of the initiator, that does as it is told: well, or badly.
 *
 * It serves one namespace of memory on a loopback port, from the reactor of the test. A script may
 * look at each command before it is done, and do something else.
 */
#ifndef TESTS_INI_FAKE_H
#define TESTS_INI_FAKE_H

#include "io/io.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "wire/nvme.h"
#include "wire/nvme_vendor.h"
#include "wire/nvmetcp_parser.h"

#define FAKE_NQN "nqn.2026-11.test:fake"
#define FAKE_CONNS 512
#define FAKE_XFERS 128

struct fake;
struct fake_conn;

struct fake_xfer {
	bool used;
	struct nvme_sqe sqe;
	uint8_t *buf;
	uint32_t bytes;
	struct nvmetcp_flow flow;
};

struct fake_conn {
	struct fake *fake;
	struct io_sock *sock;
	struct nvmetcp_rules rules;
	struct nvmetcp_parser parser;
	uint16_t qid;
	bool closed;
	uint8_t *out, *sent; /* to be sent; being sent */
	size_t out_bytes, out_room, sent_room;
	struct iovec iov;
	struct io_op op;
	bool sending, close_after;
	uint8_t *to;	     /* data being received */
	uint32_t left, crc;
	uint8_t digest_left, digest[4];
	struct fake_xfer *xfer;
	uint8_t capsule[16384 + 8192];
	struct nvme_sqe sqe;
	struct fake_xfer xfers[FAKE_XFERS];
};

/* True: it has seen to the command itself. */
typedef bool (*fake_script)(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx);

struct fake {
	struct reactor *reactor;
	struct io_listener *listener;
	uint16_t port;
	struct fake_conn *conns[FAKE_CONNS]; /* all there ever were */
	unsigned conn_count;

	/* what it is; set before it is asked */
	uint32_t block_size;
	uint64_t blocks, told_blocks; /* there are; says it has */
	uint8_t *data;
	bool hdgst, ddgst;	/* takes them if asked for */
	uint8_t align;		/* CPDA, bytes */
	uint32_t maxh2cdata;
	uint32_t capsule;	/* data in a capsule */
	uint8_t mdts;
	uint16_t mqes;
	uint16_t queues;
	uint16_t oncs;
	uint8_t vwc, dlfeat, rescap;
	uint32_t c2h_chunk;	/* data of one C2HData */
	bool success;		/* SUCCESS instead of a response, where flow control is off */
	uint8_t uuid[16];
	bool vendor;		 /* offers replica control */
	struct nvme_replica replica;
	uint8_t vendor_data[4096]; /* of receive commands but Info */
	uint64_t vendor_result;
	bool vendor_hangs;	 /* answers none of them */
	uint16_t vendor_status;	 /* of the next `vendor_refused` of them */
	unsigned vendor_refused;
	uint16_t connect_status; /* of the next admin Connects */
	bool refuse;		/* new connections are closed at once */
	bool no_keep_alive;	/* does not answer them */
	uint8_t rx_align;	/* HPDA the initiator asked for */

	fake_script script;
	void *script_ctx;

	/* what happened */
	unsigned connects, io_connects, commands[256], keep_alives, writes, shutdowns, disconnects;
	struct nvmetcp_term term; /* the last H2CTermReq */
	unsigned terms;
	struct nvme_vendor_cmd vendor_cmd; /* the last one */
	uint8_t vendor_sent[8192];	   /* its data */
	unsigned vendor_waiting, vendor_negotiated;
	uint8_t host_id[16];
	char hostnqn[NVME_NQN_MAX + 1];
	uint64_t key;		  /* registered last */
	unsigned registers;
	uint16_t aer_cid;
	struct fake_conn *aer;	  /* that has the event request */
};

struct fake *fake_new(struct fiber *f);
void fake_free(struct fiber *f, struct fake *fake);
/* nvmf://127.0.0.1:port/nqn?extra */
const char *fake_uri(const struct fake *fake, const char *extra, char text[512]);

/* For scripts: PDUs as they should be, or raw. */
void fake_send(struct fake_conn *conn, const void *bytes, size_t len);
void fake_respond(struct fake_conn *conn, uint16_t cid, uint16_t status, uint64_t result);
void fake_c2h(struct fake_conn *conn, uint16_t cid, uint32_t offset, const uint8_t *data,
	      uint32_t len, uint8_t flags, bool bad_digest);
void fake_r2t(struct fake_conn *conn, uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len);
void fake_close(struct fake_conn *conn);
void fake_close_all(struct fake *fake);
/* Tell of a changed namespace. False: nobody asked. */
bool fake_event(struct fake *fake);

#endif
