// SPDX-License-Identifier: Apache-2.0
/* A volume within reach of clients: what they see follows what becomes of its nexus. */
#include "nexus_rig.h"

#include "engine/publish.h"
#include "export/nbd.h"
#include "nvmf/tgt.h"
#include "wire/nvme_fabrics.h"

#define HOST  "nqn.2014-08.org.nvmexpress:host"
#define OTHER "nqn.2014-08.org.nvmexpress:other"
#define STEP  UINT64_C(10000000)

#define TURNS_ASLEEP 2000 /* of a second in which little is done */

struct door {
	struct nexus_rig nr;
	struct tgt *tgt;
	struct publish *publish;
	uint16_t port;
};

static void door_start(struct fiber *f, struct rig *rig, struct door *d, unsigned children,
		       const char *const *hosts, unsigned host_count)
{
	const struct tgt_opts opts = { .reactors = 1 };
	struct tgt_port_args port = { .addr = { .family = 2, .ip = { 127, 0, 0, 1 } } };
	struct tgt_port *listens;
	struct io_addr addr;

	*d = (struct door){ 0 };
	nr_start(f, rig, &d->nr, children);
	nr_ok(f, tgt_open(f, &opts, &d->tgt));
	const struct publish_args args = {
		.nexus = d->nr.nexus, .tgt = d->tgt, .hosts = hosts, .host_count = host_count
	};
	nr_ok(f, publish_start(f, &args, &d->publish));
	nr_ok(f, tgt_port_add(f, d->tgt, &port, &listens));
	tgt_port_addr(listens, &addr);
	d->port = addr.port;
}

static void door_stop(struct fiber *f, struct door *d)
{
	if (d->publish)
		publish_stop(f, d->publish);
	tgt_close(f, d->tgt);
	nr_stop(f, &d->nr);
}

static void door_uri(const struct door *d, const char *host, char *text, size_t size)
{
	snprintf(text, size, "nvmf://127.0.0.1:%u/%s?hostnqn=%s&loss_ms=1&wait_ms=60000", d->port,
		 publish_nqn(d->publish), host);
}

static void until_state(struct fiber *f, const struct door *d, enum tgt_ana_state state)
{
	while (publish_ana_now(d->publish) != state)
		assert_int_equal(fiber_sleep(f, STEP), 0);
}

/* ---- ids ----------------------------------------------------------------------------------- */

static void ids_of_epochs_that_may_meet_are_apart(void **state)
{
	uint16_t first, last, other_first, other_last;

	(void)state;
	for (uint64_t epoch = 0; epoch < 3 * PUBLISH_RANGES; epoch++) {
		publish_ids(epoch, &first, &last);
		assert_true(first >= 1 && last <= NVME_CNTLID_MAX && first < last);
		for (uint64_t more = 1; more < PUBLISH_RANGES; more++) {
			publish_ids(epoch + more, &other_first, &other_last);
			assert_true(other_last < first || last < other_first);
		}
	}
}

/* ---- clients --------------------------------------------------------------------------------- */

RIG_TEST(hosts_on_the_list_use_it)
{
	static const char *const hosts[] = { HOST };
	struct door d;
	struct nexus_info info;
	char uri[400], uuid[UUID_TEXT_SIZE];
	uint8_t out[512], in[512];

	door_start(f, rig, &d, 3, hosts, 1);
	nexus_info(d.nr.nexus, &info);
	assert_string_equal(publish_nqn(d.publish) + strlen(PUBLISH_NQN_PREFIX),
			    uuid_print(&info.volume, uuid));
	assert_int_equal(publish_ana_now(d.publish), TGT_ANA_OPTIMIZED);
	door_uri(&d, OTHER, uri, sizeof(uri));
	struct bdev *refused;
	assert_true(bdev_open(f, uri, &refused) < 0);
	fiber_clear(f);
	door_uri(&d, HOST, uri, sizeof(uri));
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);
	assert_true(uuid_equal(&bdev->uuid, &info.volume));
	rig_fill(out, sizeof(out), 1);
	nr_ok(f, bdev_write(f, chan, 9, 1, out, 0));
	nr_ok(f, bdev_read(f, chan, 9, 1, in));
	assert_memory_equal(in, out, sizeof(in));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nr_ok(f, publish_deny(f, d.publish, HOST));
	nr_refused(f, publish_deny(f, d.publish, HOST), -ENOENT, HOST);
	nr_ok(f, publish_allow(f, d.publish, OTHER));
	door_uri(&d, OTHER, uri, sizeof(uri));
	bdev = rig_open(f, uri);
	bdev_close(f, bdev);
	door_stop(f, &d);
}

RIG_TEST(what_is_told_is_what_was_wished)
{
	struct door d;

	door_start(f, rig, &d, 1, NULL, 0);
	nr_ok(f, publish_ana(f, d.publish, TGT_ANA_NON_OPTIMIZED));
	assert_int_equal(publish_ana_now(d.publish), TGT_ANA_NON_OPTIMIZED);
	nr_ok(f, publish_ana(f, d.publish, TGT_ANA_INACCESSIBLE));
	assert_int_equal(publish_ana_now(d.publish), TGT_ANA_INACCESSIBLE);
	nr_ok(f, publish_ana(f, d.publish, TGT_ANA_OPTIMIZED));
	door_stop(f, &d);
}

RIG_TEST(a_volume_is_published_by_doors_with_good_names)
{
	char longer[PUBLISH_NQN_MAX + 2];
	struct door d;
	struct nbd_server *nbd;
	struct publish *more;

	door_start(f, rig, &d, 1, NULL, 0);
	nr_ok(f, nbd_server_new(f, &(struct nbd_opts){ 0 }, &nbd));
	struct publish_args args = { .nexus = d.nr.nexus };
	nr_refused(f, publish_start(f, &args, &more), -EINVAL, "by NVMe/TCP or by NBD");
	args.tgt = d.tgt;
	nr_refused(f, publish_start(f, &args, &more), -EEXIST, "exists");
	args.nqn = "nqn.2024-01.io.test:more";
	nr_ok(f, publish_start(f, &args, &more)); /* doors stand beside each other */
	publish_stop(f, more);
	args.nqn = "more";
	nr_refused(f, publish_start(f, &args, &more), -EINVAL, "'more' is no NQN");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	args.nqn = longer;
	nr_refused(f, publish_start(f, &args, &more), -EINVAL, "longer than 223");
	args.nbd = nbd;
	nr_refused(f, publish_start(f, &args, &more), -EINVAL, "by NVMe/TCP or by NBD");
	args = (struct publish_args){
		.nexus = d.nr.nexus, .nbd = nbd, .hosts = &(const char *){ HOST }, .host_count = 1
	};
	nr_refused(f, publish_start(f, &args, &more), -EINVAL, "no names of hosts");
	nbd_server_free(f, nbd);
	door_stop(f, &d);
}

RIG_TEST(nbd_has_no_states_and_no_hosts)
{
	struct nexus_rig nr;
	struct nbd_server *nbd;
	struct publish *p;

	nr_start(f, rig, &nr, 2);
	nr_ok(f, nbd_server_new(f, &(struct nbd_opts){ 0 }, &nbd));
	const struct publish_args args = { .nexus = nr.nexus, .nbd = nbd };
	nr_ok(f, publish_start(f, &args, &p));
	assert_true(publish_is_nbd(p));
	assert_string_equal(publish_nqn(p), "v");
	nr_refused(f, publish_ana(f, p, TGT_ANA_OPTIMIZED), -ENOTSUP, "no ANA");
	nr_refused(f, publish_allow(f, p, HOST), -ENOTSUP, "no names of hosts");
	nr_ok(f, publish_rescan(f, p));
	publish_stop(f, p);
	nbd_server_free(f, nbd);
	nr_stop(f, &nr);
}

/* ---- what becomes of the nexus ------------------------------------------------------------------ */

struct writer {
	struct bdev_chan *chan;
	int result;
	bool is_done;
};

static int writer_main(struct fiber *f, void *arg)
{
	struct writer *w = arg;
	uint8_t buf[512] = { 1 };

	w->result = bdev_write(f, w->chan, 3, 1, buf, 0);
	w->is_done = true;
	fiber_clear(f);
	return 0;
}

/* PB1, PB3. */
RIG_TEST(a_deposed_owner_is_inaccessible_then_gone)
{
	struct nexus_table_opts opts = { .instance = { { 2 } } };
	struct nexus_table *other;
	struct nexus *taken;
	struct door d;
	struct fiber *fiber;
	struct writer w = { 0 };
	char uri[400];

	door_start(f, rig, &d, 3, NULL, 0);
	door_uri(&d, HOST, uri, sizeof(uri));
	struct bdev *bdev = rig_open(f, uri);
	w.chan = rig_chan(f, bdev);
	opts.store = d.nr.store;
	nr_ok(f, nexus_table_new(f, &opts, &other));
	nr_ok(f, nexus_open(f, other, &d.nr.volume, false, &taken));
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &fiber), 0);
	until_state(f, &d, TGT_ANA_INACCESSIBLE);
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_true(w.result < 0 && w.result != -ESTALE && w.result != -EIO);
	nr_refused(f, publish_ana(f, d.publish, TGT_ANA_OPTIMIZED), -ESTALE, "another owner");
	nr_refused(f, publish_rescan(f, d.publish), -ESTALE, "another owner");
	bdev_chan_close(f, w.chan);
	bdev_close(f, bdev);
	publish_stop(f, d.publish);
	d.publish = NULL;
	nexus_close(f, d.nr.nexus);
	d.nr.nexus = NULL;
	nexus_close(f, taken);
	nexus_table_free(f, other);
	door_stop(f, &d);
}

/* Requests wait for ever for a member; that keeps nobody from ending. */
RIG_TEST(a_volume_without_members_can_be_unpublished)
{
	struct door d;
	struct fiber *fiber;
	struct writer w = { 0 };
	char uri[400];

	door_start(f, rig, &d, 2, NULL, 0);
	door_uri(&d, HOST, uri, sizeof(uri));
	struct bdev *bdev = rig_open(f, uri);
	w.chan = rig_chan(f, bdev);
	nr_break(&d.nr, 0);
	nr_break(&d.nr, 1);
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &fiber), 0);
	until_state(f, &d, TGT_ANA_INACCESSIBLE);
	assert_false(w.is_done);
	publish_stop(f, d.publish);
	d.publish = NULL;
	assert_int_equal(fiber_join(f, fiber), 0);
	assert_true(w.result < 0);
	bdev_chan_close(f, w.chan);
	bdev_close(f, bdev);
	nexus_close(f, d.nr.nexus);
	d.nr.nexus = NULL;
	door_stop(f, &d);
}

static int denier_main(struct fiber *f, void *arg)
{
	const struct door *d = arg;

	return publish_deny(f, d->publish, HOST);
}

/* PL2. Somebody drains a host whose request waits for a member: that ends when the nexus refuses it. */
RIG_TEST(who_unpublishes_sleeps_while_somebody_changes_it)
{
	static const char *const hosts[] = { HOST };
	struct reactor_stats before, after;
	struct fiber *writer, *denier;
	struct writer w = { 0 };
	struct door d;
	char uri[400];

	door_start(f, rig, &d, 2, hosts, 1);
	door_uri(&d, HOST, uri, sizeof(uri));
	struct bdev *bdev = rig_open(f, uri);
	w.chan = rig_chan(f, bdev);
	nr_break(&d.nr, 0);
	nr_break(&d.nr, 1);
	assert_int_equal(fiber_start(fiber_reactor(f), "writer", writer_main, &w, &writer), 0);
	until_state(f, &d, TGT_ANA_INACCESSIBLE);
	assert_int_equal(fiber_start(fiber_reactor(f), "denier", denier_main, &d, &denier), 0);
	fiber_yield(f); /* it has the latch */
	assert_false(w.is_done);
	reactor_stats(fiber_reactor(f), &before);
	publish_stop(f, d.publish);
	reactor_stats(fiber_reactor(f), &after);
	d.publish = NULL;
	assert_true(after.turns - before.turns < TURNS_ASLEEP);
	assert_int_equal(fiber_join(f, denier), 0);
	assert_int_equal(fiber_join(f, writer), 0);
	bdev_chan_close(f, w.chan);
	bdev_close(f, bdev);
	nexus_close(f, d.nr.nexus);
	d.nr.nexus = NULL;
	door_stop(f, &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_of_epochs_that_may_meet_are_apart),
		cmocka_unit_test(hosts_on_the_list_use_it),
		cmocka_unit_test(what_is_told_is_what_was_wished),
		cmocka_unit_test(a_volume_is_published_by_doors_with_good_names),
		cmocka_unit_test(nbd_has_no_states_and_no_hosts),
		cmocka_unit_test(a_deposed_owner_is_inaccessible_then_gone),
		cmocka_unit_test(a_volume_without_members_can_be_unpublished),
		cmocka_unit_test(who_unpublishes_sleeps_while_somebody_changes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
