/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig - a node for tests: reactors on io_uring, the product's drivers, a directory of its own.
 *
 * A test's body is a fiber of reactor 0. rig_run() fails the test if anything is left:
 * memory, file descriptors, open disks.
 */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bdev/bdev.h"
#include "bdev/bdev_driver.h"
#include "bdev/status.h"
#include "fail_io.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define RIG_REACTORS_MAX 4

struct rig {
	struct mem_heap heap;
	struct bdev_env env;
	struct fail_io fail[RIG_REACTORS_MAX]; /* of each reactor's io */
	struct log log;
	pthread_mutex_t log_lock;
	char log_text[8192]; /* what was logged so far */
	char dir[128];	     /* a directory for files, on a disk if there is one */
	unsigned reactors;
	void (*body)(struct fiber *f, struct rig *rig);
	void *arg;
};

/* Run body on a new node of so many reactors. */
void rig_run(unsigned reactors, void (*body)(struct fiber *f, struct rig *rig), void *arg);

/* Open, or fail the test with the words. */
struct bdev *rig_open(struct fiber *f, const char *uri);
struct bdev_chan *rig_chan(struct fiber *f, struct bdev *bdev);

/* It must not open: with this code, and words that hold `part`. */
void rig_refused(struct fiber *f, const char *uri, int code, const char *part);

/* A path in rig->dir, and a file of so many bytes there. */
const char *rig_path(struct rig *rig, const char *name, char *text, size_t size);
void rig_file(struct rig *rig, const char *name, uint64_t size);

/* Fill with bytes that follow from seed. */
void rig_fill(void *buf, size_t len, uint64_t seed);

/* Several bios at a time: new, bio_prep() with rig_bio_done, submit each, wait for all. */
struct rig_wait {
	struct fiber *fiber;
	unsigned pending;
	bool waits;
};

struct bio *rig_bio_new(struct rig_wait *wait, struct bdev *bdev); /* of memory full of rubbish */
void rig_bio_free(struct bio *bio);
void rig_bio_done(struct bio *bio);
void rig_bio_submit(struct bio *bio);
void rig_bios_wait(struct fiber *f, struct rig_wait *wait);

/*
 * Random reads, writes, zeroes, unmaps and flushes, several at a time, odd iovecs and
 * addresses, against an array of bytes.
 */
void rig_integrity(struct fiber *f, struct rig *rig, const char *uri, unsigned rounds,
		   uint64_t seed);

/* A test of one body on one reactor. */
#define RIG_TEST(name)                                                                             \
	static void name##_body(struct fiber *f, struct rig *rig);                                 \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		rig_run(1, name##_body, NULL);                                                     \
	}                                                                                          \
	static void name##_body(struct fiber *f, struct rig *rig)

#endif
