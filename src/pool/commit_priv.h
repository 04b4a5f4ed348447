// SPDX-License-Identifier: Apache-2.0
/*
 * commit - the fiber that makes transactions, one after the other (P5).
 *
 * It wakes when something has changed and a while has passed, when the log is half full,
 * when an operation is queued, or when there is something to take down. One round:
 *
 *   gates of the operations close -> cut -> check operations -> apply deltas -> run
 *   operations -> reap -> settle -> publish -> gates open -> write -> durable -> answer
 *
 * An operation has two parts: `check` may refuse and changes nothing; `run` changes trees
 * and must not fail for any reason but a broken disk or no memory, which fault the pool (TX4).
 *
 * CO1. An operation is answered after its transaction is durable, or was refused by check.
 * CO2. Operations of one round are checked and run one by one, in the order they came.
 */
#ifndef POOL_COMMIT_PRIV_H
#define POOL_COMMIT_PRIV_H

#include "base/err.h"
#include "base/list.h"
#include "reactor/timer.h"
#include "reactor/wait.h"

struct fiber;
struct pool;
struct replica;

#define COMMIT_EVERY_NS	 5000000000ull /* what changed is in a tree after this */
#define COMMIT_OPS_MAX	 64u	       /* operations of one round */
#define COMMIT_QUEUE_MAX 65536u	       /* operations waiting */

struct commit_op {
	struct list_link link;
	int (*check)(struct fiber *f, struct pool *pool, void *arg);
	int (*run)(struct fiber *f, struct pool *pool, void *arg);
	void *arg;
	struct replica *gate; /* whose I/O stands still from before the cut; NULL: none */
	bool refused;
	int status;
	struct err err;
	struct event done;
};

struct commit {
	struct fiber *fiber;
	struct event wanted;
	struct timer timer;
	struct list ops;
	uint32_t op_count;
	bool stop, forced; /* forced: a round also if nothing changed */
	int status;	   /* of the last round */
	uint64_t rounds_begun, rounds_done;
	struct event round_done;
	uint64_t generation; /* bios begun before the last publish */
};

MUST_USE int commit_start(struct fiber *f, struct pool *pool);
/* End the fiber; what it could not commit is in the log. */
void commit_end(struct fiber *f, struct pool *pool);
/* Commit what there is, then end the fiber. */
MUST_USE int commit_stop(struct fiber *f, struct pool *pool);

/* Something has changed: within COMMIT_EVERY_NS. Never suspends. */
void commit_later(struct pool *pool);
/* Soon. Never suspends. */
void commit_request(struct pool *pool);
/* A round that begins after this call is durable. */
MUST_USE int commit_wait(struct fiber *f, struct pool *pool);
/* Queue an operation and wait for its answer; its words become the caller's. */
MUST_USE int commit_op(struct fiber *f, struct pool *pool, struct commit_op *op);

#endif
