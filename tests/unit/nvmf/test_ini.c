// SPDX-License-Identifier: Apache-2.0
/* The initiator against a controller that behaves: data, limits, identity, reservations. */
#include <stdlib.h>

#include "../drivers/rig.h"
#include "ini_fake.h"
#include "nvmf/ini.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_io.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_status.h"

RIG_TEST(uris_that_make_no_sense_are_refused_with_words)
{
	static const struct {
		const char *uri;
		const char *words;
		bool range;
	} bad[] = {
		{"nvmf:///nqn.2026-11.test:x", "nvmf://host:port/nqn"},
		{"nvmf://127.0.0.1:1", "nvmf://host:port/nqn"},
		{"nvmf://127.0.0.1:1/disk", "not an NQN"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x/y", "'y' is not a namespace"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x/0", "is not a namespace"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x/4294967295", "is not a namespace"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x/99999999999999999999", "is not a namespace"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x/1?nsid=1", "in the path and in 'nsid'"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?nsid=0", "nsid", true},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?hostnqn=me", "not an NQN"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?hostid=me", "not a UUID"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?hostid=00000000-0000-0000-0000-000000000000",
		 "not a UUID"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?token=5", "go together"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?hdgst=perhaps", "hdgst"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?depth=0", "depth", true},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?depth=999", "depth", true},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?queues=0", "queues", true},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?max_io=1k", "max_io", true},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?timeout_ms=0", "timeout_ms", true},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?connect_ms=0", "connect_ms", true},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?kato_ms=x", "kato_ms"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?wait_ms=-1", "wait_ms"},
		{"nvmf://127.0.0.1:1/nqn.2026-11.test:x?loss_ms=x", "loss_ms"},
	};

	(void)rig;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		rig_refused(f, bad[i].uri, bad[i].range ? -ERANGE : -EINVAL, bad[i].words);
}

RIG_TEST(where_nobody_listens_the_open_fails_at_once)
{
	(void)rig;
	rig_refused(f, "nvmf://127.0.0.1:1/nqn.2026-11.test:x", -ECONNREFUSED, "127.0.0.1:1");
}

RIG_TEST(what_is_written_is_read_in_every_shape_of_the_transport)
{
	static const struct {
		const char *params;
		bool hdgst, ddgst, success;
		uint8_t align;
		uint32_t capsule, h2c, chunk;
		uint8_t mdts;
		uint16_t mqes;
	} shapes[] = {
		{"", true, true, false, 4, 8192, 131072, 1u << 30, 0, 127},
		{"hdgst=false&ddgst=false", true, true, true, 4, 8192, 131072, 1u << 30, 0, 127},
		{"ddgst=false", true, true, true, 128, 16384, 131072, 8192, 0, 127},
		{"hdgst=false", true, true, false, 24, 0, 4096, 4096, 1, 3},
		{"depth=1&max_io=64k", true, false, true, 64, 4096, 8192, 512, 3, 15},
		{"", false, false, false, 4, 512, 65536, 1u << 30, 0, 31},
	};
	char uri[512];

	for (unsigned i = 0; i < ARRAY_LEN(shapes); i++) {
		struct fake *fake = fake_new(f);

		fake->hdgst = shapes[i].hdgst;
		fake->ddgst = shapes[i].ddgst;
		fake->success = shapes[i].success;
		fake->align = shapes[i].align;
		fake->capsule = shapes[i].capsule;
		fake->maxh2cdata = shapes[i].h2c;
		fake->c2h_chunk = shapes[i].chunk;
		fake->mdts = shapes[i].mdts;
		fake->mqes = shapes[i].mqes;
		rig_integrity(f, rig, fake_uri(fake, shapes[i].params, uri), 60, i);
		assert_int_equal(fake->terms, 0);
		assert_int_equal(fake->connects, 1);
		assert_int_equal(fake->shutdowns, 1);
		fake_free(f, fake);
	}
}

RIG_TEST(large_transfers_go_straight_into_memory)
{
	struct fake *fake = fake_new(f);
	size_t len = fake->blocks * fake->block_size;
	uint8_t *out = malloc(len), *in = calloc(1, len);
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[512];

	(void)rig;
	rig_fill(out, len, 1);
	bdev = rig_open(f, fake_uri(fake, "max_io=2m", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(bdev_write(f, chan, 0, fake->blocks, out, 0), 0);
	assert_memory_equal(fake->data, out, len);
	assert_int_equal(bdev_read(f, chan, 0, fake->blocks, in), 0);
	assert_memory_equal(in, out, len);
	assert_int_equal(fake->commands[NVME_IO_READ], 1);
	assert_int_equal(fake->writes, 1);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	free(out);
	free(in);
	fake_free(f, fake);
}

RIG_TEST(the_disk_is_described_as_the_controller_says)
{
	struct fake *fake = fake_new(f);
	struct bdev *bdev;
	char uri[512];

	(void)rig;
	fake->mdts = 4;
	fake->mqes = 9;
	bdev = rig_open(f, fake_uri(fake, "", uri));
	assert_int_equal(bdev->block_size, 512);
	assert_int_equal(bdev->blocks, 4096);
	assert_memory_equal(bdev->uuid.bytes, fake->uuid, 16);
	assert_true(bdev->volatile_cache && bdev->can_unmap && bdev->can_zeroes);
	assert_false(bdev->unmap_zeroes);
	assert_int_equal(bdev->limits.max_blocks, 65536 / 512);
	assert_int_equal(bdev->limits.queue_depth, 8); /* ten entries: nine out, one no bio */
	bdev_close(f, bdev);
	fake->oncs = fake->vwc = 0;
	fake->mdts = 0;
	bdev = rig_open(f, fake_uri(fake, "depth=5&max_io=64k", uri));
	assert_false(bdev->volatile_cache || bdev->can_unmap || bdev->can_zeroes);
	assert_int_equal(bdev->limits.ops, 1u << BIO_READ | 1u << BIO_WRITE);
	assert_int_equal(bdev->limits.queue_depth, 5);
	assert_int_equal(bdev->limits.max_blocks, 65536 / 512);
	bdev_close(f, bdev);
	fake->block_size = 16384;
	fake->mdts = 1;
	rig_refused(f, fake_uri(fake, "", uri), -EPROTO, "8192 bytes at a time");
	fake_free(f, fake);
}

/* The flags of the last write or zeroes command. */
static bool see_flags(struct fake_conn *conn, const struct nvme_sqe *sqe, void *ctx)
{
	struct nvme_rw rw;

	if (conn->qid && (sqe->opcode == NVME_IO_WRITE || sqe->opcode == NVME_IO_WRITE_ZEROES)) {
		assert_int_equal(nvme_rw_decode(sqe, UINT64_MAX, &rw), 0);
		*(uint16_t *)ctx = rw.flags;
	}
	return false;
}

RIG_TEST(flags_and_ops_are_those_of_the_bio)
{
	struct fake *fake = fake_new(f);
	uint8_t buf[512] = {7};
	struct bdev_chan *chan;
	struct bdev *bdev;
	uint16_t flags = 0;
	char uri[512];

	(void)rig;
	fake->script = see_flags;
	fake->script_ctx = &flags;
	bdev = rig_open(f, fake_uri(fake, "", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(bdev_write(f, chan, 3, 1, buf, BIO_FUA), 0);
	assert_int_equal(flags, NVME_RW_FUA);
	assert_int_equal(bdev_write(f, chan, 3, 1, buf, 0), 0);
	assert_int_equal(flags, 0);
	assert_int_equal(bdev_zeroes(f, chan, 3, 1, 0), 0);
	assert_int_equal(flags, NVME_RW_DEALLOCATE);
	assert_int_equal(bdev_zeroes(f, chan, 3, 1, BIO_KEEP | BIO_FUA), 0);
	assert_int_equal(flags, NVME_RW_FUA);
	assert_int_equal(bdev_flush(f, chan), 0);
	assert_int_equal(fake->commands[NVME_IO_FLUSH], 1);
	assert_int_equal(bdev_unmap(f, chan, 8, 4), 0);
	assert_int_equal(fake->data[8 * 512], 0xdd);
	assert_int_equal(fake->data[12 * 512], 0);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	fake_free(f, fake);
}

static int compare(struct fiber *f, struct bdev_chan *chan, void *buf)
{
	struct iovec iov = {buf, 512};
	struct bio *bio = bio_new(chan);
	int r;

	bio_prep(bio, chan, BIO_COMPARE, 3, 1, &iov, 1, NULL);
	r = bio_wait(f, bio);
	fiber_clear(f);
	mem_free(bio);
	return r;
}

RIG_TEST(compare_is_done_by_the_controller)
{
	struct fake *fake = fake_new(f);
	uint8_t buf[512] = {0};
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[512];

	(void)rig;
	bdev = rig_open(f, fake_uri(fake, "", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(compare(f, chan, buf), 0);
	buf[9] = 1;
	assert_int_equal(compare(f, chan, buf), -EILSEQ);
	assert_int_equal(fake->commands[NVME_IO_COMPARE], 2);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	fake_free(f, fake);
}

RIG_TEST(no_more_channels_than_the_controller_gave_queues)
{
	struct fake *fake = fake_new(f);
	struct bdev_chan *chan[3];
	struct bdev *bdev;
	char uri[512];

	(void)rig;
	fake->queues = 2;
	bdev = rig_open(f, fake_uri(fake, "", uri));
	chan[0] = rig_chan(f, bdev);
	chan[1] = rig_chan(f, bdev);
	assert_int_equal(bdev_chan_open(f, bdev, &chan[2]), -EMFILE);
	assert_non_null(strstr(fiber_words(f), "2 I/O queues"));
	fiber_clear(f);
	bdev_chan_close(f, chan[0]);
	assert_int_equal(fake->disconnects, 1);
	chan[0] = rig_chan(f, bdev);
	assert_int_equal(fake->connects, 1); /* a channel that closes is no loss */
	bdev_chan_close(f, chan[0]);
	bdev_chan_close(f, chan[1]);
	bdev_close(f, bdev);
	fake_free(f, fake);
}

RIG_TEST(a_session_is_a_host_of_its_own)
{
	struct fake *fake = fake_new(f);
	struct uuid instance, a, b;
	uint8_t minted[16];
	char uri[512];

	(void)rig;
	assert_int_equal(uuid_parse("6f2b4c1e-0d8a-4d7c-9a51-3f0f3c5a7e11", &instance), 0);
	a = ini_host_id(&instance, 5 << 16 | 1);
	b = ini_host_id(&instance, 5 << 16 | 2);
	assert_false(uuid_equal(&a, &b));
	b = ini_host_id(&instance, 5 << 16 | 1);
	assert_true(uuid_equal(&a, &b));

	bdev_close(f, rig_open(f, fake_uri(fake, "instance=6f2b4c1e-0d8a-4d7c-9a51-3f0f3c5a7e11&"
						 "token=0x50001&hostnqn=nqn.2026-11.test:me", uri)));
	assert_memory_equal(fake->host_id, a.bytes, 16);
	assert_string_equal(fake->hostnqn, "nqn.2026-11.test:me");
	bdev_close(f, rig_open(f, fake_uri(fake, "hostid=6f2b4c1e-0d8a-4d7c-9a51-3f0f3c5a7e11", uri)));
	assert_memory_equal(fake->host_id, instance.bytes, 16);
	assert_string_equal(fake->hostnqn,
			    "nqn.2014-08.org.nvmexpress:uuid:6f2b4c1e-0d8a-4d7c-9a51-3f0f3c5a7e11");
	bdev_close(f, rig_open(f, fake_uri(fake, "", uri)));
	memcpy(minted, fake->host_id, 16);
	bdev_close(f, rig_open(f, fake_uri(fake, "", uri)));
	assert_memory_not_equal(minted, fake->host_id, 16);
	fake_free(f, fake);
}

RIG_TEST(reservations_are_told_and_asked)
{
	struct fake *fake = fake_new(f);
	struct resv_state *state = calloc(1, sizeof(*state));
	struct bdev_chan *chan;
	struct bdev *bdev;
	char uri[512];

	(void)rig;
	bdev = rig_open(f, fake_uri(fake, "", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(ini_resv_register(f, chan, 0x50001), 0);
	assert_int_equal(fake->key, 0x50001);
	assert_int_equal(ini_resv_acquire(f, chan, 0x50001, NVME_RESV_EXCLUSIVE_ACCESS), 0);
	assert_int_equal(ini_resv_preempt(f, chan, 0x50001, 3, NVME_RESV_EXCLUSIVE_ACCESS), 0);
	assert_int_equal(ini_resv_report(f, chan, state), 0);
	assert_int_equal(state->count, 1);
	assert_int_equal(state->holder, 0);
	assert_int_equal(state->type, NVME_RESV_EXCLUSIVE_ACCESS);
	assert_int_equal(state->registrant[0].key, 0x50001);
	assert_memory_equal(state->registrant[0].host_id.bytes, fake->host_id, 16);
	assert_int_equal(ini_resv_release(f, chan, 0x50001, NVME_RESV_EXCLUSIVE_ACCESS), 0);
	assert_int_equal(ini_resv_unregister(f, chan, 0x50001), 0);
	assert_int_equal(ini_resv_clear(f, chan, 0x50001), 0);
	assert_int_equal(fake->commands[NVME_IO_RESV_REGISTER], 2);
	assert_int_equal(fake->commands[NVME_IO_RESV_ACQUIRE], 2);
	assert_int_equal(fake->commands[NVME_IO_RESV_RELEASE], 2);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	fake->rescap = 0;
	bdev = rig_open(f, fake_uri(fake, "", uri));
	chan = rig_chan(f, bdev);
	assert_int_equal(ini_resv_register(f, chan, 1), -ENOTSUP);
	fiber_clear(f);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	free(state);
	fake_free(f, fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uris_that_make_no_sense_are_refused_with_words),
		cmocka_unit_test(where_nobody_listens_the_open_fails_at_once),
		cmocka_unit_test(what_is_written_is_read_in_every_shape_of_the_transport),
		cmocka_unit_test(large_transfers_go_straight_into_memory),
		cmocka_unit_test(the_disk_is_described_as_the_controller_says),
		cmocka_unit_test(flags_and_ops_are_those_of_the_bio),
		cmocka_unit_test(compare_is_done_by_the_controller),
		cmocka_unit_test(no_more_channels_than_the_controller_gave_queues),
		cmocka_unit_test(a_session_is_a_host_of_its_own),
		cmocka_unit_test(reservations_are_told_and_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
