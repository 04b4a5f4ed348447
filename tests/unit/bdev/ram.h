/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ram - a disk in memory with limits of all kinds, which checks what the layer sends it.
 *
 *	ram:///name?blocks=256&bs=512&max=8&ops=0xff&vc=1&mode=2
 *
 * What a write does it does when it ends; what is durable stands in `stable`.
 */
#ifndef TESTS_BDEV_RAM_H
#define TESTS_BDEV_RAM_H

#include "base/prng.h"
#include "bdev/bdev_driver.h"
#include "reactor/timer.h"

/* When bios end. */
enum ram_mode {
	RAM_NOW,    /* inside submit */
	RAM_NEXT,   /* by a task */
	RAM_LATER,  /* after some time, in any order */
	RAM_MIXED,  /* now or later */
	RAM_HOLD,   /* when the test says so: ram_release() */
};

struct ram {
	struct bdev bdev;
	struct bdev *child;	/* on=: opened and held, nothing more */
	uint8_t *mem, *stable;
	uint32_t *version, *stable_version; /* of each block */
	enum ram_mode mode;
	uint64_t submits;	/* ever */
	uint64_t fail_at;	/* this submit ends with -EIO; 0: none */
	uint64_t fail_op;	/* 1 << BIO_x: these end with -EIO */
	uint64_t seen[BIO_OPS], seen_fua;
	uint64_t token;		/* of the last bio */
	uint64_t inflight, inflight_max;
	uint64_t open_sleep_ns;
	struct list held;	/* RAM_HOLD: ram_req.link */
	struct prng prng;
	unsigned chans;
	int chan_error;
};

extern const struct bdev_driver ram_driver;

/* End those held so far; returns how many. With a status < 0 nothing is done to the data. */
unsigned ram_release(struct ram *ram, int status);

#endif
