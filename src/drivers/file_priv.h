/* SPDX-License-Identifier: Apache-2.0 */
/* file_priv - a file as a disk: file.c uses it, file_open.c makes it. */
#ifndef DRIVERS_FILE_PRIV_H
#define DRIVERS_FILE_PRIV_H

#include "drivers/file.h"
#include "io/io.h"
#include "reactor/reactor.h"

struct file {
	struct bdev bdev;
	char *path;		/* owned */
	struct io_file *file;	/* owned; home's */
	struct reactor *home;	/* borrowed */
	struct io_stat stat;	/* at open */
	uint32_t open_flags;	/* without those of opening: read, write, direct */

	/* home only */
	struct io_op flush_op;
	struct list waiting;	/* FLUSH bios by their link: for the next IO_FSYNC */
	struct list served;	/* for the one in flight */
	bool flushing;
	bool flush_lost;	/* FI2 */
	bool removed;
};

struct file_req {
	struct io_op op;
	struct bio *bio;	/* borrowed until it completes */
	struct mail mail;
	int status;
};

/* Find, open, lock and measure what the URI names, and describe the disk. What was done before a failure stays. */
MUST_USE int file_open_uri(struct fiber *f, const struct uri *uri, struct file *file);

#endif
