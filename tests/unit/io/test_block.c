// SPDX-License-Identifier: Apache-2.0
/* Block devices: a loop device over a file. Needs root and the loop driver. */
#include "world.h"

#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#define DISK_BYTES (8u << 20)
#define RW	   (IO_OPEN_READ | IO_OPEN_WRITE)

struct disk {
	int fd;
	char path[32];
};

/* The mark outlives what the device is bound to. */
static void disk_set_read_only(struct disk *d, bool is_read_only)
{
	int on = is_read_only;

	assert_int_equal(ioctl(d->fd, BLKROSET, &on), 0);
}

/* A free one may be taken by somebody else before it is ours. */
static bool disk_bind(struct disk *d, int file)
{
	for (int tries = 0; tries < 100; tries++) {
		int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
		int n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);

		if (control >= 0)
			close(control);
		snprintf(d->path, sizeof(d->path), "/dev/loop%d", n);
		d->fd = n < 0 ? -1 : open(d->path, O_RDWR | O_CLOEXEC);
		if (d->fd < 0)
			return false;
		if (ioctl(d->fd, LOOP_SET_FD, file) == 0)
			return true;
		close(d->fd);
		usleep(1000);
	}
	return false;
}

/* False: there is no loop driver for us here; said. */
static bool disk_open(struct world *w, struct disk *d, uint32_t flags)
{
	struct loop_info64 info = { .lo_flags = flags };
	char path[128];
	int file = open(world_path(w, "disk", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, DISK_BYTES), 0);
	if (!disk_bind(d, file)) {
		close(file);
		print_message("skip: no loop device for us here\n");
		return false;
	}
	assert_int_equal(ioctl(d->fd, LOOP_SET_STATUS64, &info), 0);
	close(file);
	disk_set_read_only(d, flags & LO_FLAGS_READ_ONLY);
	return true;
}

static void disk_close(struct disk *d)
{
	disk_set_read_only(d, false);
	assert_int_equal(ioctl(d->fd, LOOP_CLR_FD, 0), 0);
	close(d->fd);
}

static void a_block_device_tells_its_limits(void **state)
{
	struct world *w = *state;
	struct io_stat by_path, by_file;
	struct io_file *file;
	struct io_op op;
	struct disk d;

	if (!disk_open(w, &d, 0))
		skip();
	io_prep_stat(&op, d.path, NULL, &by_path, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(world_try_file(w, d.path, RW, &file), 0);
	io_prep_stat(&op, NULL, file, &by_file, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	world_file_close(w, file);
	disk_close(&d);
	assert_int_equal(by_path.kind, IO_KIND_BLOCK);
	assert_int_equal(by_path.size_bytes, DISK_BYTES);
	assert_int_equal(by_file.size_bytes, DISK_BYTES);
	assert_int_equal(by_path.logical_block, 512);
	assert_true(by_path.physical_block >= 512 && by_path.max_io_bytes >= 4096);
	assert_true(by_path.mem_align >= 1 && by_path.mem_align <= 4096);
	assert_true(by_path.volatile_cache && !by_path.read_only);
	assert_true(by_path.discard_bytes > 0); /* the file beneath can punch holes */
	assert_true(by_path.dev == by_file.dev && by_path.dev != 0 && by_path.ino == 0);
}

static void direct_io_zeroes_and_discards(void **state)
{
	static const uint32_t flags[] = { 0, IO_KEEP_ALLOC };
	struct world *w = *state;
	struct io_file *file;
	struct io_op op;
	struct disk d;

	if (!disk_open(w, &d, 0))
		skip();
	assert_int_equal(world_try_file(w, d.path, RW | IO_OPEN_DIRECT, &file), 0);
	uint8_t *buf = io_buf_new(w->io, 1 << 20);
	for (int i = 0; i < 3; i++) {
		memset(buf, 0xbb, 1 << 20);
		assert_int_equal(world_write(w, file, buf, 1 << 20, 0), 1 << 20);
		if (i < 2)
			io_prep_file(&op, IO_ZERO, file, 8192, 65536, flags[i], op_done);
		else
			io_prep_file(&op, IO_DISCARD, file, 8192, 65536, 0, op_done);
		assert_int_equal(op_wait(w, &op), 0);
		assert_int_equal(world_read(w, file, buf, 1 << 20, 0), 1 << 20);
		assert_int_equal(buf[8191], 0xbb);
		assert_int_equal(buf[8192 + 65536], 0xbb);
		assert_true(i == 2 || (buf[8192] == 0 && buf[8191 + 65536] == 0));
	}
	io_prep_file(&op, IO_FSYNC, file, 0, 0, IO_DATASYNC, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_int_equal(world_read(w, file, buf, 4096, DISK_BYTES), 0);
	assert_int_equal(world_read(w, file, buf, 8192, DISK_BYTES - 4096), 4096);
	assert_int_equal(world_write(w, file, buf, 4096, DISK_BYTES), -ENOSPC);
	io_prep_file(&op, IO_TRUNCATE, file, 0, 0, 0, op_done);
	assert_int_equal(op_wait(w, &op), -EINVAL);
	io_prep_file(&op, IO_DISCARD, file, 100, 100, 0, op_done); /* not sectors */
	assert_int_equal(op_wait(w, &op), -EINVAL);
	io_buf_free(w->io, buf, 1 << 20);
	world_file_close(w, file);
	disk_close(&d);
}

static void an_exclusive_open_is_alone(void **state)
{
	struct world *w = *state;
	struct io_file *a, *b;
	struct disk d;

	if (!disk_open(w, &d, 0))
		skip();
	assert_int_equal(world_try_file(w, d.path, RW | IO_OPEN_EXCL, &a), 0);
	assert_int_equal(world_try_file(w, d.path, RW | IO_OPEN_EXCL, &b), -EBUSY);
	world_file_close(w, a);
	assert_int_equal(world_try_file(w, d.path, RW | IO_OPEN_EXCL | IO_OPEN_LOCK, &b), 0);
	assert_int_equal(world_try_file(w, d.path, RW | IO_OPEN_LOCK, &a), -EBUSY);
	world_file_close(w, b);
	disk_close(&d);
}

static void a_read_only_device_says_so(void **state)
{
	struct world *w = *state;
	struct io_file *file;
	struct io_stat st;
	struct io_op op;
	struct disk d;

	if (!disk_open(w, &d, LO_FLAGS_READ_ONLY))
		skip();
	io_prep_stat(&op, d.path, NULL, &st, op_done);
	assert_int_equal(op_wait(w, &op), 0);
	assert_true(st.read_only);
	int r = world_try_file(w, d.path, RW, &file);
	if (r == 0) { /* opened before it was read-only in the eyes of root: writes fail */
		assert_true(world_write(w, file, "x", 1, 0) < 0);
		world_file_close(w, file);
	} else {
		assert_true(r == -EACCES || r == -EROFS || r == -EPERM);
	}
	disk_close(&d);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
	const struct CMUnitTest tests[] = {
		T(a_block_device_tells_its_limits),
		T(direct_io_zeroes_and_discards),
		T(an_exclusive_open_is_alone),
		T(a_read_only_device_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
