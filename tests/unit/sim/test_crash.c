/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim/disk_crash.h"
#include "unit/sim/bare.h"

#define RW	   (IO_OPEN_READ | IO_OPEN_WRITE)
#define DISK_BYTES (UINT64_C(1) << 40)

struct recorded {
	struct bare b;
	struct disk_log *log;
	struct sim_disk *disk;
	struct io_file *f;
};

static void start(struct recorded *r)
{
	bare_start(&r->b, 1);
	r->log = disk_log_new(&r->b.heap.mem);
	r->disk = sim_disk_add(r->b.host, "/dev/sda",
			       &(struct sim_disk_opts){ .size_bytes = DISK_BYTES,
							.volatile_cache = true });
	sim_disk_record(r->disk, r->log);
	r->f = bare_open(&r->b, "/dev/sda", RW);
}

static void stop(struct recorded *r)
{
	bare_close(&r->b, r->f);
	sim_disk_record(r->disk, NULL);
	disk_log_free(r->log);
	bare_stop(&r->b);
}

static void put(struct recorded *r, uint64_t page, uint8_t byte, uint32_t flags)
{
	uint8_t buf[4096];

	memset(buf, byte, sizeof(buf));
	assert_int_equal(bare_write(&r->b, r->f, buf, 4096, page * 4096, flags), 4096);
}

static uint8_t look(const struct crash_iter *it, uint64_t page)
{
	uint8_t byte;

	sim_image_read(crash_iter_image(it), page * 4096, &byte, 1);
	return byte;
}

static void all_subsets_of_unflushed_writes_are_made(void **state)
{
	unsigned seen[16] = { 0 }, last_point = 0;
	struct recorded r;

	start(&r);
	for (unsigned i = 0; i < 4; i++)
		put(&r, 10 + i, (uint8_t)(i + 1), 0);
	assert_int_equal(disk_log_writes(r.log), 4);
	struct crash_iter *it = crash_iter_new(r.log, &(struct crash_opts){ .torn = 0 });
	while (crash_iter_next(it)) {
		unsigned mask = 0;
		for (unsigned i = 0; i < 4; i++) {
			uint8_t byte = look(it, 10 + i);
			assert_true(byte == 0 || byte == i + 1);
			mask |= (unsigned)(byte != 0) << i;
		}
		seen[mask]++;
		last_point = (unsigned)crash_iter_point(it);
	}
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(seen[i], 1); /* DC5: none is made twice */
	assert_int_equal(last_point, disk_log_events(r.log));
	assert_int_equal(crash_iter_states(it), 16);
	crash_iter_free(it);
	stop(&r);
}

static void a_flush_and_fua_leave_no_choice(void **state)
{
	struct recorded r;
	unsigned states = 0;

	start(&r);
	put(&r, 1, 1, 0);
	put(&r, 2, 2, IO_DSYNC);
	put(&r, 1, 3, 0);
	assert_int_equal(bare_sync(&r.b, r.f), 0);
	put(&r, 2, 4, 0);
	uint64_t events = disk_log_events(r.log);
	struct crash_iter *it =
		crash_iter_new(r.log, &(struct crash_opts){ .first_point = events - 1 });
	while (crash_iter_next(it)) {
		assert_int_equal(look(it, 1), 3);
		assert_true(look(it, 2) == 2 || look(it, 2) == 4);
		states++;
	}
	assert_int_equal(states, 2);
	crash_iter_free(it);
	stop(&r);
}

static void a_stable_write_is_not_undone_by_an_older_one(void **state)
{
	struct recorded r;

	start(&r);
	put(&r, 1, 1, 0);
	put(&r, 1, 2, IO_DSYNC);
	struct crash_iter *it = crash_iter_new(
		r.log, &(struct crash_opts){ .first_point = disk_log_events(r.log) });
	unsigned states = 0;
	while (crash_iter_next(it)) {
		assert_int_equal(look(it, 1), 2);
		states++;
	}
	assert_in_range(states, 1, 2);
	crash_iter_free(it);
	stop(&r);
}

static void torn_variants_keep_units_whole(void **state)
{
	uint8_t buf[4096];
	unsigned torn = 0;
	struct recorded r;

	start(&r);
	put(&r, 0, 9, 0);
	struct crash_iter *it = crash_iter_new(
		r.log, &(struct crash_opts){ .torn = 20, .atomic_bytes = 1024, .seed = 5 });
	while (crash_iter_next(it)) {
		sim_image_read(crash_iter_image(it), 0, buf, sizeof(buf));
		for (unsigned i = 0; i < 4; i++)
			for (unsigned j = 1; j < 1024; j++)
				assert_int_equal(buf[i * 1024 + j], buf[i * 1024]);
		torn += memchr(buf, 0, 4096) && memchr(buf, 9, 4096);
	}
	assert_true(torn > 5);
	assert_int_equal(crash_iter_states(it), 2 + 20);
	crash_iter_free(it);
	stop(&r);
}

static void many_writes_are_sampled_the_same_way_each_time(void **state)
{
	uint64_t sums[2] = { 0 };
	struct recorded r;

	start(&r);
	for (unsigned i = 0; i < 30; i++)
		put(&r, i, 1, 0);
	for (unsigned run = 0; run < 2; run++) {
		struct crash_iter *it = crash_iter_new(
			r.log, &(struct crash_opts){ .samples = 50, .seed = 3, .first_point = 25 });
		while (crash_iter_next(it)) {
			uint64_t mask = 0;
			for (unsigned i = 0; i < 30; i++)
				mask |= (uint64_t)look(it, i) << i;
			sums[run] = sums[run] * 31 + mask;
			assert_non_null(crash_iter_name(it));
		}
		assert_int_equal(crash_iter_states(it), 6 * 50);
		crash_iter_free(it);
	}
	assert_int_equal(sums[0], sums[1]);
	stop(&r);
}

/* DC4, and depth 2: the recovery is recorded too, over the image. */
static void a_recovery_runs_on_an_image_and_is_recorded(void **state)
{
	uint8_t buf[4096];
	struct recorded r;
	unsigned outer = 0, inner = 0;

	start(&r);
	put(&r, 1, 1, 0);
	put(&r, 2, 2, 0);
	struct crash_iter *it = crash_iter_new(r.log, &(struct crash_opts){ 0 });
	while (crash_iter_next(it)) {
		struct bare b;
		uint8_t before[2] = { look(it, 1), look(it, 2) };
		bare_start(&b, 1);
		struct sim_disk *disk =
			sim_disk_add(b.host, "/dev/sda",
				     &(struct sim_disk_opts){ .size_bytes = DISK_BYTES,
							      .volatile_cache = true,
							      .image = crash_iter_image(it) });
		struct disk_log *log = disk_log_new(&b.heap.mem);
		disk_log_base(log, crash_iter_image(it));
		sim_disk_record(disk, log);
		struct io_file *f = bare_open(&b, "/dev/sda", RW);
		assert_int_equal(bare_read(&b, f, buf, 4096, 4096), 4096);
		assert_int_equal(buf[0], before[0]);
		memset(buf, 7, sizeof(buf));
		assert_int_equal(bare_write(&b, f, buf, 4096, 4096, 0), 4096);
		assert_int_equal(bare_range(&b, IO_ZERO, f, 2 * 4096, 4096), 0);
		assert_int_equal(bare_read(&b, f, buf, 4096, 2 * 4096), 4096);
		assert_int_equal(buf[0], 0);
		struct crash_iter *in = crash_iter_new(log, &(struct crash_opts){ 0 });
		while (crash_iter_next(in)) {
			assert_true(look(in, 1) == before[0] || look(in, 1) == 7);
			assert_true(look(in, 2) == before[1] || look(in, 2) == 0);
			inner++;
		}
		crash_iter_free(in);
		struct sim_image *copy = sim_image_copy(&b.heap.mem, crash_iter_image(it));
		sim_image_read(copy, 4096, buf, 1);
		assert_int_equal(buf[0], before[0]);
		sim_image_free(copy);
		disk_log_free(log);
		bare_close(&b, f);
		sim_disk_record(disk, NULL);
		bare_stop(&b);
		assert_int_equal(look(it, 1), before[0]);
		assert_int_equal(look(it, 2), before[1]);
		outer++;
	}
	assert_int_equal(outer, 4);
	assert_in_range(inner, 12, 16);
	crash_iter_free(it);
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_subsets_of_unflushed_writes_are_made),
		cmocka_unit_test(a_flush_and_fua_leave_no_choice),
		cmocka_unit_test(a_stable_write_is_not_undone_by_an_older_one),
		cmocka_unit_test(torn_variants_keep_units_whole),
		cmocka_unit_test(many_writes_are_sampled_the_same_way_each_time),
		cmocka_unit_test(a_recovery_runs_on_an_image_and_is_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
