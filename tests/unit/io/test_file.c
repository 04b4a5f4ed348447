// SPDX-License-Identifier: Apache-2.0
/* Files and directories: every op, good and bad; what the kernel cuts short is continued. */
#include "world.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define RW  (IO_OPEN_READ | IO_OPEN_WRITE)
#define NEW (RW | IO_OPEN_CREATE)

static void fill(uint8_t *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((i * 2654435761u + seed) >> 7);
}

static void what_is_written_is_read(void **state)
{
	struct world *w = *state;
	uint8_t out[10000], in[10000];
	struct io_file *file = world_file(w, "f", NEW);

	fill(out, sizeof(out), 1);
	assert_int_equal(world_write(w, file, out, sizeof(out), 3), sizeof(out));
	assert_int_equal(world_read(w, file, in, sizeof(in), 3), sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	world_file_close(w, file);
}

static void reads_are_short_only_at_the_end(void **state)
{
	struct world *w = *state;
	uint8_t buf[100] = { 1 };
	struct io_file *file = world_file(w, "f", NEW);

	assert_int_equal(world_write(w, file, buf, 60, 0), 60);
	assert_int_equal(world_read(w, file, buf, 100, 0), 60);
	assert_int_equal(world_read(w, file, buf, 100, 60), 0);
	assert_int_equal(world_read(w, file, buf, 100, 1000), 0);
	assert_int_equal(world_read(w, file, buf, 0, 0), 0);
	world_file_close(w, file);
}

static void vectors_are_gathered_and_scattered(void **state)
{
	struct world *w = *state;
	static uint8_t out[IO_IOV_MAX][7], in[IO_IOV_MAX * 7];
	static struct iovec iov[IO_IOV_MAX + 1];
	struct io_file *file = world_file(w, "f", NEW);
	struct io_op op;

	for (int i = 0; i < IO_IOV_MAX; i++) {
		fill(out[i], 7, (unsigned)i * 91);
		iov[i] = (struct iovec){ out[i], i % 5 ? 7 : 0 };
	}
	iov[IO_IOV_MAX] = iov[0];
	uint64_t total = 0;
	for (int i = 0; i < IO_IOV_MAX; i++)
		total += iov[i].iov_len;
	io_prep_rw(&op, IO_WRITE, file, iov, IO_IOV_MAX, 0, IO_DSYNC, op_done);
	assert_int_equal(op_wait(w, &op), total);
	memset(out, 0, sizeof(out));
	io_prep_rw(&op, IO_READ, file, iov, IO_IOV_MAX, 0, 0, op_done);
	assert_int_equal(op_wait(w, &op), total);
	assert_int_equal(world_read(w, file, in, sizeof(in), 0), total);
	uint8_t *at = in;
	for (int i = 0; i < IO_IOV_MAX; i++) {
		assert_memory_equal(at, out[i], iov[i].iov_len);
		at += iov[i].iov_len;
	}
	/* one more than the limit */
	io_prep_rw(&op, IO_READ, file, iov, IO_IOV_MAX + 1, 0, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	world_file_close(w, file);
}

static void bad_transfers_are_refused(void **state)
{
	struct world *w = *state;
	uint8_t byte = 0;
	struct io_file *file = world_file(w, "f", NEW);

	assert_int_equal(world_write(w, file, &byte, (size_t)IO_XFER_MAX + 1, 0), -EINVAL);
	assert_int_equal(world_write(w, file, &byte, 1, INT64_MAX), -EINVAL);
	assert_int_equal(world_read(w, file, &byte, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(world_read(w, file, NULL, 1, 0), 0); /* nothing there to fault on */
	assert_int_equal(world_write(w, file, &byte, 1, 0), 1);
	assert_int_equal(world_read(w, file, NULL, 1, 0), -EFAULT);
	world_file_close(w, file);
	file = world_file(w, "f", IO_OPEN_READ);
	assert_int_equal(world_write(w, file, &byte, 1, 0), -EBADF);
	world_file_close(w, file);
}

/* The kernel writes up to the limit first; the rest then is an error, and so is the whole. */
static void a_cut_write_is_continued_to_its_error(void **state)
{
	struct world *w = *state;
	struct rlimit before, limit;
	uint8_t buf[4096], in[4096];
	struct iovec iov[3] = { { buf, 1000 }, { buf + 1000, 1000 }, { buf + 2000, 2096 } };
	struct io_file *file = world_file(w, "f", NEW);
	struct io_op op;

	fill(buf, sizeof(buf), 5);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 1500;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	io_prep_rw(&op, IO_WRITE, file, iov, 3, 0, 0, op_done);
	int64_t res = op_wait(w, &op);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(res, -EFBIG);
	assert_int_equal(world_read(w, file, in, sizeof(in), 0), 1500);
	assert_memory_equal(in, buf, 1500);
	world_file_close(w, file);
}

/* A FIFO gives what it has: each read is cut short until the writer is gone. */
static void a_cut_read_is_continued(void **state)
{
	struct world *w = *state;
	uint8_t buf[40] = { 0 };
	struct iovec iov[3] = { { buf, 7 }, { buf + 7, 20 }, { buf + 27, 13 } };
	struct io_file *file;
	struct io_op op;
	bool done = false;
	char path[128];

	assert_int_equal(mkfifo(world_path(w, "fifo", path), 0600), 0);
	assert_int_equal(world_try_file(w, path, IO_OPEN_READ, &file), 0);
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	io_prep_rw(&op, IO_READ, file, iov, 3, 0, 0, op_done);
	op.owner = &done;
	io_submit(w->io, &op);
	for (int i = 0; i < 8; i++) {
		char five[5] = { 'a', 'b', 'c', 'd', (char)('0' + i) };

		world_turn_for(w, 2000000);
		assert_false(done);
		assert_int_equal(write(fd, five, 5), 5);
	}
	world_turn_until(w, &done);
	assert_int_equal(op.res, 40);
	for (int i = 0; i < 8; i++)
		assert_int_equal(buf[5 * i + 4], '0' + i);
	close(fd);
	world_file_close(w, file);
}

static void a_read_in_flight_can_be_cancelled(void **state)
{
	struct world *w = *state;
	uint8_t buf[8];
	struct iovec iov = { buf, sizeof(buf) };
	struct io_file *file;
	struct io_op op;
	bool done = false;
	char path[128];

	assert_int_equal(mkfifo(world_path(w, "fifo", path), 0600), 0);
	assert_int_equal(world_try_file(w, path, IO_OPEN_READ, &file), 0);
	int fd = open(path, O_WRONLY);
	io_prep_rw(&op, IO_READ, file, &iov, 1, 0, 0, op_done);
	op.owner = &done;
	io_submit(w->io, &op);
	world_turn_for(w, 1000000);
	io_cancel(w->io, &op);
	io_cancel(w->io, &op);
	world_turn_until(w, &done);
	assert_int_equal(op.res, -ECANCELED);
	io_cancel(w->io, &op); /* not in flight: nothing */

	/* with a part of it there */
	done = false;
	assert_int_equal(write(fd, "abc", 3), 3);
	io_submit(w->io, &op);
	world_turn_for(w, 1000000);
	io_cancel(w->io, &op);
	world_turn_until(w, &done);
	assert_int_equal(op.res, -ECANCELED);
	close(fd);
	world_file_close(w, file);
}

static void more_ops_than_the_ring_has_entries(void **state)
{
	enum { OPS = 1000 };
	static struct io_op ops[OPS];
	static bool done[OPS];
	static uint8_t buf[OPS][16];
	static struct iovec iov[OPS];
	struct uring_opts opts = { .entries = 8 };
	struct world w;

	world_init(&w, &opts);
	struct io_file *file = world_file(&w, "f", NEW);
	for (int i = 0; i < OPS; i++) {
		fill(buf[i], 16, (unsigned)i);
		iov[i] = (struct iovec){ buf[i], 16 };
		io_prep_rw(&ops[i], IO_WRITE, file, &iov[i], 1, (uint64_t)i * 16, 0, op_done);
		ops[i].owner = &done[i];
		io_submit(w.io, &ops[i]);
	}
	for (int i = 0; i < OPS; i++) {
		world_turn_until(&w, &done[i]);
		assert_int_equal(ops[i].res, 16);
	}
	static uint8_t in[OPS * 16];
	assert_int_equal(world_read(&w, file, in, sizeof(in), 0), sizeof(in));
	assert_memory_equal(in, buf, sizeof(in));
	world_file_close(&w, file);
	world_fini(&w);
	(void)state;
}

static void fsync_of_files_and_directories(void **state)
{
	struct world *w = *state;
	struct io_file *file = world_file(w, "f", NEW);
	struct io_file *dir = world_file(w, ".", IO_OPEN_DIR);
	struct io_op op;

	assert_int_equal(world_write(w, file, "x", 1, 0), 1);
	io_prep_file(&op, IO_FSYNC, file, 0, 0, 0, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	io_prep_file(&op, IO_FSYNC, file, 0, 0, IO_DATASYNC, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	io_prep_file(&op, IO_FSYNC, dir, 0, 0, 0, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	world_file_close(w, dir);
	world_file_close(w, file);
}

static bool is_zero(const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i])
			return false;
	return true;
}

/* In one kind of filesystem. */
static void zero_and_discard_in(struct world *w)
{
	static const uint32_t flags[] = { 0, IO_KEEP_ALLOC };
	static uint8_t buf[1 << 20], in[1 << 20];
	struct io_file *file = world_file(w, "f", NEW);
	struct io_op op;

	for (int i = 0; i < 2; i++) {
		memset(buf, 0xaa, sizeof(buf));
		assert_int_equal(world_write(w, file, buf, sizeof(buf), 0), sizeof(buf));
		io_prep_file(&op, IO_ZERO, file, 4096, 700000, flags[i], op_done);
		assert_int_equal(op_wait(w, &op), 0);
		assert_int_equal(world_read(w, file, in, sizeof(in), 0), sizeof(in));
		assert_memory_equal(in, buf, 4096);
		assert_true(is_zero(in + 4096, 700000));
		assert_memory_equal(in + 704096, buf + 704096, sizeof(buf) - 704096);
	}
	io_prep_file(&op, IO_DISCARD, file, 0, 1 << 16, 0, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(world_read(w, file, in, sizeof(in), 0), sizeof(in));
	assert_memory_equal(in + 704096, buf + 704096, sizeof(buf) - 704096);
	io_prep_file(&op, IO_ZERO, file, 0, 0, 0, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	io_prep_file(&op, IO_ZERO, file, INT64_MAX, 2, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	/* does not extend */
	io_prep_file(&op, IO_ZERO, file, sizeof(buf) - 10, 100, IO_KEEP_ALLOC, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	struct io_stat st;
	io_prep_stat(&op, NULL, file, &st, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(st.size_bytes, sizeof(buf));
	world_file_close(w, file);
	file = world_file(w, "f", IO_OPEN_READ);
	io_prep_file(&op, IO_ZERO, file, 0, 100, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EBADF);
	world_file_close(w, file);
}

static void zero_and_discard(void **state)
{
	struct world *w = *state;
	char dir[] = "/dev/shm/test_io.XXXXXX", own[sizeof(w->dir)], path[64];

	zero_and_discard_in(w);
	if (!mkdtemp(dir)) {
		print_message("skip: the second half, there is no /dev/shm\n");
		return;
	}
	memcpy(own, w->dir, sizeof(own));
	strcpy(w->dir, dir);
	zero_and_discard_in(w); /* tmpfs cannot zero a range: zeros are written */
	memcpy(w->dir, own, sizeof(own));
	snprintf(path, sizeof(path), "%s/f", dir);
	unlink(path);
	rmdir(dir);
}

static void truncate_sets_the_size(void **state)
{
	struct world *w = *state;
	struct io_file *file = world_file(w, "f", NEW);
	struct io_file *dir = world_file(w, ".", IO_OPEN_DIR);
	struct io_stat st;
	struct io_op op;

	io_prep_file(&op, IO_TRUNCATE, file, 0, 12345, 0, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	io_prep_stat(&op, NULL, file, &st, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(st.size_bytes, 12345);
	io_prep_file(&op, IO_TRUNCATE, file, 0, UINT64_MAX, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	io_prep_file(&op, IO_TRUNCATE, dir, 0, 0, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	world_file_close(w, dir);
	world_file_close(w, file);
}

static void open_flags_mean_what_they_say(void **state)
{
	struct world *w = *state;
	struct io_file *file = NULL, *untouched = NULL;
	char path[128];
	uint8_t buf[4];

	world_path(w, "f", path);
	assert_int_equal(world_try_file(w, path, RW, &untouched), -ENOENT);
	assert_null(untouched);
	file = world_file(w, "f", NEW | IO_OPEN_EXCL);
	assert_int_equal(world_write(w, file, "abc", 3, 0), 3);
	world_file_close(w, file);
	assert_int_equal(world_try_file(w, path, NEW | IO_OPEN_EXCL, &untouched), -EEXIST);
	file = world_file(w, "f", IO_OPEN_WRITE | IO_OPEN_TRUNC);
	assert_int_equal(world_read(w, file, buf, 4, 0), -EBADF);
	world_file_close(w, file);
	file = world_file(w, "f", IO_OPEN_READ);
	assert_int_equal(world_read(w, file, buf, 4, 0), 0);
	world_file_close(w, file);
	assert_int_equal(world_try_file(w, w->dir, IO_OPEN_READ, &untouched), -EISDIR);
	assert_int_equal(world_try_file(w, w->dir, RW, &untouched), -EISDIR);
	assert_int_equal(world_try_file(w, path, IO_OPEN_DIR, &untouched), -ENOTDIR);
	assert_int_equal(world_try_file(w, "", RW, &untouched), -EINVAL);
	assert_int_equal(world_try_file(w, NULL, RW, &untouched), -EINVAL);
	assert_null(untouched);
}

static void paths_longer_than_the_limit_are_refused(void **state)
{
	struct world *w = *state;
	static char path[IO_PATH_MAX + 1];
	struct io_file *file;
	struct io_op op;

	memset(path, 'a', IO_PATH_MAX);
	assert_int_equal(world_try_file(w, path, IO_OPEN_READ, &file), -EINVAL);
	io_prep_path(&op, IO_RENAME, w->dir, path, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	io_prep_stat(&op, path, NULL, NULL, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	io_prep_stat(&op, NULL, NULL, NULL, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	memset(path, '/', IO_PATH_MAX);
	path[IO_PATH_MAX - 1] = '\0'; /* the longest there is */
	io_prep_path(&op, IO_MKDIR, path, NULL, 0700, op_done);
	assert_int_equal(op_wait(w, &op), -EEXIST);
}

static void a_locked_file_is_busy(void **state)
{
	struct world *w = *state;
	struct io_file *a, *b;
	char path[128];
	uint8_t buf[4];

	a = world_file(w, "f", NEW | IO_OPEN_LOCK);
	assert_int_equal(world_write(w, a, "abc", 3, 0), 3);
	world_path(w, "f", path);
	assert_int_equal(world_try_file(w, path, RW | IO_OPEN_LOCK | IO_OPEN_TRUNC, &b), -EBUSY);
	assert_int_equal(world_try_file(w, path, IO_OPEN_READ | IO_OPEN_LOCK, &b), -EBUSY);
	assert_int_equal(world_read(w, a, buf, 4, 0), 3); /* not truncated */
	world_file_close(w, a);
	a = world_file(w, "f", IO_OPEN_READ | IO_OPEN_LOCK);
	b = world_file(w, "f", IO_OPEN_READ | IO_OPEN_LOCK);
	world_file_close(w, b);
	assert_int_equal(world_try_file(w, path, RW | IO_OPEN_LOCK, &b), -EBUSY);
	world_file_close(w, a);
	a = world_file(w, "f", RW | IO_OPEN_LOCK);
	world_file_close(w, a);
}

/* The second io is of the same process; that it has the same thread here is as good. */
static void a_shared_handle_is_the_same_file_and_holds_its_lock(void **state)
{
	struct world *w = *state, other;
	struct io_file *first, *second, *third;
	char path[128];
	uint8_t buf[4];
	struct io_op op = { 0 };

	world_init(&other, NULL);
	first = world_file(w, "f", NEW | IO_OPEN_LOCK);
	assert_int_equal(world_write(w, first, "abc", 3, 0), 3);
	world_path(w, "f", path);
	assert_int_equal(world_unlink(w, path), 0); /* the file, not its path */
	io_prep_share(&op, first, &second, op_done);
	assert_int_equal(op_wait(&other, &op), 0);
	assert_int_equal(world_read(&other, second, buf, 4, 0), 3);
	assert_int_equal(world_write(&other, second, "x", 1, 3), 1); /* with its rights */
	assert_int_equal(world_read(w, first, buf, 4, 0), 4);
	assert_memory_equal(buf, "abcx", 4);
	world_file_close(&other, second);
	world_file_close(w, first);

	for (int order = 0; order < 2; order++) { /* IO7: whoever is closed first */
		first = world_file(w, "f", NEW | IO_OPEN_LOCK);
		io_prep_share(&op, first, &second, op_done);
		assert_int_equal(op_wait(&other, &op), 0);
		io_prep_share(&op, second, &third, op_done);
		assert_int_equal(op_wait(w, &op), 0);
		world_file_close(w, third);
		if (order)
			world_file_close(w, first);
		else
			world_file_close(&other, second);
		assert_int_equal(world_try_file(w, path, RW | IO_OPEN_LOCK, &third), -EBUSY);
		if (order)
			world_file_close(&other, second);
		else
			world_file_close(w, first);
		third = world_file(w, "f", RW | IO_OPEN_LOCK);
		world_file_close(w, third);
	}
	io_prep_share(&op, NULL, &second, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	world_fini(&other);
}

static void direct_io_reads_to_an_odd_end(void **state)
{
	struct world *w = *state;
	struct io_file *file;
	char path[128];

	file = world_file(w, "f", NEW);
	uint8_t *buf = io_buf_new(w->io, 16384);
	memset(buf, 7, 16384);
	assert_int_equal(world_write(w, file, buf, 5000, 0), 5000);
	world_file_close(w, file);
	int r = world_try_file(w, world_path(w, "f", path), IO_OPEN_READ | IO_OPEN_DIRECT, &file);
	if (r == -EINVAL) {
		io_buf_free(w->io, buf, 16384);
		print_message("skip: /tmp refuses O_DIRECT\n");
		skip();
	}
	assert_int_equal(r, 0);
	assert_int_equal(world_read(w, file, buf, 16384, 0), 5000);
	assert_int_equal(world_read(w, file, buf, 4096, 0), 4096);
	assert_int_equal(world_read(w, file, buf, 8192, 8192), 0);
	world_file_close(w, file);
	io_buf_free(w->io, buf, 16384);
}

/* ---- stat, directories ------------------------------------------------------ */

static void stat_tells_what_a_thing_is(void **state)
{
	struct world *w = *state;
	struct io_stat st = { 0 }, st2 = { 0 };
	struct io_op op;
	char path[128];
	struct io_file *file = world_file(w, "f", NEW);

	assert_int_equal(world_write(w, file, "abc", 3, 0), 3);
	io_prep_stat(&op, NULL, file, &st, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	io_prep_stat(&op, world_path(w, "f", path), NULL, &st2, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(st.kind, IO_KIND_FILE);
	assert_int_equal(st.size_bytes, 3);
	assert_int_equal(st.mode & 0777, 0600);
	assert_true(st.logical_block >= 1 && is_pow2_u64(st.logical_block));
	assert_true(st.mem_align >= 1 && is_pow2_u64(st.mem_align));
	assert_true(st.volatile_cache && !st.read_only);
	assert_true(st.mtime_ns > UINT64_C(1600000000000000000));
	assert_true(st.dev == st2.dev && st.ino == st2.ino && st.size_bytes == st2.size_bytes);
	world_file_close(w, file);

	io_prep_stat(&op, w->dir, NULL, &st, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(st.kind, IO_KIND_DIR);
	io_prep_stat(&op, "/dev/null", NULL, &st, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(st.kind, IO_KIND_OTHER);
	io_prep_stat(&op, "/dev/shm", NULL, &st, op_done);
	(void)op_wait(w, &op);
	io_prep_stat(&op, world_path(w, "none", path), NULL, &st, op_done);
	assert_int_equal(op_wait(w, &op), -ENOENT);
}

struct names {
	char text[4096];
	int stop_after, count;
};

static int name_add(void *ctx, const char *name, enum io_kind kind)
{
	struct names *n = ctx;
	char one[64];

	snprintf(one, sizeof(one), "%s:%d ", name, kind);
	strcat(n->text, one);
	return ++n->count == n->stop_after ? -77 : 0;
}

static void list_is_in_order_of_names(void **state)
{
	struct world *w = *state;
	struct names n = { .stop_after = -1 };
	struct io_op op;
	char path[128];

	world_file_close(w, world_file(w, "b", NEW));
	world_file_close(w, world_file(w, "a", NEW));
	io_prep_path(&op, IO_MKDIR, world_path(w, "c", path), NULL, 0700, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(symlink("c", world_path(w, "d", path)), 0);
	assert_int_equal(symlink("nowhere", world_path(w, "e", path)), 0);
	assert_int_equal(mkfifo(world_path(w, "p", path), 0600), 0);
	io_prep_list(&op, w->dir, name_add, &n, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_string_equal(n.text, "a:1 b:1 c:2 d:2 e:4 p:4 ");

	n = (struct names){ .stop_after = 2 };
	assert_int_equal(op_wait(w, &op), -77);
	assert_string_equal(n.text, "a:1 b:1 ");
	io_prep_list(&op, world_path(w, "a", path), name_add, &n, op_done);
	assert_int_equal(op_wait(w, &op), -ENOTDIR);
}

static int name_count(void *ctx, const char *name, enum io_kind kind)
{
	struct names *n = ctx;

	n->count++;
	assert_true(strcmp(n->text, name) < 0);
	strcpy(n->text, name);
	assert_int_equal(kind, IO_KIND_FILE);
	return 0;
}

static void a_large_directory_is_listed_whole(void **state)
{
	struct world *w = *state;
	struct names n = { .stop_after = -1 };
	struct io_op op;
	char path[128], name[32];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%08x", (unsigned)i * 2654435761u);
		int fd = open(world_path(w, name, path), O_CREAT | O_WRONLY, 0600);
		assert_true(fd >= 0);
		close(fd);
	}
	io_prep_list(&op, w->dir, name_count, &n, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(n.count, 3000);
}

/* 4 MiB of names. */
static void a_directory_beyond_the_limit_is_refused(void **state)
{
	struct world *w = *state;
	struct io_op op;
	char dir[] = "/dev/shm/test_io.XXXXXX", name[256], path[300];
	int count = (4 << 20) / 250 + 10;

	if (!mkdtemp(dir)) {
		print_message("skip: no /dev/shm\n");
		skip();
	}
	memset(name, 'x', sizeof(name));
	for (int i = 0; i < count; i++) {
		snprintf(name + 240, 16, "%08d", i);
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		int fd = open(path, O_CREAT | O_WRONLY, 0600);
		assert_true(fd >= 0);
		close(fd);
	}
	io_prep_list(&op, dir, name_count, NULL, op_done);
	assert_int_equal(op_wait(w, &op), -E2BIG);
	snprintf(path, sizeof(path), "rm -rf %s", dir);
	assert_int_equal(system(path), 0);
}

static void rename_unlink_mkdir(void **state)
{
	struct world *w = *state;
	struct io_op op;
	char a[128], b[128], d[128];

	world_file_close(w, world_file(w, "a", NEW));
	world_file_close(w, world_file(w, "b", NEW));
	world_path(w, "a", a);
	world_path(w, "b", b);
	world_path(w, "d", d);
	io_prep_path(&op, IO_RENAME, a, b, 0, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(op_wait(w, &op), -ENOENT);
	io_prep_path(&op, IO_MKDIR, d, NULL, 0700, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(op_wait(w, &op), -EEXIST);
	io_prep_path(&op, IO_RENAME, b, d, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EISDIR);
	assert_int_equal(world_unlink(w, b), 0);
	assert_int_equal(world_unlink(w, b), -ENOENT);
	world_file_close(w, world_file(w, "d/x", NEW));
	assert_int_equal(world_unlink(w, d), -ENOTEMPTY);
	strcat(d, "/x");
	assert_int_equal(world_unlink(w, d), 0);
	assert_int_equal(world_unlink(w, world_path(w, "d", d)), 0);
}

/* ---- buffers ---------------------------------------------------------------- */

static void buffers_are_aligned_apart_and_reused(void **state)
{
	enum { COUNT = 300, LEN = 100000 };
	struct world *w = *state;
	static uint8_t *buf[COUNT];

	for (int i = 0; i < COUNT; i++) { /* 30 MB: more than the region */
		buf[i] = io_buf_new(w->io, LEN);
		assert_non_null(buf[i]);
		assert_int_equal((uintptr_t)buf[i] % 4096, 0);
		memset(buf[i], i, LEN);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(buf[i][0], (uint8_t)i);
		assert_int_equal(buf[i][LEN - 1], (uint8_t)i);
	}
	uint8_t *first = buf[0];
	io_buf_free(w->io, buf[0], LEN);
	buf[0] = io_buf_new(w->io, LEN);
	assert_ptr_equal(buf[0], first);
	for (int i = 0; i < COUNT; i++)
		io_buf_free(w->io, buf[i], LEN);
	io_buf_free(w->io, NULL, 0);
	void *odd[2] = { io_buf_new(w->io, 0), io_buf_new(w->io, 5 << 20) };
	io_buf_free(w->io, odd[0], 0);
	io_buf_free(w->io, odd[1], 5 << 20);
}

static void io_works_from_registered_and_other_memory(void **state)
{
	struct world *w = *state;
	struct io_file *file = world_file(w, "f", NEW);
	uint8_t plain[8192];
	uint8_t *buf = io_buf_new(w->io, 65536);
	struct iovec iov[2] = { { buf, 4096 }, { plain, 4096 } };
	struct io_op op;

	fill(buf, 65536, 9);
	assert_int_equal(world_write(w, file, buf + 100, 60000, 0), 60000);
	memset(plain, 0, sizeof(plain));
	assert_int_equal(world_read(w, file, plain, 8192, 50000), 8192);
	assert_memory_equal(plain, buf + 50100, 8192);
	io_prep_rw(&op, IO_READ, file, iov, 2, 4096, 0, op_done);
	memset(buf, 0, 4096);
	assert_int_equal(op_wait(w, &op), 8192);
	assert_memory_equal(plain, buf + 8192 + 100, 4096);
	io_buf_free(w->io, buf, 65536);
	world_file_close(w, file);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
	const struct CMUnitTest tests[] = {
		T(what_is_written_is_read),
		T(reads_are_short_only_at_the_end),
		T(vectors_are_gathered_and_scattered),
		T(bad_transfers_are_refused),
		T(a_cut_write_is_continued_to_its_error),
		T(a_cut_read_is_continued),
		T(a_read_in_flight_can_be_cancelled),
		cmocka_unit_test(more_ops_than_the_ring_has_entries),
		T(fsync_of_files_and_directories),
		T(zero_and_discard),
		T(truncate_sets_the_size),
		T(open_flags_mean_what_they_say),
		T(paths_longer_than_the_limit_are_refused),
		T(a_locked_file_is_busy),
		T(a_shared_handle_is_the_same_file_and_holds_its_lock),
		T(direct_io_reads_to_an_odd_end),
		T(stat_tells_what_a_thing_is),
		T(list_is_in_order_of_names),
		T(a_large_directory_is_listed_whole),
		T(a_directory_beyond_the_limit_is_refused),
		T(rename_unlink_mkdir),
		T(buffers_are_aligned_apart_and_reused),
		T(io_works_from_registered_and_other_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
