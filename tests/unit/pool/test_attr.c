// SPDX-License-Identifier: Apache-2.0
/*
 * What others keep with a replica by name: entity id, shared flag, allowed hosts; and the names
 * and uuids themselves. Good and bad, and after a crash of the process.
 */
#include "unit/unit.h"

#include "base/err.h"
#include "pool/replica_priv.h"
#include "pool_rig.h"

static const char *const uris[] = { "malloc:///d0?size_mb=128" };

static void start(struct fiber *f, struct rig *rig, struct pool_rig *pr)
{
	const struct replica_create_args args = { .name = "r", .size_bytes = 8 << 20 };

	pool_rig_start(f, rig, pr, uris, 1, 0);
	pool_ok(f, replica_create(f, pr->pool, &args));
}

static void stop(struct fiber *f, struct pool_rig *pr)
{
	pool_rig_check(f, pr);
	pool_rig_stop(f, pr);
}

static struct replica_stat stat_of(struct fiber *f, struct pool_rig *pr, const char *name)
{
	struct replica_stat stat;

	pool_ok(f, replica_stat(f, pr->pool, name, &stat));
	return stat;
}

RIG_TEST(entity_and_shared_stay)
{
	char longest[ENTITY_ID_MAX + 2];
	struct pool_rig pr;

	start(f, rig, &pr);
	memset(longest, 'e', sizeof(longest));
	longest[ENTITY_ID_MAX + 1] = 0;
	assert_string_equal(stat_of(f, &pr, "r").entity_id, "");
	assert_false(stat_of(f, &pr, "r").shared);
	fails(f, -EINVAL, "at most 63", replica_set_entity(f, pr.pool, "r", longest));
	fails(f, -ENOENT, "'q'", replica_set_entity(f, pr.pool, "q", "x"));
	fails(f, -ENOENT, "'q'", replica_set_shared(f, pr.pool, "q", true));
	longest[ENTITY_ID_MAX] = 0;
	pool_ok(f, replica_set_entity(f, pr.pool, "r", longest));
	pool_ok(f, replica_set_shared(f, pr.pool, "r", true));
	pool_rig_crash(f, &pr);
	assert_string_equal(stat_of(f, &pr, "r").entity_id, longest);
	assert_true(stat_of(f, &pr, "r").shared);
	pool_ok(f, replica_set_entity(f, pr.pool, "r", ""));
	pool_ok(f, replica_set_shared(f, pr.pool, "r", false));
	pool_rig_crash(f, &pr);
	assert_string_equal(stat_of(f, &pr, "r").entity_id, "");
	assert_false(stat_of(f, &pr, "r").shared);
	stop(f, &pr);
}

RIG_TEST(uuids_name_a_replica)
{
	const struct uuid uuid = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };
	const struct replica_create_args again = { .name = "t",
						   .uuid = &uuid,
						   .size_bytes = 1 << 20 };
	struct replica_create_args args = {
		.name = "s", .uuid = &uuid, .size_bytes = 1 << 20, .entity_id = "volume-1"
	};
	char text[UUID_TEXT_SIZE];
	struct pool_rig pr;

	start(f, rig, &pr);
	pool_ok(f, replica_create(f, pr.pool, &args));
	fails(f, -EEXIST, "uuid", replica_create(f, pr.pool, &again));
	pool_rig_crash(f, &pr);
	assert_string_equal(stat_of(f, &pr, uuid_print(&uuid, text)).name, "s");
	assert_string_equal(stat_of(f, &pr, text).entity_id, "volume-1");
	pool_ok(f, replica_rename(f, pr.pool, text, "u"));
	pool_rig_crash(f, &pr);
	assert_string_equal(stat_of(f, &pr, text).name, "u");
	stop(f, &pr);
}

struct hosts {
	char text[REPLICA_HOSTS_MAX][REPLICA_HOST_LEN_MAX + 1];
	unsigned count;
};

static int host_take(void *ctx, const char *host)
{
	struct hosts *hosts = ctx;

	assert_true(hosts->count < REPLICA_HOSTS_MAX);
	snprintf(hosts->text[hosts->count++], sizeof(hosts->text[0]), "%s", host);
	return 0;
}

static int host_stop(void *ctx, const char *host)
{
	(void)host;
	return ++*(int *)ctx;
}

static void hosts_are(struct fiber *f, struct pool_rig *pr, const char *const *want, unsigned count)
{
	static struct hosts hosts;

	hosts.count = 0;
	pool_ok(f, replica_get_hosts(f, pr->pool, "r", host_take, &hosts));
	assert_int_equal(hosts.count, count);
	for (unsigned i = 0; i < count; i++)
		assert_string_equal(hosts.text[i], want[i]);
}

RIG_TEST(allowed_hosts_stay)
{
	static char longest[REPLICA_HOST_LEN_MAX + 2], text[REPLICA_HOSTS_MAX + 1][64];
	const char *many[REPLICA_HOSTS_MAX + 1], *few[] = { longest, "nqn.b" };
	struct pool_rig pr;
	int calls = 0;

	start(f, rig, &pr);
	memset(longest, 'n', sizeof(longest) - 1);
	for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
		snprintf(text[i], sizeof(text[i]), "nqn.2019-05.io.openebs:host-%u", i);
		many[i] = text[i];
	}
	hosts_are(f, &pr, NULL, 0);
	fails(f, -EINVAL, "65 hosts", replica_set_hosts(f, pr.pool, "r", many, ARRAY_LEN(many)));
	fails(f, -EINVAL, "host 0: 1 to 223", replica_set_hosts(f, pr.pool, "r", few, 2));
	longest[REPLICA_HOST_LEN_MAX] = 0;
	few[1] = "";
	fails(f, -EINVAL, "host 1: 1 to 223", replica_set_hosts(f, pr.pool, "r", few, 2));
	fails(f, -ENOENT, "'q'", replica_set_hosts(f, pr.pool, "q", many, 1));
	fails(f, -ENOENT, "'q'", replica_get_hosts(f, pr.pool, "q", host_take, NULL));
	hosts_are(f, &pr, NULL, 0);
	pool_ok(f, replica_set_hosts(f, pr.pool, "r", many, REPLICA_HOSTS_MAX));
	hosts_are(f, &pr, many, REPLICA_HOSTS_MAX);
	pool_rig_crash(f, &pr);
	hosts_are(f, &pr, many, REPLICA_HOSTS_MAX);
	assert_int_equal(replica_get_hosts(f, pr.pool, "r", host_stop, &calls), 1);
	few[1] = "nqn.b";
	pool_ok(f, replica_set_hosts(f, pr.pool, "r", few, 2));
	pool_rig_crash(f, &pr);
	hosts_are(f, &pr, few, 2);
	pool_ok(f, replica_set_hosts(f, pr.pool, "r", NULL, 0));
	pool_rig_crash(f, &pr);
	hosts_are(f, &pr, NULL, 0);
	stop(f, &pr);
}

/* A clone is another replica: nothing of what was kept with its origin is its own. */
RIG_TEST(attributes_go_with_their_replica)
{
	const char *host = "nqn.a";
	struct pool_rig pr;

	start(f, rig, &pr);
	pool_ok(f, replica_set_hosts(f, pr.pool, "r", &host, 1));
	pool_ok(f, snapshot_create(f, pr.pool, "r", "s", NULL));
	pool_ok(f, clone_create(f, pr.pool, "s", "k", NULL));
	assert_int_equal(replica_get_hosts(f, pr.pool, "k", host_stop, NULL), 0);
	pool_ok(f, replica_destroy(f, pr.pool, "r"));
	pool_ok(f, pool_reap_wait(f, pr.pool));
	stop(f, &pr);
}

/* ---- records --------------------------------------------------------------------------------- */

static struct record record_full(void)
{
	struct record record = { .kind = REPLICA_CLONE,
				 .state = REPLICA_OUTDATED,
				 .flags = RECORD_THICK | RECORD_UNCLEAN,
				 .parent = 3,
				 .size_bytes = 1 << 20,
				 .mapped = 5,
				 .txg = 6,
				 .wall_ns = 7,
				 .snapshots = 8,
				 .clones = 9,
				 .prepared = 10,
				 .fence = 11,
				 .incarnation = 12,
				 .gen = { 13, 14 } };

	memset(record.uuid.bytes, 0x15, 16);
	memset(record.volume.bytes, 0x16, 16);
	memset(record.name, 'n', POOL_NAME_MAX);
	memset(record.entity_id, 'e', ENTITY_ID_MAX);
	return record;
}

static void records_go_there_and_back(void **state)
{
	const struct record record = record_full();
	uint8_t value[CATALOG_VALUE_SIZE], again[CATALOG_VALUE_SIZE];
	struct record got = { 0 };

	(void)state;
	record_encode(&record, value);
	assert_int_equal(record_decode(value, &got), 0);
	record_encode(&got, again);
	assert_memory_equal(value, again, sizeof(value));
	assert_int_equal(got.prepared, 10);
	assert_int_equal(got.fence, 11);
	assert_string_equal(got.name, record.name);
	assert_string_equal(got.entity_id, record.entity_id);
}

static void bad_records_are_refused(void **state)
{
	static const struct {
		unsigned at;
		uint8_t byte;
	} bad[] = { { 0, REPLICA_CLONE + 1 },
		    { 1, REPLICA_OUTDATED + 1 },
		    { 32, 1 },
		    { 39, 0x80 },
		    { 72 + 24, 1 },
		    { 112 + 24, 255 },
		    { 200, POOL_NAME_MAX + 1 },
		    { 201, 0 },
		    { 265, ENTITY_ID_MAX + 1 } };
	const struct record record = record_full();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t value[CATALOG_VALUE_SIZE];
		struct record got;

		record_encode(&record, value);
		value[bad[i].at] = bad[i].byte;
		assert_int_equal(record_decode(value, &got), -EILSEQ);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entity_and_shared_stay),
		cmocka_unit_test(uuids_name_a_replica),
		cmocka_unit_test(allowed_hosts_stay),
		cmocka_unit_test(attributes_go_with_their_replica),
		cmocka_unit_test(records_go_there_and_back),
		cmocka_unit_test(bad_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
