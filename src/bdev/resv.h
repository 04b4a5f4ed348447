/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resv - optional: durable reservations (NVMe PTPL, NVM Express Base, Reservations).
 *
 * The target keeps the rules; a disk that offers this keeps the state, in the same
 * transaction as the fence where it has one.
 */
#ifndef BDEV_RESV_H
#define BDEV_RESV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "base/uuid.h"

struct bdev_chan;
struct fiber;

#define RESV_REGISTRANTS_MAX 64

struct resv_registrant {
	uint64_t key;
	struct uuid host_id;
};

struct resv_state {
	uint32_t generation;
	uint8_t type; /* 0: no reservation; else the NVMe reservation type */
	bool ptpl;    /* persist through power loss is on */
	int32_t holder; /* index of the holder, -1: none or all registrants */
	uint32_t count;
	struct resv_registrant registrant[RESV_REGISTRANTS_MAX];
};

struct bdev_resv_ops {
	int (*load)(struct fiber *f, struct bdev_chan *chan, struct resv_state *ret);
	/* Durable when it returns; a fence_token != 0 raises the fence, too (replica.h R2, R3). */
	int (*store)(struct fiber *f, struct bdev_chan *chan, const struct resv_state *state,
		     uint64_t fence_token);
};

/* NULL: not offered. */
const struct bdev_resv_ops *bdev_resv_ops(const struct bdev_chan *chan);

#endif
