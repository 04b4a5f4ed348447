/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault - make a failing disk out of a good one.
 *
 * A rule is written as words with commas between them, in any order:
 *
 *	write,lba:100-199,nth:3,status:ENOSPC
 *
 *	read write flush write-zeroes unmap compare compare-write    ops; none of them: all
 *	lba:N  lba:FIRST-LAST	touches one of these blocks
 *	nth:N			only the Nth request that fits (from 1)
 *	every:N			every Nth
 *	ppm:N			by chance, N in a million
 *	count:N			at most N times
 *	status:NAME		fail with this errno; the disk below sees nothing; default EIO
 *	corrupt  corrupt:N	reads only: flip N bits of the data, default 1
 *	hang			do nothing until the rules change, or RESET
 *
 * All conditions must hold; of several rules the first that fires counts. Each channel
 * counts for itself.
 */
#ifndef DRIVERS_FAULT_H
#define DRIVERS_FAULT_H

#include "bdev/bdev_driver.h"

#define FAULT_RULES_MAX 16u
#define FAULT_BITS_MAX 4096u

struct err;

enum fault_action { FAULT_STATUS, FAULT_CORRUPT, FAULT_HANG };

struct fault_rule {
	uint32_t ops;	      /* 1 << BIO_x; 0: all but RESET */
	uint64_t first, last; /* blocks; 0, UINT64_MAX: anywhere, also what has no place */
	uint64_t nth, every, count; /* 0: no such condition */
	uint32_t ppm;	      /* 0: no such condition */
	enum fault_action action;
	int status;	      /* FAULT_STATUS: negative errno */
	uint32_t bits;	      /* FAULT_CORRUPT */
};

/* -EINVAL with words. */
MUST_USE int fault_rule_parse(const char *text, struct fault_rule *ret, struct err *err);

/*
 * From now on these rules, counting from zero, on all channels of an open fault disk;
 * requests that hang go on to the disk below. From any reactor. -EINVAL: no fault disk, or
 * too many rules.
 */
MUST_USE int fault_set_rules(struct fiber *f, struct bdev *bdev, const struct fault_rule *rules,
			     unsigned count);

/* How often each rule has fired, over all channels that are open. */
MUST_USE int fault_get_fired(struct fiber *f, struct bdev *bdev,
			     uint64_t ret_fired[FAULT_RULES_MAX]);

extern const struct bdev_driver fault_driver;

#endif
