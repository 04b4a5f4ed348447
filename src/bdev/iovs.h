/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iovs - a place in the data of a bio, and moving bytes to and from there.
 *
 * A run past the end of the data is the programmer's error.
 */
#ifndef BDEV_IOVS_H
#define BDEV_IOVS_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/lang.h"

struct iov_pos {
	const struct iovec *iov;
	uint32_t left; /* iovecs, with this one */
	size_t off;    /* in this one */
};

struct iov_rule {
	uint32_t iov_max;
	uint32_t base_mask, len_mask;
	uint32_t granule; /* bytes; power of two: a take is a multiple of it */
};

static inline struct iov_pos iov_pos(const struct iovec *iov, uint32_t iov_count)
{
	return (struct iov_pos){ .iov = iov, .left = iov_count };
}

/* Bytes of all; UINT64_MAX if they are more than can be. */
uint64_t iov_bytes(const struct iovec *iov, uint32_t iov_count);

/*
 * As much of the next `bytes` as the rule allows, without copying: iovecs into ret, which has
 * room for rule->iov_max. Returns the bytes taken, and moves on; 0: it must be copied.
 */
uint64_t iov_take(struct iov_pos *pos, uint64_t bytes, const struct iov_rule *rule,
		  struct iovec *ret, uint32_t *ret_count);

/* All move on. */
void iov_skip(struct iov_pos *pos, uint64_t bytes);
void iov_copy_from(struct iov_pos *pos, void *to, uint64_t bytes);
void iov_copy_to(struct iov_pos *pos, const void *from, uint64_t bytes);
/* Bytes that are equal at the start. */
uint64_t iov_compare(struct iov_pos *pos, const void *with, uint64_t bytes);

#endif
