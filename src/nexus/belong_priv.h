/* SPDX-License-Identifier: Apache-2.0 */
/* belong_priv - whose a disk is, and how it is made ours and let go. See belong.c. */
#ifndef NEXUS_BELONG_PRIV_H
#define NEXUS_BELONG_PRIV_H

#include "base/uuid.h"
#include "bdev/replica.h"
#include "nexus/label.h"
#include "store/store.h"

struct bdev_chan;
struct fiber;
struct io;
struct nexus_table;

/* Whose a disk is, and what of it the nexus must know. */
struct belong {
	const struct bdev_replica_ops *ops; /* NULL: no replica */
	struct uuid member; /* the replica, or of the label; nil: it bears no label of this volume */
	uint64_t fence, regions;
	struct replica_gen gen;
	enum replica_state state;
	uint8_t miss;		  /* bit i: slot i is taken */
	struct nexus_label label; /* no replica: as it is, or is to be but for the member */
};

/* The disk on this channel, seen from the volume of that record: it is its own, or free. Worded. */
MUST_USE int belong_look(struct fiber *f, struct nexus_table *table,
			 const struct volume_record *rec, struct bdev_chan *chan, const char *uri,
			 bool force, struct belong *ret);
/* It is this volume's from now on. A label is made; belong->member is set. */
MUST_USE int belong_take(struct fiber *f, const struct volume_record *rec, struct bdev_chan *chan,
			 struct belong *belong);
/* It is nobody's from now on, and as good as new. */
MUST_USE int belong_give_back(struct fiber *f, struct bdev_chan *chan, struct belong *belong);
/* The same for a member that is not open; who cannot be reached is only logged. -ENOMEM: try again. */
MUST_USE int belong_let_go(struct fiber *f, struct nexus_table *table,
			   const struct volume_record *rec, const struct volume_member *member);
struct uuid belong_new_uuid(struct io *io);

#endif
