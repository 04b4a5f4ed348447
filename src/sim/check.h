/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - what a read of a block may return: a register per block, over crashes.
 *
 * The workload tells when each write begins and ends and what each flush covers; a read is then
 * right if some order of all operations explains it (linearizability), where a power cut may
 * take back what was not flushed. Values are unique but for zeros (CHECK_ZEROS).
 *
 * C1. A value may be read if its write had begun, and no write that began after its end was
 *     seen to be there before the read began.
 * C2. An acked write is there from its end on, until the power goes; a durable one (FUA, or acked
 *     before a flush began that succeeded) for good.
 * C3. A write that failed, or was under way in a crash, may have happened or not; once a read has
 *     returned it, or a newer one, it stays so until the power goes.
 * C4. What a read returns after a power cut is on the medium: it stays for good.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "base/lang.h"

#define CHECK_ZEROS	   UINT64_C(0)
#define CHECK_VERSIONS_MAX 4096u /* of one block, that may still be read */

struct check;
struct mem;

/* All blocks hold zeros, for good. */
struct check *check_new(struct mem *mem, uint64_t blocks);
void check_free(struct check *check);

/* Returns the number of the write, for its end. */
uint64_t check_write_begin(struct check *check, uint64_t block, uint64_t value);

enum check_end {
	CHECK_ACKED,
	CHECK_DURABLE, /* acked with FUA */
	CHECK_FAILED,  /* an error: may have happened, will not happen later */
};
void check_write_end(struct check *check, uint64_t block, uint64_t write, enum check_end how);

uint64_t check_flush_begin(struct check *check);
/*
 * A failed flush helps nothing that was acked until its end, and no later one does. One that was
 * under way in a crash and may have failed is told as failed.
 */
void check_flush_end(struct check *check, uint64_t flush, bool ok);

/* Every read that began ends (a crash ends them all): what is superseded is kept for those under way. */
uint64_t check_read_begin(struct check *check);
void check_read_end(struct check *check);
/* May a read that began then return this now? */
bool check_may_read(struct check *check, uint64_t block, uint64_t read, uint64_t value);
/* It did (C3, C4). For a torn block: only of the oldest part. */
void check_saw(struct check *check, uint64_t block, uint64_t value);
/* When the write of a value began; 0: from the start, or there is none. */
uint64_t check_began(struct check *check, uint64_t block, uint64_t value);

/* The process is gone: writes under way may still happen until check_settled(). */
void check_crashed(struct check *check);
void check_settled(struct check *check);
/* The power is gone. */
void check_power_cut(struct check *check);
/* Whatever is not durable may be gone as with the power, but what is found then is not yet on the medium. */
void check_forgotten(struct check *check);
/* The same for what is not durable, but who asks lives on, and what is under way goes on. */
void check_cache_lost(struct check *check);
/* Whatever was promised for a block, forget it: some silent fault has hit it. */
void check_forgive(struct check *check, uint64_t block, uint64_t value);

/* Is a write of the value under way? What a read of it returns says nothing of later reads then, on most disks. */
bool check_is_under_way(struct check *check, uint64_t block, uint64_t value);

/* Had a write of the value ended before that read began? Else the read may have met it under way. */
bool check_has_ended(struct check *check, uint64_t block, uint64_t value, uint64_t read);

/* The different values it still knows of a block: all that some read may return, now or after a power cut. */
uint32_t check_values(struct check *check, uint64_t block, uint64_t *ret, uint32_t max);

/* The versions of a block as text; returns text. */
const char *check_explain(struct check *check, uint64_t block, char *text, size_t size);

/* ---- values one can recognize ------------------------------------------------------------------ */

/*
 *  OFFSET SIZE FIELD of each 512-byte sector of a block
 *       0    8 magic
 *       8    8 seed
 *      16    8 block number
 *      24    8 serial: the value
 *      32    4 sector within the block
 *      36    4 crc32c of the sector with this field zero
 *      40  472 filler made of the serial
 */
#define PATTERN_SECTOR 512u

enum pattern_kind {
	PATTERN_GOOD,
	PATTERN_ALL_ZEROS,
	PATTERN_ELSEWHERE, /* a good sector of another block or place */
	PATTERN_BAD,
};

void pattern_fill(void *block, uint32_t block_bytes, uint64_t seed, uint64_t number,
		  uint64_t serial);
/* One sector of a block; *ret_serial is set if GOOD (the serial) or ALL_ZEROS (CHECK_ZEROS). */
enum pattern_kind pattern_look(const void *sector_bytes, uint64_t seed, uint64_t number,
			       uint32_t sector, uint64_t *ret_serial);

#endif
