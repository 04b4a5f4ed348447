/* SPDX-License-Identifier: Apache-2.0 */
/* bare - a world with bare processes, and one-line calls of io.h that run it until they are done. */
#ifndef UNIT_SIM_BARE_H
#define UNIT_SIM_BARE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "sim/sim.h"

struct bare {
	struct mem_heap heap;
	struct sim *sim;
	struct sim_host *host;
	struct sim_proc *proc;
	struct io *io;
};

void bare_start(struct bare *b, uint64_t seed);
void bare_stop(struct bare *b); /* nothing may be left in the heap */
struct sim_proc *bare_proc(struct sim_host *host);

/* A `done`: sets the bool that op->owner points to, if any. */
void bare_mark(struct io_op *op);

/* Submits and runs the world until it is done; -ETIME: not within ten minutes. */
int64_t bare_do(struct bare *b, struct io *io, struct io_op *op);

struct io_file *bare_open(struct bare *b, const char *path, uint32_t flags);
int bare_open_error(struct bare *b, const char *path, uint32_t flags);
void bare_close(struct bare *b, struct io_file *file);
int64_t bare_write(struct bare *b, struct io_file *file, const void *buf, size_t len, uint64_t off,
		   uint32_t flags);
int64_t bare_read(struct bare *b, struct io_file *file, void *buf, size_t len, uint64_t off);
int64_t bare_sync(struct bare *b, struct io_file *file);
int64_t bare_range(struct bare *b, enum io_code code, struct io_file *file, uint64_t off,
		   uint64_t len);
int64_t bare_path(struct bare *b, enum io_code code, const char *path, const char *path2);
int64_t bare_sync_dir(struct bare *b, const char *path);
bool bare_exists(struct bare *b, const char *path);

/* Power off and on again, and a new process. */
void bare_reboot(struct bare *b);

#endif
