// SPDX-License-Identifier: Apache-2.0
/*
 * All that is kept with a replica, with every write, read and allocation failing once, and with
 * damaged pages.
 */
#include "unit/unit.h"

#include "base/err.h"
#include "drivers/fault.h"
#include "pool/control_priv.h"
#include "pool/import_priv.h"
#include "control_rig.h"

/* ---- all of it ------------------------------------------------------------------------------- */

#define SCRIPT_STEPS 14

/* Step i of a life; every one may be done again. */
static int script_step(struct fiber *f, struct ctl *c, unsigned i)
{
	const struct replica_info info = { .gen = { 1, 1 }, .state = REPLICA_IN_SYNC };
	const uint64_t regions[] = { 5, 6, 300 };
	const struct uuid snap = ctl_uuid(8), peer = ctl_uuid(6);
	const struct resv_state resv = ctl_resv(12, 1);
	const struct bdev_replica_ops *ops = c->ops;
	unsigned slot;

	switch (i) {
	case 0:
		return ops->fence(f, c->chan, 20);
	case 1:
		return ctl_bio(f, c, BIO_WRITE, 64, 20);
	case 2:
		return ops->al_update(f, c->chan, 20, REPLICA_AL_SET, regions, 3);
	case 3:
		return ops->set(f, c->chan, 20, REPLICA_SET_GEN | REPLICA_SET_STATE, &info);
	case 4:
		return ops->miss_open(f, c->chan, 20, &peer, GEN(1, 1), &slot);
	case 5:
		return ops->miss_add(f, c->chan, 20, 0, regions, 3);
	case 6:
		return ops->snap_prepare(f, c->chan, 20, &snap, "s");
	case 7:
		return ctl_bio(f, c, BIO_WRITE, 64, 20);
	case 8:
		return ops->snap_commit(f, c->chan, 20, &snap);
	case 9:
		return ops->al_update(f, c->chan, 20, REPLICA_AL_CLEAR, regions, 1);
	case 10:
		return ops->resize(f, c->chan, 20, ((uint64_t)SIZE_MB << 11) + 8192);
	case 11:
		return c->resv->store(f, c->chan, &resv, 21);
	case 12:
		return pool_sync(f, c->pr.pool);
	default:
		return ops->fence(f, c->chan, 22);
	}
}

/* What the first `done` steps have left; what comes after may be there or not. */
static void script_verify(struct fiber *f, struct ctl *c, unsigned done)
{
	struct replica_info info = ctl_info(f, c);
	uint64_t words[WORDS + 1] = { 0 };
	struct resv_state resv;

	assert_true(info.fence >= (done > 13 ? 22u : done > 11 ? 21u : done > 0 ? 20u : 0u));
	pool_ok(f, c->ops->al_get(f, c->chan, words, div_up_u64(info.regions, 64)));
	if (done > 2)
		assert_true((words[0] & 1u << 6) && (words[4] & UINT64_C(1) << 44));
	if (done > 2 && done < 9)
		assert_true(words[0] & 1u << 5);
	if (done > 9)
		assert_false(words[0] & 1u << 5);
	if (done > 3)
		assert_true(ctl_gen_is(info.gen, 1, 1) && info.state == REPLICA_IN_SYNC);
	if (done > 5)
		assert_int_equal(info.miss[0].dirty_regions, 3);
	if (done < 6)
		ctl_objects_are(f, c, 1);
	if (done > 8)
		ctl_objects_are(f, c, 2);
	if (done > 10)
		assert_int_equal(info.regions, REGIONS + 1);
	pool_ok(f, c->resv->load(f, c->chan, &resv));
	if (done > 11)
		assert_int_equal(resv.count, 12);
}

RIG_TEST(each_step_survives_a_crash)
{
	for (unsigned steps = 0; steps <= SCRIPT_STEPS; steps++) {
		struct ctl c;

		ctl_start(f, rig, &c);
		for (unsigned i = 0; i < steps; i++)
			pool_ok(f, script_step(f, &c, i));
		ctl_crash(f, &c);
		script_verify(f, &c, steps);
		for (unsigned i = 0; steps < 11 && i < SCRIPT_STEPS; i++)
			pool_ok(f, script_step(f, &c, i)); /* from anywhere to the end */
		script_verify(f, &c, steps < 11 ? SCRIPT_STEPS : steps);
		ctl_stop(f, &c);
	}
}

/* The nth write or flush fails; true: it was never reached. */
static bool script_with_fault(struct fiber *f, struct rig *rig, uint32_t ops, uint64_t nth)
{
	const struct fault_rule rule = {
		.ops = ops, .last = UINT64_MAX, .nth = nth, .status = -EIO
	};
	uint64_t fired[FAULT_RULES_MAX];
	unsigned done = 0;
	struct ctl c;
	int r = 0;

	ctl_start_on(f, rig, &c, "fault:///f?on=" DISK);
	pool_ok(f, fault_set_rules(f, c.pr.keep[0], &rule, 1));
	while (done < SCRIPT_STEPS && (r = script_step(f, &c, done)) == 0)
		done++;
	pool_ok(f, fault_get_fired(f, c.pr.keep[0], fired));
	fiber_clear(f);
	if (r < 0 && r != -EIO && r != -EROFS)
		fail_msg("I/O %" PRIu64 ", step %u: %s", nth, done, err_name(r));
	assert_true(fired[0] || r == 0);
	pool_ok(f, fault_set_rules(f, c.pr.keep[0], NULL, 0));
	ctl_crash(f, &c);
	script_verify(f, &c, done);
	ctl_stop(f, &c);
	return !fired[0];
}

RIG_TEST(failing_any_write_loses_nothing_acknowledged)
{
	uint64_t nth = 1;

	while (!script_with_fault(f, rig, 1u << BIO_WRITE, nth))
		nth++;
	assert_true(nth > 10);
}

RIG_TEST(failing_any_read_is_reported)
{
	uint64_t nth = 1;

	while (!script_with_fault(f, rig, 1u << BIO_READ, nth))
		nth++;
}

/* The nth allocation fails; true: it was never reached. */
static bool script_without_memory(struct fiber *f, struct rig *rig, uint64_t nth)
{
	uint64_t failures = rig->heap.failures;
	unsigned done = 0;
	struct ctl c;
	int r = 0;

	ctl_start(f, rig, &c);
	rig->heap.fail_at = rig->heap.allocs + nth;
	while (done < SCRIPT_STEPS && (r = script_step(f, &c, done)) == 0)
		done++;
	rig->heap.fail_at = 0;
	fiber_clear(f);
	/* ENOSPC: the memory disk has none for what is written */
	if (r < 0 && r != -ENOMEM && r != -EIO && r != -EROFS && r != -EAGAIN && r != -ENOSPC)
		fail_msg("allocation %" PRIu64 ", step %u: %s", nth, done, err_name(r));
	failures = rig->heap.failures - failures;
	assert_true(failures || r == 0);
	ctl_crash(f, &c);
	script_verify(f, &c, done);
	ctl_stop(f, &c);
	return failures == 0;
}

RIG_TEST(failing_any_allocation_loses_nothing_acknowledged)
{
	uint64_t nth = 1;

	while (!script_without_memory(f, rig, nth))
		nth++;
	assert_true(nth > 20);
}

/* ---- what is read ---------------------------------------------------------------------------- */

RIG_TEST(a_pool_that_is_looked_at_tells_what_the_log_has)
{
	const uint64_t region = 77;
	struct pool_import_args args = { .disk_count = 1, .read_only = true };
	uint64_t want[WORDS] = { 0 };
	struct ctl c;

	ctl_start(f, rig, &c);
	pool_ok(f, c.ops->al_update(f, c.chan, 0, REPLICA_AL_SET, &region, 1));
	pool_ok(f, c.ops->fence(f, c.chan, 3));
	want[1] = 1u << 13;
	ctl_close(f, &c);
	pool_fault(c.pr.pool, "crash");
	pool_close(f, c.pr.pool);
	args.disks = c.pr.uris;
	pool_ok(f, pool_import(f, &args, &c.pr.pool));
	ctl_open(f, &c);
	ctl_active_is(f, &c, want);
	assert_int_equal(ctl_info(f, &c).fence, 3);
	fails(f, -EROFS, "read-only", c.ops->fence(f, c.chan, 4));
	fails(f, -EROFS, "read-only", c.ops->al_update(f, c.chan, 3, REPLICA_AL_SET, &region, 1));
	fails(f, -EROFS, "read-only", c.ops->miss_drop(f, c.chan, 3, 0));
	ctl_crash(f, &c); /* nothing was changed */
	ctl_active_is(f, &c, want);
	ctl_stop(f, &c);
}

struct damage {
	struct replica *rep;
	enum attr_kind kind;
	uint64_t index;
	unsigned at;
	uint8_t byte;
};

static int damage_check(struct fiber *f, struct pool *pool, void *arg)
{
	(void)f;
	(void)pool;
	(void)arg;
	return 0;
}

static int damage_run(struct fiber *f, struct pool *pool, void *arg)
{
	const struct damage *damage = arg;
	uint8_t value[ATTR_VALUE_SIZE] = { 0 };

	(void)pool;
	value[damage->at] = damage->byte;
	return attr_put(f, damage->rep, damage->kind, damage->index, value);
}

static void say_once(void *ctx, const char *line)
{
	++*(unsigned *)ctx;
	assert_non_null(strstr(line, "of 'r' is damaged"));
}

/* The offline check finds it, too. */
static void damage_is_checked(struct fiber *f, struct ctl *c)
{
	const struct pool_import_args args = { .disks = c->pr.uris, .disk_count = 1 };
	struct pool_check_result result;
	unsigned lines = 0;

	ctl_close(f, c);
	pool_ok(f, pool_export(f, c->pr.pool));
	pool_ok(f, pool_check(f, c->pr.uris, 1, say_once, &lines, &result));
	assert_int_equal(result.errors, 1);
	assert_int_equal(lines, 1);
	pool_ok(f, pool_import(f, &args, &c->pr.pool));
	ctl_open(f, c);
}

RIG_TEST(damaged_attributes_are_reported)
{
	static const struct damage damages[] = {
		{ .kind = ATTR_ACTIVITY, .index = 1 }, /* past the end of the replica */
		{ .kind = ATTR_ACTIVITY, .index = 0, .at = REGIONS / 8, .byte = 1 },
		{ .kind = ATTR_ACTIVITY, .index = (UINT64_C(1) << 56) - 1 },
		{ .kind = ATTR_MISS, .index = REPLICA_MISS_SLOTS },
		{ .kind = ATTR_MISS_MAP, .index = (uint64_t)REPLICA_MISS_SLOTS << 48 },
		{ .kind = ATTR_MISS_MAP, .index = UINT64_C(1) << 48 | 1 },
		{ .kind = ATTR_MEMBERS, .index = 0, .at = 0, .byte = REPLICA_MEMBERS_MAX + 1 },
		{ .kind = ATTR_MEMBERS, .index = 1, .at = 0, .byte = 14 },
		{ .kind = ATTR_RESERVATION, .index = 0, .at = 12, .byte = RESV_REGISTRANTS_MAX + 1 },
		{ .kind = ATTR_RESERVATION, .index = 0, .at = 8, .byte = 1 },
		{ .kind = ATTR_RESERVATION, .index = 1 }, /* registrants of nobody */
	};

	for (unsigned i = 0; i < ARRAY_LEN(damages); i++) {
		struct damage damage = damages[i];
		struct commit_op op = { .check = damage_check, .run = damage_run, .arg = &damage };
		struct replica_info info;
		struct ctl c;

		ctl_start(f, rig, &c);
		pool_ok(f, replica_find(f, c.pr.pool, "r", &damage.rep));
		pool_ok(f, commit_op(f, c.pr.pool, &op));
		replica_put(damage.rep);
		ctl_remount(f, &c);
		if (c.ops->info(f, c.chan, &info) != -EILSEQ)
			fail_msg("damage %u is not seen", i);
		assert_non_null(strstr(fiber_words(f), "of 'r' is damaged"));
		fiber_clear(f);
		assert_int_equal(ctl_bio(f, &c, BIO_WRITE, 0, 0), 0); /* the data are well */
		damage_is_checked(f, &c);
		ctl_stop(f, &c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step_survives_a_crash),
		cmocka_unit_test(failing_any_write_loses_nothing_acknowledged),
		cmocka_unit_test(failing_any_read_is_reported),
		cmocka_unit_test(failing_any_allocation_loses_nothing_acknowledged),
		cmocka_unit_test(a_pool_that_is_looked_at_tells_what_the_log_has),
		cmocka_unit_test(damaged_attributes_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
