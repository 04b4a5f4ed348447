// SPDX-License-Identifier: Apache-2.0
/* file - a regular file or a block device. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/file.h"
#include "rig.h"

/* "file://DIR/name" and whatever follows. */
static const char *file_uri(struct rig *rig, const char *name, const char *query, char text[512])
{
	snprintf(text, 512, "file://%s/%s%s", rig->dir, name, query);
	return text;
}

RIG_TEST(what_is_written_is_read)
{
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	rig_integrity(f, rig, file_uri(rig, "a", "", uri), 200, 1);
	rig_integrity(f, rig, file_uri(rig, "a", "?blk_size=4096&direct=off", uri), 200, 2);
	rig_integrity(f, rig, file_uri(rig, "a", "?fua=flush&direct=on", uri), 200, 3);
}

RIG_TEST(the_bytes_are_those_of_the_file)
{
	char uri[512], path[256];
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[4096], back[4096];
	int fd;

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	rig_fill(buf, sizeof(buf), 5);
	assert_int_equal(bdev_write(f, chan, 8, 8, buf, BIO_FUA), 0);
	fd = open(rig_path(rig, "a", path, sizeof(path)), O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, back, sizeof(back), 4096), sizeof(back));
	assert_memory_equal(buf, back, sizeof(buf));
	close(fd);
	assert_true(bdev->volatile_cache);
	assert_false(bdev->read_only);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(unmap_gives_space_back_and_reads_as_zeros)
{
	char uri[512], path[256];
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct stat before, after;
	uint8_t *buf = calloc(1, 1 << 20);

	rig_file(rig, "a", 1 << 20);
	rig_path(rig, "a", path, sizeof(path));
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	rig_fill(buf, 1 << 20, 1);
	assert_int_equal(bdev_write(f, chan, 0, bdev->blocks, buf, BIO_FUA), 0);
	stat(path, &before);
	if (bdev->can_unmap) {
		assert_int_equal(bdev_unmap(f, chan, 0, bdev->blocks), 0);
		stat(path, &after);
		assert_true(after.st_blocks < before.st_blocks);
		assert_int_equal(bdev_read(f, chan, 0, bdev->blocks, buf), 0);
		for (unsigned i = 0; i < 1 << 20; i++)
			assert_int_equal(buf[i], 0);
		assert_int_equal(bdev_zeroes(f, chan, 0, bdev->blocks, BIO_KEEP | BIO_FUA), 0);
		stat(path, &before);
		assert_true(before.st_blocks >= after.st_blocks);
	}
	free(buf);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(aliases_are_the_same_disk)
{
	static const char *const schemes[] = {"aio", "uring", "bdev"};
	struct bdev *bdev, *other;
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	for (unsigned i = 0; i < ARRAY_LEN(schemes); i++) {
		snprintf(uri, sizeof(uri), "%s://%s/a", schemes[i], rig->dir);
		other = rig_open(f, uri);
		assert_ptr_equal(bdev, other);
		bdev_close(f, other);
	}
	bdev_close(f, bdev);
}

RIG_TEST(a_size_creates_and_extends_and_never_shrinks)
{
	char uri[512], path[256];
	struct bdev *bdev;
	struct stat st;

	rig_path(rig, "new", path, sizeof(path));
	bdev = rig_open(f, file_uri(rig, "new", "?size=1m", uri));
	assert_int_equal(bdev->blocks, 2048);
	bdev_close(f, bdev);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_int_equal(st.st_mode & 0777, 0600);
	bdev = rig_open(f, file_uri(rig, "new", "?size=3m", uri));
	assert_int_equal(bdev->blocks, 3 * 2048);
	bdev_close(f, bdev);
	bdev = rig_open(f, file_uri(rig, "new", "?size=1m", uri));
	assert_int_equal(bdev->blocks, 3 * 2048);
	bdev_close(f, bdev);
}

RIG_TEST(two_opens_of_one_file_exclude_each_other)
{
	struct bdev *bdev;
	char uri[512], path[256], other[256];

	rig_file(rig, "a", 1 << 20);
	assert_int_equal(symlink(rig_path(rig, "a", path, sizeof(path)),
				 rig_path(rig, "link", other, sizeof(other))), 0);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	rig_refused(f, file_uri(rig, "link", "", uri), -EBUSY, "link");
	bdev_close(f, bdev);
	bdev = rig_open(f, file_uri(rig, "link", "", uri));
	bdev_close(f, bdev);
}

RIG_TEST(a_read_only_disk_refuses_writes)
{
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[512] = {0};
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "?read_only=yes", uri));
	chan = rig_chan(f, bdev);
	assert_true(bdev->read_only);
	assert_int_equal(bdev_read(f, chan, 0, 1, buf), 0);
	assert_int_equal(bdev_write(f, chan, 0, 1, buf, 0), -EROFS);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(a_rescan_sees_growth_through_a_stack)
{
	struct bdev *bdev;
	char uri[600], path[256];

	rig_file(rig, "a", 1 << 20);
	snprintf(uri, sizeof(uri), "concat:///c?on=malloc%%3A///m?num_blocks=8&on=part:///p?"
		 "offset_blocks=8&on=delay:///d?on=fault:///f?on=rate:///r?iops=1000000&on=file://%s/a",
		 rig->dir);
	bdev = rig_open(f, uri);
	assert_int_equal(bdev->blocks, 2048);
	assert_int_equal(truncate(rig_path(rig, "a", path, sizeof(path)), 2 << 20), 0);
	assert_int_equal(bdev_rescan(f, bdev), 0);
	assert_int_equal(bdev->blocks, 4096);
	assert_int_equal(truncate(path, 1 << 20), 0);
	assert_int_equal(bdev_rescan(f, bdev), -EINVAL);
	assert_non_null(strstr(fiber_words(f), "shrank"));
	fiber_clear(f);
	bdev_close(f, bdev);
}

struct file_watch {
	struct bdev_watch watch;
	unsigned resized, removed;
};

static void file_told(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	struct file_watch *w = container_of(watch, struct file_watch, watch);

	(void)bdev;
	w->resized += event == BDEV_RESIZED;
	w->removed += event == BDEV_REMOVED;
}

RIG_TEST(growth_below_climbs_up_by_itself)
{
	struct file_watch watch = {.watch.fn = file_told};
	struct bdev *bdev, *below;
	char uri[600], path[256];

	rig_file(rig, "a", 1 << 20);
	snprintf(uri, sizeof(uri), "part:///p?on=delay:///d?on=file://%s/a", rig->dir);
	bdev = rig_open(f, uri);
	assert_int_equal(bdev_watch_add(f, bdev, &watch.watch), 0);
	snprintf(uri, sizeof(uri), "file://%s/a", rig->dir);
	assert_int_equal(bdev_find(f, uri, &below), 0);
	assert_int_equal(truncate(rig_path(rig, "a", path, sizeof(path)), 3 << 20), 0);
	assert_int_equal(bdev_rescan(f, below), 0);
	for (unsigned i = 0; i < 1000 && watch.resized == 0; i++)
		fiber_yield(f);
	assert_int_equal(watch.resized, 1);
	assert_int_equal(bdev->blocks, 3 * 2048);
	bdev_watch_del(f, &watch.watch);
	bdev_close(f, below);
	bdev_close(f, bdev);
}

RIG_TEST(removal_below_climbs_up)
{
	struct file_watch watch = {.watch.fn = file_told};
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[512];
	char uri[600];

	rig_file(rig, "a", 1 << 20);
	snprintf(uri, sizeof(uri), "part:///p?on=concat:///c?on=delay:///d?on=file://%s/a", rig->dir);
	bdev = rig_open(f, uri);
	chan = rig_chan(f, bdev);
	assert_int_equal(bdev_watch_add(f, bdev, &watch.watch), 0);
	rig->fail[0].status = -ENODEV;
	rig->fail[0].fail_codes = 1u << IO_READ;
	assert_int_equal(bdev_read(f, chan, 0, 1, buf), -ENODEV);
	rig->fail[0].fail_codes = 0;
	for (unsigned i = 0; i < 1000 && watch.removed == 0; i++)
		fiber_yield(f);
	assert_int_equal(watch.removed, 1);
	assert_int_equal(bdev_read(f, chan, 0, 1, buf), -ENODEV);
	fiber_clear(f);
	bdev_watch_del(f, &watch.watch);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(after_a_failed_flush_none_succeeds_until_reopened)
{
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[512] = {0};
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(bdev_flush(f, chan), 0);
	rig->fail[0].fail_codes = 1u << IO_FSYNC;
	assert_int_equal(bdev_flush(f, chan), -EIO);
	rig->fail[0].fail_codes = 0;
	assert_int_equal(bdev_flush(f, chan), -EIO);
	assert_int_equal(bdev_write(f, chan, 0, 1, buf, 0), 0);
	assert_int_equal(bdev_flush(f, chan), -EIO);
	assert_int_equal(bdev_read(f, chan, 0, 1, buf), 0);
	assert_non_null(strstr(rig->log_text, "a flush failed"));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	fiber_clear(f);

	bdev = rig_open(f, uri);
	chan = rig_chan(f, bdev);
	assert_int_equal(bdev_flush(f, chan), 0);
	/* A FUA write contains a flush. */
	rig->fail[0].fail_codes = 1u << IO_WRITE;
	assert_int_equal(bdev_write(f, chan, 0, 1, buf, BIO_FUA), -EIO);
	rig->fail[0].fail_codes = 0;
	assert_int_equal(bdev_flush(f, chan), -EIO);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(a_failed_write_that_asked_for_no_flush_loses_none)
{
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[512] = {0};
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	rig->fail[0].fail_codes = 1u << IO_WRITE;
	assert_int_equal(bdev_write(f, chan, 0, 1, buf, 0), -EIO);
	rig->fail[0].fail_codes = 0;
	assert_int_equal(bdev_flush(f, chan), 0);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(errors_of_the_kernel_become_those_of_a_disk)
{
	static const int pairs[][2] = {
		{-EIO, -EIO}, {-EDQUOT, -ENOSPC}, {-EFBIG, -ENOSPC}, {-ENOSPC, -ENOSPC},
		{-EPERM, -EROFS}, {-EROFS, -EROFS}, {-ENODATA, -ENODATA}, {-ETIMEDOUT, -ETIMEDOUT},
		{-EREMOTEIO, -EIO}, {-EILSEQ, -EIO}, {-ESTALE, -EIO}, {-EINVAL, -EIO},
		{-ENXIO, -ENODEV}, /* the last: the disk is gone */
	};
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[512] = {0};
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	for (unsigned i = 0; i < ARRAY_LEN(pairs); i++) {
		rig->fail[0].status = pairs[i][0];
		rig->fail[0].fail_codes = 1u << IO_WRITE | 1u << IO_ZERO;
		assert_int_equal(bdev_write(f, chan, 0, 1, buf, 0), pairs[i][1]);
		assert_int_equal(bdev_zeroes(f, chan, 0, 1, 0), pairs[i][1]);
		rig->fail[0].fail_codes = 0;
	}
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(a_flush_that_finds_no_device_removes_the_disk)
{
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[512];
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	rig->fail[0].status = -ENODEV;
	rig->fail[0].fail_codes = 1u << IO_FSYNC;
	assert_int_equal(bdev_flush(f, chan), -ENODEV);
	rig->fail[0].fail_codes = 0;
	assert_int_equal(bdev_read(f, chan, 0, 1, buf), -ENODEV);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(flushes_that_come_together_share_an_fsync)
{
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct rig_wait wait = {0};
	struct bio *bios[32];
	uint64_t before;
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	before = rig->fail[0].count;
	for (unsigned i = 0; i < 32; i++) {
		bios[i] = rig_bio_new(&wait, bdev);
		bio_prep(bios[i], chan, BIO_FLUSH, 0, 0, NULL, 0, rig_bio_done);
		rig_bio_submit(bios[i]);
	}
	rig_bios_wait(f, &wait);
	assert_int_equal(rig->fail[0].count - before, 2);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(bios[i]->status, 0);
		rig_bio_free(bios[i]);
	}
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(channels_have_the_file_that_was_opened_whatever_its_path_became)
{
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[4096];
	char uri[512], a[256], b[256];

	rig_file(rig, "a", 1 << 20);
	rig_file(rig, "b", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	assert_int_equal(rename(rig_path(rig, "b", b, sizeof(b)), rig_path(rig, "a", a, sizeof(a))), 0);
	chan = rig_chan(f, bdev); /* FI3 */
	memset(buf, 7, sizeof(buf));
	assert_int_equal(bdev_write(f, chan, 0, 8, buf, 0), 0);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(bdev_read(f, chan, 0, 8, buf), 0);
	assert_int_equal(buf[0], 0); /* the other one, not written to */
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(a_file_that_shrank_fails_with_eio)
{
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[4096];
	char uri[512], path[256];

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(truncate(rig_path(rig, "a", path, sizeof(path)), 4096), 0);
	assert_int_equal(bdev_read(f, chan, 0, 8, buf), 0);
	assert_int_equal(bdev_read(f, chan, 8, 8, buf), -EIO);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

/* ---- other places ------------------------------------------------------------------ */

static void file_place_body(struct fiber *f, struct rig *rig)
{
	char uri[128];

	snprintf(uri, sizeof(uri), "file://%s", (const char *)rig->arg);
	rig_integrity(f, rig, uri, 100, 4);
}

static void tmpfs_works_too(void **state)
{
	char path[] = "/dev/shm/rig.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0) {
		print_message("skip: no tmpfs at /dev/shm\n");
		skip();
	}
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	rig_run(1, file_place_body, path);
	unlink(path);
}

/* Run a command; its first line without the newline. */
static bool file_shell(const char *command, char line[64])
{
	FILE *pipe = popen(command, "r");
	bool good;

	line[0] = '\0';
	good = pipe && fgets(line, 64, pipe);
	line[strcspn(line, "\n")] = '\0';
	return pipe && pclose(pipe) == 0 && good;
}

static void file_loop_body(struct fiber *f, struct rig *rig)
{
	const char *dev = rig->arg;
	struct bdev *bdev;
	struct bdev_chan *chan;
	char uri[128], line[64], command[160];
	int fd;

	snprintf(uri, sizeof(uri), "bdev://%s", dev);
	rig_integrity(f, rig, uri, 100, 5);
	snprintf(uri, sizeof(uri), "file://%s?size=1m", dev);
	rig_refused(f, uri, -EINVAL, "is a block device; parameter 'size'");
	snprintf(uri, sizeof(uri), "bdev://%s", dev);
	bdev = rig_open(f, uri);
	assert_int_equal(bdev->blocks, 2048);
	assert_true(bdev->can_zeroes);
	chan = rig_chan(f, bdev);
	if (bdev->can_unmap)
		assert_int_equal(bdev_unmap(f, chan, 0, bdev->blocks), 0);
	assert_int_equal(bdev_zeroes(f, chan, 0, bdev->blocks, BIO_FUA), 0);
	assert_int_equal(bdev_zeroes(f, chan, 0, 8, BIO_FAST), -ENOTSUP);
	assert_int_equal(bdev_flush(f, chan), 0);
	fd = open(dev, O_RDWR | O_EXCL | O_CLOEXEC);
	assert_true(fd < 0 && errno == EBUSY); /* it is ours */
	/* The disk beneath grows. */
	snprintf(command, sizeof(command), "truncate -s 2M /var/tmp/rig.loop && losetup -c %s && echo", dev);
	assert_true(file_shell(command, line));
	assert_int_equal(bdev_rescan(f, bdev), 0);
	assert_int_equal(bdev->blocks, 4096);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void block_devices_work_too(void **state)
{
	char dev[64], command[96], line[64];

	(void)state;
	if (!file_shell("truncate -s 1M /var/tmp/rig.loop && losetup -f --show /var/tmp/rig.loop 2>&1",
			dev) || strncmp(dev, "/dev/loop", 9) != 0) {
		print_message("skip: no loop device to be had (%s)\n", dev);
		unlink("/var/tmp/rig.loop");
		skip();
	}
	rig_run(1, file_loop_body, dev);
	snprintf(command, sizeof(command), "losetup -d %s && echo", dev);
	file_shell(command, line);
	unlink("/var/tmp/rig.loop");
}

/* What a file system without direct I/O says to O_DIRECT. */
RIG_TEST(where_direct_is_refused_it_is_buffered_with_a_warning)
{
	struct bdev *bdev;
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	rig->fail[0].status = -EINVAL;
	rig->fail[0].fail_at = rig->fail[0].count + 2; /* stat, open */
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	assert_non_null(strstr(rig->log_text, "direct I/O is refused here"));
	bdev_close(f, bdev);
	rig->fail[0].fail_at = rig->fail[0].count + 2;
	rig_refused(f, file_uri(rig, "a", "?direct=on", uri), -EINVAL, "/a");
}

static int file_peer(struct fiber *f, void *arg)
{
	struct bdev_chan *chan = rig_chan(f, arg);
	uint8_t buf[4096];

	rig_fill(buf, sizeof(buf), 77);
	assert_int_equal(bdev_write(f, chan, 800, 8, buf, 0), 0);
	assert_int_equal(bdev_flush(f, chan), 0);
	bdev_chan_close(f, chan);
	return 0;
}

static int file_peer_flush(struct fiber *f, void *arg)
{
	struct bdev_chan *chan = rig_chan(f, arg);

	assert_int_equal(bdev_flush(f, chan), -EIO);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	return 0;
}

static void file_reactors_body(struct fiber *f, struct rig *rig)
{
	struct reactor *peer = reactor_peer(fiber_reactor(f), 1);
	struct bdev *bdev;
	struct bdev_chan *chan;
	uint8_t buf[4096], want[4096];
	char uri[512];

	rig_file(rig, "a", 1 << 20);
	bdev = rig_open(f, file_uri(rig, "a", "", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(fiber_call_on(f, peer, "peer", file_peer, bdev), 0);
	rig_fill(want, sizeof(want), 77);
	assert_int_equal(bdev_read(f, chan, 800, 8, buf), 0);
	assert_memory_equal(buf, want, sizeof(buf));
	/* A flush lost on one reactor is lost on all. */
	rig->fail[0].fail_codes = 1u << IO_FSYNC;
	assert_int_equal(bdev_flush(f, chan), -EIO);
	rig->fail[0].fail_codes = 0;
	assert_int_equal(fiber_call_on(f, peer, "peer", file_peer_flush, bdev), 0);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void reactors_share_one_file_and_its_flushes(void **state)
{
	(void)state;
	rig_run(2, file_reactors_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_bytes_are_those_of_the_file),
		cmocka_unit_test(unmap_gives_space_back_and_reads_as_zeros),
		cmocka_unit_test(aliases_are_the_same_disk),
		cmocka_unit_test(a_size_creates_and_extends_and_never_shrinks),
		cmocka_unit_test(two_opens_of_one_file_exclude_each_other),
		cmocka_unit_test(a_read_only_disk_refuses_writes),
		cmocka_unit_test(a_rescan_sees_growth_through_a_stack),
		cmocka_unit_test(growth_below_climbs_up_by_itself),
		cmocka_unit_test(removal_below_climbs_up),
		cmocka_unit_test(after_a_failed_flush_none_succeeds_until_reopened),
		cmocka_unit_test(a_failed_write_that_asked_for_no_flush_loses_none),
		cmocka_unit_test(errors_of_the_kernel_become_those_of_a_disk),
		cmocka_unit_test(a_flush_that_finds_no_device_removes_the_disk),
		cmocka_unit_test(flushes_that_come_together_share_an_fsync),
		cmocka_unit_test(channels_have_the_file_that_was_opened_whatever_its_path_became),
		cmocka_unit_test(a_file_that_shrank_fails_with_eio),
		cmocka_unit_test(tmpfs_works_too),
		cmocka_unit_test(block_devices_work_too),
		cmocka_unit_test(where_direct_is_refused_it_is_buffered_with_a_warning),
		cmocka_unit_test(reactors_share_one_file_and_its_flushes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
