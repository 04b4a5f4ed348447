/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_priv - what users ask of a nexus: on its way to the children and back, in order among those
 * that overlap. See io.c, order.c, choose.c, mend.c.
 */
#ifndef NEXUS_REQUEST_PRIV_H
#define NEXUS_REQUEST_PRIV_H

#include "base/list.h"
#include "bdev/bdev.h"
#include "nexus/child_priv.h"
#include "nexus/mask_priv.h"
#include "nexus/nexus.h"
#include "reactor/reactor.h"

struct fiber;
struct nexus;

#define NEXUS_REQS_MAX	   4096u /* child requests of a nexus; beyond, requests wait */
#define NEXUS_ORDER_PIECES 1024u

struct nexus_req {
	struct list_link link; /* nexus->writes, or where it is parked */
	struct bio *bio;
	struct nexus *nexus;
	struct mail mail;
	int status;
	uint8_t open; /* child requests under way */
	nexus_mask sent, failed, tried;
	bool is_counted; /* in regions and in nexus->writes */
	bool is_ordered; /* in nexus->order */
	uint64_t serial; /* of a write that began */
};

/* One child request. */
struct nexus_io {
	struct nexus_pending pending;
	struct nexus_req *req;
	struct nexus_child *child;
	struct bio bio; /* last */
};

/* Members that a read may go to, of this mask. */
struct nexus_choice {
	nexus_mask mask;
	uint8_t count, index[NEXUS_CHILDREN_MAX];
};

/* Writes in flight, by the piece of the volume. */
struct nexus_order {
	uint16_t count[NEXUS_ORDER_PIECES]; /* at most NEXUS_REQS_MAX are under way */
	struct list waiting;
};

/* io.c */

void nexus_submit(struct bio *bio);
void io_run(struct nexus_req *req); /* from the beginning */
void io_run_all(struct list *list);
void io_park(struct nexus_req *req, struct list *where);
void io_finish(struct nexus_req *req, int status);
/* STOPPED: what is held has to be done again. */
void io_unhold_all(struct nexus *n);
void io_gate_close(struct fiber *f, struct nexus *n); /* and drained */
void io_gate_open(struct nexus *n);

/* order.c */

/* True: it waits for a write that overlaps it. */
bool order_parks(struct nexus_req *req);
void order_begin(struct nexus_req *req);
void order_end(struct nexus_req *req);

/* choose.c */

/* Whom to read from; NULL: nobody is left. */
struct nexus_child *choose(const struct nexus_req *req);

/* mend.c */

/* A write that no member could do: members are made equal before it fails. */
void io_mend(struct nexus_req *req);

#endif
