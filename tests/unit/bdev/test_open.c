/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: names, sharing, loops, words, limits. */
#include "unit/unit.h"

#include <errno.h>

#define RIG_FIBERS 12

#include "base/uri.h"
#include "bdev/replica.h"
#include "bdev/resv.h"
#include "bdev/status.h"
#include "unit/bdev/rig.h"
#include "unit/dies.h"
#include "unit/fault.h"

/* Opening this fails with that code and words that contain that text. */
static void refuses(struct rig *rig, const char *uri, int code, const char *words)
{
	char got[ERR_WORDS_SIZE];
	struct rig_disk d;
	int r = rig_disk_try(rig, &d, uri, got);

	if (r != code || !strstr(got, words))
		fprintf(stderr, "# %s: %d '%s'\n", uri, r, got);
	assert_int_equal(r, code);
	assert_non_null(strstr(got, words));
	assert_null(strchr(got, '\n'));
}

static void wrong_uris_are_told_in_words(void **state)
{
	static const struct {
		const char *uri;
		int code;
		const char *words;
	} wrong[] = {
		{ "", -EINVAL, "" },
		{ "ram", -EINVAL, "ram" },
		{ "/dev/sda", -EINVAL, "/dev/sda" },
		{ "rum:///a", -EINVAL, "no driver for 'rum:'; there are: ram" },
		{ "ram:///a?size=3", -EINVAL, "size" },
		{ "ram:///a?blocks=1&blocks=2", -EINVAL, "blocks" },
		{ "ram:///a?blocks=many", -EINVAL, "many" },
		{ "ram:///a?blocks=99999999999999999999999", -ERANGE, "blocks" },
		{ "ram:///a?vc=perhaps", -EINVAL, "perhaps" },
		{ "ram:///a?uuid=123", -EINVAL, "'uuid'" },
		{ "ram:///a?on=rum:///b", -EINVAL, "'rum:'" },
		{ "ram:///a?on=ram:///b?foo=1", -EINVAL, "foo" },
		{ "ram:///a?on=ram:///a", -ELOOP, "ram:///a would stand on itself" },
		{ "ram:///a?on=ram:///b?on=ram:///a", -ELOOP, "itself" },
		{ "ram:///a?find=nobody", -ENODEV, "'nobody'" },
	};
	struct rig rig;

	(void)state;
	rig_init(&rig, 1);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		refuses(&rig, wrong[i].uri, wrong[i].code, wrong[i].words);
	rig_fini(&rig);
}

static void long_names_are_refused(void **state)
{
	char uri[400] = "ram:///";
	struct rig rig;

	(void)state;
	rig_init(&rig, 1);
	memset(uri + 7, 'x', 300);
	refuses(&rig, uri, -ENAMETOOLONG, "255 bytes");
	memset(uri, 0, sizeof(uri));
	strcpy(uri, "ram:///?on=ram:///");
	memset(uri + strlen(uri), 'y', 240);
	refuses(&rig, uri, -ENAMETOOLONG, "give it a path");
	rig_fini(&rig);
}

static void same_disk_is_shared(void **state)
{
	struct rig rig;
	struct rig_disk a, b, c;

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &a, "ram:///a?blocks=8&bs=4096&tag=1&tag=2");
	rig_disk_open(&rig, &b, "memory:///a?tag=1&bs=4096&tag=2&blocks=8");
	assert_ptr_equal(a.bdev, b.bdev);
	assert_string_equal(a.bdev->name, "ram:///a");
	refuses(&rig, "ram:///a?blocks=8&bs=4096&tag=2&tag=1", -EEXIST, "another 'tag'");
	refuses(&rig, "ram:///a?blocks=9&bs=4096&tag=1&tag=2", -EEXIST, "another 'blocks'");
	refuses(&rig, "ram:///a?blocks=8&bs=4096&tag=1", -EEXIST, "another 'tag'");
	refuses(&rig, "ram:///a", -EEXIST, "already open with another");
	rig_disk_close(&a);
	rig_disk_open(&rig, &c, "ram:///a?tag=1&bs=4096&tag=2&blocks=8");
	assert_ptr_equal(c.bdev, b.bdev);
	rig_disk_close(&b);
	rig_disk_close(&c);
	rig_disk_open(&rig, &a, "ram:///a?blocks=9");
	assert_int_equal(a.bdev->blocks, 9);
	rig_disk_close(&a);
	rig_fini(&rig);
}

static void without_a_path_the_parameters_are_the_name(void **state)
{
	struct rig rig;
	struct rig_disk a, b, c;

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &a, "ram:///?blocks=8");
	rig_disk_open(&rig, &b, "ram:///?blocks=9");
	rig_disk_open(&rig, &c, "ram:///?blocks=8");
	assert_ptr_not_equal(a.bdev, b.bdev);
	assert_ptr_equal(a.bdev, c.bdev);
	assert_non_null(strstr(a.bdev->name, "blocks=8"));
	rig_disk_close(&a);
	rig_disk_close(&b);
	rig_disk_close(&c);
	rig_fini(&rig);
}

static int find_fn(struct fiber *f, void *arg)
{
	struct rig_disk *d = arg;

	return bdev_find(f, d->uri, &d->bdev);
}

static int count_fn(void *ctx, struct bdev *bdev)
{
	unsigned *count = ctx;

	return bdev->blocks == 7 ? 77 : (++*count, 0);
}

static int each_fn(struct fiber *f, void *arg)
{
	return bdev_each(f, count_fn, arg);
}

static void drivers_name_their_disks(void **state)
{
	struct rig rig;
	struct rig_disk a, b, found;
	unsigned count = 0;

	(void)state;
	rig_init(&rig, 2);
	rig_disk_open(&rig, &a, "ram:///a?name=first");
	assert_string_equal(a.bdev->name, "first");
	refuses(&rig, "ram:///b?name=first", -EEXIST, "'first' is already open");
	rig_disk_open(&rig, &b, "ram:///a?name=first");
	assert_ptr_equal(a.bdev, b.bdev);
	found = (struct rig_disk){ .rig = &rig, .uri = "first" };
	assert_int_equal(rig_fiber(&rig, 1, find_fn, &found, NULL), 0);
	assert_ptr_equal(found.bdev, a.bdev);
	rig_disk_close(&found);
	found = (struct rig_disk){ .rig = &rig, .uri = "ram:///a" };
	assert_int_equal(rig_fiber(&rig, 0, find_fn, &found, NULL), 0);
	rig_disk_close(&found);
	assert_int_equal(rig_fiber(&rig, 0, each_fn, &count, NULL), 0);
	assert_int_equal(count, 1);
	rig_disk_close(&a);
	rig_disk_close(&b);
	found = (struct rig_disk){ .rig = &rig, .uri = "first" };
	assert_int_equal(rig_fiber(&rig, 1, find_fn, &found, NULL), -ENODEV);
	rig_fini(&rig);
}

static void each_goes_in_order_and_can_stop(void **state)
{
	struct rig rig;
	struct rig_disk a, b, c;
	unsigned count = 0;

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &a, "ram:///a");
	rig_disk_open(&rig, &b, "ram:///b?blocks=7");
	rig_disk_open(&rig, &c, "ram:///c");
	assert_int_equal(rig_fiber(&rig, 0, each_fn, &count, NULL), 77);
	assert_int_equal(count, 1);
	rig_disk_close(&b);
	rig_disk_close(&a);
	rig_disk_close(&c);
	rig_fini(&rig);
}

static void a_uuid_is_taken_from_the_uri(void **state)
{
	char text[UUID_TEXT_SIZE];
	struct rig rig;
	struct rig_disk a;

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &a, "ram:///a?uuid=12345678-1234-1234-1234-123456789abc");
	assert_string_equal(uuid_print(&a.bdev->uuid, text),
			    "12345678-1234-1234-1234-123456789abc");
	rig_disk_close(&a);
	rig_fini(&rig);
}

/* Two fibers open the same at the same time; the driver takes its time. */
static void opened_twice_at_once_it_is_opened_once(void **state)
{
	struct rig rig;
	struct rig_disk a = { .uri = "ram:///a?sleep=1000" }, b = a, c = a;
	struct rig_call ca, cb, cc;

	(void)state;
	rig_init(&rig, 3);
	rig_start(&rig, 0, &ca, rig_disk_open_fn, &a);
	rig_start(&rig, 0, &cb, rig_disk_open_fn, &b);
	rig_start(&rig, 2, &cc, rig_disk_open_fn, &c);
	rig_run(&rig);
	assert_int_equal(ca.result | cb.result | cc.result, 0);
	assert_ptr_equal(a.bdev, b.bdev);
	assert_ptr_equal(a.bdev, c.bdev);
	a.rig = b.rig = c.rig = &rig;
	rig_disk_close(&a);
	rig_disk_close(&b);
	rig_disk_close(&c);
	rig_fini(&rig);
}

static void each_who_waited_for_a_failed_open_has_words(void **state)
{
	struct rig rig;
	struct rig_disk a = { .uri = "ram:///a?sleep=1000&on=rum:///b" }, b = a;
	struct rig_call ca, cb;

	(void)state;
	rig_init(&rig, 1);
	rig_start(&rig, 0, &ca, rig_disk_open_fn, &a);
	rig_start(&rig, 0, &cb, rig_disk_open_fn, &b);
	rig_run(&rig);
	assert_int_equal(ca.result, -EINVAL);
	assert_int_equal(cb.result, -EINVAL);
	assert_non_null(strstr(ca.words, "'rum:'"));
	assert_non_null(strstr(cb.words, "'rum:'"));
	rig_fini(&rig);
}

/* a over b, b over a, opened at the same time by two fibers: nobody waits for ever. */
static void a_circle_of_two_fibers_is_refused(void **state)
{
	struct rig rig;
	struct rig_disk a = { .uri = "ram:///a?sleep=100&find=ram:///b" };
	struct rig_disk b = { .uri = "ram:///b?sleep=100&find=ram:///a" };
	struct rig_call ca, cb;

	(void)state;
	rig_init(&rig, 1);
	rig_start(&rig, 0, &ca, rig_disk_open_fn, &a);
	rig_start(&rig, 0, &cb, rig_disk_open_fn, &b);
	rig_run(&rig);
	assert_true(ca.is_done && cb.is_done);
	assert_true((ca.result == -ELOOP && cb.result == -ENODEV) ||
		    (ca.result == -ENODEV && cb.result == -ELOOP));
	rig_fini(&rig);
}

static int cancelled_open_fn(struct fiber *f, void *arg)
{
	fiber_cancel(f);
	return rig_disk_open_fn(f, arg);
}

static void a_cancelled_fiber_does_not_wait_for_an_open(void **state)
{
	struct rig rig;
	struct rig_disk a = { .uri = "ram:///a?sleep=1000" }, b = a;
	struct rig_call ca, cb;

	(void)state;
	rig_init(&rig, 1);
	a.rig = &rig;
	rig_start(&rig, 0, &ca, rig_disk_open_fn, &a);
	rig_start(&rig, 0, &cb, cancelled_open_fn, &b);
	rig_run(&rig);
	assert_int_equal(ca.result, 0);
	assert_int_equal(cb.result, -ECANCELED);
	assert_non_null(strstr(cb.words, "cancelled"));
	rig_disk_close(&a);
	rig_fini(&rig);
}

static void eight_disks_stand_on_each_other_but_not_nine(void **state)
{
	struct rig_disk d[BDEV_STACK_MAX + 1];
	char uri[BDEV_STACK_MAX + 2][64];
	struct rig rig;

	(void)state;
	rig_init(&rig, 1);
	strcpy(uri[0], "ram:///0");
	rig_disk_open(&rig, &d[0], uri[0]);
	for (unsigned i = 1; i < BDEV_STACK_MAX; i++) {
		snprintf(uri[i], sizeof(uri[i]), "ram:///%u?find=ram:///%u", i, i - 1);
		rig_disk_open(&rig, &d[i], uri[i]);
	}
	refuses(&rig, "ram:///8?find=ram:///7", -E2BIG, "more than 8 disks");
	refuses(&rig, "ram:///b?on=ram:///c?find=ram:///6", -E2BIG, "more than 8 disks");
	for (unsigned i = BDEV_STACK_MAX; i-- > 0;)
		rig_disk_close(&d[i]);
	rig_fini(&rig);
}

static void a_disk_may_grow_or_go_while_it_is_opened(void **state)
{
	struct rig rig;
	struct rig_disk d;

	(void)state;
	rig_init(&rig, 1);
	refuses(&rig, "ram:///a?early=removed", -ENODEV, "ram:///a: the disk went away");
	rig_disk_open(&rig, &d, "ram:///a?early=resized");
	assert_int_equal(d.chan[0]->blocks, 255);
	rig_disk_close(&d);
	rig_fini(&rig);
}

static int sleep_fn(struct fiber *f, void *arg)
{
	return fiber_sleep(f, *(uint64_t *)arg);
}

/* Opening and closing from elsewhere waits until home has a fiber for it. */
static void home_without_fibers_is_waited_for(void **state)
{
	uint64_t ns = 50000000;
	struct rig_call call, sleeper[RIG_FIBERS];
	struct rig_disk d = { .uri = "ram:///a" };
	struct rig rig;

	(void)state;
	rig_init(&rig, 2);
	for (unsigned i = 0; i < RIG_FIBERS; i++)
		rig_start(&rig, 0, &sleeper[i], sleep_fn, &ns);
	rig_start(&rig, 1, &call, rig_disk_open_fn, &d);
	rig_run(&rig);
	assert_int_equal(call.result, 0);
	assert_string_equal(call.words, "");
	assert_true(rig.fake[1].now_ns >= 1000000000 + ns);
	d.rig = &rig;
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* ---- limits of a node ------------------------------------------------- */

static int tiny_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	struct bdev *bdev = mem_new(fiber_io(f), sizeof(*bdev));

	(void)uri;
	if (!bdev)
		return -ENOMEM;
	bdev->block_size = 512;
	*ret = bdev;
	return 0;
}

static void tiny_close(struct fiber *f, struct bdev *bdev)
{
	(void)f;
	mem_free(bdev);
}

static const struct bdev_driver tiny_driver = { .scheme = "tiny",
						.open = tiny_open,
						.close = tiny_close };
static const struct bdev_driver *const tiny_drivers[] = { &tiny_driver, NULL };

struct many {
	struct bdev *bdev[BDEV_OPEN_MAX];
	int past_max;
};

static int many_fn(struct fiber *f, void *arg)
{
	struct many *many = arg;
	char uri[32];

	for (unsigned i = 0; i < BDEV_OPEN_MAX; i++) {
		snprintf(uri, sizeof(uri), "tiny:///%u", i);
		if (bdev_open(f, uri, &many->bdev[i]) < 0)
			return -1;
	}
	many->past_max = bdev_open(f, "tiny:///more", &many->bdev[0]);
	for (unsigned i = 0; i < BDEV_OPEN_MAX; i++)
		bdev_close(f, many->bdev[i]);
	return 0;
}

static void a_node_has_at_most_so_many_disks(void **state)
{
	struct many *many = calloc(1, sizeof(*many));
	char words[ERR_WORDS_SIZE];
	struct rig rig;

	(void)state;
	assert_int_equal(rig_init_drivers(&rig, 1, tiny_drivers, 0), 0);
	assert_int_equal(rig_fiber(&rig, 0, many_fn, many, words), 0);
	assert_int_equal(many->past_max, -EMFILE);
	assert_non_null(strstr(words, "65536 disks are open"));
	rig_fini(&rig);
	free(many);
}

/* far://name/ leads back to tiny:///name if that is open here; far itself has a table of its own for them. */
static int far_is_here(struct fiber *f, const struct uri *uri, char ret_name[BDEV_NAME_MAX])
{
	struct bdev *bdev;

	snprintf(ret_name, BDEV_NAME_MAX, "tiny:///%s", uri_host(uri));
	if (strcmp(uri_host(uri), "bad") == 0)
		return fiber_fail(f, -EPROTO, "far: a bad host");
	if (bdev_find(f, ret_name, &bdev) < 0) {
		fiber_clear(f);
		return 0;
	}
	bdev_close(f, bdev);
	return 1;
}

static const struct bdev_driver far_other = { .scheme = "far",
					      .open = tiny_open,
					      .close = tiny_close };

static int far_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	int r = tiny_open(f, uri, ret);

	if (r == 0)
		(*ret)->driver = &far_other;
	return r;
}

static const struct bdev_driver far_driver = {
	.scheme = "far", .open = far_open, .close = tiny_close, .is_here = far_is_here
};
static const struct bdev_driver *const far_drivers[] = { &tiny_driver, &far_driver, NULL };

static int far_fn(struct fiber *f, void *arg)
{
	struct bdev *tiny, *here, *far;

	(void)arg;
	assert_int_equal(bdev_open(f, "far://bad/x", &far), -EPROTO);
	fiber_clear(f);
	assert_int_equal(bdev_open(f, "far://a/x", &far), 0); /* nothing is open here */
	assert_ptr_equal(far->driver, &far_other);
	assert_string_equal(far->name, "far://a/x");
	bdev_close(f, far);
	assert_int_equal(bdev_open(f, "tiny:///a", &tiny), 0);
	assert_int_equal(bdev_open(f, "far://a/x", &here), 0);
	assert_ptr_equal(here, tiny);
	bdev_close(f, tiny); /* it is counted: still open */
	assert_ptr_equal(here->driver, &tiny_driver);
	bdev_close(f, here);
	return 0;
}

static void a_uri_that_leads_back_here_shares_the_disk(void **state)
{
	struct rig rig;

	(void)state;
	assert_int_equal(rig_init_drivers(&rig, 1, far_drivers, 0), 0);
	assert_int_equal(rig_fiber(&rig, 0, far_fn, NULL, NULL), 0);
	rig_fini(&rig);
}

static int rescan_fn(struct fiber *f, void *arg)
{
	return bdev_rescan(f, ((struct rig_disk *)arg)->bdev);
}

static void a_disk_without_extras_has_the_common_ones(void **state)
{
	struct rig rig;
	struct rig_disk d;

	(void)state;
	assert_int_equal(rig_init_drivers(&rig, 1, tiny_drivers, 0), 0);
	rig_disk_open(&rig, &d, "tiny:///a");
	assert_null(bdev_replica_ops(d.chan[0]));
	assert_null(bdev_resv_ops(d.chan[0]));
	assert_int_equal(rig_fiber(&rig, 0, rescan_fn, &d, NULL), 0);
	rig_disk_close(&d);
	rig_fini(&rig);
}

struct extents {
	struct rig_disk *d;
	uint64_t lba, blocks;
	struct bdev_extent extent[2];
	unsigned count;
};

static int status_fn(struct fiber *f, void *arg)
{
	struct extents *e = arg;

	return bdev_status_get(f, e->d->chan[0], e->lba, e->blocks, e->extent, 2, &e->count);
}

static void block_status_is_data_unless_the_driver_knows(void **state)
{
	struct rig rig;
	struct rig_disk d;
	struct extents e = { .d = &d, .lba = 8, .blocks = 100 };

	(void)state;
	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a");
	assert_int_equal(rig_fiber(&rig, 0, status_fn, &e, NULL), 0);
	assert_int_equal(e.count, 1);
	assert_int_equal(e.extent[0].lba, 8);
	assert_int_equal(e.extent[0].blocks, 100);
	assert_int_equal(e.extent[0].flags, BDEV_DATA);
	e.blocks = 249;
	assert_int_equal(rig_fiber(&rig, 0, status_fn, &e, NULL), -EINVAL);
	e.blocks = 0;
	assert_int_equal(rig_fiber(&rig, 0, status_fn, &e, NULL), -EINVAL);
	e.lba = 257;
	e.blocks = 1;
	assert_int_equal(rig_fiber(&rig, 0, status_fn, &e, NULL), -EINVAL);
	rig_disk_close(&d);
	rig_fini(&rig);
}

/* ---- mistakes of programmers ------------------------------------------ */

static void open_wrong_limits(const char *uri)
{
	struct rig rig;
	struct rig_disk d;

	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, uri);
}

static void a_driver_with_wrong_limits_is_noticed(void **state)
{
	(void)state;
	assert_dies(open_wrong_limits("ram:///a?bs=100"));
	assert_dies(open_wrong_limits("ram:///a?bs=131072"));
	assert_dies(open_wrong_limits("ram:///a?align=3"));
	assert_dies(open_wrong_limits("ram:///a?align=8192"));
	assert_dies(open_wrong_limits("ram:///a?ops=0x100"));
	assert_dies(open_wrong_limits("ram:///a?ops=3&vc=1"));
	assert_dies(open_wrong_limits("ram:///a?unit=3"));
	assert_dies(open_wrong_limits("ram:///a?unit=1024"));
	assert_dies(open_wrong_limits("ram:///a?unit=8&max=9"));
	assert_dies(open_wrong_limits("ram:///a?unit=8&boundary=9"));
	assert_dies(open_wrong_limits("ram:///a?unit=8&maxz=7"));
}

static void close_with_channel(void)
{
	struct rig rig;
	struct rig_disk d;

	rig_init(&rig, 1);
	rig_disk_open(&rig, &d, "ram:///a");
	rig_fiber(&rig, 0, rig_disk_close_fn, &d, NULL);
}

static void closing_under_a_channel_is_noticed(void **state)
{
	(void)state;
	assert_dies(close_with_channel());
}

/* ---- faults ----------------------------------------------------------- */

static int stack_once(uint64_t fail_at, bool *ret_failed)
{
	struct rig rig;
	struct rig_disk d = { 0 };
	int r = rig_init_drivers(&rig, 2, rig_drivers, fail_at);

	if (r == 0)
		r = rig_disk_try(&rig, &d, "ram:///a?ops=0xff&name=x&on=ram:///b?on=ram:///c",
				 NULL);
	d.rig = &rig;
	rig_disk_close(&d);
	*ret_failed = rig.heap.failures > 0;
	rig_fini(&rig);
	return r;
}

static void every_allocation_of_an_open_may_fail(void **state)
{
	bool failed = true;

	(void)state;
	for (uint64_t n = 1; failed; n++) {
		int r = stack_once(n, &failed);

		assert_true(r == 0 || (failed && r == -ENOMEM));
		assert_true(n < 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_uris_are_told_in_words),
		cmocka_unit_test(long_names_are_refused),
		cmocka_unit_test(same_disk_is_shared),
		cmocka_unit_test(without_a_path_the_parameters_are_the_name),
		cmocka_unit_test(drivers_name_their_disks),
		cmocka_unit_test(each_goes_in_order_and_can_stop),
		cmocka_unit_test(a_uuid_is_taken_from_the_uri),
		cmocka_unit_test(opened_twice_at_once_it_is_opened_once),
		cmocka_unit_test(each_who_waited_for_a_failed_open_has_words),
		cmocka_unit_test(a_circle_of_two_fibers_is_refused),
		cmocka_unit_test(a_cancelled_fiber_does_not_wait_for_an_open),
		cmocka_unit_test(eight_disks_stand_on_each_other_but_not_nine),
		cmocka_unit_test(a_disk_may_grow_or_go_while_it_is_opened),
		cmocka_unit_test(home_without_fibers_is_waited_for),
		cmocka_unit_test(a_node_has_at_most_so_many_disks),
		cmocka_unit_test(a_uri_that_leads_back_here_shares_the_disk),
		cmocka_unit_test(a_disk_without_extras_has_the_common_ones),
		cmocka_unit_test(block_status_is_data_unless_the_driver_knows),
		cmocka_unit_test(a_driver_with_wrong_limits_is_noticed),
		cmocka_unit_test(closing_under_a_channel_is_noticed),
		cmocka_unit_test(every_allocation_of_an_open_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
