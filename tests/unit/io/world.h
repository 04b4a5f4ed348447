/* SPDX-License-Identifier: Apache-2.0 */
/* world - what the tests of io/ share: a ring on a counted heap, ops that are waited for, a directory. */
#ifndef TEST_IO_WORLD_H
#define TEST_IO_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "io/addr.h"
#include "io/uring.h"

#define WORLD_PATIENCE_NS UINT64_C(20000000000)

struct world {
	struct mem_heap heap;
	struct io *io;
	char dir[64];
};

/* cmocka set-up and tear-down: nothing may be left. */
int world_open(void **state);
int world_close(void **state);
void world_init(struct world *w, const struct uring_opts *opts);
void world_fini(struct world *w);

/* TEST_SLOW=1: times mean nothing here. */
bool world_is_slow(void);

/* Set *(bool *)op->owner. */
void op_done(struct io_op *op);
int64_t op_wait(struct world *w, struct io_op *op);
void world_turn_until(struct world *w, const bool *flag);
void world_turn_for(struct world *w, uint64_t ns);

/* "dir/name", in one of a few static-free slots of the caller. */
const char *world_path(struct world *w, const char *name, char path[128]);

int world_try_file(struct world *w, const char *path, uint32_t flags, struct io_file **ret);
struct io_file *world_file(struct world *w, const char *name, uint32_t flags);
void world_file_close(struct world *w, struct io_file *file);
int64_t world_write(struct world *w, struct io_file *file, const void *buf, size_t len,
		    uint64_t off);
int64_t world_read(struct world *w, struct io_file *file, void *buf, size_t len, uint64_t off);
int64_t world_unlink(struct world *w, const char *path);

#endif
