// SPDX-License-Identifier: Apache-2.0
/*
 * Snapshots in two phases, as a nexus takes them of all its members.
 */
#include "unit/unit.h"

#include "control_rig.h"

/* ---- snapshots in two phases ----------------------------------------------------------------- */

static void is_hidden(struct fiber *f, struct ctl *c)
{
	struct replica_stat stat;

	ctl_objects_are(f, c, 1);
	rig_refused(f, "pool:///p/s", -ENOENT, "not committed");
	fails(f, -ENOENT, "not committed", replica_stat(f, c->pr.pool, "s", &stat));
	fails(f, -ENOENT, "not committed", clone_create(f, c->pr.pool, "s", "k", NULL));
}

RIG_TEST(a_prepared_snapshot_is_seen_when_committed)
{
	const struct uuid uuid = ctl_uuid(4);
	struct bdev *snap;
	struct ctl c;

	ctl_start(f, rig, &c);
	assert_int_equal(ctl_bio(f, &c, BIO_WRITE, 0, 0), 0);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s"));
	is_hidden(f, &c);
	pool_rig_check(f, &c.pr);
	ctl_crash(f, &c);
	is_hidden(f, &c);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s")); /* idempotent */
	fails(f, -EEXIST, "has this uuid", c.ops->snap_prepare(f, c.chan, 0, &uuid, "t"));
	fails(f, -EBUSY, "in use", replica_destroy(f, c.pr.pool, "r"));
	pool_ok(f, c.ops->snap_commit(f, c.chan, 0, &uuid));
	pool_ok(f, c.ops->snap_commit(f, c.chan, 0, &uuid));
	ctl_crash(f, &c);
	ctl_objects_are(f, &c, 2);
	snap = rig_open(f, "pool:///p/s");
	assert_true(uuid_equal(&snap->uuid, &uuid));
	bdev_close(f, snap);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s")); /* long done */
	fails(f, -EINVAL, "is committed", c.ops->snap_abort(f, c.chan, 0, &uuid));
	pool_ok(f, snapshot_destroy(f, c.pr.pool, "s"));
	ctl_stop(f, &c);
}

RIG_TEST(an_aborted_snapshot_leaves_nothing)
{
	const struct uuid uuid = ctl_uuid(4);
	struct replica_stat stat;
	struct pool_info before, after;
	struct ctl c;

	ctl_start(f, rig, &c);
	assert_int_equal(ctl_bio(f, &c, BIO_WRITE, 0, 0), 0);
	pool_ok(f, pool_reap_wait(f, c.pr.pool));
	pool_info(c.pr.pool, &before);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s"));
	assert_int_equal(ctl_bio(f, &c, BIO_WRITE, 0, 0), 0);
	ctl_crash(f, &c);
	pool_ok(f, c.ops->snap_abort(f, c.chan, 0, &uuid));
	pool_ok(f, c.ops->snap_abort(f, c.chan, 0, &uuid));
	fails(f, -ENOENT, "was prepared", c.ops->snap_commit(f, c.chan, 0, &uuid));
	pool_ok(f, pool_reap_wait(f, c.pr.pool));
	pool_info(c.pr.pool, &after);
	assert_int_equal(after.snapshots, 0);
	assert_int_equal(after.used_bytes, before.used_bytes);
	pool_ok(f, replica_stat(f, c.pr.pool, "r", &stat));
	assert_int_equal(stat.snapshots, 0);
	ctl_stop(f, &c);
}

RIG_TEST(a_prepared_snapshot_holds_its_source)
{
	const struct uuid uuid = ctl_uuid(4);
	struct ctl c;

	ctl_start(f, rig, &c);
	pool_ok(f, c.ops->snap_prepare(f, c.chan, 0, &uuid, "s"));
	ctl_close(f, &c);
	fails(f, -EBUSY, "is prepared", replica_destroy(f, c.pr.pool, "r"));
	pool_ok(f, snapshot_destroy(f, c.pr.pool, "s")); /* by hand: whose owner is gone */
	pool_ok(f, replica_destroy(f, c.pr.pool, "r"));
	pool_rig_check(f, &c.pr);
	pool_rig_stop(f, &c.pr);
}

RIG_TEST(bad_snapshots_are_refused)
{
	const struct replica_create_args args = { .name = "q", .size_bytes = 1 << 20 };
	const struct uuid uuid = ctl_uuid(4), other = ctl_uuid(5), nil = { 0 };
	struct replica_info info;
	struct uuid own;
	struct ctl c, s;

	ctl_start(f, rig, &c);
	own = c.bdev->uuid;
	pool_ok(f, replica_create(f, c.pr.pool, &args));
	fails(f, -EINVAL, "snapshot name", c.ops->snap_prepare(f, c.chan, 0, &uuid, "a/b"));
	fails(f, -EINVAL, "uuid", c.ops->snap_prepare(f, c.chan, 0, &nil, "s"));
	fails(f, -EEXIST, "'q' exists", c.ops->snap_prepare(f, c.chan, 0, &uuid, "q"));
	fails(f, -EEXIST, "no snapshot of", c.ops->snap_prepare(f, c.chan, 0, &own, "s"));
	fails(f, -ENOENT, "was prepared", c.ops->snap_commit(f, c.chan, 0, &uuid));
	pool_ok(f, c.ops->snap_abort(f, c.chan, 0, &uuid));
	pool_ok(f, snapshot_create(f, c.pr.pool, "r", "s", &uuid));
	s.bdev = rig_open(f, "pool:///p/s"); /* a snapshot can do nothing of this */
	s.chan = rig_chan(f, s.bdev);
	s.ops = bdev_replica_ops(s.chan);
	info = ctl_info(f, &s);
	assert_true(uuid_equal(&info.replica, &uuid));
	fails(f, -EROFS, "is a snapshot", s.ops->fence(f, s.chan, 7));
	fails(f, -EROFS, "is a snapshot", s.ops->snap_prepare(f, s.chan, 0, &other, "t"));
	fails(f, -EROFS, "is a snapshot", s.ops->resize(f, s.chan, 0, 1 << 22));
	bdev_chan_close(f, s.chan);
	bdev_close(f, s.bdev);
	s.bdev = rig_open(f, "pool:///p/q");
	s.chan = rig_chan(f, s.bdev);
	fails(f, -EEXIST, "no snapshot of 'q'", c.ops->snap_commit(f, s.chan, 0, &uuid));
	fails(f, -EEXIST, "no snapshot of 'q'", c.ops->snap_abort(f, s.chan, 0, &uuid));
	bdev_chan_close(f, s.chan);
	bdev_close(f, s.bdev);
	ctl_stop(f, &c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prepared_snapshot_is_seen_when_committed),
		cmocka_unit_test(an_aborted_snapshot_leaves_nothing),
		cmocka_unit_test(a_prepared_snapshot_holds_its_source),
		cmocka_unit_test(bad_snapshots_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
