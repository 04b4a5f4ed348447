/* SPDX-License-Identifier: Apache-2.0 */
/* bare - see bare.h. */
#include "unit/sim/bare.h"

#include <errno.h>
#include <string.h>

void bare_start(struct bare *b, uint64_t seed)
{
	memset(b, 0, sizeof(*b));
	mem_heap_init(&b->heap);
	b->sim = sim_new(&(struct sim_opts){ .seed = seed, .mem = &b->heap.mem });
	b->host = sim_host_add(b->sim, "a");
	b->proc = bare_proc(b->host);
	b->io = sim_proc_io(b->proc, 0);
}

void bare_stop(struct bare *b)
{
	if (sim_failed(b->sim))
		fail_msg("%s", sim_words(b->sim));
	sim_free(b->sim);
	mem_heap_fini(&b->heap);
}

struct sim_proc *bare_proc(struct sim_host *host)
{
	return sim_proc_add(host, &(struct sim_proc_opts){ .name = "bare", .bare = true });
}

void bare_mark(struct io_op *op)
{
	if (op->owner)
		*(bool *)op->owner = true;
}

static bool bare_is_set(void *ctx)
{
	return *(bool *)ctx;
}

int64_t bare_do(struct bare *b, struct io *io, struct io_op *op)
{
	bool done = false;

	op->done = bare_mark;
	op->owner = &done;
	io_submit(io, op);
	assert_false(done); /* IO3 */
	if (!sim_run_until(b->sim, bare_is_set, &done, 600 * SIM_S))
		return -ETIME;
	return op->res;
}

int bare_open_error(struct bare *b, const char *path, uint32_t flags)
{
	struct io_op op = { 0 };
	struct io_file *file;

	io_prep_open(&op, path, flags, 0644, &file, NULL);
	return (int)bare_do(b, b->io, &op);
}

struct io_file *bare_open(struct bare *b, const char *path, uint32_t flags)
{
	struct io_op op = { 0 };
	struct io_file *file = NULL;

	io_prep_open(&op, path, flags, 0644, &file, NULL);
	assert_int_equal(bare_do(b, b->io, &op), 0);
	return file;
}

void bare_close(struct bare *b, struct io_file *file)
{
	struct io_op op = { 0 };

	io_prep_close(&op, file, NULL);
	assert_int_equal(bare_do(b, b->io, &op), 0);
}

int64_t bare_write(struct bare *b, struct io_file *file, const void *buf, size_t len, uint64_t off,
		   uint32_t flags)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct io_op op = { 0 };

	io_prep_rw(&op, IO_WRITE, file, &iov, 1, off, flags, NULL);
	return bare_do(b, b->io, &op);
}

int64_t bare_read(struct bare *b, struct io_file *file, void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { buf, len };
	struct io_op op = { 0 };

	io_prep_rw(&op, IO_READ, file, &iov, 1, off, 0, NULL);
	return bare_do(b, b->io, &op);
}

int64_t bare_sync(struct bare *b, struct io_file *file)
{
	struct io_op op = { 0 };

	io_prep_file(&op, IO_FSYNC, file, 0, 0, 0, NULL);
	return bare_do(b, b->io, &op);
}

int64_t bare_range(struct bare *b, enum io_code code, struct io_file *file, uint64_t off,
		   uint64_t len)
{
	struct io_op op = { 0 };

	io_prep_file(&op, code, file, off, len, 0, NULL);
	return bare_do(b, b->io, &op);
}

int64_t bare_path(struct bare *b, enum io_code code, const char *path, const char *path2)
{
	struct io_op op = { 0 };

	io_prep_path(&op, code, path, path2, 0755, NULL);
	return bare_do(b, b->io, &op);
}

int64_t bare_sync_dir(struct bare *b, const char *path)
{
	struct io_file *dir = bare_open(b, path, IO_OPEN_READ | IO_OPEN_DIR);
	int64_t res = bare_sync(b, dir);

	bare_close(b, dir);
	return res;
}

bool bare_exists(struct bare *b, const char *path)
{
	struct io_stat stat;
	struct io_op op = { 0 };

	io_prep_stat(&op, path, NULL, &stat, NULL);
	int64_t res = bare_do(b, b->io, &op);
	assert_true(res == 0 || res == -ENOENT);
	return res == 0;
}

void bare_reboot(struct bare *b)
{
	sim_host_power_cut(b->host);
	sim_run_for(b->sim, SIM_S);
	sim_host_power_on(b->host);
	sim_proc_start(b->proc);
	b->io = sim_proc_io(b->proc, 0);
}
