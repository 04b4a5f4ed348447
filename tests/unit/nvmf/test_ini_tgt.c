// SPDX-License-Identifier: Apache-2.0
/* Our initiator on our target, in one process: data, reservations, events, losses, failures. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../drivers/rig.h"
#include "nvmf/ini.h"
#include "nvmf/tgt.h"
#include "wire/nvme_resv.h"

#define NQN "nqn.2026-11.test:pair"
#define MS  1000000u

/* However slow the machine is. */
#define PATIENT "timeout_ms=86400000&connect_ms=86400000&wait_ms=86400000&loss_ms=86400000&kato_ms=0"

struct pair {
	struct tgt *tgt;
	struct tgt_port *port;
	struct tgt_subsys *subsys;
	struct tgt_ns *ns;
	uint16_t number;
};

static void pair_port(struct fiber *f, struct pair *pair)
{
	struct tgt_port_args port = {.addr = {.family = 2, .ip = {127, 0, 0, 1}, .port = pair->number}};
	struct io_addr addr;

	assert_int_equal(tgt_port_add(f, pair->tgt, &port, &pair->port), 0);
	tgt_port_addr(pair->port, &addr);
	pair->number = addr.port;
}

static void pair_open(struct fiber *f, struct pair *pair, unsigned reactors, const char *disk,
		      bool fence)
{
	struct tgt_opts opts = {.reactors = reactors};
	struct tgt_subsys_args subsys = {.nqn = NQN, .allow_any_host = true, .fence = fence};
	struct tgt_ns_args ns = {.uri = disk};

	*pair = (struct pair){0};
	assert_int_equal(tgt_open(f, &opts, &pair->tgt), 0);
	pair_port(f, pair);
	assert_int_equal(tgt_subsys_add(f, pair->tgt, &subsys, &pair->subsys), 0);
	assert_int_equal(tgt_ns_add(f, pair->subsys, &ns, &pair->ns), 0);
}

static const char *pair_uri(const struct pair *pair, const char *params, char text[512])
{
	snprintf(text, 512, "nvmf://127.0.0.1:%u/%s?%s", pair->number, NQN, params);
	return text;
}

RIG_TEST(what_is_written_is_read)
{
	static const char *const params[] = {
		"", "hdgst=false&ddgst=false", "ddgst=false", "hdgst=false&depth=2", "max_io=64k",
	};
	struct pair pair;
	char uri[512];

	pair_open(f, &pair, 1, "malloc:///m?size_mb=2", false);
	for (unsigned i = 0; i < ARRAY_LEN(params); i++)
		rig_integrity(f, rig, pair_uri(&pair, params[i], uri), 60, i);
	tgt_close(f, pair.tgt);
}

RIG_TEST(the_disk_is_the_one_beneath)
{
	struct pair pair;
	struct bdev *bdev;
	char uri[512];

	(void)rig;
	pair_open(f, &pair, 1,
		  "malloc:///m?size_mb=2&blk_size=4096&uuid=6f2b4c1e-0d8a-4d7c-9a51-3f0f3c5a7e11", false);
	bdev = rig_open(f, pair_uri(&pair, "", uri));
	assert_int_equal(bdev->block_size, 4096);
	assert_int_equal(bdev->blocks, 512);
	assert_int_equal(bdev->uuid.bytes[0], 0x6f);
	assert_true(bdev->can_zeroes && bdev->can_unmap);
	bdev_close(f, bdev);
	rig_refused(f, pair_uri(&pair, "nsid=9", uri), -ENODEV, "namespace 9 is not there");
	tgt_close(f, pair.tgt);
}

/* ---- losses ------------------------------------------------------------------------------ */

struct breaker {
	struct pair *pair;
	unsigned times;
	bool stop;
};

static int breaker_main(struct fiber *f, void *arg)
{
	struct breaker *b = arg;

	while (!b->stop) {
		assert_int_equal(fiber_sleep(f, 5 * MS), 0);
		tgt_port_remove(f, b->pair->port);
		pair_port(f, b->pair);
		b->times++;
	}
	return 0;
}

static void losses_body(struct fiber *f, struct rig *rig)
{
	struct pair pair;
	struct breaker breaker = {.pair = &pair};
	struct fiber *fiber;
	struct bdev *bdev;
	char uri[512];

	pair_open(f, &pair, rig->reactors, "malloc:///m?size_mb=2", false);
	bdev = rig_open(f, pair_uri(&pair, PATIENT, uri)); /* who opens while nobody listens is refused */
	assert_int_equal(fiber_start(fiber_reactor(f), "breaker", breaker_main, &breaker, &fiber), 0);
	while (breaker.times < 5)
		rig_integrity(f, rig, uri, 30, 7);
	breaker.stop = true;
	assert_int_equal(fiber_join(f, fiber), 0);
	bdev_close(f, bdev);
	tgt_close(f, pair.tgt);
}

static void data_survive_a_target_that_comes_and_goes(void **state)
{
	(void)state;
	rig_run(1, losses_body, NULL);
	rig_run(3, losses_body, NULL);
}

/* ---- reservations ------------------------------------------------------------------------- */

struct host {
	struct bdev *bdev;
	struct bdev_chan *chan;
};

/* Each on a name of its own, so that both can be open: one by the nsid in the path. */
static struct host host_open(struct fiber *f, const struct pair *pair, const char *path)
{
	struct host host;
	char uri[512];

	snprintf(uri, sizeof(uri), "nvmf://127.0.0.1:%u/%s%s", pair->number, NQN, path);
	host.bdev = rig_open(f, uri);
	host.chan = rig_chan(f, host.bdev);
	return host;
}

static void host_close(struct fiber *f, struct host *host)
{
	bdev_chan_close(f, host->chan);
	bdev_close(f, host->bdev);
}

static int host_write(struct fiber *f, struct host *host)
{
	uint8_t buf[512] = {1};
	int r = bdev_write(f, host->chan, 0, 1, buf, 0);

	fiber_clear(f);
	return r;
}

static int host_read(struct fiber *f, struct host *host)
{
	uint8_t buf[512];
	int r = bdev_read(f, host->chan, 0, 1, buf);

	fiber_clear(f);
	return r;
}

RIG_TEST(who_holds_the_reservation_alone_reads_and_writes)
{
	struct resv_state *state = calloc(1, sizeof(*state));
	struct host a, b;
	struct pair pair;

	(void)rig;
	pair_open(f, &pair, 1, "malloc:///m?size_mb=2", false);
	a = host_open(f, &pair, "");
	b = host_open(f, &pair, "/1");
	assert_int_equal(ini_resv_register(f, a.chan, 11), 0);
	assert_int_equal(ini_resv_register(f, b.chan, 22), 0);
	assert_int_equal(ini_resv_acquire(f, a.chan, 11, NVME_RESV_EXCLUSIVE_ACCESS), 0);
	assert_int_equal(host_write(f, &a), 0);
	assert_int_equal(host_write(f, &b), -ESTALE);
	assert_int_equal(host_read(f, &b), -ESTALE);
	assert_int_equal(ini_resv_acquire(f, b.chan, 22, NVME_RESV_EXCLUSIVE_ACCESS), -ESTALE);
	fiber_clear(f);
	assert_int_equal(ini_resv_report(f, b.chan, state), 0);
	assert_int_equal(state->count, 2);
	assert_int_equal(state->type, NVME_RESV_EXCLUSIVE_ACCESS);
	assert_int_equal(state->registrant[state->holder].key, 11);
	assert_int_equal(ini_resv_preempt(f, b.chan, 22, 11, NVME_RESV_EXCLUSIVE_ACCESS), 0);
	assert_int_equal(host_write(f, &b), 0);
	assert_int_equal(host_write(f, &a), -ESTALE);
	assert_int_equal(ini_resv_release(f, b.chan, 22, NVME_RESV_EXCLUSIVE_ACCESS), 0);
	assert_int_equal(host_write(f, &a), 0);
	assert_int_equal(ini_resv_clear(f, b.chan, 22), 0);
	host_close(f, &a);
	host_close(f, &b);
	tgt_close(f, pair.tgt);
	free(state);
}

RIG_TEST(a_reservation_outlives_the_connection)
{
	struct host a, b;
	struct pair pair;

	(void)rig;
	pair_open(f, &pair, 1, "malloc:///m?size_mb=2", false);
	a = host_open(f, &pair, "");
	b = host_open(f, &pair, "/1");
	assert_int_equal(ini_resv_register(f, a.chan, 11), 0);
	assert_int_equal(ini_resv_acquire(f, a.chan, 11, NVME_RESV_EXCLUSIVE_ACCESS), 0);
	tgt_port_remove(f, pair.port);
	pair_port(f, &pair);
	assert_int_equal(host_write(f, &b), -ESTALE);
	assert_int_equal(host_write(f, &a), 0);
	host_close(f, &a);
	host_close(f, &b);
	tgt_close(f, pair.tgt);
}

/* ---- events --------------------------------------------------------------------------------- */

struct seen {
	struct bdev_watch watch;
	unsigned resized, removed;
};

static void seen_event(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	struct seen *seen = container_of(watch, struct seen, watch);

	(void)bdev;
	if (event == BDEV_RESIZED)
		seen->resized++;
	else
		seen->removed++;
}

RIG_TEST(growth_and_removal_are_seen)
{
	struct seen seen = {.watch.fn = seen_event};
	char path[256], disk[300], uri[512];
	struct pair pair;
	struct host a;

	rig_file(rig, "d", 1 << 20);
	rig_path(rig, "d", path, sizeof(path));
	snprintf(disk, sizeof(disk), "file://%s?direct=off", path);
	pair_open(f, &pair, 1, disk, false);
	a = host_open(f, &pair, "");
	(void)uri;
	assert_int_equal(bdev_watch_add(f, a.bdev, &seen.watch), 0);
	assert_int_equal(truncate(path, 2 << 20), 0);
	assert_int_equal(tgt_ns_rescan(f, pair.ns), 0);
	while (seen.resized < 1)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(a.bdev->blocks, (2 << 20) / 512);
	tgt_ns_remove(f, pair.ns);
	while (seen.removed < 1)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(host_read(f, &a), -ENODEV);
	bdev_watch_del(f, &seen.watch);
	host_close(f, &a);
	tgt_close(f, pair.tgt);
}

/* ---- no memory -------------------------------------------------------------------------------- */

/* Whatever fails, fails with an error, and nothing is left (rig_run looks). */
static bool starved_once(struct fiber *f, struct rig *rig, const char *uri, uint64_t nth)
{
	struct bdev_chan *chan = NULL;
	struct bdev *bdev = NULL;
	uint64_t failures = rig->heap.failures;
	uint8_t buf[512] = {0};
	int r;

	rig->heap.fail_at = rig->heap.allocs + nth;
	r = bdev_open(f, uri, &bdev);
	if (r == 0) {
		r = bdev_chan_open(f, bdev, &chan);
		if (r == 0) {
			r = bdev_write(f, chan, 0, 1, buf, 0);
			bdev_chan_close(f, chan);
		}
		bdev_close(f, bdev);
	}
	rig->heap.fail_at = 0;
	fiber_clear(f);
	if (rig->heap.failures == failures)
		assert_int_equal(r, 0);
	return rig->heap.failures != failures;
}

RIG_TEST(without_memory_it_fails_cleanly_or_goes_on)
{
	struct pair pair;
	uint64_t nth = 1;
	char uri[512];

	pair_open(f, &pair, 1, "malloc:///m?size_mb=2", false);
	pair_uri(&pair, "timeout_ms=2000&connect_ms=2000&wait_ms=2000", uri);
	while (starved_once(f, rig, uri, nth))
		nth++;
	assert_true(nth > 10);
	tgt_close(f, pair.tgt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_disk_is_the_one_beneath),
		cmocka_unit_test(data_survive_a_target_that_comes_and_goes),
		cmocka_unit_test(who_holds_the_reservation_alone_reads_and_writes),
		cmocka_unit_test(a_reservation_outlives_the_connection),
		cmocka_unit_test(growth_and_removal_are_seen),
		cmocka_unit_test(without_memory_it_fails_cleanly_or_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
