/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail_io - a struct io in which the nth piece of one-shot work fails.
 *
 * It puts itself between a backend and its user by an ops table of its own: submit() counts,
 * and what is to fail is completed from the next turn without reaching the backend.
 * io->ops leads back to it.
 */
#ifndef TESTS_FAIL_IO_H
#define TESTS_FAIL_IO_H

#include "io/io.h"

struct fail_io {
	struct io_ops ops;	   /* first */
	const struct io_ops *real; /* borrowed */
	uint64_t count;		   /* ops submitted so far (IO_CLOSE not counted: it cannot be helped) */
	uint64_t fail_at;	   /* this one fails; 0: none */
	uint32_t fail_codes;	   /* every op of these codes fails: 1 << IO_x */
	int status;		   /* with it; 0: -EIO */
	uint64_t failed;	   /* how many did */
	struct list doomed;	   /* io_op.link */
};

void fail_io_init(struct fail_io *fail, struct io *io);

#endif
