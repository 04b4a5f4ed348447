/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd - disks for clients of the NBD protocol: the kernel's, QEMU's, libnbd's, fio's.
 *
 *	server (home) --accept--> connection --mail--> side: one per reactor, where it stays
 *	share: a disk under a name --view--> its channel and requests on each side
 *
 * Files, from the bottom: nbd_priv.h, nbd_buf (memory for payloads), nbd_send (replies, gathered),
 * nbd_req (a request and its bio), nbd_sparse (holes: block status, reads that skip them),
 * nbd_recv (transmission), nbd_shake (handshake), nbd_conn (life of a connection), nbd_side,
 * nbd_share, nbd_server.
 *
 * Spoken: fixed newstyle with LIST, INFO, GO, EXPORT_NAME, ABORT, structured replies,
 * "base:allocation"; all commands but RESIZE. TLS will be a step between socket and handshake,
 * and mandatory where it is used (FORCEDTLS): until then STARTTLS is answered "unsupported".
 *
 * NB1. A request is answered once, or its connection ends; in whatever order they finish.
 * NB2. A flush on any connection covers every write of the share answered before it came, on
 *      whatever connection and reactor (B5 of bdev.h): hence MULTI_CONN is told.
 * NB3. What a peer can make us hold is bounded: memory, requests, options, names, time for a
 *      message it has begun. Where memory is short it is not read from; nothing is refused.
 * NB4. No byte of a buffer is sent that was not read from the disk for this request.
 * NB5. A size is told at the handshake and holds for the connection; a disk that has grown is
 *      told to those who connect again.
 */
#ifndef EXPORT_NBD_H
#define EXPORT_NBD_H

#include <stdint.h>

#include "base/lang.h"

struct fiber;
struct io_addr;
struct nbd_server;

#define NBD_SHARES_MAX	       256u
#define NBD_SHARE_NAME_MAX     255u
#define NBD_DESCRIPTION_MAX    255u
#define NBD_LISTENERS_MAX      16u
#define NBD_CONNS_DEFAULT      1024u
#define NBD_CONNS_PEER_DEFAULT 64u /* of one address; Unix sockets have none */
#define NBD_ACCEPTS_PER_S      1000u
#define NBD_ACCEPTS_BURST      2000u
#define NBD_INFLIGHT_DEFAULT   256u	      /* requests of a connection */
#define NBD_REQS_MAX	       4096u	      /* ... of a share, on a reactor */
#define NBD_SLOW_FIBERS_MAX    8u	      /* that look for holes, on a reactor */
#define NBD_BUF_KEPT_MAX       (16ull << 20)  /* bytes kept for the next, on a reactor */
#define NBD_MEMORY_DEFAULT     (256ull << 20) /* payloads of a server */
#define NBD_SHAKE_DEFAULT_NS   30000000000ull /* from the accept to transmission */
#define NBD_MESSAGE_DEFAULT_NS 10000000000ull /* a message that has begun ... */
#define NBD_BYTES_PER_S	       (1u << 20)     /* ... and a second more for so many bytes of it */
#define NBD_SEND_DEFAULT_NS    60000000000ull /* the same for what the peer does not read */
#define NBD_DRAIN_DEFAULT_NS   10000000000ull /* for requests in flight, when the server ends */

/* 0 in any field: the default. */
struct nbd_opts {
	unsigned reactors; /* connections are spread over 0..n-1 of the process; default: all */
	uint32_t conns_max, conns_peer_max, inflight_max;
	uint64_t memory_bytes; /* at least one payload of 32 MiB a reactor is granted */
	uint64_t shake_ns, message_ns, send_ns, drain_ns;
};

/* Home is the fiber's reactor; all calls are made there. */
MUST_USE int nbd_server_new(struct fiber *f, const struct nbd_opts *opts, struct nbd_server **ret);

/* Nobody is accepted any more; what is in flight is answered; everything closed. */
void nbd_server_free(struct fiber *f, struct nbd_server *server);

/* *ret_addr (or NULL): where, with the port that was chosen. */
MUST_USE int nbd_server_listen(struct fiber *f, struct nbd_server *server,
			       const struct io_addr *addr, struct io_addr *ret_addr);

struct nbd_share_args {
	const char *name; /* "" is good: clients that name none get that, or else the first */
	const char *uri;
	const char *description; /* NULL: none */
	bool read_only;		 /* also if the disk is */
	bool is_door;		 /* other doors may write to the disk as well (BDEV_CLAIM_DOOR) */
};

/*
 * The disk is claimed: for writing by this share alone, or for reading. -EEXIST (the name),
 * -ENOSPC (NBD_SHARES_MAX), -ENAMETOOLONG, -EINVAL (not UTF-8 without control characters).
 */
MUST_USE int nbd_server_add(struct fiber *f, struct nbd_server *server,
			    const struct nbd_share_args *args);

/* Its connections are drained first. -ENOENT. */
MUST_USE int nbd_server_remove(struct fiber *f, struct nbd_server *server, const char *name);

/* Look at the sizes of all disks again (NB5). */
void nbd_server_rescan(struct fiber *f, struct nbd_server *server);

enum nbd_drop {
	NBD_DROP_BYE,	   /* it said goodbye, or closed between two messages */
	NBD_DROP_STOP,	   /* the server or the share ended */
	NBD_DROP_LOST,	   /* the socket failed */
	NBD_DROP_PROTOCOL, /* bytes that are no message */
	NBD_DROP_LIMIT,	   /* too many options, too long a payload */
	NBD_DROP_SLOW,	   /* a deadline */
	NBD_DROP_UNKNOWN,  /* EXPORT_NAME of a share that is not there */
	NBD_DROP_MEMORY,
	NBD_DROPS
};

struct nbd_stats {
	uint64_t conns, conns_now, conns_refused; /* refused: too many, too fast */
	uint64_t dropped[NBD_DROPS];
	uint64_t options, requests, errors;
	uint64_t read_bytes, written_bytes, hole_bytes; /* holes are told, not sent */
	uint64_t sends, starved;			/* starved: waits for memory */
	uint64_t memory_bytes;				/* of payloads now */
	uint64_t kept_bytes;				/* ... and for the next ones */
	uint64_t slow_fibers_most;			/* that looked for holes at once */
};

void nbd_server_stats(struct fiber *f, struct nbd_server *server, struct nbd_stats *ret);

#endif
