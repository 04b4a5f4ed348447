// SPDX-License-Identifier: Apache-2.0
/*
 * rio_req - a bio of a replica at work: what the files rio*.c share. See rio_priv.h.
 */
#ifndef POOL_RIO_REQ_PRIV_H
#define POOL_RIO_REQ_PRIV_H

#include "base/must.h"
#include "bdev/bdev_driver.h"
#include "pool/replica_priv.h"

struct rio_req;

/* A bio of a disk. */
struct rio_child {
	struct rio_req *req;
	struct pool_disk *disk;
	struct iovec iov[RIO_CHILD_IOV];
	struct bio bio; /* last: room of the disk's driver follows */
};

/* The part of a step that lies in one cluster. */
struct rio_piece {
	struct list_link link;	   /* change->ready, ->logging; rio_pool.riders, riders_cut */
	struct rio_req *req;
	struct rio_change *change; /* NULL: written in place */
	uint64_t cluster;	   /* where the data go */
	uint32_t in, len;	   /* bytes: from the start of the cluster */
	uint32_t bits;		   /* blocks that will be valid */
};

struct rio_req {
	struct list_link link;	/* in one list while PARKED; workers' list */
	struct bio *bio;	/* borrowed until it completes */
	struct replica *rep;
	void (*child_ended)(struct rio_req *req);
	uint64_t pos, end;	/* bytes of the replica: done up to pos */
	uint64_t sent;		/* children were made up to here */
	struct iov_pos data;	/* of sent */
	int status;		/* first error */
	uint32_t children;	/* in flight */
	uint8_t generation;
	bool in_device;		/* counted in it (RI5) */
	bool child_used;
	bool rides;		/* all that is open rides: not counted in busy */
	uint8_t piece_count, piece_at, pieces_open, pieces_riding;
	uint8_t tries;		/* commits waited for */
	uint32_t piece_sent;	/* bytes of piece_at */
	struct list changes;	/* unmap: struct rio_change.peer, of this slice */
	struct rio_change *change_at; /* ... the next to be told to the log */
	uint64_t slice_end;
	struct rio_work work;
	struct intent_item item;
	struct mail mail;
	struct rio_piece piece[RIO_PIECES];
	struct rio_child child; /* last */
};

/*
 * The mapping of a cluster being changed (RI3).
 *
 *	BUSY --> OPEN --> end when nobody uses it: its mapping is in the delta, or it never was
 *
 * BUSY: one request alone works on it (copies, unmaps, fills); others wait in `waiting`.
 * OPEN: requests join it: their data go to its cluster, then their blocks become valid together
 * with those of others that are ready.
 */
struct rio_change {
	struct list_link link;	/* bucket */
	struct list_link peer;	/* rio_req.changes */
	struct replica *rep;
	uint64_t lcluster;
	uint64_t cluster;	/* now; 0: a hole */
	uint32_t valid;		/* as seen by all */
	bool busy;
	bool fresh;		/* claimed, not yet put */
	bool thick;		/* ... from what was promised */
	bool mapped;		/* something is mapped, as seen by all */
	bool replaces;		/* ... by another cluster, until this one is put */
	bool shared;		/* the cluster is not ours alone */
	bool queued, writing;	/* the item */
	uint32_t want;		/* valid bits of `ready` */
	uint32_t in_log;	/* ... of `logging` */
	unsigned users;		/* pieces that joined, or the one that is busy */
	struct list ready;	/* pieces with their data on the disk */
	struct list logging;	/* ... in the log's write in flight */
	struct list waiting;	/* requests */
	struct intent_item item;
};

static inline struct rio_chan *bdev_chan_rio(struct bdev_chan *chan)
{
	return bdev_chan_priv(chan);
}

/* ---- small things ----------------------------------------------------------------------- */

static inline uint32_t cluster_mask(const struct pool *pool)
{
	return pool->super.cluster_bytes - 1;
}

/* Valid bits of a range of bytes in a cluster; clusters of more blocks are valid as a whole. */
static inline uint32_t valid_bits(const struct pool *pool, uint32_t in, uint32_t len)
{
	uint32_t first = in / POOL_BLOCK, count = (in + len - 1) / POOL_BLOCK - first + 1;

	if (pool->blocks_per_cluster > POOL_VALID_BITS)
		return UINT32_MAX;
	return (uint32_t)(((UINT64_C(1) << count) - 1) << first);
}

static inline struct pool_disk *cluster_pool_disk(struct pool *pool, uint64_t cluster)
{
	return &pool->disks[cluster_disk(cluster)];
}

/* Blocks of its disk. */
static inline uint64_t cluster_lba(const struct pool *pool, const struct pool_disk *disk,
				   uint64_t cluster, uint32_t in)
{
	return (POOL_DATA_START + (cluster_index(cluster) << pool->cluster_shift) + in) >>
	       disk->block_shift;
}

/* ---- rio.c --------------------------------------------------------------------------------- */

/* A step begins, or the request is held, refused or done (RI8). */
void rio_run(struct rio_req *req);
/* The request is over. */
void rio_end(struct rio_req *req, int status);
void rio_park(struct rio_req *req, struct list *where);
void rio_unpark(struct rio_req *req); /* it is in no list any more: runs */
void rio_unpark_all(struct list *list);

static inline void rio_idle(struct replica *rep)
{
	if (--rep->rio.busy == 0 && unlikely(rep->rio.gate))
		event_set(&rep->rio.idle);
}

static inline void rio_device_begin(struct rio_req *req)
{
	struct rio_pool *rio = &req->rep->pool->rio;

	if (req->in_device)
		return;
	req->in_device = true;
	req->generation = (uint8_t)(rio->generation % RIO_GENERATIONS);
	rio->inflight[req->generation]++;
}

static inline void rio_device_end(struct rio_req *req)
{
	struct rio_pool *rio = &req->rep->pool->rio;

	if (!req->in_device)
		return;
	req->in_device = false;
	if (--rio->inflight[req->generation] == 0)
		event_set(&rio->drained);
}

/* NULL: none now; one will be free when a child of this request ends. */
struct rio_child *rio_child_get(struct rio_req *req);
/*
 * Send this child: len bytes from place `in` of the cluster on. At most; what it really takes is
 * returned and depends on the iovecs. req->sent and req->data move on.
 */
uint64_t rio_child_send(struct rio_req *req, struct rio_child *child, enum bio_op op,
			uint64_t cluster, uint32_t in, uint64_t len);

/* ---- rio_read.c, rio_write.c, rio_copy.c, rio_unmap.c, rio_flush.c --------------------------------- */

void rio_read(struct rio_req *req);
void rio_write(struct rio_req *req);
void rio_unmap(struct rio_req *req);
/* Wait for a flush round that begins now, then end. */
void rio_flush(struct rio_req *req);
/* The commit makes durable what the round under way has not written. */
void rio_flush_cut(struct pool *pool);

/* A piece is over, its mapping as safe as its data. */
void rio_piece_done(struct rio_piece *piece, int status);
/* It is durable with the next commit: the request need not be waited for. */
void rio_piece_rides(struct rio_piece *piece);
/* The request waits for space: after a commit there may be some. -ENOSPC: there will not. */
int rio_space_wait(struct rio_req *req);

/* What this replica's new clusters come from. */
enum space_use rio_space_use(const struct replica *rep);
/* A cluster for this change, empty: 0, -EAGAIN: space_find() first, -ENOSPC. */
MUST_USE int rio_claim(struct rio_change *change);

/*
 * Slow: a new cluster for a busy change, with what `from` has, and over that `len` bytes of data
 * from byte `in` on (NULL: zeros). The change then has this cluster, fresh; *ret_valid: its blocks.
 */
MUST_USE int rio_copy(struct fiber *f, struct rio_change *change, const struct map_place *from,
		      struct iov_pos *data, uint32_t in, uint32_t len, uint32_t *ret_valid);
/* Hand a request, whose one piece needs that, to a worker. */
void rio_copy_slow(struct rio_req *req);
/* rio_write.c: the copy has ended, the data with it. */
void rio_copied(struct rio_req *req, int status);

/* ---- rio_change.c ------------------------------------------------------------------------------------ */

struct rio_change *rio_change_find(struct replica *rep, uint64_t lcluster);
/*
 * A new one for this cluster, which is at `place` now; used once. NULL: wait (`starved`);
 * -ENOMEM in *ret_status: there is no sense in waiting.
 */
struct rio_change *rio_change_new(struct replica *rep, uint64_t lcluster,
				  const struct map_place *place, int *ret_status);
void rio_change_put(struct rio_change *change);
void rio_change_open(struct rio_change *change); /* busy no more */
/* The piece's data are on the disk: make its blocks valid; ends with rio_piece_done(). */
void rio_change_ready(struct rio_piece *piece);
/* As seen by all from now on. */
void rio_change_apply(struct rio_change *change, uint64_t cluster, uint32_t valid);

/* ---- rio_pool.c ----------------------------------------------------------------------------------------- */

void rio_work_add(struct pool *pool, struct rio_work *work,
		  void (*run)(struct fiber *f, struct rio_work *work));
/* A change has ended, or there is room in the delta. */
void rio_feed(struct pool *pool);
/* Park until a change or room can be had. */
void rio_starve(struct rio_req *req);
/* What went wrong on a worker, in the fiber's words, which are cleared. */
void rio_log(struct fiber *f, const struct replica *rep, const char *what);

#endif
