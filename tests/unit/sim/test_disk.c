/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "unit/sim/bare.h"

#define DISK_BYTES (1u << 20)
#define RW	   (IO_OPEN_READ | IO_OPEN_WRITE)

static struct sim_disk *add_disk(struct bare *b, bool cache, uint32_t atomic)
{
	return sim_disk_add(b->host, "/dev/sda",
			    &(struct sim_disk_opts){ .size_bytes = DISK_BYTES,
						     .volatile_cache = cache,
						     .atomic_bytes = atomic,
						     .discard_bytes = 4096 });
}

static void *fill(void *buf, size_t len, uint8_t byte)
{
	return memset(buf, byte, len);
}

static bool is_filled(const uint8_t *buf, size_t len, uint8_t byte)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != byte)
			return false;
	return true;
}

/* A disk with a cache, open. */
static struct io_file *start(struct bare *b, uint64_t seed, uint32_t atomic, uint32_t flags,
			     struct sim_disk **ret_disk)
{
	bare_start(b, seed);
	struct sim_disk *disk = add_disk(b, true, atomic);

	if (ret_disk)
		*ret_disk = disk;
	return bare_open(b, "/dev/sda", flags);
}

static void what_was_written_is_read(void **state)
{
	uint8_t w[10000], r[10000];
	struct io_stat stat;
	struct io_op op = { 0 };
	struct bare b;
	struct io_file *f = start(&b, 1, 0, RW, NULL);

	for (unsigned i = 0; i < sizeof(w); i++)
		w[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(bare_write(&b, f, w, sizeof(w), 5000, 0), sizeof(w));
	assert_int_equal(bare_read(&b, f, r, sizeof(r), 5000), sizeof(r));
	assert_memory_equal(w, r, sizeof(w));
	assert_int_equal(bare_read(&b, f, r, 5000, 0), 5000);
	assert_true(is_filled(r, 5000, 0));
	io_prep_stat(&op, NULL, f, &stat, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), 0);
	assert_int_equal(stat.kind, IO_KIND_BLOCK);
	assert_int_equal(stat.size_bytes, DISK_BYTES);
	assert_int_equal(stat.logical_block, 512);
	assert_true(stat.volatile_cache);
	bare_close(&b, f);
	bare_stop(&b);
}

static void the_end_of_a_device_is_its_end(void **state)
{
	uint8_t buf[8192];
	struct bare b;
	struct sim_disk *disk;
	struct io_file *f = start(&b, 1, 0, RW, &disk);

	fill(buf, sizeof(buf), 1);
	assert_int_equal(bare_read(&b, f, buf, 8192, DISK_BYTES - 4096), 4096);
	assert_int_equal(bare_read(&b, f, buf, 8192, DISK_BYTES), 0);
	assert_int_equal(bare_write(&b, f, buf, 8192, DISK_BYTES - 4096, 0), -ENOSPC);
	assert_int_equal(bare_range(&b, IO_TRUNCATE, f, 0, 4096), -EINVAL);
	sim_disk_grow(disk, 2 * DISK_BYTES);
	assert_int_equal(bare_write(&b, f, buf, 8192, DISK_BYTES - 4096, 0), 8192);
	bare_close(&b, f);
	bare_stop(&b);
}

static void direct_io_must_be_aligned(void **state)
{
	_Alignas(512) uint8_t buf[4096];
	struct bare b;
	struct io_file *f = start(&b, 1, 0, RW | IO_OPEN_DIRECT, NULL);

	assert_int_equal(bare_write(&b, f, buf, 4096, 512, 0), 4096);
	assert_int_equal(bare_write(&b, f, buf, 4096, 100, 0), -EINVAL);
	assert_int_equal(bare_write(&b, f, buf, 100, 0, 0), -EINVAL);
	assert_int_equal(bare_read(&b, f, buf + 8, 512, 0), -EINVAL);
	bare_close(&b, f);
	f = bare_open(&b, "/dev/sda", IO_OPEN_READ);
	assert_int_equal(bare_write(&b, f, buf, 4096, 0, 0), -EBADF);
	bare_close(&b, f);
	bare_stop(&b);
}

static void locks_and_exclusive_opens_exclude(void **state)
{
	struct bare b;
	struct io_file *f = start(&b, 1, 0, RW | IO_OPEN_LOCK, NULL);

	assert_int_equal(bare_open_error(&b, "/dev/sda", RW | IO_OPEN_LOCK), -EBUSY);
	assert_int_equal(bare_open_error(&b, "/dev/sda", RW | IO_OPEN_EXCL), -EBUSY);
	bare_close(&b, f);
	f = bare_open(&b, "/dev/sda", RW | IO_OPEN_EXCL);
	sim_proc_crash(b.proc);
	sim_proc_start(b.proc);
	b.io = sim_proc_io(b.proc, 0);
	f = bare_open(&b, "/dev/sda", RW | IO_OPEN_EXCL);
	bare_close(&b, f);
	bare_stop(&b);
}

static void zeros_and_discards_read_as_zeros(void **state)
{
	uint8_t buf[32768];
	struct bare b;
	struct io_file *f = start(&b, 1, 0, RW, NULL);

	assert_int_equal(bare_write(&b, f, fill(buf, sizeof(buf), 9), sizeof(buf), 0, 0),
			 sizeof(buf));
	assert_int_equal(bare_range(&b, IO_ZERO, f, 512, 8192), 0);
	assert_int_equal(bare_range(&b, IO_DISCARD, f, 16384, 4096), 0);
	assert_int_equal(bare_read(&b, f, buf, sizeof(buf), 0), sizeof(buf));
	assert_true(is_filled(buf, 512, 9));
	assert_true(is_filled(buf + 512, 8192, 0));
	assert_true(is_filled(buf + 8704, 16384 - 8704, 9));
	assert_true(is_filled(buf + 16384, 4096, 0));
	assert_true(is_filled(buf + 20480, 12288, 9));
	bare_close(&b, f);
	bare_stop(&b);
}

/* For many seeds: write, make it durable in some way or not, lose power; how often is it there? */
static unsigned count_survivals(bool cache, uint32_t write_flags, bool flush)
{
	unsigned there = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		uint8_t buf[4096], old[4096];
		struct bare b;
		bare_start(&b, seed);
		struct sim_disk *disk = add_disk(&b, cache, 4096);
		sim_disk_poke(disk, 8192, fill(old, 4096, 7), 4096);
		struct io_file *f = bare_open(&b, "/dev/sda", RW);
		assert_int_equal(bare_write(&b, f, fill(buf, 4096, 8), 4096, 8192, write_flags),
				 4096);
		if (flush)
			assert_int_equal(bare_sync(&b, f), 0);
		bare_reboot(&b);
		sim_disk_peek(disk, 8192, buf, 4096);
		assert_true(is_filled(buf, 4096, 7) || is_filled(buf, 4096, 8));
		there += buf[0] == 8;
		bare_stop(&b);
	}
	return there;
}

static void only_what_is_durable_survives_for_sure(void **state)
{
	assert_int_equal(count_survivals(true, IO_DSYNC, false), 100);
	assert_int_equal(count_survivals(true, 0, true), 100);
	assert_int_equal(count_survivals(false, 0, false), 100);
	assert_in_range(count_survivals(true, 0, false), 20, 90);
}

static void unflushed_writes_are_torn_by_sector(void **state)
{
	unsigned torn = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		uint8_t buf[4096];
		struct bare b;
		struct sim_disk *disk;
		struct io_file *f = start(&b, seed, 512, RW, &disk);
		assert_int_equal(bare_write(&b, f, fill(buf, 4096, 8), 4096, 0, 0), 4096);
		bare_reboot(&b);
		sim_disk_peek(disk, 0, buf, 4096);
		for (unsigned i = 0; i < 8; i++)
			assert_true(is_filled(buf + i * 512, 512, 0) ||
				    is_filled(buf + i * 512, 512, 8));
		bool some = memchr(buf, 0, 4096) && memchr(buf, 8, 4096);
		torn += some;
		assert_int_equal(sim_fault_fired(b.sim, SIM_DISK_TORN), some);
		bare_stop(&b);
	}
	assert_in_range(torn, 10, 60);
}

static void a_flush_covers_only_what_was_done_before_it(void **state)
{
	unsigned lost = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint8_t buf[4096];
		struct iovec iov = { buf, 4096 };
		struct io_op flush = { 0 }, write = { 0 };
		struct bare b;
		bare_start(&b, seed);
		struct sim_disk *disk =
			sim_disk_add(b.host, "/dev/sda",
				     &(struct sim_disk_opts){ .size_bytes = DISK_BYTES,
							      .volatile_cache = true,
							      .atomic_bytes = 4096,
							      .flush_ns = 10 * SIM_MS });
		struct io_file *f = bare_open(&b, "/dev/sda", RW);
		bool flushed = false, written = false;
		assert_int_equal(bare_write(&b, f, fill(buf, 4096, 1), 4096, 0, 0), 4096);
		io_prep_file(&flush, IO_FSYNC, f, 0, 0, 0, bare_mark);
		flush.owner = &flushed;
		io_submit(b.io, &flush);
		fill(buf, 4096, 2);
		io_prep_rw(&write, IO_WRITE, f, &iov, 1, 0, 0, bare_mark);
		write.owner = &written;
		io_submit(b.io, &write);
		sim_run_for(b.sim, SIM_S);
		bare_reboot(&b);
		sim_disk_peek(disk, 0, buf, 4096);
		assert_true(flushed && written);
		assert_in_range(buf[0], 1, 2);
		lost += buf[0] == 1;
		bare_stop(&b);
	}
	assert_in_range(lost, 5, 55);
}

static void what_is_in_flight_goes_on_after_a_crash(void **state)
{
	unsigned there = 0;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		uint8_t buf[4096];
		struct iovec iov = { buf, 4096 };
		struct io_op op = { 0 };
		struct bare b;
		struct sim_disk *disk;
		struct io_file *f = start(&b, seed, 0, RW | IO_OPEN_LOCK, &disk);
		fill(buf, 4096, 3);
		io_prep_rw(&op, IO_WRITE, f, &iov, 1, 0, 0, bare_mark);
		io_submit(b.io, &op);
		sim_proc_crash(b.proc);
		assert_int_equal(sim_disk_inflight(disk), 1);
		sim_proc_start(b.proc);
		b.io = sim_proc_io(b.proc, 0);
		assert_int_equal(bare_open_error(&b, "/dev/sda", RW | IO_OPEN_LOCK), -EBUSY);
		sim_run_for(b.sim, SIM_S);
		f = bare_open(&b, "/dev/sda", RW | IO_OPEN_LOCK);
		bare_close(&b, f);
		sim_disk_peek(disk, 0, buf, 4096);
		there += buf[0] == 3;
		bare_stop(&b);
	}
	assert_int_equal(there, 20);
}

/* IO7, the simulated one: any handle's requests keep the lock of all. */
static void a_lock_outlives_what_is_in_flight_through_a_shared_handle(void **state)
{
	uint8_t buf[4096];
	struct iovec iov = { fill(buf, 4096, 3), 4096 };
	struct io_op op = { 0 };
	struct io_file *shared, *f;
	struct bare b;
	struct sim_disk *disk;

	f = start(&b, 1, 0, RW | IO_OPEN_LOCK, &disk);
	io_prep_share(&op, f, &shared, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), 0);
	bare_close(&b, f);
	/* closed first, and still locked */
	assert_int_equal(bare_open_error(&b, "/dev/sda", RW | IO_OPEN_LOCK), -EBUSY);
	io_prep_rw(&op, IO_WRITE, shared, &iov, 1, 0, 0, bare_mark);
	io_submit(b.io, &op);
	sim_proc_crash(b.proc);
	assert_int_equal(sim_disk_inflight(disk), 1);
	sim_proc_start(b.proc);
	b.io = sim_proc_io(b.proc, 0);
	assert_int_equal(bare_open_error(&b, "/dev/sda", RW | IO_OPEN_LOCK), -EBUSY);
	sim_run_for(b.sim, SIM_S);
	assert_int_equal(sim_disk_inflight(disk), 0);
	f = bare_open(&b, "/dev/sda", RW | IO_OPEN_LOCK);
	bare_close(&b, f);
	bare_stop(&b);
}

static void a_full_cache_writes_the_oldest_out(void **state)
{
	unsigned lost = 0;

	for (uint64_t seed = 1; seed <= 30; seed++) {
		uint8_t buf[4096];
		struct bare b;
		bare_start(&b, seed);
		struct sim_disk *disk =
			sim_disk_add(b.host, "/dev/sda",
				     &(struct sim_disk_opts){ .size_bytes = DISK_BYTES,
							      .volatile_cache = true,
							      .cache_bytes = 4 * 4096 });
		struct io_file *f = bare_open(&b, "/dev/sda", RW);
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(bare_write(&b, f, fill(buf, 4096, 5), 4096, i * 4096, 0),
					 4096);
		bare_reboot(&b);
		for (unsigned i = 0; i < 6; i++) {
			sim_disk_peek(disk, i * 4096, buf, 4096);
			assert_true(is_filled(buf, 4096, 5));
		}
		sim_disk_peek(disk, 9 * 4096, buf, 4096);
		lost += !is_filled(buf, 4096, 5);
		bare_stop(&b);
	}
	assert_true(lost > 0);
}

/* The first zeros are lost with the power, the second are durable: what was before stays away. */
static void durable_zeros_over_volatile_ones_hold(void **state)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint8_t buf[4096];
		struct io_op op = { 0 };
		struct bare b;
		bare_start(&b, seed);
		struct sim_disk *disk = add_disk(&b, true, 4096);
		sim_disk_poke(disk, 8192, fill(buf, 4096, 7), 4096);
		struct io_file *f = bare_open(&b, "/dev/sda", RW);
		sim_fault_set(b.sim, SIM_DISK_HANG, PRNG_PPM);
		io_prep_file(&op, IO_ZERO, f, 8192, 4096, 0, bare_mark);
		io_submit(b.io, &op);
		sim_fault_set(b.sim, SIM_DISK_HANG, 0);
		assert_int_equal(bare_range(&b, IO_ZERO, f, 0, 16384), 0);
		assert_int_equal(bare_sync(&b, f), 0);
		bare_reboot(&b);
		sim_disk_peek(disk, 8192, buf, 4096);
		assert_true(is_filled(buf, 4096, 0));
		bare_stop(&b);
	}
}

/* ---- every kind of fault fires ------------------------------------------------ */

struct tally {
	unsigned errors, wrong;
	uint64_t fired;
};

/* 200 writes and reads of 8 KiB under one kind of fault. */
static struct tally hammer(enum sim_fault fault, uint32_t ppm, const char *path)
{
	struct tally t = { 0 };
	uint8_t buf[8192];
	struct bare b;

	bare_start(&b, 11);
	add_disk(&b, true, 0);
	struct io_file *f = bare_open(&b, path, RW | IO_OPEN_CREATE);
	bare_range(&b, IO_TRUNCATE, f, 0, 16 * 8192); /* a device says no */
	sim_fault_set(b.sim, fault, ppm);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t off = (i % 16) * 8192;
		int64_t w = bare_write(&b, f, fill(buf, 8192, (uint8_t)(i + 1)), 8192, off, 0);
		int64_t s = bare_sync(&b, f);
		int64_t r = bare_read(&b, f, buf, 8192, off);
		t.errors += (w < 0) + (s < 0) + (r < 0);
		assert_true(w == 8192 || w == -EIO || w == -ENOSPC);
		assert_true(s == 0 || s == -EIO);
		assert_true(r == 8192 || r == -EIO);
		if (w == 8192 && s == 0 && r == 8192 && !is_filled(buf, 8192, (uint8_t)(i + 1))) {
			assert_int_not_equal(
				sim_disk_taints(sim_disk_find(b.host, path), off, 8192), 0);
			t.wrong++;
		}
	}
	t.fired = sim_fault_fired(b.sim, fault);
	bare_close(&b, f);
	bare_stop(&b);
	return t;
}

static void loud_faults_are_errors(void **state)
{
	static const enum sim_fault loud[] = { SIM_DISK_EIO_READ, SIM_DISK_EIO_WRITE,
					       SIM_DISK_EIO_FLUSH, SIM_DISK_SHORT_WRITE };

	for (unsigned i = 0; i < ARRAY_LEN(loud); i++) {
		struct tally t = hammer(loud[i], 200000, "/dev/sda");
		assert_in_range(t.fired, 10, 100);
		assert_int_equal(t.errors, t.fired);
		assert_int_equal(t.wrong, 0);
	}
	struct tally t = hammer(SIM_DISK_ENOSPC, 200000, "/file");
	assert_in_range(t.errors, 10, 100);
	assert_int_equal(hammer(SIM_DISK_ENOSPC, 200000, "/dev/sda").errors, 0);
}

static void silent_faults_leave_a_taint(void **state)
{
	static const enum sim_fault silent[] = { SIM_DISK_LOST_WRITE, SIM_DISK_MISDIRECT,
						 SIM_DISK_CORRUPT_READ, SIM_DISK_ROT };

	for (unsigned i = 0; i < ARRAY_LEN(silent); i++) {
		struct tally t = hammer(silent[i], 200000, "/dev/sda");
		assert_in_range(t.fired, 10, 100);
		assert_int_equal(t.errors, 0);
		assert_in_range(t.wrong, 5, 100);
	}
}

static void slow_and_hung_requests_end(void **state)
{
	struct tally slow = hammer(SIM_DISK_SLOW, 100000, "/dev/sda");
	struct tally hung = hammer(SIM_DISK_HANG, 10000, "/dev/sda");

	assert_in_range(slow.fired, 10, 200);
	assert_in_range(hung.fired, 1, 30);
	assert_int_equal(slow.errors + hung.errors + slow.wrong + hung.wrong, 0);
}

static void a_heal_lets_hung_requests_go(void **state)
{
	struct io_op op = { 0 };
	struct bare b;
	struct io_file *f = start(&b, 1, 0, RW, NULL);

	sim_fault_set(b.sim, SIM_DISK_HANG, PRNG_PPM);
	bool done = false;
	io_prep_file(&op, IO_FSYNC, f, 0, 0, 0, bare_mark);
	op.owner = &done;
	io_submit(b.io, &op);
	sim_run_for(b.sim, 20 * SIM_S);
	assert_false(done);
	sim_heal(b.sim);
	sim_run_for(b.sim, SIM_S);
	assert_true(done);
	bare_close(&b, f);
	bare_stop(&b);
}

static unsigned lost_after_bad_flush(enum sim_fault fault, bool plant)
{
	unsigned lost = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint8_t buf[4096];
		struct bare b;
		struct sim_disk *disk;
		struct io_file *f = start(&b, seed, 4096, RW, &disk);
		sim_disk_plant_skipped_flush(disk, plant);
		if (!plant)
			sim_fault_set(b.sim, fault, PRNG_PPM);
		assert_int_equal(bare_write(&b, f, fill(buf, 4096, 1), 4096, 0, 0), 4096);
		bare_sync(&b, f);
		sim_faults_off(b.sim, SIM_GROUP_ALL);
		if (fault == SIM_DISK_EIO_FLUSH)
			assert_int_equal(bare_sync(&b, f), 0); /* trying again helps nobody */
		bare_reboot(&b);
		sim_disk_peek(disk, 0, buf, 4096);
		lost += buf[0] == 0;
		if (buf[0] == 0 && fault == SIM_DISK_LYING_FLUSH && !plant)
			assert_int_equal(sim_disk_taints(disk, 0, 4096),
					 1u << SIM_DISK_LYING_FLUSH);
		bare_stop(&b);
	}
	return lost;
}

static void flushes_lie_and_fail(void **state)
{
	assert_in_range(lost_after_bad_flush(SIM_DISK_LYING_FLUSH, false), 5, 55);
	assert_in_range(lost_after_bad_flush(SIM_DISK_EIO_FLUSH, false), 5, 55);
	assert_in_range(lost_after_bad_flush(SIM_DISK_LYING_FLUSH, true), 5, 55);
}

static void a_pulled_disk_loses_its_cache_and_its_users(void **state)
{
	unsigned lost = 0;

	for (uint64_t seed = 1; seed <= 30; seed++) {
		uint8_t buf[4096];
		struct bare b;
		struct sim_disk *disk;

		struct io_file *f = start(&b, seed, 0, RW | IO_OPEN_LOCK, &disk);
		fill(buf, sizeof(buf), 1);
		assert_int_equal(bare_write(&b, f, buf, 4096, 0, IO_DSYNC), 4096);
		fill(buf, sizeof(buf), 2);
		assert_int_equal(bare_write(&b, f, buf, 4096, 4096, 0), 4096);
		sim_disk_pull(disk);
		assert_int_equal(sim_fault_fired(b.sim, SIM_DISK_PULL), 1);
		assert_int_equal(bare_read(&b, f, buf, 4096, 0), -EIO);
		assert_int_equal(bare_write(&b, f, buf, 4096, 0, 0), -EIO);
		assert_int_equal(bare_range(&b, IO_FSYNC, f, 0, 0), -EIO);
		bare_close(&b, f);
		f = bare_open(&b, "/dev/sda", RW | IO_OPEN_LOCK);
		assert_int_equal(bare_read(&b, f, buf, 4096, 0), 4096);
		assert_true(is_filled(buf, 4096, 1));
		assert_int_equal(bare_read(&b, f, buf, 4096, 4096), 4096);
		lost += !is_filled(buf, 4096, 2);
		bare_close(&b, f);
		bare_stop(&b);
	}
	assert_in_range(lost, 3, 29);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(the_end_of_a_device_is_its_end),
		cmocka_unit_test(direct_io_must_be_aligned),
		cmocka_unit_test(locks_and_exclusive_opens_exclude),
		cmocka_unit_test(zeros_and_discards_read_as_zeros),
		cmocka_unit_test(only_what_is_durable_survives_for_sure),
		cmocka_unit_test(unflushed_writes_are_torn_by_sector),
		cmocka_unit_test(a_flush_covers_only_what_was_done_before_it),
		cmocka_unit_test(what_is_in_flight_goes_on_after_a_crash),
		cmocka_unit_test(a_lock_outlives_what_is_in_flight_through_a_shared_handle),
		cmocka_unit_test(a_full_cache_writes_the_oldest_out),
		cmocka_unit_test(durable_zeros_over_volatile_ones_hold),
		cmocka_unit_test(loud_faults_are_errors),
		cmocka_unit_test(silent_faults_leave_a_taint),
		cmocka_unit_test(slow_and_hung_requests_end),
		cmocka_unit_test(a_heal_lets_hung_requests_go),
		cmocka_unit_test(flushes_lie_and_fail),
		cmocka_unit_test(a_pulled_disk_loses_its_cache_and_its_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
