/* SPDX-License-Identifier: Apache-2.0 */
/* Bios of a disk that takes them as they are: order, callbacks, statistics. */
#include "unit/unit.h"

#include <errno.h>

#include "unit/bdev/rig.h"

static int write_read_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;
	struct bdev_chan *chan = d->chan[reactor_index(fiber_reactor(f))];
	uint8_t out[1024], in[1024];

	memset(out, 0x5a, sizeof(out));
	assert_int_equal(bdev_write(f, chan, 3, 2, out, 0), 0);
	assert_int_equal(bdev_read(f, chan, 3, 2, in), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(bdev_zeroes(f, chan, 4, 1, 0), 0);
	assert_int_equal(bdev_read(f, chan, 3, 2, in), 0);
	memset(out + 512, 0, 512);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(bdev_unmap(f, chan, 0, 256), 0);
	assert_int_equal(bdev_flush(f, chan), 0);
	return 0;
}

static void what_is_written_is_read(void **state)
{
	struct rig rig;
	struct rig_disk d;

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &d, "ram:///a");
	assert_int_equal(rig_fiber(&rig, 0, write_read_fn, &d, NULL), 0);
	assert_int_equal(rig_fiber(&rig, 1, write_read_fn, &d, NULL), 0);
	rig_disk_close(&d);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
