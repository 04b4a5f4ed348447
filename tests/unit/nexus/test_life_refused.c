// SPDX-License-Identifier: Apache-2.0
/*
 * Bad input: each case is one clear line that names the thing and what was expected, and nothing is
 * written to any child, nor to the store.
 *
 * The witnesses: every disk beneath counts what was written to it, replicas are asked what they
 * say of themselves, and the store counts its changes.
 */
#include "nexus_rig.h"

#include <unistd.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "nexus/nexus_priv.h"
#include "nvmf/tgt.h"

#define NQN    "nqn.2026-11.test:refused"
#define PLAIN  "malloc:///m0?size_mb=16"
#define BUSY   "malloc:///busy?size_mb=16"
#define XFS    "malloc:///xfs?size_mb=16"
#define TINY   "malloc:///tiny?size_mb=2"
#define COARSE "malloc:///coarse?size_mb=16&blk_size=4096"
#define OTHER  "malloc:///other?size_mb=16"
#define LATER  "malloc:///later?size_mb=16"
#define ROTTEN "malloc:///rotten?size_mb=16"

static const char *const plain[] = { PLAIN, BUSY, XFS, TINY, COARSE, OTHER, LATER, ROTTEN };

#define DISKS (NR_CHILDREN + 1 + ARRAY_LEN(plain))

struct bench {
	struct nexus_rig nr; /* "v" on p0 and p1; p2 and p3 are free */
	struct bdev *disk[DISKS];
	struct bdev_claim claim;
	struct tgt *tgt;
	unsigned port;
	char remote[200], remote_wrong[200], by_uuid[64], file[300], file_again[300],
		read_only[320];
};

/* ---- witnesses ------------------------------------------------------------------------------ */

struct witness {
	uint64_t changes[DISKS], records;
	struct replica_info info[NR_CHILDREN + 1];
};

static void see(struct fiber *f, struct bench *b, struct witness *ret)
{
	struct bdev_stats stats;

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < DISKS; i++) {
		nr_ok(f, bdev_stats_get(f, b->disk[i], &stats, NULL));
		for (unsigned op = 0; op < BIO_OPS; op++)
			if (bio_op_writes((enum bio_op)op))
				ret->changes[i] += stats.op[op].ops;
	}
	ret->records = b->nr.ram->counter;
	for (unsigned i = 0; i <= NR_CHILDREN; i++)
		ret->info[i] = nr_replica(f, i);
}

static void nothing_changed(const struct witness *a, const struct witness *b, const char *what)
{
	for (unsigned i = 0; i < DISKS; i++)
		if (a->changes[i] != b->changes[i])
			fail_msg("%s: disk %u was written to", what, i);
	if (a->records != b->records)
		fail_msg("%s: the store was written to", what);
	for (unsigned i = 0; i <= NR_CHILDREN; i++) {
		const struct replica_info *x = &a->info[i], *y = &b->info[i];

		if (!uuid_equal(&x->volume, &y->volume) || x->state != y->state ||
		    x->fence != y->fence || x->gen.epoch != y->gen.epoch || x->gen.n != y->gen.n)
			fail_msg("%s: replica %u says something else", what, i);
	}
}

/* ---- the bench -------------------------------------------------------------------------------- */

static void put_block(struct fiber *f, const char *uri, uint64_t offset, const void *bytes)
{
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);

	nr_ok(f, bdev_write(f, chan, offset / bdev->block_size, 1, bytes, 0));
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

static void label_disk(struct fiber *f, const char *uri, uint8_t volume, uint8_t version, bool rot)
{
	struct nexus_label label = { .serial = 1,
				     .volume = { { volume } },
				     .member = { { 77 } },
				     .data_bytes = 14 << 20,
				     .block_size = 512 };
	uint8_t bytes[LABEL_BYTES];

	nexus_label_encode(&label, bytes);
	if (version > 1) {
		bytes[8] = version;
		memset(bytes + 12, 0, 4);
		uint32_t crc = crc32c(0, bytes, sizeof(bytes));
		memcpy(bytes + 12, &crc, 4);
	}
	bytes[100] ^= rot;
	put_block(f, uri, LABEL_A, bytes);
	put_block(f, uri, LABEL_B, bytes);
}

static void serve_p2(struct fiber *f, struct bench *b)
{
	struct tgt_opts opts = { .reactors = 1 };
	struct tgt_subsys_args args = {
		.nqn = NQN, .allow_any_host = true, .fence = true, .vendor = true
	};
	struct tgt_ns_args ns = { .uri = nr_uris[2] };
	struct tgt_port_args port = { .addr = { .family = 2, .ip = { 127, 0, 0, 1 } } };
	struct tgt_subsys *subsys;
	struct tgt_port *at;
	struct tgt_ns *space;
	struct io_addr addr;

	nr_ok(f, tgt_open(f, &opts, &b->tgt));
	nr_ok(f, tgt_port_add(f, b->tgt, &port, &at));
	tgt_port_addr(at, &addr);
	b->port = addr.port;
	nr_ok(f, tgt_subsys_add(f, b->tgt, &args, &subsys));
	nr_ok(f, tgt_ns_add(f, subsys, &ns, &space));
	snprintf(b->remote, sizeof(b->remote), "nvmf://127.0.0.1:%u/%s", b->port, NQN);
	snprintf(b->remote_wrong, sizeof(b->remote_wrong), "nvmf://127.0.0.1:%u/%s-wrong", b->port,
		 NQN);
}

static void bench_start(struct fiber *f, struct rig *rig, struct bench *b)
{
	uint8_t block[512] = "XFSB";
	char path[200], text[UUID_TEXT_SIZE];
	struct replica_info info;

	nr_start(f, rig, &b->nr, 2);
	for (unsigned i = 0; i < ARRAY_LEN(plain); i++)
		b->disk[NR_CHILDREN + 1 + i] = rig_open(f, plain[i]);
	memcpy(b->disk, b->nr.disk, sizeof(b->nr.disk));
	put_block(f, XFS, 0, block);
	label_disk(f, OTHER, 9, 1, false);
	label_disk(f, LATER, 9, 2, false);
	label_disk(f, ROTTEN, 9, 1, true);
	nr_ok(f, bdev_claim(f, b->disk[NR_CHILDREN + 2], BDEV_CLAIM_WRITE, "somebody", &b->claim));
	serve_p2(f, b);
	info = nr_replica(f, 2);
	snprintf(b->by_uuid, sizeof(b->by_uuid), "pool:///p2/%s", uuid_print(&info.replica, text));
	rig_file(rig, "one", 16 << 20);
	rig_path(rig, "one", path, sizeof(path));
	snprintf(b->file, sizeof(b->file), "file://%s", path);
	snprintf(b->read_only, sizeof(b->read_only), "%s?read_only=true", b->file);
	snprintf(b->file_again, sizeof(b->file_again), "file:///.%s", path);
}

static void bench_stop(struct fiber *f, struct bench *b)
{
	tgt_close(f, b->tgt);
	bdev_unclaim(f, &b->claim);
	for (unsigned i = NR_CHILDREN + 1; i < DISKS; i++)
		bdev_close(f, b->disk[i]);
	unlink(b->file + strlen("file://"));
	nr_stop(f, &b->nr);
}

/* ---- create ------------------------------------------------------------------------------------- */

struct bad_create {
	const char *what, *name, *first, *second;
	uint64_t size_bytes;
	int code;
	const char *words;
};

#define W(uri) "child '" uri "'"

/* Those whose words hold what is known only when it runs are tried below. */
static const struct bad_create creates[] = {
	{ "no name", "", PLAIN, NULL, 0, -EINVAL, "a name has 1 to 63 characters" },
	{ "a long name", "0123456789012345678901234567890123456789012345678901234567890123", PLAIN,
	  NULL, 0, -EINVAL, "a name has 1 to 63 characters" },
	{ "a slash", "a/b", PLAIN, NULL, 0, -EINVAL, "volume 'a/b'" },
	{ "a space", "a b", PLAIN, NULL, 0, -EINVAL, "no spaces" },
	{ "a name taken", "v", PLAIN, NULL, 0, -EEXIST, "volume 'v' exists" },
	{ "no children", "w", NULL, NULL, 0, -EINVAL, "1 to 8 children, not 0" },
	{ "no URI", "w", "", NULL, 0, -ENAMETOOLONG, "expected 1 to 511" },
	{ "no scheme", "w", "m0", NULL, 0, -EINVAL, W("m0") },
	{ "no such driver", "w", "floppy:///a", NULL, 0, -EINVAL, "floppy" },
	{ "no such parameter", "w", "malloc:///z?size=1g&x=1", NULL, 0, -EINVAL, "'x'" },
	{ "no such pool", "w", "pool:///p9/r", NULL, 0, -ENOENT, W("pool:///p9/r") },
	{ "no such replica", "w", "pool:///p2/none", NULL, 0, -ENOENT, W("pool:///p2/none") },
	{ "no such file", "w", "file:///nowhere/at/all", NULL, 0, -ENOENT, "/nowhere/at/all" },
	{ "unreachable", "w", "nvmf://127.0.0.1:1/" NQN, NULL, 0, -ECONNREFUSED,
	  W("nvmf://127.0.0.1:1/" NQN) },
	{ "twice", "w", PLAIN, PLAIN, 0, -EINVAL, W(PLAIN) " twice" },
	{ "claimed", "w", BUSY, NULL, 0, -EBUSY, "is claimed for writing by somebody" },
	{ "claimed, the second", "w", PLAIN, BUSY, 0, -EBUSY, W(BUSY) },
	{ "of another volume", "w", "pool:///p0/r", NULL, 0, -EBUSY,
	  W("pool:///p0/r") " is a replica of volume" },
	{ "a filesystem", "w", XFS, NULL, 0, -EMEDIUMTYPE,
	  W(XFS) " bears an XFS filesystem; force to take it" },
	{ "a label of another volume", "w", OTHER, NULL, 0, -EBUSY, "force to take it" },
	{ "a later label", "w", LATER, NULL, 0, -EPROTO, "by a later version" },
	{ "a rotten label", "w", ROTTEN, NULL, 0, -EILSEQ, "both copies of its label" },
	{ "too small for a label", "w", TINY, NULL, 0, -EINVAL,
	  W(TINY) ": 2097152 bytes are too small" },
	{ "smaller than asked for", "w", "pool:///p2/r", "pool:///p3/r", NR_SIZE + 512, -EINVAL,
	  W("pool:///p2/r") " has room for 33554432 bytes, expected 33554944" },
	{ "one is smaller", "w", "pool:///p2/r", PLAIN, 15 << 20, -EINVAL,
	  W(PLAIN) " has room for 14680064 bytes, expected 15728640" },
	{ "sizes that differ", "w", "pool:///p2/r", PLAIN, 0, -EINVAL,
	  W("pool:///p2/r") " has room for 33554432 bytes, '" PLAIN "' for 14680064" },
	{ "half a block", "w", "pool:///p2/r", NULL, 1000, -EINVAL,
	  "not a number of blocks of 512" },
	{ "half a coarse block", "w", "pool:///p2/r", COARSE, 10240, -EINVAL,
	  "not a number of blocks of 4096" },
};

static int try_create(struct fiber *f, struct bench *b, const struct bad_create *bad)
{
	const char *uris[] = { bad->first, bad->second };
	struct nexus_create_args args = { .name = bad->name,
					  .uris = uris,
					  .count = !bad->first ? 0 :
						   bad->second ? 2 :
								 1,
					  .size_bytes = bad->size_bytes };
	struct uuid volume;

	return nexus_create(f, b->nr.table, &args, &volume);
}

static void check_create(struct fiber *f, struct bench *b, const struct bad_create *bad)
{
	struct witness before, after;

	see(f, b, &before);
	int r = try_create(f, b, bad);
	if (r != bad->code || !strstr(fiber_words(f), bad->words) || strchr(fiber_words(f), '\n'))
		fail_msg("%s: %s (%s), expected %s and '%s'", bad->what, fiber_words(f),
			 err_name(r), err_name(bad->code), bad->words);
	fiber_clear(f);
	see(f, b, &after);
	nothing_changed(&before, &after, bad->what);
}

static void create_cases(struct fiber *f, struct bench *b)
{
	const struct bad_create cases[] = {
		{ "wrong NQN", "w", b->remote_wrong, NULL, 0, -ENOENT, b->remote_wrong },
		{ "the same replica by uuid", "w", "pool:///p2/r", b->by_uuid, 0, -EINVAL,
		  "are the same disk" },
		{ "the same replica over the wire", "w", "pool:///p2/r", b->remote, 0, -EINVAL,
		  "are the same disk" },
		{ "read-only", "w", b->read_only, NULL, 0, -EROFS, "is read-only" },
		{ "the same file by another path", "w", b->file, b->file_again, 0, -EBUSY, "one" },
	};

	for (unsigned i = 0; i < ARRAY_LEN(creates); i++)
		check_create(f, b, &creates[i]);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
		check_create(f, b, &cases[i]);
}

RIG_TEST(what_cannot_be_created_is_named_and_nothing_is_written)
{
	const struct bad_create good = { "good", "w", "pool:///p2/r", PLAIN, 8 << 20, 0, "" };
	struct bench b;

	bench_start(f, rig, &b);
	create_cases(f, &b);
	/* the store does not answer */
	struct bad_create bad = good;
	bad.what = "no store";
	bad.code = -ETIMEDOUT;
	bad.words = "told to fail";
	b.nr.ram->fail_before = -ETIMEDOUT;
	check_create(f, &b, &bad);
	b.nr.ram->fail_before = 0;
	/* with all of these out of the way it can be done */
	assert_int_equal(try_create(f, &b, &good), 0);
	bench_stop(f, &b);
}

RIG_TEST(there_are_at_most_so_many_children)
{
	const char *uris[NEXUS_CHILDREN_MAX + 1];
	char text[NEXUS_CHILDREN_MAX + 1][64], uri[VOLUME_URI_MAX + 2];
	struct nexus_create_args args = { .name = "w", .uris = uris };
	struct nexus_rig nr;
	struct uuid volume;

	nr_start(f, rig, &nr, 0);
	for (unsigned i = 0; i <= NEXUS_CHILDREN_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "null:///n%u?size_mb=16", i);
		uris[i] = text[i];
	}
	args.count = NEXUS_CHILDREN_MAX + 1;
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -EINVAL, "1 to 8 children, not 9");
	memset(uri, 'x', sizeof(uri));
	uri[sizeof(uri) - 1] = 0;
	uris[0] = uri;
	args.count = 1;
	nr_refused(f, nexus_create(f, nr.table, &args, &volume), -ENAMETOOLONG,
		   "child 0 has 512 bytes, expected 1 to 511");
	nr_stop(f, &nr);
}

RIG_TEST(a_full_volume_takes_no_more)
{
	const char *uris[NEXUS_CHILDREN_MAX + 1];
	char text[NEXUS_CHILDREN_MAX + 1][64];
	struct bdev *keep[NEXUS_CHILDREN_MAX + 1];
	struct nexus_create_args args = { .name = "w", .uris = uris, .count = NEXUS_CHILDREN_MAX };
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 0);
	for (unsigned i = 0; i <= NEXUS_CHILDREN_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "malloc:///f%u?size_mb=4", i);
		uris[i] = text[i];
		keep[i] = rig_open(f, uris[i]);
	}
	nr_ok(f, nexus_create(f, nr.table, &args, &nr.volume));
	nr_open(f, &nr);
	nr_ok(f, nexus_settle(f, nr.nexus));
	nr_refused(f, nexus_add_child(f, nr.nexus, uris[NEXUS_CHILDREN_MAX]), -ENOSPC,
		   "volume 'w' has 8 children already");
	nr_ok(f, nexus_remove_child(f, nr.nexus, uris[3]));
	nr_ok(f, nexus_add_child(f, nr.nexus, uris[NEXUS_CHILDREN_MAX]));
	nr_ok(f, nexus_settle(f, nr.nexus));
	nr_stop(f, &nr);
	for (unsigned i = 0; i <= NEXUS_CHILDREN_MAX; i++)
		bdev_close(f, keep[i]);
}

/* ---- force ---------------------------------------------------------------------------------------- */

RIG_TEST(force_takes_what_nobody_claims)
{
	static const char *const wanted[] = { XFS, OTHER, LATER, ROTTEN };
	struct nexus_create_args args = { .name = "w", .count = 1, .force = true };
	const char *uris[1];
	struct bench b;
	struct nexus *nexus;
	struct uuid volume;

	bench_start(f, rig, &b);
	args.uris = uris;
	for (unsigned i = 0; i < ARRAY_LEN(wanted); i++) {
		uris[0] = wanted[i];
		nr_ok(f, nexus_create(f, b.nr.table, &args, &volume));
		nr_ok(f, nexus_open(f, b.nr.table, &volume, false, &nexus));
		nexus_close(f, nexus);
		nr_ok(f, nexus_destroy(f, b.nr.table, &volume));
		args.force = false; /* given back it is free for all */
		nr_ok(f, nexus_create(f, b.nr.table, &args, &volume));
		nr_ok(f, nexus_destroy(f, b.nr.table, &volume));
		args.force = true;
	}
	uris[0] = "pool:///p0/r";
	nr_refused(f, nexus_create(f, b.nr.table, &args, &volume), -EBUSY, "('v')");
	uris[0] = BUSY;
	nr_refused(f, nexus_create(f, b.nr.table, &args, &volume), -EBUSY, "somebody");
	/* labelled, and its volume lives */
	uris[0] = PLAIN;
	nr_ok(f, nexus_create(f, b.nr.table, &args, &volume));
	args.name = "x";
	nr_refused(f, nexus_create(f, b.nr.table, &args, &volume), -EBUSY, "('w')");
	bench_stop(f, &b);
}

/* ---- add ---------------------------------------------------------------------------------------------- */

static void check_add(struct fiber *f, struct bench *b, const char *uri, int code,
		      const char *words)
{
	struct witness before, after;
	struct nexus_info info;

	see(f, b, &before);
	int r = nexus_add_child(f, b->nr.nexus, uri);
	if (r != code || !strstr(fiber_words(f), words))
		fail_msg("%s: %s (%s), expected %s and '%s'", uri, fiber_words(f), err_name(r),
			 err_name(code), words);
	fiber_clear(f);
	see(f, b, &after);
	nothing_changed(&before, &after, uri);
	nexus_info(b->nr.nexus, &info);
	assert_int_equal(info.count, 2);
}

RIG_TEST(what_cannot_be_added_is_named_and_nothing_is_written)
{
	char text[200];
	struct replica_info info;
	struct bench b;
	char uuid[UUID_TEXT_SIZE];

	bench_start(f, rig, &b);
	check_add(f, &b, nr_uris[0], -EEXIST, "has child 'pool:///p0/r' already");
	info = nr_replica(f, 1);
	snprintf(text, sizeof(text), "pool:///p1/%s", uuid_print(&info.replica, uuid));
	check_add(f, &b, text, -EEXIST, "is the same as child 'pool:///p1/r'");
	check_add(f, &b, PLAIN, -EINVAL, W(PLAIN) ": 14680064 bytes, the volume needs 33554432");
	check_add(f, &b, TINY, -EINVAL, "too small");
	check_add(f, &b, COARSE, -EINVAL, W(COARSE) ": blocks of 4096 bytes, the volume has 512");
	check_add(f, &b, BUSY, -EBUSY, "somebody");
	check_add(f, &b, XFS, -EMEDIUMTYPE, "bears an XFS filesystem");
	check_add(f, &b, OTHER, -EBUSY, "is a replica of volume");
	check_add(f, &b, b.remote_wrong, -ENOENT, b.remote_wrong);
	check_add(f, &b, "nvmf://127.0.0.1:1/" NQN, -ECONNREFUSED, "127.0.0.1:1");
	check_add(f, &b, "pool:///p2/none", -ENOENT, W("pool:///p2/none"));
	check_add(f, &b, "", -EINVAL, "child ''");
	bench_stop(f, &b);
}

/* ---- generations ----------------------------------------------------------------------------------- */

static void record_save(struct fiber *f, struct nexus_rig *nr, struct volume_record *rec)
{
	uint64_t revision;

	nr_ok(f, volume_get(f, nr->store, &nr->volume, rec, &revision));
}

static void record_restore(struct fiber *f, struct nexus_rig *nr, const struct volume_record *rec)
{
	struct volume_record *now = mem_new(fiber_io(f), sizeof(*now));
	uint64_t revision;

	nr_ok(f, volume_get(f, nr->store, &nr->volume, now, &revision));
	nr_ok(f, volume_put(f, nr->store, rec, &revision));
	mem_free(now);
}

/* A store that came out of a backup: the members know better, and say so. */
RIG_TEST(a_record_older_than_its_members_is_not_served)
{
	struct volume_record *old;
	struct nexus_rig nr;

	nr_start(f, rig, &nr, 2);
	old = mem_new(fiber_io(f), sizeof(*old));
	record_save(f, &nr, old);
	nr_ok(f, nexus_offline_child(f, nr.nexus, nr_uris[1])); /* generation + 1 */
	nexus_close(f, nr.nexus);
	old->clean = true;
	record_restore(f, &nr, old);
	/* the other one, which was away, would say nothing and serve old data */
	nr_refused(f, nexus_open(f, nr.table, &nr.volume, true, &nr.nexus), -EUCLEAN,
		   "child 'pool:///p0/r': its generation 1.2 is newer than the record's 1.1");
	nr.nexus = NULL;
	mem_free(old);
	nr_stop(f, &nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_created_is_named_and_nothing_is_written),
		cmocka_unit_test(there_are_at_most_so_many_children),
		cmocka_unit_test(a_full_volume_takes_no_more),
		cmocka_unit_test(force_takes_what_nobody_claims),
		cmocka_unit_test(what_cannot_be_added_is_named_and_nothing_is_written),
		cmocka_unit_test(a_record_older_than_its_members_is_not_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
