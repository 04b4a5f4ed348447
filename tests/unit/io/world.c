// SPDX-License-Identifier: Apache-2.0
/* world - see world.h. */
#include "world.h"

void world_init(struct world *w, const struct uring_opts *opts)
{
	struct err err = { 0 };

	mem_heap_init(&w->heap);
	strcpy(w->dir, "/tmp/test_io.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	int r = uring_open(&w->heap.mem, opts, &w->io, &err);
	if (r < 0)
		fail_msg("uring_open: %s", err_words(&err));
}

void world_fini(struct world *w)
{
	char command[100];

	io_close(w->io);
	assert_int_equal(w->heap.blocks, 0);
	mem_heap_fini(&w->heap);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0);
}

int world_open(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	world_init(w, NULL);
	*state = w;
	return 0;
}

int world_close(void **state)
{
	world_fini(*state);
	free(*state);
	return 0;
}

bool world_is_slow(void)
{
	return getenv("TEST_SLOW") != NULL;
}

void op_done(struct io_op *op)
{
	bool *done = op->owner;

	assert_false(*done); /* IO2 */
	*done = true;
}

void world_turn_until(struct world *w, const bool *flag)
{
	uint64_t deadline = io_now(w->io) + WORLD_PATIENCE_NS;

	while (!*flag) {
		io_turn(w->io, deadline);
		if (io_now(w->io) > deadline)
			fail_msg("nothing came");
	}
}

void world_turn_for(struct world *w, uint64_t ns)
{
	uint64_t until = io_now(w->io) + ns;

	while (io_now(w->io) < until)
		io_turn(w->io, until);
	/* on a busy machine the time may pass before the events are seen: until three turns bring none */
	for (int i = 0, idle = 0; i < 1000 && idle < 3; i++)
		idle = io_turn(w->io, until) ? 0 : idle + 1;
}

int64_t op_wait(struct world *w, struct io_op *op)
{
	bool done = false;

	op->done = op_done;
	op->owner = &done;
	io_submit(w->io, op);
	assert_false(done); /* IO3 */
	world_turn_until(w, &done);
	return op->res;
}

const char *world_path(struct world *w, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", w->dir, name);
	return path;
}

int world_try_file(struct world *w, const char *path, uint32_t flags, struct io_file **ret)
{
	struct io_op op;

	io_prep_open(&op, path, flags, 0600, ret, op_done);
	return (int)op_wait(w, &op);
}

struct io_file *world_file(struct world *w, const char *name, uint32_t flags)
{
	struct io_file *file;
	char path[128];
	int r = world_try_file(w, world_path(w, name, path), flags, &file);

	if (r < 0)
		fail_msg("open %s: %s", path, err_name(r));
	return file;
}

void world_file_close(struct world *w, struct io_file *file)
{
	struct io_op op;

	io_prep_close(&op, file, op_done);
	assert_int_equal(op_wait(w, &op), 0);
}

int64_t world_write(struct world *w, struct io_file *file, const void *buf, size_t len,
		    uint64_t off)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct io_op op;

	io_prep_rw(&op, IO_WRITE, file, &iov, 1, off, 0, op_done);
	return op_wait(w, &op);
}

int64_t world_read(struct world *w, struct io_file *file, void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { buf, len };
	struct io_op op;

	io_prep_rw(&op, IO_READ, file, &iov, 1, off, 0, op_done);
	return op_wait(w, &op);
}

int64_t world_unlink(struct world *w, const char *path)
{
	struct io_op op;

	io_prep_path(&op, IO_UNLINK, path, NULL, 0, op_done);
	return op_wait(w, &op);
}
