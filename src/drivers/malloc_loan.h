/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_loan - who reads chunks of a tree where they lie (bdev/lend.h).
 *
 *   LIVE: of a chunk in the tree, in a bucket --retired--> RETIRED: the chunk is theirs, in a ring
 *        \------------------------- given back ------------------------/
 *
 * ML1. What a live loan shows is not changed: its chunk is retired, and the tree gets another one,
 *      or none (malloc_tree.c).
 * ML2. The retired loans of a chunk are linked in a ring without a head, and the last one that is
 *      given back frees the chunk. The tree may be gone then.
 * ML3. There are at most MALLOC_LOANS_MAX pieces, so at most so many retired chunks, and walks end.
 * ML4. All belongs to the reactor of the tree.
 */
#ifndef DRIVERS_MALLOC_LOAN_H
#define DRIVERS_MALLOC_LOAN_H

#include "bdev/lend.h"

struct mem;

#define MALLOC_LOANS_MAX    1024u
#define MALLOC_LOAN_BUCKETS 64u

struct malloc_loans {
	unsigned count;			       /* live and retired (ML3) */
	bool is_closed;			       /* the last one that is given back frees this */
	struct list live[MALLOC_LOAN_BUCKETS]; /* bdev_loan_piece.link, by chunk */
};

MUST_USE int malloc_loans_new(struct mem *mem, struct malloc_loans **ret);

/* None is live. */
void malloc_loans_close(struct malloc_loans *loans);

/* A piece of this chunk from now on (its iov); ML3 is the caller's. */
void malloc_loan_add(struct malloc_loans *loans, uint64_t chunk, struct bdev_loan_piece *piece);
void malloc_loan_give_back(struct bdev_loan_piece *piece);

/* Is any byte of these shown by a live loan of the chunk? */
bool malloc_loans_show(const struct malloc_loans *loans, uint64_t chunk, const uint8_t *at,
		       uint64_t len);

/* Retire all that show the chunk's memory; false: none does, and it is still the caller's. */
bool malloc_loans_retire(struct malloc_loans *loans, uint64_t chunk, uint8_t *data, uint64_t len);

#endif
