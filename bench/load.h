/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load - put disks under load and count.
 *
 *	load (reactor 0) --- crew (one a reactor) --- job (crew x disk x jobs) --- slot (depth)
 *
 * A job keeps `depth` bios in flight on one channel: a slot's bio is done, is counted,
 * and is sent again with the next address. Nothing is allocated meanwhile. The disk is
 * seen as units of one block size; each job has a slice of them when it verifies.
 *
 * L1. A slot has at most one bio in flight; a job is idle when none of its slots has.
 * L2. When verifying, at most one bio is in flight for a unit, and a unit belongs to one job.
 * L3. What a unit may hold is remembered from its last write, zeroes or unmap; a failed one
 *     leaves it unknown. A read that finds anything else is a verify error.
 * L4. Only what is done in LOAD_RUN before load_end(), and after load_begin() if there was one, is counted.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/hist.h"
#include "base/prng.h"
#include "bdev/bdev.h"
#include "io/io.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"

#define LOAD_DISKS_MAX	      64
#define LOAD_JOBS_MAX	      64 /* per reactor and disk */
#define LOAD_DEPTH_MAX	      4096
#define LOAD_BS_MAX	      (16u << 20)
#define LOAD_WORDS_SIZE	      512
#define LOAD_VERIFY_UNITS_MAX (UINT64_C(1) << 27) /* 8 bytes of memory each */

enum load_phase { LOAD_FILL, LOAD_RUN, LOAD_CHECK };

struct load_opts {
	uint32_t bs;
	unsigned depth, jobs;
	unsigned read_pct;		/* of reads and writes */
	unsigned unmap_pct, zeroes_pct; /* of all */
	unsigned flush_every;		/* writes of a job; 0: never */
	bool random, fua, verify, turn_clock;
	uint64_t size_bytes; /* 0: the whole disk */
	uint64_t offset_bytes; /* of the first unit; without verify */
	uint64_t ios;	     /* of a job; 0: until stopped */
	uint64_t errors_max; /* of a job: it stops after more */
	uint64_t seed;
	uint64_t token; /* of every request (bdev/replica.h) */
};

struct load_disk {
	const char *uri;   /* borrowed */
	struct bdev *bdev; /* owned while open */
	uint32_t unit_blocks;
	uint64_t units;
	uint64_t *states; /* owned; a word per unit (L3); NULL: no verify */
};

/* What was done between begin and end. */
struct load_counts {
	uint64_t ios[BIO_OPS];
	struct hist lat[BIO_OPS];
};

/* Over all phases: what came out wrong, and how many blocks were read and compared. */
struct load_checks {
	uint64_t errors, verify_errors, verified;
};

struct load_crew;

struct load_job {
	struct load_crew *crew;
	struct load_disk *disk;
	struct bdev_chan *chan; /* owned */
	const struct load_opts *opts;
	struct io *io;
	struct prng prng;
	unsigned index;

	enum load_phase phase;
	bool stopping, counting; /* counting: L4 */
	bool borrows;		 /* its slots' buffers */
	unsigned inflight;
	uint64_t first, units; /* its slice */
	uint64_t next;	       /* sequential position in it */
	uint64_t left;	       /* bios to be submitted */
	uint64_t serial;
	unsigned unflushed; /* writes since the last flush */

	struct load_slot **slots; /* owned */
	struct load_counts counts;
	struct load_checks checks;
	int status; /* first failure */
	char words[LOAD_WORDS_SIZE];
};

struct load_crew {
	struct load *load;
	struct reactor *reactor;
	struct load_job *jobs;	  /* owned */
	unsigned job_count, busy; /* busy: jobs not idle */
	struct mail idle_mail;
	struct io_stats io_begin, io_end;
};

struct load {
	/* in */
	struct load_opts opts;
	struct load_disk disks[LOAD_DISKS_MAX];
	unsigned disk_count, reactors;

	/* inside */
	struct load_crew *crews; /* owned; one a reactor */
	unsigned busy;		 /* crews not idle */
	struct event changed;	 /* idle, or interrupted */
	bool interrupted;
};

/* Open the disks, channels and memory. On failure call load_close() all the same. */
MUST_USE int load_open(struct fiber *f, struct load *load);
void load_close(struct fiber *f, struct load *load);
/* Use the buffers of another load of the same shape, which is closed later and rests meanwhile. */
void load_borrow_buffers(struct load *load, const struct load *from);

/* Start a phase on all jobs; wait until all are idle or until the deadline. */
MUST_USE int load_start(struct fiber *f, struct load *load, enum load_phase phase);
MUST_USE int load_wait(struct fiber *f, struct load *load, uint64_t deadline_ns);

/* The window of the figures (L4). load_end() also stops the jobs. */
MUST_USE int load_begin(struct fiber *f, struct load *load);
MUST_USE int load_end(struct fiber *f, struct load *load);

/* Sums of a disk's jobs (NULL: of all). */
void load_counts(const struct load *load, const struct load_disk *disk, struct load_counts *ret);
void load_checks(const struct load *load, const struct load_disk *disk, struct load_checks *ret);

/* Words of a job that found wrong data, or more errors than it may; NULL: all is well. */
const char *load_failure(const struct load *load);

#endif
