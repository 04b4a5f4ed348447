// SPDX-License-Identifier: Apache-2.0
/* label - what a disk says about itself: ours, another pool's, foreign, or nothing. */
#ifndef POOL_LABEL_PRIV_H
#define POOL_LABEL_PRIV_H

#include "pool/disk_priv.h"
#include "pool/format.h"

struct mem;

/* The label of a disk: A, or B where A is damaged. -ENOMSG: none; -EILSEQ, -EPROTO; all worded. */
MUST_USE int label_read(struct fiber *f, struct mem *mem, struct pool_disk *disk,
			struct label *ret);

/* Refuse a disk that bears anything: -EMEDIUMTYPE with words that say what it is. */
MUST_USE int label_check_blank(struct fiber *f, struct mem *mem, struct pool_disk *disk);

/* Wipe what was there (both ends), then write both labels. */
MUST_USE int label_write(struct fiber *f, struct mem *mem, struct pool_disk *disk,
			 const struct label *label);
/* The disk is used to a new end from now on: a label there, and the size in both. */
MUST_USE int label_grow(struct fiber *f, struct mem *mem, struct pool_disk *disk,
			uint64_t size_bytes);
/* Wipe both labels and rings. */
MUST_USE int label_wipe(struct fiber *f, struct mem *mem, struct pool_disk *disk);

#endif
