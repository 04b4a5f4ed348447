/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_crash - every state a disk can be in after the power went.
 *
 * A log records what a disk was told (sim_disk_record()). Between two of its events the power
 * may go: a crash point. At each there is a base, what is stable, and the writes that may or may
 * not have made it; a state is a choice among these, sector by sector if torn.
 *
 *	struct crash_iter *it = crash_iter_new(log, &(struct crash_opts){ ... });
 *	while (crash_iter_next(it)) {
 *		struct sim *sim = sim_new(...);
 *		sim_disk_add(host, "/dev/sda", &(struct sim_disk_opts){ .image = crash_iter_image(it), ... });
 *		... recover, check; fail with crash_iter_name(it) ...
 *	}
 *
 * An image is a few pages over the base, which is shared: making a state costs as much as its
 * unflushed writes have pages, whatever the size of the disk.
 *
 * DC1. Point 0 is before the first event, point n after the nth.
 * DC2. All subsets of n volatile writes if n <= all_max, else `samples` drawn ones, always among
 *      them none and all. Then torn variants: one write of the subset keeps only some sectors.
 * DC3. The order is that of the log, then of the subsets; the same options give the same states.
 * DC4. Recovering on an image changes neither the image nor the log.
 */
#ifndef SIM_DISK_CRASH_H
#define SIM_DISK_CRASH_H

#include "base/lang.h"

struct crash_iter;
struct disk_log;
struct media;
struct media_write;
struct mem;
struct sim_image;

#define CRASH_ALL_MAX 10u
#define CRASH_SAMPLES 1024u
#define CRASH_VOLATILE_MAX \
	64u /* writes at one point; older ones are taken as stable (a cache is only so big) */

/* Lives in memory of its own, longer than the world whose disk it records. */
struct disk_log *disk_log_new(struct mem *mem);
void disk_log_free(struct disk_log *log);
/* What is on the disk when recording begins (NULL: zeros), borrowed. */
void disk_log_base(struct disk_log *log, const struct sim_image *image);
uint64_t disk_log_events(const struct disk_log *log); /* writes seen, writes stable, flushes */
uint64_t disk_log_writes(const struct disk_log *log);

/* media.c tells. */
void disk_log_write(struct disk_log *log, struct media *media, struct media_write *w);
void disk_log_done(struct disk_log *log, const struct media_write *w, bool stable);
void disk_log_flush(struct disk_log *log, uint64_t seq);

struct crash_opts {
	uint32_t all_max;      /* 0: CRASH_ALL_MAX */
	uint32_t samples;      /* 0: CRASH_SAMPLES */
	uint32_t torn;	       /* torn variants of each subset; 0: none */
	uint32_t atomic_bytes; /* never torn within; 0: 512 */
	uint64_t seed;
	uint64_t first_point, last_point; /* 0, 0: all */
};

struct crash_iter *crash_iter_new(struct disk_log *log, const struct crash_opts *opts);
void crash_iter_free(struct crash_iter *it);
bool crash_iter_next(struct crash_iter *it);
/* Valid until the next crash_iter_next(); several worlds may stand on it. */
const struct sim_image *crash_iter_image(const struct crash_iter *it);
uint64_t crash_iter_point(const struct crash_iter *it);
uint64_t crash_iter_states(const struct crash_iter *it); /* made so far */
/* "point 17 of 90, writes 4 of 6 (mask 2d), torn 3": to name a failure. */
const char *crash_iter_name(struct crash_iter *it);

/* An image that outlives the iterator: for the crash of a recovery (depth 2). */
struct sim_image *sim_image_copy(struct mem *mem, const struct sim_image *image);
struct sim_image *sim_image_new(struct mem *mem); /* zeros */
void sim_image_free(struct sim_image *image);
void sim_image_read(const struct sim_image *image, uint64_t off, void *buf, size_t len);
void sim_image_write(struct sim_image *image, uint64_t off, const void *buf, size_t len);

#endif
